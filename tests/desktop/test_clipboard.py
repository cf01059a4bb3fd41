"""Links from a text or a picture, and a clipboard that programs give access to."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.trays import FakeClipboard

from pyss.desktop import clipboard
from pyss.desktop.clipboard import Missing, Programs, codes, links, of_user
from pyss.errors import ConfigError
from pyss.protocol.uri import ServerUri

ONE = ServerUri("aes-128-gcm", "secret", "example.org", 8388, tag="one")
TWO = ServerUri("2022-blake3-aes-128-gcm", "c2VjcmV0c2VjcmV0c2Vjcg==", "2001:db8::1", 443)
SCRIPTS = pytest.mark.skipif(sys.platform == "win32", reason="scripts of a POSIX shell stand for the programs")


def holding(text: str, image: Any = None) -> FakeClipboard:
    found = FakeClipboard()
    found.held, found.image = text, image
    return found


def picture_of(*texts: str, light: str = "white") -> Any:
    """QR codes beside each other, as segno draws them."""
    segno = pytest.importorskip("segno", reason="it draws the code")
    image = pytest.importorskip("PIL.Image", reason="Pillow holds the picture")
    pytest.importorskip("zxingcpp", reason="it reads the code")
    tiles = []
    for text in texts:
        data = io.BytesIO()
        segno.make(text, micro=False).save(data, kind="png", scale=4, light=None if light == "none" else light)
        tiles.append(image.open(data).convert("RGBA"))
    whole = image.new("RGBA", (sum(tile.width for tile in tiles), max(tile.height for tile in tiles)), (0, 0, 0, 0))
    at = 0
    for tile in tiles:
        whole.paste(tile, (at, 0))
        at += tile.width
    return whole


@pytest.mark.parametrize("text", ["{0}", "  {0}\r\n", "see this:\n{0}\nbye", "\ufeff\n{0}"])
def test_a_link_in_a_text(text: str) -> None:
    assert links(holding(text.format(ONE.encode()))) == [ONE]


def test_several_links() -> None:
    assert links(holding(f"{ONE.encode()}\n\n{TWO.encode()}\n")) == [ONE, TWO]


def test_their_number_is_bounded() -> None:
    with pytest.raises(ConfigError, match="1001 links"):
        links(holding(f"{ONE.encode()}\n" * 1001))


@pytest.mark.parametrize("text", ["", "secret", "https://example.org/#ss://x"])
def test_no_link_and_no_picture(text: str) -> None:
    with pytest.raises(ConfigError, match="no ss:// link and no picture") as caught:
        links(holding(text))
    assert "secret" not in str(caught.value)


def test_a_damaged_link() -> None:
    with pytest.raises(ConfigError) as caught:
        links(holding("ss://secret@example.org:99999"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("light", ["white", "none"])
def test_qr_codes(light: str) -> None:
    assert {*links(holding("", picture_of(ONE.encode(), light=light)))} == {ONE}


def test_several_qr_codes() -> None:
    assert {*links(holding("some text", picture_of(ONE.encode(), TWO.encode(), "hello")))} == {ONE, TWO}


def test_a_picture_without_a_link() -> None:
    with pytest.raises(ConfigError, match="no QR code with an ss:// link"):
        links(holding("", picture_of("https://example.org/")))


def test_a_picture_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = picture_of(ONE.encode())
    monkeypatch.setattr(clipboard, "LARGEST_PICTURE", 100)
    with pytest.raises(ConfigError, match="too large"):
        codes(picture)


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(ConfigError, match=r"pip install 'pyss\[scan\]'"):
        codes(object())


# --- programs ------------------------------------------------------------------------------------
def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@SCRIPTS
def test_a_text_goes_through_standard_input(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    # The program stays, as xclip does, with whatever it was given open.
    found = Programs(shell(f'cat > "{kept}"; sleep 3 &'), shell(f'cat "{kept}"'), ())
    found.copy("ß ss://secret", secret=True)
    assert found.text() == "ß ss://secret"


@SCRIPTS
def test_a_program_that_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sh cannot reach the clipboard \(exit code 3\)"):
        Programs(shell("exit 3"), (), ()).copy("secret")
    with pytest.raises(ConfigError, match="is it installed") as caught:
        Programs([str(tmp_path / "none")], (), ()).copy("secret")
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")


@SCRIPTS
def test_a_program_that_has_nothing_or_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Programs((), ["no such program of a test"], ()).text() == ""
    assert Programs((), shell("echo x >&2; exit 1"), ()).text() == ""
    monkeypatch.setattr(clipboard, "LONGEST_TEXT", 1000)
    assert Programs((), shell("while :; do echo xxxxxxxxx; done"), ()).text() == "xxxxxxxxx\n" * 100
    monkeypatch.setattr(clipboard, "PATIENCE", 0.1)
    assert Programs((), ["sleep", "100"], ()).text() == ""


@SCRIPTS
def test_bytes_that_are_no_text() -> None:
    assert Programs((), shell("printf 'a\\377b'"), ()).text() == "a\ufffdb"


@SCRIPTS
def test_a_picture_of_a_program(tmp_path: Path) -> None:
    picture = picture_of(ONE.encode())
    picture.save(tmp_path / "p.png")
    found = Programs((), shell(""), ["cat", str(tmp_path / "p.png")])
    assert links(found) == [ONE]
    (tmp_path / "p.png").write_bytes(b"\x89PNG no picture")
    assert found.picture() is None
    assert Programs((), (), shell("")).picture() is None


def test_without_pillow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigError, match=r"Pillow: pip install 'pyss\[scan\]'"):
        clipboard._open_picture(b"x")


# --- whose clipboard -----------------------------------------------------------------------------
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the programs of others")
@pytest.mark.parametrize(
    ("installed", "environ", "program"),
    [
        ({"wl-copy", "xclip"}, {"WAYLAND_DISPLAY": "wayland-0"}, "wl-copy"),
        ({"wl-copy", "xclip"}, {}, "xclip"),
        ({"xclip"}, {"WAYLAND_DISPLAY": "wayland-0"}, "xclip"),
        ({"wl-copy"}, {}, ""),
        (set(), {}, ""),
    ],
)
def test_programs_of_this_desktop(tmp_path: Path, installed: set[str], environ: dict[str, str], program: str) -> None:
    for name in installed:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    found = of_user({**environ, "PATH": str(tmp_path)})
    if program:
        assert isinstance(found, Programs) and found._copy[0] == program
    else:
        assert isinstance(found, Missing)
        for call in (found.text, found.picture, lambda: found.copy("x")):
            with pytest.raises(ConfigError, match=r"wl-clipboard .* or xclip"):
                call()


@pytest.mark.skipif(sys.platform != "win32", reason="the clipboard of Windows")
def test_the_clipboard_of_windows() -> None:
    found = of_user(os.environ)
    for text in ("hällo \U0001f600", "x" * 100_000):
        found.copy(text, secret=True)
        assert found.text() == text
