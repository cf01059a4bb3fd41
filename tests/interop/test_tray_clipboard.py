"""The clipboard of a real X server, through xclip."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from helpers.screens import need_programs, screen
from helpers.trays import SECRET

from pyss.desktop.clipboard import links, of_user
from pyss.protocol.uri import ServerUri

LINK = ServerUri("aes-128-gcm", SECRET, "example.org", 8388, tag="näme")


def command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:  # it has ended meanwhile
            pass
    return found


def test_text_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_programs({"xclip": "xclip"})
    with screen(tmp_path) as seen:
        monkeypatch.setenv("DISPLAY", seen.display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        clipboard = of_user(os.environ)
        assert clipboard.text() == ""
        clipboard.copy(LINK.encode(), secret=True)
        assert clipboard.text() == LINK.encode() and links(clipboard) == [LINK]
        running = command_lines()
        assert [line for line in running if line.startswith(b"xclip")]  # it stays, to hand the text out
        assert not [line for line in running if line.startswith(b"xclip") and b"ss://" in line]
        segno = pytest.importorskip("segno", reason="it draws the code")
        pytest.importorskip("zxingcpp", reason="it reads the code")
        pytest.importorskip("PIL.Image", reason="Pillow holds the picture")
        segno.make(LINK.encode(), micro=False).save(str(tmp_path / "code.png"), scale=5)
        argv = ["xclip", "-selection", "clipboard", "-target", "image/png", "-in", str(tmp_path / "code.png")]
        quiet = subprocess.DEVNULL
        subprocess.run(argv, stdin=quiet, stdout=quiet, stderr=quiet, timeout=30, check=True)
        assert links(clipboard) == [LINK]
