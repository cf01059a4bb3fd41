"""The lists behind the PAC file: read at the start, read again when they change, kept when they are damaged."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pyss.app.config import Source, read_local
from pyss.app.json_text import Node
from pyss.app.options import RunLocal, parse
from pyss.app.pac_lists import PacLists
from pyss.errors import ConfigError
from pyss.protocol.pac import pac_tables


class Files:
    """Two lists on disk.  Each version gets a time of its own: what changes within one tick of a clock is seen too."""

    def __init__(self, folder: Path) -> None:
        self.direct, self.proxied = folder / "direct", folder / "proxied"
        self.warnings: list[str] = []
        self.reads: list[str] = []
        self._time = 1_000_000_000

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self._time += 1
        os.utime(path, (self._time, self._time))

    def read(self, name: str) -> bytes:
        self.reads.append(name)
        return Path(name).read_bytes()

    def report(self, level: str, text: str) -> None:
        assert level == "warning"
        self.warnings.append(text)

    def lists(self, direct: bool = True, proxied: bool = False) -> PacLists:
        names = [str(path) if wanted else None for path, wanted in ((self.direct, direct), (self.proxied, proxied))]
        return PacLists(names[0], names[1], self.report, self.read)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.write(made.direct, b"a.example\n")
    made.write(made.proxied, b"b.example\n")
    return made


def test_without_lists_all_goes_through_the_proxy(files: Files) -> None:
    assert files.lists(False)() == pac_tables() and not files.reads


def test_both_lists(files: Files) -> None:
    assert files.lists(True, True)() == pac_tables([".a.example"], [".b.example"])
    assert files.lists(False, True)() == pac_tables([], [".b.example"])


def test_they_are_read_again_when_they_change_and_only_then(files: Files) -> None:
    lists = files.lists(True, True)
    for _ in range(3):
        lists()
    assert len(files.reads) == 2
    files.write(files.proxied, b"c.example\n")
    assert lists() == pac_tables([".a.example"], [".c.example"])
    replaced = files.direct.with_name("new")
    files.write(replaced, b"d.example\n")
    os.replace(replaced, files.direct)  # as editors do
    assert lists() == lists() == pac_tables([".d.example"], [".c.example"])
    assert len(files.reads) == 6 and not files.warnings


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"a b\n", "line 1: expected a domain such as"),
        (b"\n\xff", "line 2: this is not text in UTF-8"),
        (None, "cannot read"),
    ],
)
def test_a_list_that_is_damaged_later_stays_as_it_was(files: Files, damage: bytes | None, words: str) -> None:
    lists = files.lists()
    if damage is None:
        files.direct.unlink()
    else:
        files.write(files.direct, damage)
    for _ in range(3):
        assert lists() == pac_tables([".a.example"])
    (warning,) = files.warnings  # once
    assert words in warning and str(files.direct) in warning and warning.endswith("; the lists stay as they were")
    files.write(files.direct, b"e.example\n")
    assert lists() == pac_tables([".e.example"]) and len(files.warnings) == 1


@pytest.mark.parametrize("damage", [b"a b\n", None])
def test_a_list_that_is_damaged_at_the_start_stops_it(files: Files, damage: bytes | None) -> None:
    files.direct.unlink()
    if damage is not None:
        files.write(files.direct, damage)
    with pytest.raises(ConfigError, match="line 1: expected" if damage else "cannot read "):
        files.lists()


def test_what_is_no_file_is_not_read(files: Files, tmp_path: Path) -> None:
    names = [str(tmp_path)]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")  # a read of it would wait for ever
        names.append(str(tmp_path / "pipe"))
    for name in names:
        with pytest.raises(ConfigError, match="is no file, and cannot be a list of domains"):
            PacLists(name, None, files.report)


# --- how they are named --------------------------------------------------------------------------
def nothing(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory")


def test_options_and_keys() -> None:
    line = "local -s h -k x -m aes-256-gcm --pac-direct d --pac-proxied=p"
    command = parse(line.split(), "pyss", {}, nothing)
    assert isinstance(command, RunLocal)
    assert (command.config.pac_direct, command.config.pac_proxied) == ("d", "p")
    text = b'{"server": "h", "password": "x", "method": "aes-256-gcm", "pac_direct": "f", "pac-proxied": "g"}'
    config = read_local(Source({"pac_direct": Node("d", "--pac-direct")}, "c.json", {}, lambda name: text))
    assert (config.pac_direct, config.pac_proxied, config.notes) == ("d", "g", ())


def test_a_name_that_is_none() -> None:
    text = b'{"server": "h", "password": "x", "method": "aes-256-gcm", "pac_direct": ["f"]}'
    with pytest.raises(ConfigError, match="pac_direct: expected a file name in double quotes"):
        read_local(Source({}, "c.json", {}, lambda name: text))
