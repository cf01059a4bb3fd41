"""AES (FIPS 197), encryption of single blocks: what counter mode needs.

The state is four words, one for each column.  SubBytes, ShiftRows and MixColumns of a round are looks
into four tables of 256 words: the first holds the column (2s, s, s, 3s) for s = S-box(x), the others are
the same, rotated by one to three bytes.  So for column j

    next = T0[byte 0 of j] ^ T1[byte 1 of j+1] ^ T2[byte 2 of j+2] ^ T3[byte 3 of j+3] ^ round key

All tables are computed when this module is imported.
"""

from __future__ import annotations

from struct import Struct

Words = tuple[int, ...]

_FOUR = Struct(">4I")


def _double(byte: int) -> int:
    """Times x in GF(2**8), section 4.2.1."""
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


def _substitution() -> bytes:
    """The S-box, section 5.1.1: the inverse in GF(2**8), then an affine transformation."""
    powers = [1]  # of 3, which generates the field
    for _ in range(254):
        powers.append(powers[-1] ^ _double(powers[-1]))
    inverse = {power: powers[-index % 255] for index, power in enumerate(powers)}
    box = bytearray()
    for byte in range(256):
        word = inverse.get(byte, 0) * 0x101  # twice beside itself, so that shifts are rotations
        box.append((word ^ word >> 4 ^ word >> 5 ^ word >> 6 ^ word >> 7) & 0xFF ^ 0x63)
    return bytes(box)


SBOX = _substitution()
_T0: Words = tuple(_double(s) << 24 | s << 16 | s << 8 | s ^ _double(s) for s in SBOX)
_T1: Words = tuple(word >> 8 | (word & 0xFF) << 24 for word in _T0)
_T2: Words = tuple(word >> 8 | (word & 0xFF) << 24 for word in _T1)
_T3: Words = tuple(word >> 8 | (word & 0xFF) << 24 for word in _T2)


class Aes:
    """One key of 16, 24 or 32 bytes.  Raises ValueError for another size."""

    __slots__ = ("_rounds",)

    def __init__(self, key: bytes) -> None:
        self._rounds = _expand(key)

    def encrypt_block(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes."""
        first, *middle, last = self._rounds
        a, b, c, d = (word ^ key for word, key in zip(_FOUR.unpack(block), first))
        for j, k, m, n in middle:
            a, b, c, d = (
                _T0[a >> 24] ^ _T1[b >> 16 & 255] ^ _T2[c >> 8 & 255] ^ _T3[d & 255] ^ j,
                _T0[b >> 24] ^ _T1[c >> 16 & 255] ^ _T2[d >> 8 & 255] ^ _T3[a & 255] ^ k,
                _T0[c >> 24] ^ _T1[d >> 16 & 255] ^ _T2[a >> 8 & 255] ^ _T3[b & 255] ^ m,
                _T0[d >> 24] ^ _T1[a >> 16 & 255] ^ _T2[b >> 8 & 255] ^ _T3[c & 255] ^ n,
            )
        j, k, m, n = last
        return _FOUR.pack(
            _last_round(a, b, c, d) ^ j,
            _last_round(b, c, d, a) ^ k,
            _last_round(c, d, a, b) ^ m,
            _last_round(d, a, b, c) ^ n,
        )


def _last_round(a: int, b: int, c: int, d: int) -> int:
    """One column without MixColumns."""
    return SBOX[a >> 24] << 24 | SBOX[b >> 16 & 255] << 16 | SBOX[c >> 8 & 255] << 8 | SBOX[d & 255]


def _expand(key: bytes) -> list[Words]:
    """The round keys, section 5.2, four words each."""
    size = len(key) // 4
    if len(key) not in (16, 24, 32):
        raise ValueError(f"an AES key has 16, 24 or 32 bytes, not {len(key)}")
    words = [int.from_bytes(key[at : at + 4], "big") for at in range(0, len(key), 4)]
    constant = 1
    for index in range(size, 4 * (size + 7)):
        word = words[-1]
        if index % size == 0:
            word = _substitute((word << 8 | word >> 24) & 0xFFFF_FFFF) ^ constant << 24
            constant = _double(constant)
        elif size == 8 and index % size == 4:
            word = _substitute(word)
        words.append(words[-size] ^ word)
    return [tuple(words[at : at + 4]) for at in range(0, len(words), 4)]


def _substitute(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "big").translate(SBOX), "big")
