"""RC2 (Ron Rivest; RFC 2268): 64-bit blocks, keys of 1 to 128 bytes, of which so many bits are effective.

The state is four words of 16 bits, little-endian.  A mixing round gives each of them, one after the other, a word
of the expanded key and a choice between two of its neighbours, and rotates it:

    r0 += K[j] + (r3 & r2) + (~r3 & r1), rotated left by 1      r3 chooses, bit by bit, between r2 and r1;
    r1, r2, r3 likewise, with their indices one further, by 2, 3 and 5, and K[j+1], K[j+2], K[j+3]

A mashing round adds to each word the word of the expanded key that its left neighbour names: r0 += K[r3 & 63].
Five mixing rounds, a mashing round, six mixing rounds, a mashing round, five mixing rounds use all 64 words.
"""

from __future__ import annotations

from struct import Struct

_FOUR = Struct("<4H")
_MASK = 0xFFFF
_MASHING = (5, 11)  # the mixing rounds, counted from 0, that a mashing round precedes

# PITABLE, RFC 2268 section 2: a permutation of the bytes, made from the digits of pi.
PITABLE = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)


class Rc2:
    """One key of 1 to 128 bytes, of which `effective_bits` (1 to 1024) count.  Raises ValueError for other sizes.

    128 effective bits is what OpenSSL takes for a key of 16 bytes.
    """

    __slots__ = ("_rounds", "_words")
    block_size = 8

    def __init__(self, key: bytes, effective_bits: int = 128) -> None:
        self._words = _expand(key, effective_bits)
        self._rounds = [self._words[at : at + 4] for at in range(0, 64, 4)]

    def encrypt_block(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes; raises struct.error for another size."""
        a, b, c, d = _FOUR.unpack(block)
        words = self._words
        for at, (j, k, m, n) in enumerate(self._rounds):
            if at in _MASHING:
                a = a + words[d & 63] & _MASK
                b = b + words[a & 63] & _MASK
                c = c + words[b & 63] & _MASK
                d = d + words[c & 63] & _MASK
            a = a + j + (d & c) + (~d & b) & _MASK
            a = a << 1 & _MASK | a >> 15
            b = b + k + (a & d) + (~a & c) & _MASK
            b = b << 2 & _MASK | b >> 14
            c = c + m + (b & a) + (~b & d) & _MASK
            c = c << 3 & _MASK | c >> 13
            d = d + n + (c & b) + (~c & a) & _MASK
            d = d << 5 & _MASK | d >> 11
        return _FOUR.pack(a, b, c, d)


def _expand(key: bytes, effective_bits: int) -> tuple[int, ...]:
    """64 words, RFC 2268 section 2: spread the key over 128 bytes, then again from its effective bits alone."""
    if not 1 <= len(key) <= 128:
        raise ValueError(f"an RC2 key has 1 to 128 bytes, not {len(key)}")
    if not 1 <= effective_bits <= 1024:
        raise ValueError(f"an RC2 key has 1 to 1024 effective bits, not {effective_bits}")
    spread = bytearray(key)
    while len(spread) < 128:
        spread.append(PITABLE[spread[-1] + spread[-len(key)] & 255])
    size = (effective_bits + 7) // 8
    spread[-size] = PITABLE[spread[-size] & 255 >> -effective_bits % 8]
    for at in range(127 - size, -1, -1):
        spread[at] = PITABLE[spread[at + 1] ^ spread[at + size]]
    return Struct("<64H").unpack(spread)
