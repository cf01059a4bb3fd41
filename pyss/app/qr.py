"""A QR code in the terminal, drawn from the matrix that the optional package `segno` makes.

One character holds two modules, one above the other:  "█" both light, "▀" upper, "▄" lower, " " none.
Light modules are drawn and dark ones left out, in white on black where colours can be set, so that the
code is right side out whatever the terminal's own colours are.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from ..errors import ConfigError

QUIET = 4  # light modules around the code; ISO 18004 wants four
_COLOURS = "\x1b[97;40m"
_RESET = "\x1b[0m"
_HALVES = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}


def render(text: str, coloured: bool) -> str:
    """Lines to print.  Raises ConfigError without segno, or for a text that is too long."""
    try:
        segno = import_module("segno")
    except ImportError:
        raise ConfigError("a QR code needs the package segno: pip install 'pyss[qr]'") from None
    try:
        code = segno.make(text, error="l", micro=False, boost_error=True)
    except ValueError:  # segno.DataOverflowError
        raise ConfigError(f"{len(text)} characters are too many for a QR code") from None
    return draw([[bool(module) for module in row] for row in code.matrix], coloured)


def draw(matrix: Sequence[Sequence[bool]], coloured: bool) -> str:
    """Lines for a square of modules; True is dark."""
    size = len(matrix)
    around = range(-QUIET, size + QUIET)

    def light(row: int, column: int) -> bool:
        return not (0 <= row < size and 0 <= column < size and matrix[row][column])

    lines = ["".join(_HALVES[light(row, column), light(row + 1, column)] for column in around) for row in around[::2]]
    return "\n".join(f"{_COLOURS}{line}{_RESET}" if coloured else line for line in lines)
