"""docs/platforms.md: every claim has a mark and, where something was seen, a day; what repeats it is there."""

from __future__ import annotations

import datetime
import re

import pytest
from helpers.processes import ROOT

TEXT = (ROOT / "docs" / "platforms.md").read_text("utf-8")
MARKS = set(re.findall(r"^\| (\w+) \| [^|]+ \|$", TEXT.partition("\n## ")[0], re.MULTILINE)) - {"mark"}


def rows() -> list[dict[str, str]]:
    """Of every table behind the first heading: its cells by the names of their columns."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", TEXT.partition("\n## ")[2], re.MULTILINE):
        head, _, *lines = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines())
        found += [dict(zip(head, line)) for line in lines]
    return found


def test_there_are_four_marks() -> None:
    assert {"ran", "emulated", "checked", "unverified"} == MARKS
    assert {row["mark"] for row in rows()} <= MARKS


@pytest.mark.parametrize("row", rows(), ids=lambda row: " ".join(list(row.values())[:3])[:60])
def test_what_was_seen_has_a_day_and_what_was_not_has_none(row: dict[str, str]) -> None:
    assert all(key in row for key in ("mark", "seen", "again"))
    if row["mark"] == "unverified":
        assert row["seen"] == "-"
    else:
        assert datetime.date(2026, 1, 1) < datetime.date.fromisoformat(row["seen"])
        assert row["again"], "nobody can repeat it"


def test_what_repeats_it_is_there() -> None:
    tox = (ROOT / "tox.ini").read_text("utf-8")
    for row in rows():
        for name in re.findall(r"[\w./-]+\.py(?!\w)|\.ci/run", row["again"]):
            assert (ROOT / name).is_file(), name
        for names in re.findall(r"tox run -e ([\w,-]+)", row["again"]):
            assert all(f"[testenv:{name}]" in tox for name in names.split(","))
        for label in re.findall(r"tox run -m (\w+)", row["again"]):
            assert f"\n    {label} = " in tox


def test_every_script_for_a_platform_is_spoken_of() -> None:
    shared = {"debian", "emulated"}
    for path in (ROOT / "scripts" / "platforms").glob("*.py"):
        assert path.stem in shared or f"scripts/platforms/{path.name}" in TEXT


def test_newer_pythons_are_those_of_the_script() -> None:
    script = (ROOT / "scripts" / "platforms" / "newer.py").read_text("utf-8")
    (line,) = re.findall(r"^INTERPRETERS = \((.*)\)", script, re.MULTILINE)
    seen = [row for row in rows() if "newer.py" in row["again"]]
    for name in re.findall(r'"([^"]+)"', line):
        assert any(f"newer.py {name}" in row["again"] for row in seen), name
