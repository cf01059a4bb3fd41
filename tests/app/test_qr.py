from __future__ import annotations

import sys

import pytest

from pyss.app import qr
from pyss.errors import ConfigError

LINK = "ss://YWVzLTEyOC1nY206dGVzdA@192.168.100.1:8888#Example1"


def undraw(picture: str) -> list[list[bool]]:
    """Light modules of the picture, two rows for each line."""
    halves = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    rows: list[list[bool]] = []
    for line in picture.split("\n"):
        rows += [[halves[mark][half] for mark in line] for half in (0, 1)]
    return rows


@pytest.mark.parametrize("size", [21, 22])
def test_every_module_is_drawn_inside_a_quiet_zone(size: int) -> None:
    matrix = [[(row * 7 + column * 3) % 5 < 2 for column in range(size)] for row in range(size)]
    rows = undraw(qr.draw(matrix, coloured=False))
    for row, line in enumerate(rows):
        assert len(line) == size + 2 * qr.QUIET
        for column, light in enumerate(line):
            y, x = row - qr.QUIET, column - qr.QUIET
            dark = 0 <= y < size and 0 <= x < size and matrix[y][x]
            assert light == (not dark)
    assert len(rows) >= size + 2 * qr.QUIET


def test_colours_are_set_and_reset_on_each_line() -> None:
    plain = qr.draw([[True]], coloured=False).split("\n")
    assert qr.draw([[True]], coloured=True).split("\n") == [f"\x1b[97;40m{line}\x1b[0m" for line in plain]


def test_the_code_is_that_of_the_library() -> None:
    segno = pytest.importorskip("segno", reason="it computes the code")
    rows = undraw(qr.render(LINK, coloured=False))
    matrix = segno.make(LINK, error="l", micro=False).matrix
    inner = [line[qr.QUIET : -qr.QUIET] for line in rows[qr.QUIET : qr.QUIET + len(matrix)]]
    assert inner == [[not module for module in line] for line in matrix]


def test_too_long_a_text() -> None:
    pytest.importorskip("segno", reason="it computes the code")
    with pytest.raises(ConfigError, match="4000 characters are too many"):
        qr.render("x" * 4000, coloured=False)


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)  # what makes `import segno` fail
    with pytest.raises(ConfigError, match=r"pip install 'pyss\[qr\]'"):
        qr.render(LINK, coloured=False)
