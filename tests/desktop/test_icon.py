"""The icon's shapes, its colours against both kinds of bars, and the three file formats."""

from __future__ import annotations

import itertools
import struct
import zlib

import pytest

from pyss.desktop import icon
from pyss.desktop.tray_model import State

BARS = {"light": (243, 243, 243), "dark": (32, 32, 32)}
OPAQUE = 200  # of 255


def pixels(state: State, size: int) -> list[tuple[int, int, int, int]]:
    data = icon.rgba(state, size)
    return [(data[at], data[at + 1], data[at + 2], data[at + 3]) for at in range(0, len(data), 4)]


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_state_has_a_picture() -> None:
    assert set(icon.LAYERS) == set(State)


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("colour", [icon.BLUE, icon.GREY, icon.RED], ids=["blue", "grey", "red"])
def test_colours_stand_out_from_either_bar(colour: tuple[int, ...], bar: str) -> None:
    """WCAG 2.2, 1.4.11: graphical objects have a contrast of 3:1 at least."""
    assert contrast(colour, BARS[bar]) >= 3


def test_marks_stand_out_from_what_they_are_on() -> None:
    assert contrast(icon.WHITE, icon.BLUE) >= 3 and contrast(icon.WHITE, icon.RED) >= 3


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(State, 2)), ids=lambda state: state.value)
def test_states_differ_without_colour(one: State, other: State, size: int) -> None:
    """In grey on a white bar, one pixel of sixteen at least is clearly different."""

    def grey(state: State) -> list[float]:
        return [luminance(tuple(c * a / 255 + 255 - a for c in rgb)) for *rgb, a in pixels(state, size)]

    different = sum(abs(a - b) > 0.25 for a, b in zip(grey(one), grey(other)))
    assert different >= size * size / 16


@pytest.mark.parametrize("size", icon.SIZES)
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
def test_it_fills_its_square_and_leaves_the_corners(state: State, size: int) -> None:
    found = pixels(state, size)
    assert len(found) == size * size
    columns = [at % size for at, pixel in enumerate(found) if pixel[3] >= OPAQUE]
    rows = [at // size for at, pixel in enumerate(found) if pixel[3] >= OPAQUE]
    margin = size * 0.13
    assert min(columns) <= margin and min(rows) <= margin
    assert max(columns) >= size - 1 - margin and max(rows) >= size - 1 - margin
    assert found[0][3] == found[size - 1][3] == 0


def test_edges_are_smooth() -> None:
    alphas = {pixel[3] for pixel in pixels(State.ON, 32)}
    assert len(alphas) > 8 and {0, 255} <= alphas


@pytest.mark.parametrize("size", [16, 32])
def test_png(size: int) -> None:
    data = icon.png(State.ERROR, size)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + 4 * size
    assert len(rows) == stride * size and set(rows[::stride]) == {0}
    assert b"".join(rows[at + 1 : at + stride] for at in range(0, len(rows), stride)) == icon.rgba(State.ERROR, size)


@pytest.mark.parametrize("size", [16, 20, 32, 48])
def test_resource(size: int) -> None:
    data = icon.resource(State.OFF, size)
    header = struct.unpack("<IiiHHIIiiII", data[:40])
    assert header[:6] == (40, size, 2 * size, 1, 32, 0)
    stride = (size + 31) // 32 * 4
    assert header[6] == len(data) - 40 == 4 * size * size + stride * size
    found = pixels(State.OFF, size)
    for row, column in itertools.product(range(size), repeat=2):
        from_bottom = size - 1 - row
        at = 40 + 4 * (from_bottom * size + column)
        blue, green, red, alpha = data[at : at + 4]
        assert (red, green, blue, alpha) == found[row * size + column]
        masked = data[40 + 4 * size * size + from_bottom * stride + column // 8] >> (7 - column % 8) & 1
        assert masked == (alpha == 0)


def test_ico() -> None:
    data = icon.ico(State.ON, (16, 256))
    assert struct.unpack("<HHH", data[:6]) == (0, 1, 2)
    for entry, size in enumerate((16, 256)):
        width, height, _, _, planes, bits, length, at = struct.unpack("<BBBBHHII", data[6 + 16 * entry :][:16])
        assert (width, height, planes, bits) == (size % 256, size % 256, 1, 32)
        assert data[at : at + length] == icon.resource(State.ON, size)
    assert at + length == len(data)
