"""The tray's icon, drawn by code: no picture files, no package.

    OFF  a hollow ring      STARTING  a ring with dots      ON  a full disc      ERROR  a triangle

         .-"-.                 .-"-.                      .#####.                  /\\
        ( ->  )               ( ... )                    ## -> ###                / ! \\
         `-.-'                 `-.-'                      `#####'                /_____\\

States differ by shape first, for those who see no colours.  All colours have about the middle luminance, so that they
stand out from a light bar as much as from a dark one; nobody need ask the system which it has.

A figure is a function of a point in the unit square (y points down) that returns its signed distance to the outline,
negative inside.  Half a pixel to either side of the outline is blended: smooth edges from one look at each pixel.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Callable

from .tray_model import State

Point = tuple[float, float]
Colour = tuple[int, int, int]
Figure = Callable[[float, float], float]
Layer = tuple[Figure, Colour]

BLUE: Colour = (38, 124, 222)
GREY: Colour = (122, 127, 134)
RED: Colour = (226, 62, 62)
WHITE: Colour = (255, 255, 255)

SIZES = (16, 20, 24, 32, 48, 64)  # pixels; what bars show at 100 to 400 per cent


# --- figures -----------------------------------------------------------------------------------------
def _disc(x0: float, y0: float, radius: float) -> Figure:
    return lambda x, y: math.hypot(x - x0, y - y0) - radius


def _ring(x0: float, y0: float, radius: float, width: float) -> Figure:
    """`radius` is that of the middle of the line."""
    return lambda x, y: abs(math.hypot(x - x0, y - y0) - radius) - width / 2


def _to_segment(x: float, y: float, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.hypot(x - a[0] - along * dx, y - a[1] - along * dy)


def _line(width: float, *points: Point) -> Figure:
    """From point to point, with round ends."""
    pairs = list(zip(points, points[1:]))
    return lambda x, y: min(_to_segment(x, y, a, b) for a, b in pairs) - width / 2


def _polygon(rounding: float, *points: Point) -> Figure:
    """A convex one, its points clockwise on the screen; it grows by `rounding` on all sides."""
    pairs = list(zip(points, (*points[1:], points[0])))

    def distance(x: float, y: float) -> float:
        edge = min(_to_segment(x, y, a, b) for a, b in pairs)
        inside = all((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) >= 0 for a, b in pairs)
        return (-edge if inside else edge) - rounding

    return distance


def _both(*figures: Figure) -> Figure:
    return lambda x, y: min(figure(x, y) for figure in figures)


def _arrow(width: float) -> Figure:
    return _both(
        _line(width, (0.27, 0.5), (0.71, 0.5)),
        _line(width, (0.53, 0.31), (0.72, 0.5), (0.53, 0.69)),
    )


_DOTS = _both(*(_disc(x, 0.5, 0.068) for x in (0.29, 0.5, 0.71)))
_TRIANGLE = _polygon(0.09, (0.5, 0.15), (0.90, 0.85), (0.10, 0.85))
_MARK = _both(_line(0.11, (0.5, 0.38), (0.5, 0.60)), _disc(0.5, 0.78, 0.065))

LAYERS: dict[State, tuple[Layer, ...]] = {
    State.OFF: ((_ring(0.5, 0.5, 0.43, 0.10), GREY), (_arrow(0.125), GREY)),
    State.STARTING: ((_ring(0.5, 0.5, 0.43, 0.10), BLUE), (_DOTS, BLUE)),
    State.ON: ((_disc(0.5, 0.5, 0.49), BLUE), (_arrow(0.125), WHITE)),
    State.ERROR: ((_TRIANGLE, RED), (_MARK, WHITE)),
}


# --- pixels ------------------------------------------------------------------------------------------
@lru_cache(maxsize=32)
def rgba(state: State, size: int) -> bytes:
    """`size` rows from the top, each of `size` pixels: red, green, blue, alpha (not premultiplied)."""
    picture = bytearray()
    for row in range(size):
        y = (row + 0.5) / size
        for column in range(size):
            picture += _pixel(LAYERS[state], (column + 0.5) / size, y, size)
    return bytes(picture)


def _pixel(layers: Sequence[Layer], x: float, y: float, size: int) -> bytes:
    """The layers over each other, from the lowest."""
    red = green = blue = alpha = 0.0
    for figure, colour in layers:
        cover = min(1.0, max(0.0, 0.5 - figure(x, y) * size))
        if cover:
            below = alpha * (1 - cover)
            total = cover + below
            red, green, blue = ((c * cover + b * below) / total for c, b in zip(colour, (red, green, blue)))
            alpha = total
    return bytes((round(red), round(green), round(blue), round(alpha * 255)))


# --- files -------------------------------------------------------------------------------------------
def png(state: State, size: int) -> bytes:
    """A PNG file (RFC 2083) with alpha."""
    pixels = rgba(state, size)
    rows = b"".join(b"\0" + pixels[at : at + 4 * size] for at in range(0, len(pixels), 4 * size))
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)  # 8 bits, colour with alpha
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def resource(state: State, size: int) -> bytes:
    """An icon resource of Windows: BITMAPINFOHEADER, rows of BGRA from the bottom, a mask of one bit a pixel."""
    pixels = rgba(state, size)
    rows = [pixels[at : at + 4 * size] for at in range(0, len(pixels), 4 * size)]
    colours = bytearray(b"".join(reversed(rows)))
    colours[0::4], colours[2::4] = colours[2::4], colours[0::4]
    stride = (size + 31) // 32 * 4
    mask = bytearray()
    for row in reversed(rows):
        bits = "".join("0" if alpha else "1" for alpha in row[3::4]).ljust(stride * 8, "0")
        mask += int(bits, 2).to_bytes(stride, "big")
    # The height counts the mask too.
    header = struct.pack("<IiiHHIIiiII", 40, size, 2 * size, 1, 32, 0, len(colours) + len(mask), 0, 0, 0, 0)
    return header + bytes(colours) + bytes(mask)


def ico(state: State, sizes: Sequence[int] = SIZES) -> bytes:
    """An .ico file that holds the icon in these sizes."""
    pictures = [resource(state, size) for size in sizes]
    at = 6 + 16 * len(pictures)
    directory = struct.pack("<HHH", 0, 1, len(pictures))
    for size, picture in zip(sizes, pictures):
        directory += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(picture), at)
        at += len(picture)
    return directory + b"".join(pictures)
