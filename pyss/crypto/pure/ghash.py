"""GHASH (NIST SP 800-38D section 6.4): a polynomial over GF(2**128) whose coefficients are blocks, at H.

An element is a number whose most significant bit is the coefficient of x**0, so that times x is a shift to
the right.  How a message is hashed depends on its length and on what the key has been used for before:

    from the start       16 tables of 16 multiples of H      cheap to make, dear to use    Shoup's method
    after some blocks     8 tables of 256 multiples of H      the other way round           the same
    longer messages      as rows of W blocks, which one row of W blocks replaces (`_Rows`), for the above

The rows of a message V(0), ..., V(R-1) have the same hash as the one row, summed lane by lane,

    V(0) K**(R-1) + ... + V(R-2) K + V(R-1)                    K = H**W

Bit j of the powers of K says which rows the term x**j has: for each j those rows, whole long numbers, are
added, and nothing is shifted or reduced until the 128 sums are put together.  Rows are taken five by five
(the method of four Russians): their 32 sums are made first, and for each j one of them is picked.
What is picked depends on H alone, and the picking is stored: 128 indices for every five rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter, xor
from typing import Callable, Optional

_POLYNOMIAL = 0xE1 << 120  # 1 + x + x**2 + x**7 + x**128, section 6.3

UPGRADE = 96  # blocks, after which tables of 256 entries are worth making
MEDIUM, MEDIUM_LANES = 64, 12  # blocks, from which on rows of 12 are faster, once there are those tables
LONG, LONG_LANES = 320, 24  # blocks, from which on rows of 24 are faster, always
TOGETHER = 5  # rows whose sums are made
MOST = 18 * TOGETHER * LONG_LANES  # blocks in rows at once, 34 KB: bounds what a key stores

_ONE = 1 << 127
_LOW_NIBBLES = int.from_bytes(b"\x0f" * 16, "big")
_LOW_BITS = int.from_bytes(b"\1" * 128, "big")  # the digits of a binary number in ASCII differ in these

Tables = tuple[list[int], ...]
Pick = Callable[[Sequence[int]], Sequence[int]]


def _times_x(element: int) -> int:
    return element >> 1 ^ (_POLYNOMIAL if element & 1 else 0)


def _remainders(bits: int) -> list[int]:
    """For what a shift by so many bits drops: what is to be added instead."""
    remainders = []
    for element in range(1 << bits):
        for _ in range(bits):
            element = _times_x(element)
        remainders.append(element)
    return remainders


_AFTER_4, _AFTER_8 = _remainders(4), _remainders(8)


class Ghash:
    """One H, as 16 bytes.

    Holds 13 KB of tables, after UPGRADE blocks about 110 KB more, and for longer messages 1.1 KB for every
    five rows: at most 6 KB for those of medium length and 20 KB for long ones.
    """

    __slots__ = ("_bytes", "_left", "_long", "_medium", "_nibbles")

    def __init__(self, h: bytes) -> None:
        self._nibbles = _nibble_tables(int.from_bytes(h, "big"))
        self._bytes: Tables = ()
        self._left = UPGRADE
        self._medium: Optional[_Rows] = None
        self._long: Optional[_Rows] = None

    def of(self, data: bytes) -> int:
        """The hash of a whole number of blocks."""
        size = len(data) // 16
        if size < LONG:
            if size < MEDIUM or not self._bytes:
                return self._short(data)
            if self._medium is None:
                self._medium = self._rows(MEDIUM_LANES)
            return self._short(self._medium.squeezed(data))
        if self._long is None:
            self._long = self._rows(LONG_LANES)
        value = 0
        for at in range(0, len(data), 16 * MOST):
            piece = data[at : at + 16 * MOST]
            if value:  # the hash so far is added to the block that follows
                piece = (int.from_bytes(piece[:16], "big") ^ value).to_bytes(16, "big") + piece[16:]
            value = self._short(self._long.squeezed(piece))
        return value

    def _short(self, data: bytes) -> int:
        if self._bytes:
            return _by_bytes(self._bytes, data)
        self._left -= len(data) // 16
        if self._left < 0:
            self._bytes = _byte_tables(self._nibbles)
        return _by_nibbles(self._nibbles, data)

    def _rows(self, lanes: int) -> _Rows:
        return _Rows(lanes, self._short(_ONE.to_bytes(16, "big") + bytes(16 * lanes - 16)))


# --- longer messages -----------------------------------------------------------------------------
class _Rows:
    """Rows of so many blocks (an even number), for one H; K is H to that power."""

    __slots__ = ("_k", "_lanes", "_picks", "_power")

    def __init__(self, lanes: int, k: int) -> None:
        self._lanes = lanes
        self._k = k
        self._power = _ONE  # of K, for the first row that has no pick
        self._picks: list[Pick] = []

    def squeezed(self, data: bytes) -> bytes:
        """One row with the same hash.  A row that is not full has zeros in front."""
        size = 16 * self._lanes
        data = bytes(-len(data) % (size * TOGETHER)) + data
        rows = [int.from_bytes(data[at : at + size], "big") for at in range(len(data) - size, -1, -size)]
        missing = len(rows) // TOGETHER - len(self._picks)
        if missing > 0:
            self._learn(missing)
        terms: Sequence[int] = ()
        for at, pick in zip(range(0, len(rows), TOGETHER), self._picks):
            sums = [0]
            for row in rows[at : at + TOGETHER]:
                sums += [row ^ other for other in sums]
            picked = pick(sums)
            terms = list(map(xor, terms, picked)) if terms else picked
        return _together(terms, self._lanes)

    def _learn(self, missing: int) -> None:
        """For every five rows, counted from the end, which of their sums the terms x**0, x**1, ... have."""
        tables = _nibble_tables(self._k)
        for _ in range(missing):
            members = 0
            for row in range(TOGETHER):
                digits = format(self._power, "0128b").encode()  # of x**0 first
                members |= (int.from_bytes(digits, "big") & _LOW_BITS) << row
                self._power = _by_nibbles(tables, self._power.to_bytes(16, "big"))
            self._picks.append(itemgetter(*members.to_bytes(128, "big")))


def _together(terms: Sequence[int], lanes: int) -> bytes:
    """The sum of terms[j] * x**j, lane by lane.

    Products take 255 bits: the coefficient of x**k is at bit 254 - k of a lane and the one above.  So there are
    two sums, of the first lane of each pair and of the second.
    """
    upper, lower, rest = _layout(lanes)
    first = second = 0
    for term in terms:
        first = first << 1 ^ (term & upper)
        second = second << 1 ^ (term & lower)
    return (_reduced(first, rest << 128) ^ _reduced(second, rest)).to_bytes(16 * lanes, "big")


def _reduced(products: int, rest: int) -> int:
    """Each remainder in its lane.  x**128 is 1 + x + x**2 + x**7, which leaves a little to be done once more."""
    for _ in range(2):
        high = products & rest
        products ^= high ^ high << 128 ^ high << 127 ^ high << 126 ^ high << 121
    return products >> 127


@lru_cache(maxsize=4)
def _layout(lanes: int) -> tuple[int, int, int]:
    """Masks: the first lane of each pair, the second, and what has x**128 and more in a product there."""
    pairs = int.from_bytes((bytes(31) + b"\1") * (lanes // 2), "big")
    second = pairs * ((1 << 128) - 1)
    return second << 128, second, pairs * ((1 << 127) - 1)


# --- short messages ------------------------------------------------------------------------------
def _nibble_tables(h: int) -> Tables:
    """tables[i][n] = H times the element whose byte i is n << 4 and whose other bytes are 0."""
    tables = []
    for _ in range(16):
        b = h >> 1 ^ (_POLYNOMIAL if h & 1 else 0)  # `_times_x`, whose calls would be a third of the time
        c = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
        d = c >> 1 ^ (_POLYNOMIAL if c & 1 else 0)
        bc, bd, cd = b ^ c, b ^ d, c ^ d
        bcd = b ^ cd
        low = [0, d, c, cd, b, bd, bc, bcd]  # the most significant bit has the lowest power
        tables.append([*low, h, h ^ d, h ^ c, h ^ cd, h ^ b, h ^ bd, h ^ bc, h ^ bcd])
        h = h >> 8 ^ _AFTER_8[h & 0xFF]
    return tuple(tables)


def _byte_tables(nibbles: Tables) -> Tables:
    """tables[i][b] = H times the element whose byte 2i is b and whose other bytes are 0."""
    tables = []
    for table in nibbles[::2]:
        lower = [element >> 4 ^ _AFTER_4[element & 0xF] for element in table]
        tables.append([high ^ low for high in table for low in lower])
    return tuple(tables)


def _by_nibbles(tables: Tables, data: bytes) -> int:
    """The lower half of each byte has the products of the upper half times x**4, all at once."""
    a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q = tables
    value = 0
    for at in range(0, len(data), 16):
        value ^= int.from_bytes(data[at : at + 16], "big")
        s = (value & _LOW_NIBBLES).to_bytes(16, "big")
        low = (
            (a[s[0]] ^ b[s[1]] ^ c[s[2]] ^ d[s[3]] ^ e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]])
            ^ (i[s[8]] ^ j[s[9]] ^ k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]] ^ q[s[15]])
        )  # fmt: skip
        s = (value >> 4 & _LOW_NIBBLES).to_bytes(16, "big")
        value = (
            (a[s[0]] ^ b[s[1]] ^ c[s[2]] ^ d[s[3]] ^ e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]])
            ^ (i[s[8]] ^ j[s[9]] ^ k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]] ^ q[s[15]])
            ^ low >> 4 ^ _AFTER_4[low & 0xF]
        )  # fmt: skip
    return value


def _by_bytes(tables: Tables, data: bytes) -> int:
    """The odd bytes have the products of the even ones times x**8, all at once."""
    a, b, c, d, e, f, g, h = tables
    value = 0
    for at in range(0, len(data), 16):
        s = (value ^ int.from_bytes(data[at : at + 16], "big")).to_bytes(16, "big")
        odd = a[s[1]] ^ b[s[3]] ^ c[s[5]] ^ d[s[7]] ^ e[s[9]] ^ f[s[11]] ^ g[s[13]] ^ h[s[15]]
        value = (
            (a[s[0]] ^ b[s[2]] ^ c[s[4]] ^ d[s[6]] ^ e[s[8]] ^ f[s[10]] ^ g[s[12]] ^ h[s[14]])
            ^ odd >> 8 ^ _AFTER_8[odd & 0xFF]
        )  # fmt: skip
    return value
