"""SEED (Korea Information Security Agency, 1998; RFC 4269): 128-bit blocks and keys, 16 rounds.

    left (2 words)          right (2 words: c, d)
        |                       |
        ^ <-------- F <---------+               then left and right change places,
        |           ^ key       |               but not after round 16

    F:  c ^ key0 ---+-------> + -> G --+-----> + -> left word 0      the additions are modulo 2**32
                    v         ^        v       ^
        d ^ key1 -> ^ -> G ---+------> + -> G -+--> left word 1

G puts each byte of a word through one of two S-boxes and lets each of the four results go, masked, to all four
bytes of its result: so it is an xor of four words from tables, as in AES.

The S-boxes are powers in GF(2**8) and affine transformations; they are computed when this module is
imported.  They are looked up at places that depend on secrets, so that the time of an operation does too.
"""

from __future__ import annotations

from struct import Struct

_FOUR = Struct(">4I")
_MASK = 0xFFFF_FFFF
_POLYNOMIAL = 0x163  # x**8 + x**6 + x**5 + x + 1

Words = tuple[int, ...]


def _powers() -> list[int]:
    """The powers of x, a generator of the field: the values at 0 to 254."""
    powers = [1]
    for _ in range(254):
        double = powers[-1] << 1
        powers.append(double ^ (_POLYNOMIAL if double & 0x100 else 0))
    return powers


def _substitution(exponent: int, columns: bytes, constant: int) -> bytes:
    """x**exponent, times the matrix whose columns are given (that of bit 0 first), plus a constant."""
    powers = _powers()
    box = bytearray([constant]) * 256
    for index, byte in enumerate(powers):
        power = powers[index * exponent % 255]
        for bit, column in enumerate(columns):
            box[byte] ^= column if power >> bit & 1 else 0
    return bytes(box)


# RFC 4269 appendix A has them as tables; the formulas are those of the specification of SEED.
SBOX1 = _substitution(247, bytes.fromhex("2cd069c2414458e2"), 169)
SBOX2 = _substitution(251, bytes.fromhex("d02ae12c2130a26c"), 56)


def _spread(box: bytes, masks: int) -> Words:
    """The four masked copies of a result in one word."""
    return tuple(byte * 0x0101_0101 & masks for byte in box)


# Section 2.2: the masks fc, f3, cf and 3f, one place further for each byte of the word; the last byte is the first.
_G0 = _spread(SBOX1, 0x3FCF_F3FC)
_G1 = _spread(SBOX2, 0xFC3F_CFF3)
_G2 = _spread(SBOX1, 0xF3FC_3FCF)
_G3 = _spread(SBOX2, 0xCFF3_FC3F)

# Section 2.3: the golden ratio, rotated by one bit for each round.
_CONSTANTS = tuple((0x9E37_79B9_9E37_79B9 << turn >> 32) & _MASK for turn in range(16))


def _g(word: int) -> int:
    return _G0[word & 255] ^ _G1[word >> 8 & 255] ^ _G2[word >> 16 & 255] ^ _G3[word >> 24]


class Seed:
    """One key of 16 bytes.  Raises ValueError for another size."""

    __slots__ = ("_pairs",)
    block_size = 16

    def __init__(self, key: bytes) -> None:
        keys = _expand(key)
        self._pairs = [first + second for first, second in zip(keys[::2], keys[1::2])]

    def encrypt_block(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes; raises struct.error for another size."""
        return _encrypt(block, self._pairs)


def _encrypt(block: bytes, pairs: list[Words]) -> bytes:
    """Two rounds each turn, with the four words of their keys, so that the halves need not change places."""
    a, b, c, d = _FOUR.unpack(block)
    g0, g1, g2, g3 = _G0, _G1, _G2, _G3
    for j, k, m, n in pairs:
        t = c ^ j
        u = t ^ d ^ k
        u = g0[u & 255] ^ g1[u >> 8 & 255] ^ g2[u >> 16 & 255] ^ g3[u >> 24]
        t = t + u & _MASK
        t = g0[t & 255] ^ g1[t >> 8 & 255] ^ g2[t >> 16 & 255] ^ g3[t >> 24]
        u = u + t & _MASK
        u = g0[u & 255] ^ g1[u >> 8 & 255] ^ g2[u >> 16 & 255] ^ g3[u >> 24]
        a ^= t + u & _MASK
        b ^= u
        t = a ^ m
        u = t ^ b ^ n
        u = g0[u & 255] ^ g1[u >> 8 & 255] ^ g2[u >> 16 & 255] ^ g3[u >> 24]
        t = t + u & _MASK
        t = g0[t & 255] ^ g1[t >> 8 & 255] ^ g2[t >> 16 & 255] ^ g3[t >> 24]
        u = u + t & _MASK
        u = g0[u & 255] ^ g1[u >> 8 & 255] ^ g2[u >> 16 & 255] ^ g3[u >> 24]
        c ^= t + u & _MASK
        d ^= u
    return _FOUR.pack(c, d, a, b)


def _expand(key: bytes) -> list[Words]:
    """Section 2.3: two words for each round; after a round one half of the key is rotated by a byte."""
    if len(key) != 16:
        raise ValueError(f"a SEED key has 16 bytes, not {len(key)}")
    a, b, c, d = _FOUR.unpack(key)
    keys: list[Words] = []
    for turn, constant in enumerate(_CONSTANTS):
        keys.append((_g(a + c - constant & _MASK), _g(b - d + constant & _MASK)))
        if turn % 2:
            c, d = (c << 8 | d >> 24) & _MASK, (d << 8 | c >> 24) & _MASK
        else:
            a, b = a >> 8 | b << 24 & _MASK, b >> 8 | a << 24 & _MASK
    return keys
