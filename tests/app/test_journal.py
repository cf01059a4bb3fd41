"""The log: its line, which fail2ban reads, its levels, and that no peer's word can forge a line."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import pytest

from pyss.app import journal
from pyss.app.journal import DATE, KeptWords, open_journal, printable, report
from pyss.errors import ConfigError

HEADER = "can not parse header when handling connection from"
# The filter that fail2ban brings for shadowsocks: the time stamp is cut out of the line before its failregex
# is tried, and <HOST> takes an address in brackets or without.
FAILREGEX = re.compile(rf"^\s+ERROR\s+{HEADER} \[?(?P<host>[0-9a-fA-F.:]+?)\]?:\d+$")


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def without_date(line: str) -> str:
    """As fail2ban does it with '%Y-%m-%d %H:%M:%S'."""
    time.strptime(line[:19], DATE)
    return line[19:]


def test_a_line(tmp_path: Path) -> None:
    open_journal(0, str(tmp_path / "log"))
    report("info", "100 % of {this}: M\u00fcnchen")
    (line,) = lines(tmp_path / "log")
    assert without_date(line) == " INFO     100 % of {this}: M\u00fcnchen"


@pytest.mark.parametrize("host", ["198.51.100.7", "[2001:db8::7]"])
def test_fail2ban_finds_the_host(tmp_path: Path, host: str) -> None:
    open_journal(-2, str(tmp_path / "log"))
    report("error", f"{HEADER} {host}:50000")
    (line,) = lines(tmp_path / "log")
    found = FAILREGEX.match(without_date(line))
    assert found is not None and found["host"] == host.strip("[]")


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [
        (2, "DEBUG INFO WARNING ERROR"),
        (1, "DEBUG INFO WARNING ERROR"),
        (0, "INFO WARNING ERROR"),
        (-1, "WARNING ERROR"),
        (-2, "ERROR"),
    ],
)
def test_how_much_is_said(tmp_path: Path, verbosity: int, levels: str) -> None:
    open_journal(verbosity, str(tmp_path / "log"))
    for level in ("debug", "info", "warning", "error"):
        report(level, "text")
    assert [line.split()[2] for line in lines(tmp_path / "log")] == levels.split()


def test_standard_error_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    open_journal(0)
    report("warning", "text")
    captured = capsys.readouterr()
    assert captured.err.endswith(" WARNING  text\n") and captured.out == ""


def test_a_file_is_added_to(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n", "utf-8")
    open_journal(0, str(tmp_path / "log"))
    report("info", "after")
    assert [line.split()[-1] for line in lines(tmp_path / "log")] == ["before", "after"]


def test_opening_anew_takes_the_place_of_what_was_open(tmp_path: Path) -> None:
    """And closes it: an unclosed file would fail this test."""
    open_journal(0, str(tmp_path / "first"))
    open_journal(0, str(tmp_path / "second"))
    report("info", "text")
    assert not lines(tmp_path / "first") and len(lines(tmp_path / "second")) == 1


def test_each_second_has_its_own_time_stamp(tmp_path: Path) -> None:
    open_journal(0, str(tmp_path / "log"))
    for created in (1_700_000_000.2, 1_700_000_000.9, 1_700_000_001.0, 1_700_000_000.5):
        record = logging.makeLogRecord({"created": created, "msg": "text", "levelname": "INFO", "levelno": 20})
        logging.getLogger("pyss").handle(record)
    stamps = [time.mktime(time.strptime(line[:19], DATE)) for line in lines(tmp_path / "log")]
    assert stamps == [1_700_000_000, 1_700_000_000, 1_700_000_001, 1_700_000_000]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    for name in (tmp_path / "no" / "log", tmp_path):
        with pytest.raises(ConfigError, match=r"^cannot write the log file '.*': .*--log-file FILE"):
            open_journal(0, str(name))


# --- without a console ---------------------------------------------------------------------------
def test_words_are_kept_in_a_file_where_there_is_no_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a folder" / "pyss.log"
    for text in ("M\u00fcnchen", "again"):  # by two processes, one after the other
        with KeptWords(str(path)) as kept:
            monkeypatch.setattr("sys.stderr", kept)
            open_journal(0)
            report("info", text)
            print("a lone \udc80 surrogate", file=kept)
            kept.flush()
            assert lines(path)[-2].endswith(f" INFO     {text}")
    assert lines(path)[1] == lines(path)[3] == "a lone \\udc80 surrogate"


@pytest.mark.parametrize("movable", [True, False])
def test_a_file_that_nobody_asked_for_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movable: bool
) -> None:
    monkeypatch.setattr(journal, "MOST_KEPT", 100)
    path, old = tmp_path / "log", tmp_path / "log.old"
    if not movable:
        old.mkdir()
    with KeptWords(str(path)) as kept:
        for number in range(95):
            kept.write(f"line {number:4}\n")
    assert len(lines(path)) == 5
    if movable:
        assert [int(line[5:]) for line in lines(old) + lines(path)] == list(range(80, 95))


def test_a_file_that_was_too_large_before_is_moved_with_the_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_KEPT", 100)
    (tmp_path / "log").write_text("x" * 200, "ascii")
    with KeptWords(str(tmp_path / "log")) as kept:
        kept.write("line\n")
    assert lines(tmp_path / "log") == []
    assert (tmp_path / "log.old").read_text("ascii") == "x" * 200 + "line\n"


def test_what_a_peer_says_forges_no_line(tmp_path: Path) -> None:
    open_journal(0, str(tmp_path / "log"))
    report("info", f"x -> evil\n2026-01-01 00:00:00 ERROR    {HEADER} 198.51.100.7:1\r\x1b[2J\u2028\x85")
    (line,) = lines(tmp_path / "log")
    assert line.isprintable() and "evil\\x0a2026" in line and "\\x1b[2J\\x2028\\x85" in line
    assert not FAILREGEX.match(without_date(line))


def test_printable_text_stays_as_it_is() -> None:
    assert printable("M\u00fcnchen \u4e2d %s") == "M\u00fcnchen \u4e2d %s"
    assert printable("a\tb\x00\x7f\udcff") == "a\\x09b\\x00\\x7f\\xdcff"
