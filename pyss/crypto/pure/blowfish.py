"""Blowfish (Bruce Schneier, Fast Software Encryption 1993): 64-bit blocks, 16 rounds, key-dependent S-boxes.

    left ----- ^ P[i] ---+------------- right
                         |                |
                         +---> F -------- ^        then left and right change places;
                                                   after round 16 come P[16] and P[17]

    F(a b c d) = ((S0[a] + S1[b]) ^ S2[c]) + S3[d]    modulo 2**32, a to d the bytes of a word

P has 18 words and the S-boxes 256 each.  All 1042 begin as the hexadecimal digits of pi after the point, in
the order P, S0, S1, S2, S3.  Then the key is added to P, and the cipher, applied over and over to a block
of zeros, replaces them two by two: 521 encryptions, which take milliseconds.  So an object is worth keeping.

The digits of pi are computed, by the series of the Chudnovsky brothers, when the first key is set up.  The
boxes are looked up at places that depend on secrets, so that the time of an operation depends on them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isqrt
from struct import Struct

_TWO = Struct(">2I")
_MASK = 0xFFFF_FFFF
_SUBKEYS = 18
_WORDS = _SUBKEYS + 4 * 256


def _pi(bits: int) -> int:
    """floor(pi * 2**bits).

    David and Gregory Chudnovsky, 1988: with a(0) = 1, a(k) = -a(k-1) (6k-5)(2k-1)(6k-1) / (k**3 * 640320**3 / 24),
    pi = 426880 * sqrt(10005) / sum of a(k) * (13591409 + 545140134 k).  Each term gives 47 bits.
    """
    one = 1 << bits + 64  # the last bits take the errors of the rounding, which are less than 2**50
    term, total, k = one, 13591409 * one, 0
    while term:
        k += 1
        # Rounded towards zero, since a term that is rounded down would end at -1.
        size = abs(term) * (6 * k - 5) * (2 * k - 1) * (6 * k - 1) // (k**3 * (640320**3 // 24))
        term = -size if k % 2 else size
        total += term * (13591409 + 545140134 * k)
    return 426880 * isqrt(10005 * one * one) * one // total >> 64


@lru_cache(maxsize=1)
def _initial() -> tuple[int, ...]:
    """P, then S0 to S3, before a key has been set up."""
    bits = 32 * _WORDS
    fraction = _pi(bits) - (3 << bits)
    return Struct(f">{_WORDS}I").unpack(fraction.to_bytes(4 * _WORDS, "big"))


class Blowfish:
    """One key of 4 to 56 bytes.  Raises ValueError for another size."""

    __slots__ = ("_boxes", "_schedule")
    block_size = 8

    def __init__(self, key: bytes) -> None:
        subkeys, self._boxes = _expand(key)
        self._schedule = _Schedule(subkeys)

    def encrypt_block(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes; raises struct.error for another size."""
        left, right = _TWO.unpack(block)
        return _TWO.pack(*_encrypt(left, right, self._schedule, self._boxes))


class _Schedule:
    """The words of P in the order in which they are used: the first, eight pairs, the last."""

    __slots__ = ("first", "last", "pairs")

    def __init__(self, subkeys: Sequence[int]) -> None:
        self.first, self.last = subkeys[0], subkeys[-1]
        self.pairs = list(zip(subkeys[1:-1:2], subkeys[2:-1:2]))


def _encrypt(left: int, right: int, schedule: _Schedule, boxes: list[list[int]]) -> tuple[int, int]:
    """Two rounds each turn, so that the halves need not change places.

    The word of P that the right half would get at the beginning of a round is added at the end of the round
    before, together with F.
    """
    s0, s1, s2, s3 = boxes
    left ^= schedule.first
    for odd, even in schedule.pairs:
        right ^= (s0[left >> 24] + s1[left >> 16 & 255] ^ s2[left >> 8 & 255]) + s3[left & 255] & _MASK ^ odd
        left ^= (s0[right >> 24] + s1[right >> 16 & 255] ^ s2[right >> 8 & 255]) + s3[right & 255] & _MASK ^ even
    return right ^ schedule.last, left


def _expand(key: bytes) -> tuple[list[int], list[list[int]]]:
    """P and the four S-boxes of a key."""
    if not 4 <= len(key) <= 56:
        raise ValueError(f"a Blowfish key has 4 to 56 bytes, not {len(key)}")
    words = _initial()
    stream = (key * _SUBKEYS)[: 4 * _SUBKEYS]  # the key over and over
    subkeys = [word ^ part for word, part in zip(words, Struct(f">{_SUBKEYS}I").unpack(stream))]
    boxes = [list(words[at : at + 256]) for at in range(_SUBKEYS, _WORDS, 256)]
    left = right = 0
    for at in range(0, _SUBKEYS, 2):
        subkeys[at : at + 2] = left, right = _encrypt(left, right, _Schedule(subkeys), boxes)
    schedule = _Schedule(subkeys)
    for box in boxes:
        for at in range(0, 256, 2):
            box[at], box[at + 1] = left, right = _encrypt(left, right, schedule, boxes)
    return subkeys, boxes
