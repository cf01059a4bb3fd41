"""Camellia (NTT and Mitsubishi, 2000; RFC 3713): 128-bit blocks, keys of 128, 192 or 256 bits.

    left ^ kw1                 right ^ kw2
        |                          |
        +--------> F(k) ---------> ^           six such rounds, in which left and right take turns;
        ^ <------- F(k) <----------+
        |                          |
    FL(left, ke1)           FL-1(right, ke2)   then this layer; and so on:
        |                          |           18 rounds and 2 layers with 128-bit keys,
       ...                        ...          24 and 3 with longer ones
        |                          |
    left ^ kw4                 right ^ kw3     the result is right, left

F puts each of the eight bytes of left ^ k through one of four S-boxes and lets the result go to five or six of the
bytes that come out: so it is an xor of eight words of 64 bits from eight tables.

SBOX2 to SBOX4 are rotations of SBOX1, and the tables are computed when this module is imported.  They are
looked up at places that depend on secrets, so that the time of an operation depends on them too.
"""

from __future__ import annotations

from math import isqrt
from struct import Struct

_TWO = Struct(">2Q")
_MASK = (1 << 64) - 1
_LOW = 0xFFFF_FFFF

Words = tuple[int, ...]

# RFC 3713 section 2.4.1.
SBOX1 = bytes.fromhex(
    "70822cecb327c0e5e4855735ea0cae4123ef6b934519a521ed0e4f4e1d6592bd"
    "86b8af8f7ceb1fce3e30dc5f5ec50b1aa6e139cad5475d3dd9015ad651566c4d"
    "8b0d9a66fbccb02d74122b20f0b18499df4ccbc2347e76056db7a931d11704d7"
    "14583a61de1b111c320f9c165318f222fe44cfb2c3b57a912408e8a860fc6950"
    "aad0a07da1896297545b1e95e0ff64d210c40048a3f775db8a03e6da093fdd94"
    "875c8302cd4a90337367f6f39d7fbfe2529bd826c837c63b81966f4b13be632e"
    "e979a78c9f6ebc8e29f5f9b62ffdb4597898066ae74671bad425ab4288a28dfa"
    "7207b955f8eeac0a36492a683c38f1a44028d37bbbc943c115e3adf477c7809e"
)


def _tables() -> list[Words]:
    """For each byte of a word what F makes of its 256 values, section 2.4.1."""
    box1 = SBOX1
    box2 = bytes(byte << 1 & 255 | byte >> 7 for byte in box1)
    box3 = bytes(byte >> 1 | byte << 7 & 255 for byte in box1)
    box4 = bytes(box1[index << 1 & 255 | index >> 7] for index in range(256))
    boxes = (box1, box2, box3, box4, box2, box3, box4, box1)
    # Which of the bytes y1 to y8 the byte goes to.
    places = ("11101001", "01111100", "10110110", "11010011", "01110111", "10111011", "11011101", "11101110")
    # A hexadecimal 01 for each binary 1: the product is then a copy of the byte in each of the places.
    return [tuple(byte * int("0" + "0".join(bits), 16) for byte in box) for box, bits in zip(boxes, places)]


_TABLES = _tables()

# Section 2.2: the hexadecimal places 2 to 17 of the square roots of the first six primes.
_SIGMA = tuple(isqrt(prime << 2 * 68) & _MASK for prime in (2, 3, 5, 7, 11, 13))


