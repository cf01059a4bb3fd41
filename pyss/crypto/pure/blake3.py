"""BLAKE3 (the paper of O'Connor, Aumasson, Neves and Wilcox-O'Hearn, 2020): key derivation.

    input ──► chunks of 1024 bytes ──► blocks of 64, chained ──► one chaining value for each chunk
                                                                      └─► parents, two by two ──► root

The compression function is that of ChaCha turned into a hash: 16 words, 7 rounds of 8 quarter rounds, the
words of the message permuted after each.  The output is 32 bytes; nothing here wants more.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Callable

CHUNK = 1024
BLOCK = 64

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)

# Section 2.2, table 3.
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
DERIVE_KEY_CONTEXT, DERIVE_KEY_MATERIAL = 32, 64

_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)  # section 2.2, table 2
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
_BLOCK_WORDS = Struct("<16I")
_DIGEST_WORDS = Struct("<8I")

Words = Sequence[int]


# Half of the quarter round G (section 2.2).  A word beside itself, shifted right, is the word rotated in its
# low 32 bits; what stands above them stays, for sums and exclusive ors never carry downwards, and is masked
# away only before the next word is set beside itself.  No word passes 62 bits, two or three digits of an int.
_HALF = """
    x{a} += x{b} + m{word}
    x{d} = ((x{d} ^ x{a}) & 0xFFFFFFFF) * 0x1_00000001 >> {first}
    x{c} += x{d}
    x{b} = ((x{b} ^ x{c}) & 0xFFFFFFFF) * 0x1_00000001 >> {second}
"""

Compress = Callable[[Words, Words, int, int, int], Words]


def _compile() -> Compress:
    """The compression function (section 2.2), its seven rounds written out on local variables.

    From chaining value, message, chunk counter, size of the block and flags to eight words.  Written by hand
    it would be 448 lines; as a loop over lists it takes three times as long.
    """
    words = ", ".join(f"m{index}" for index in range(16))
    text = f"""
def compress(h, m, counter, size, flags):
    {words} = m
    x0, x1, x2, x3, x4, x5, x6, x7 = h
    x8, x9, x10, x11 = {_IV[:4]}
    x12, x13, x14, x15 = counter & 0xFFFFFFFF, counter >> 32, size, flags
"""
    order = tuple(range(16))
    for _ in range(7):
        for number, (a, b, c, d) in enumerate(_QUARTERS):
            one, other = order[2 * number], order[2 * number + 1]
            text += _HALF.format(a=a, b=b, c=c, d=d, word=one, first=16, second=12)
            text += _HALF.format(a=a, b=b, c=c, d=d, word=other, first=8, second=7)
        order = tuple(order[index] for index in _PERMUTATION)
    text += "    return " + ", ".join(f"(x{index} ^ x{index + 8}) & 0xFFFFFFFF" for index in range(8))
    space: dict[str, Compress] = {}
    exec(text, space)
    return space["compress"]


_compress = _compile()


def key_deriver(context: str) -> Callable[[bytes], bytes]:
    """Keys of 32 bytes (section 2.3, mode derive_key) for one context, whose own hash is made once.

    The material may have any length.  What is derived from at the start of a session, key || salt, is a single
    block: it costs one compression and no more.
    """
    key = _DIGEST_WORDS.unpack(_hash(_IV, context.encode(), DERIVE_KEY_CONTEXT))
    only = DERIVE_KEY_MATERIAL | CHUNK_START | CHUNK_END | ROOT

    def derive(material: bytes) -> bytes:
        size = len(material)
        if size > BLOCK:
            return _hash(key, material, DERIVE_KEY_MATERIAL)
        words = _BLOCK_WORDS.unpack(material.ljust(BLOCK, b"\0"))
        return _DIGEST_WORDS.pack(*_compress(key, words, 0, size, only))

    return derive


def _hash(key: Words, data: bytes, flags: int) -> bytes:
    if len(data) <= CHUNK:
        return _DIGEST_WORDS.pack(*_chunk(key, data, 0, flags, ROOT))
    left = CHUNK << ((len(data) - 1) // CHUNK).bit_length() - 1  # the largest power of two that leaves a rest
    words = (*_subtree(key, data[:left], 0, flags), *_subtree(key, data[left:], left // CHUNK, flags))
    return _DIGEST_WORDS.pack(*_compress(key, words, 0, BLOCK, flags | PARENT | ROOT))


def _subtree(key: Words, data: bytes, first_chunk: int, flags: int) -> Words:
    """The chaining value of a part that is not the whole (section 2.1)."""
    if len(data) <= CHUNK:
        return _chunk(key, data, first_chunk, flags, 0)
    left = CHUNK << ((len(data) - 1) // CHUNK).bit_length() - 1
    words = (
        *_subtree(key, data[:left], first_chunk, flags),
        *_subtree(key, data[left:], first_chunk + left // CHUNK, flags),
    )
    return _compress(key, words, 0, BLOCK, flags | PARENT)


def _chunk(key: Words, data: bytes, number: int, flags: int, root: int) -> Words:
    """Up to 1024 bytes, block after block; `root` is set on the last of the only chunk."""
    value = key
    blocks = max(1, (len(data) + BLOCK - 1) // BLOCK)
    for index in range(blocks):
        block = data[index * BLOCK : (index + 1) * BLOCK]
        marks = flags | (0 if index else CHUNK_START) | (CHUNK_END | root if index == blocks - 1 else 0)
        value = _compress(value, _BLOCK_WORDS.unpack(block.ljust(BLOCK, b"\0")), number, len(block), marks)
    return value
