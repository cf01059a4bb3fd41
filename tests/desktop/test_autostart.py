"""What is arranged for the next login, read back as the system's own rules read it."""

from __future__ import annotations

import configparser
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyss.desktop import autostart
from pyss.desktop.autostart import OneFile, desktop_entry, launch_agent, of_user
from pyss.errors import ConfigError

COMMANDS = [
    ["/usr/bin/python3", "/opt/pyss/scripts/pyss-tray.pyw"],
    ["/a b/python", '/it\'s "here"/$HOME/`x`/100%/back\\slash/ü'],
    ["/x", ""],
]


def words_of(line: str) -> list[str]:
    """An Exec line, by the two rules of the Desktop Entry Specification 1.5: strings first, then quoted arguments."""
    value, at = "", 0
    while at < len(line):
        if line[at] == "\\":
            value += {"\\": "\\", "s": " ", "n": "\n", "t": "\t", "r": "\r"}[line[at + 1]]
            at += 2
        else:
            value += line[at]
            at += 1
    words, at = [], 0
    while at < len(value):
        assert value[at] == '"'
        word, at = "", at + 1
        while value[at] != '"':
            at += value[at] == "\\"
            assert value[at] not in "%" or value[at : at + 2] == "%%"
            word += value[at]
            at += 2 if value[at] == "%" else 1
        words.append(word)
        at += 2  # the quote, and a blank
    return words


@pytest.mark.parametrize("command", COMMANDS, ids=["plain", "marks", "empty"])
def test_a_desktop_entry_holds_the_command(command: list[str]) -> None:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(desktop_entry(command).decode())
    entry = parser["Desktop Entry"]
    assert words_of(entry["Exec"]) == command
    assert (entry["Type"], entry["Terminal"], entry["Name"]) == ("Application", "false", "pyss-tray")


def test_a_line_break_cannot_add_a_line() -> None:
    with pytest.raises(ConfigError, match="line break"):
        desktop_entry(["/x", "a\nExec=evil"])


def test_a_desktop_entry_is_valid(tmp_path: Path) -> None:
    if shutil.which("desktop-file-validate") is None:
        pytest.skip("desktop-file-validate is not here (Debian: desktop-file-utils)")
    file = tmp_path / "pyss-tray.desktop"
    file.write_bytes(desktop_entry(COMMANDS[1]))
    done = subprocess.run(["desktop-file-validate", str(file)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("command", COMMANDS, ids=["plain", "marks", "empty"])
def test_a_launch_agent_holds_the_command(command: list[str]) -> None:
    agent = plistlib.loads(launch_agent(command))
    assert agent["ProgramArguments"] == command and agent["RunAtLoad"] is True and agent["Label"] == autostart.NAME


def test_on_and_off(tmp_path: Path) -> None:
    found = OneFile(tmp_path / "a" / "b", lambda command: " ".join(command).encode())
    assert not found.enabled()
    found.disable()
    found.enable(["x", "y"])
    assert found.enabled() and (tmp_path / "a" / "b").read_bytes() == b"x y"
    found.disable()
    assert not found.enabled() and not (tmp_path / "a" / "b").exists()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot write"):
        OneFile(tmp_path / "file" / "x", desktop_entry).enable(["x"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot remove"):
        OneFile(tmp_path / "folder", desktop_entry).disable()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folder of others")
def test_the_folder_of_the_xdg_specification(tmp_path: Path) -> None:
    found = of_user({"XDG_CONFIG_HOME": str(tmp_path)})
    found.enable(["/x"])
    assert (tmp_path / "autostart" / "pyss-tray.desktop").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="the registry of Windows")
def test_the_run_key_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autostart, "NAME", "pyss-tray of a test")
    found = of_user({})
    assert not found.enabled()
    found.disable()
    found.enable(["C:\\a b\\pythonw.exe", "C:\\x.pyw"])
    try:
        assert found.enabled()
    finally:
        found.disable()
    assert not found.enabled()
