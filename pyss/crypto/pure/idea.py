"""IDEA (Xuejia Lai, James Massey and Sean Murphy, Eurocrypt 1991): 64-bit blocks, 128-bit keys, no tables.

The state is four words of 16 bits.  Three operations that do not fit together make the cipher: xor, addition
modulo 2**16 and multiplication modulo 2**16 + 1, a prime, where the word 0 stands for 2**16.

    x1 * k1    x2 + k2    x3 + k3    x4 * k4         a round takes six subkeys,
       |          |          |          |            there are eight rounds;
       +----------|--- ^ ----+          |            s = (x1 ^ x3) * k5
       |          +--- ^ ----|----------+            t = (s + (x2 ^ x4)) * k6
       ^ t        ^ s+t      ^ t        ^ s+t        x2 and x3 change places

Four subkeys more, as in the first line, end it: 52 in all.  They are pieces of the key, which is rotated by
25 bits whenever its eight words have been used.
"""

from __future__ import annotations

from struct import Struct

_FOUR = Struct(">4H")
_MASK = 0xFFFF
_PRIME = 0x10001
_ROUNDS = 8

Subkeys = tuple[int, ...]


class Idea:
    """One key of 16 bytes.  Raises ValueError for another size."""

    __slots__ = ("_groups",)
    block_size = 8

    def __init__(self, key: bytes) -> None:
        self._groups = _grouped(_expand(key))

    def encrypt_block(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes; raises struct.error for another size."""
        return _encrypt(block, self._groups)


def _encrypt(block: bytes, groups: list[Subkeys]) -> bytes:
    """`x or 0x10000` is the number that the word x stands for; the mask makes a word of it again."""
    x1, x2, x3, x4 = _FOUR.unpack(block)
    for k1, k2, k3, k4, k5, k6 in groups[:_ROUNDS]:
        x1 = (x1 or 0x10000) * k1 % _PRIME & _MASK
        x2 = x2 + k2 & _MASK
        x3 = x3 + k3 & _MASK
        x4 = (x4 or 0x10000) * k4 % _PRIME & _MASK
        s = (x1 ^ x3 or 0x10000) * k5 % _PRIME & _MASK
        t = ((x2 ^ x4) + s & _MASK or 0x10000) * k6 % _PRIME & _MASK
        s = s + t & _MASK
        x1, x2, x3, x4 = x1 ^ t, x3 ^ t, x2 ^ s, x4 ^ s
    k1, k2, k3, k4 = groups[_ROUNDS]
    return _FOUR.pack(
        (x1 or 0x10000) * k1 % _PRIME & _MASK,
        x3 + k2 & _MASK,  # the two in the middle do not change places after the last round
        x2 + k3 & _MASK,
        (x4 or 0x10000) * k4 % _PRIME & _MASK,
    )


def _expand(key: bytes) -> list[int]:
    """The 52 subkeys, in the order of their use."""
    if len(key) != 16:
        raise ValueError(f"an IDEA key has 16 bytes, not {len(key)}")
    twice = int.from_bytes(key + key, "big")  # so that a slice of 128 bits is a rotation
    subkeys: list[int] = []
    for turn in range(7):
        rotated = twice >> 128 - 25 * turn % 128
        subkeys += [rotated >> 16 * place & _MASK for place in range(7, -1, -1)]
    return subkeys[:52]


def _grouped(subkeys: list[int]) -> list[Subkeys]:
    """Six for each round, then four; those to multiply with as numbers from 1 to 0x10000."""
    groups = [subkeys[at : at + 6] for at in range(0, 52, 6)]
    return [tuple(k if place in (1, 2) else k or 0x10000 for place, k in enumerate(group)) for group in groups]
