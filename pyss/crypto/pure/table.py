"""The substitution of the first Shadowsocks: each byte is looked up in a table that the password has shuffled.

    a      first 8 bytes of MD5(password), the least significant byte first
    t      0, 1, ..., 255, sorted 1023 times over: by a % (x + 1), then by a % (x + 2), ..., by a % (x + 1023)

A stable sort keeps the order of before among equals.  So the last sort decides, the one before it decides
among its equals, and so on: all of them are a single sort by

    a % (x + 1023), a % (x + 1022), ..., a % (x + 1), x

These are runs of one list of remainders, backwards.  Already the first few numbers of a run are different for
any two bytes, unless a is very small, and then the whole runs are compared.

That is no encryption: there is no IV, so equal texts are equal on the wire, and equal bytes are as well.
"""

from __future__ import annotations

from hashlib import md5

from ..backends import Buffer

_SORTS = 1023
_FEW = 6


class Table:
    """From the password as it is, of any length; ValueError for an IV that is not empty."""

    __slots__ = ("_table",)

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        if iv:
            raise ValueError(f"the method table has no IV, and this one has {len(iv)} bytes")
        table = substitution(key)
        self._table = table if encrypting else bytes.maketrans(table, bytes(range(256)))

    def update(self, data: Buffer) -> bytes:
        """The next bytes of the stream, as many as are given; each on its own, so that there is no state."""
        return bytes(data).translate(self._table)


def substitution(password: bytes) -> bytes:
    """The 256 bytes that 0, 1, ..., 255 become."""
    return sorted_bytes(int.from_bytes(md5(password, usedforsecurity=False).digest()[:8], "little"))


def sorted_bytes(a: int) -> bytes:
    """0, 1, ..., 255 after all the sorts."""
    remainders = [a % divisor for divisor in range(255 + _SORTS, 0, -1)]
    runs = [remainders[255 - x : 255 - x + _FEW] for x in range(256)]
    if len(set(map(tuple, runs))) < 256:
        runs = [remainders[255 - x : 255 - x + _SORTS] for x in range(256)]
    return bytes(sorted(range(256), key=lambda x: runs[x]))
