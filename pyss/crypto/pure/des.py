"""DES (FIPS 46-3): 64-bit blocks, a key of 56 bits in 8 bytes, 16 rounds.

    IP    left (32 bits)                right (32 bits)
            |                               |
            ^ <-- P <-- S1..S8 <-- ^ <-- E -+        then left and right change places,
            |                     key       |        but not after round 16
    IP-1  (right, left)

E makes 48 bits of 32, six for each S-box, by using half of them twice.  E and P only move bits, so that they can be
applied to the result of each S-box beforehand; and the two halves are kept as E makes them, since E(x ^ y) =
E(x) ^ E(y).  What is left of a round is

    left ^= T0[12 bits of t] ^ T1[12 bits] ^ T2[12 bits] ^ T3[12 bits]      with t = right ^ key, 48 bits,

where each table is E(P(two S-boxes)).  IP and its inverse are tables too, one for each byte that goes in.

The tables (half a megabyte) are computed when the first key is set up.  They are looked up at places that depend on
secrets, so that the time of an operation depends on them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import getitem
from struct import Struct
from typing import NamedTuple

_BYTES = Struct("8B")

Table = list[int]

# The tables of FIPS 46-3, in its notation: for each bit of the result, which bit of what goes in; 1 is the first.
_IP = [place for column in (58, 60, 62, 64, 57, 59, 61, 63) for place in range(column, 0, -8)]
_E = [(4 * box + bit - 1) % 32 + 1 for box in range(8) for bit in range(6)]
_P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10]
_P += [2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
_PC1 = [place for column in (57, 58, 59) for place in range(column, 0, -8)] + [60, 52, 44, 36]
_PC1 += [place for column in (63, 62, 61) for place in range(column, 0, -8)] + [28, 20, 12, 4]
_PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2]
_PC2 += [41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)

# S1 to S8, four rows of 16 hexadecimal digits each.
_BOXES = (
    ("e4d12fb83a6c5907", "0f74e2d1a6cb9538", "41e8d62bfc973a50", "fc8249175b3ea06d"),
    ("f18e6b34972dc05a", "3d47f28ec01a69b5", "0e7ba4d158c6932f", "d8a13f42b67c05e9"),
    ("a09e63f51dc7b428", "d709346a285ecbf1", "d6498f30b12c5ae7", "1ad069874fe3b52c"),
    ("7de3069a1285bc4f", "d8b56f03472c1ae9", "a690cb7df13e5284", "3f06a1d8945bc72e"),
    ("2c417ab6853fd0e9", "eb2c47d150fa3986", "421bad78f9c5630e", "b8c71e2d6f09a453"),
    ("c1af92680d34e75b", "af427c9561de0b38", "9ef528c3704a1db6", "432c95fabe17608d"),
    ("4b2ef08d3c975a61", "d0b7491ae35c2f86", "14bdc37eaf680592", "6bd814a7950fe23c"),
    ("d2846fb1a93e50c7", "1fd8a374c56b0e92", "7b419ce206adf358", "21e74a8dfc90356b"),
)


class Des:
    """One key of 8 bytes, of which the last bit of each, its parity, is not looked at.

    Raises ValueError for another size.
    """

    __slots__ = ("_pairs", "_tables")
    block_size = 8

    def __init__(self, key: bytes) -> None:
        if len(key) != 8:
            raise ValueError(f"a DES key has 8 bytes, not {len(key)}")
        self._tables = _tables()
        keys = _expand(key, self._tables)
        self._pairs = list(zip(keys[::2], keys[1::2]))

    def encrypt_block(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes; raises struct.error for another size."""
        tables = self._tables
        t0, t1, t2, t3 = tables.boxes
        both = _look_up(tables.enter, _BYTES.unpack(block))
        left, right = both >> 48, both & 0xFFFF_FFFF_FFFF
        for k, m in self._pairs:  # two rounds each turn, so that the halves need not change places
            t = right ^ k
            left ^= t0[t >> 36] ^ t1[t >> 24 & 4095] ^ t2[t >> 12 & 4095] ^ t3[t & 4095]
            t = left ^ m
            right ^= t0[t >> 36] ^ t1[t >> 24 & 4095] ^ t2[t >> 12 & 4095] ^ t3[t & 4095]
        return _look_up(tables.leave, (right << 48 | left).to_bytes(12, "big")).to_bytes(8, "big")


class _Tables(NamedTuple):
    """Each is a list of tables, one for each piece of what goes in; the results of the pieces are xored."""

    enter: list[Table]  # 8 bytes to E(left), E(right), 96 bits: IP and E
    boxes: list[Table]  # 4 times 12 bits to 48 bits: S, P and E
    leave: list[Table]  # E(right), E(left), 12 bytes, to 64 bits: E backwards and IP-1
    choice1: list[Table]  # PC-1: 8 bytes to 56 bits
    choice2: list[Table]  # PC-2: 7 bytes to 48 bits


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    half_left, half_right = _IP[:32], _IP[32:]
    where = [_E.index(place) + 1 for place in range(1, 33)]  # the bits of a half among the 48 that E makes of it
    where += [48 + place for place in where]
    after_boxes = _by_bytes(32, [_P[place - 1] for place in _E])
    return _Tables(
        enter=_by_bytes(64, [half[place - 1] for half in (half_left, half_right) for place in _E]),
        boxes=[
            [after[high << 4 | low] for high in _box(2 * index) for low in _box(2 * index + 1)]
            for index, after in enumerate(after_boxes)
        ],
        leave=_by_bytes(96, [where[_IP.index(place)] for place in range(1, 65)]),
        choice1=_by_bytes(64, _PC1),
        choice2=_by_bytes(56, _PC2),
    )


def _look_up(tables: list[Table], pieces: Iterable[int]) -> int:
    """No bit comes from two pieces, so that the sum is their xor."""
    return sum(map(getitem, tables, pieces))


def _by_bytes(size: int, places: list[int]) -> list[Table]:
    """A selection of bits as tables: for each byte of `size` bits, what becomes of its 256 values."""
    images = [0] * size  # what becomes of each bit
    for bit, place in enumerate(reversed(places)):
        images[place - 1] |= 1 << bit
    tables = []
    for at in range(0, size, 8):
        table = [0]
        for image in reversed(images[at : at + 8]):
            table += [image | other for other in table]
        tables.append(table)
    return tables


def _box(index: int) -> list[int]:
    """The results of an S-box for 0 to 63: the first and the last bit choose the row, the four others the column."""
    rows = _BOXES[index]
    return [int(rows[six >> 4 & 2 | six & 1][six >> 1 & 15], 16) for six in range(64)]


def _expand(key: bytes, tables: _Tables) -> list[int]:
    """The 16 round keys of 48 bits: two halves of 28 bits, rotated round by round."""
    both = _look_up(tables.choice1, key)
    left, right = both >> 28, both & 0xFFF_FFFF
    keys = []
    for shift in _SHIFTS:
        left = (left << shift | left >> 28 - shift) & 0xFFF_FFFF
        right = (right << shift | right >> 28 - shift) & 0xFFF_FFFF
        keys.append(_look_up(tables.choice2, (left << 28 | right).to_bytes(7, "big")))
    return keys