class Camellia:
    """One key of 16, 24 or 32 bytes.  Raises ValueError for another size."""

    __slots__ = ("_schedule",)
    block_size = 16

    def __init__(self, key: bytes) -> None:
        self._schedule = _Schedule(_expand(key))

    def encrypt_block(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes; raises struct.error for another size."""
        return _encrypt(block, self._schedule)


class _Schedule:
    """The subkeys in pairs, for left and right: whitening, (layer, six rounds) three or four times, whitening.

    The last pair is for right and left, which have changed places there.
    """

    __slots__ = ("after", "before", "groups")

    def __init__(self, subkeys: list[int]) -> None:
        pairs = list(zip(subkeys[::2], subkeys[1::2]))
        self.before, self.after = pairs[0], pairs[-1]
        layers = [None, *pairs[4:-1:4]]  # there is none before the first six rounds
        self.groups = [(layer, pairs[1 + 4 * at : 4 + 4 * at]) for at, layer in enumerate(layers)]


def _f(word: int, key: int) -> int:
    """Section 2.4.1."""
    t1, t2, t3, t4, t5, t6, t7, t8 = _TABLES
    a, b, c, d, e, f, g, h = (word ^ key).to_bytes(8, "big")
    return t1[a] ^ t2[b] ^ t3[c] ^ t4[d] ^ t5[e] ^ t6[f] ^ t7[g] ^ t8[h]


def _encrypt(block: bytes, schedule: _Schedule) -> bytes:
    """Section 2.3, with `_f` written out: it is called 18 or 24 times."""
    left, right = _TWO.unpack(block)
    t1, t2, t3, t4, t5, t6, t7, t8 = _TABLES
    left ^= schedule.before[0]
    right ^= schedule.before[1]
    for layer, pairs in schedule.groups:
        if layer:
            left, right = _fl(left, layer[0]), _fl_inverse(right, layer[1])
        for k, m in pairs:
            a, b, c, d, e, f, g, h = (left ^ k).to_bytes(8, "big")
            right ^= t1[a] ^ t2[b] ^ t3[c] ^ t4[d] ^ t5[e] ^ t6[f] ^ t7[g] ^ t8[h]
            a, b, c, d, e, f, g, h = (right ^ m).to_bytes(8, "big")
            left ^= t1[a] ^ t2[b] ^ t3[c] ^ t4[d] ^ t5[e] ^ t6[f] ^ t7[g] ^ t8[h]
    return _TWO.pack(right ^ schedule.after[0], left ^ schedule.after[1])


def _fl(word: int, key: int) -> int:
    """Section 2.4.2."""
    high, low = word >> 32, word & _LOW
    chosen = high & key >> 32
    low ^= chosen << 1 & _LOW | chosen >> 31
    return (high ^ (low | key & _LOW)) << 32 | low


def _fl_inverse(word: int, key: int) -> int:
    """Section 2.4.3."""
    high, low = word >> 32, word & _LOW
    high ^= low | key & _LOW
    chosen = high & key >> 32
    return high << 32 | low ^ (chosen << 1 & _LOW | chosen >> 31)


# Section 2.2: which keys, rotated left by how many bits, give two subkeys each, in the order of their use: whitening,
# six rounds, a layer, six rounds and so on, whitening.  L and R are the key's halves; A and B come from both.
_SHORT = "L0 A0 L15 A15 A30 L45 A45 L60 A60 L77 L94 A94 L111 A111"
_LONG = "L0 B0 R15 A15 R30 B30 L45 A45 L60 R60 B60 L77 A77 R94 A94 L111 B111"


def _expand(key: bytes) -> list[int]:
    """The subkeys in the order of their use."""
    if len(key) not in (16, 24, 32):
        raise ValueError(f"a Camellia key has 16, 24 or 32 bytes, not {len(key)}")
    words = {"L": int.from_bytes(key[:16], "big"), "R": int.from_bytes(key[16:], "big")}
    if len(key) == 24:
        words["R"] = words["R"] << 64 | words["R"] ^ _MASK
    words["A"], words["B"] = _mixed(words["L"], words["R"])
    subkeys: list[int] = []
    for name in (_SHORT if len(key) == 16 else _LONG).split():
        twice = words[name[0]] * (1 << 128 | 1)  # so that a slice of 128 bits is a rotation
        rotated = twice >> 128 - int(name[1:])
        subkeys += [rotated >> 64 & _MASK, rotated & _MASK]
    if len(key) == 16:
        # A45 and L60 give one subkey each, k9 and k10: the first half of the one and the second of the other.
        del subkeys[13:15]
    return subkeys


def _mixed(left: int, right: int) -> tuple[int, int]:
    """KA and KB, section 2.2."""
    one, two = _two_rounds(left ^ right, 0)
    one, two = _two_rounds((one << 64 | two) ^ left, 2)
    first = one << 64 | two
    one, two = _two_rounds(first ^ right, 4)
    return first, one << 64 | two


def _two_rounds(word: int, constant: int) -> tuple[int, int]:
    one, two = word >> 64, word & _MASK
    two ^= _f(one, _SIGMA[constant])
    one ^= _f(two, _SIGMA[constant + 1])
    return one, two
