"""ChaCha20 and its AEAD with Poly1305 (RFC 8439).

All blocks of a message are computed at once.  The state is sixteen words; word i of every block stands
in one long integer, in lanes of 64 bits, of which the upper half takes the carries and is masked away:

    x[i] =  | 0 | word i of block n-1 | ... | 0 | word i of block 1 | 0 | word i of block 0 |

So a quarter round is a handful of additions, exclusive ors and shifts of integers, however long the message.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, unpack

from .poly1305 import poly1305

_CONSTANTS = unpack("<4I", b"expand 32-byte k")
_LANE = 64
_LANES = Struct("<Q")

MOST_BLOCKS = 1 << 32  # of one nonce: then the block counter would begin anew


@lru_cache(maxsize=8)
def _layout(blocks: int) -> tuple[int, int, int]:
    """For so many lanes: a 1 in each, the mask of 32 bits in each, and 0, 1, 2, ... in turn."""
    ones = int.from_bytes((1).to_bytes(8, "little") * blocks, "little")
    ramp = int.from_bytes(b"".join(number.to_bytes(8, "little") for number in range(blocks)), "little")
    return ones, ones * 0xFFFF_FFFF, ramp


def chacha20_blocks(key: bytes, nonce: bytes, counter: int, blocks: int) -> bytes:
    """Key stream of `blocks` blocks from block `counter` on (RFC 8439 sections 2.3 and 2.4).

    Raises OverflowError where the counter would pass 32 bits.
    """
    if counter + blocks > MOST_BLOCKS:
        raise OverflowError("the block counter of ChaCha20 is at its end")
    ones, mask, ramp = _layout(blocks)
    words = (*_CONSTANTS, *unpack("<8I", key), 0, *unpack("<3I", nonce))
    start = [ones * word for word in words]
    start[12] = ones * counter + ramp
    x = list(start)
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            xa, xb, xc, xd = x[a], x[b], x[c], x[d]
            for first, second in ((16, 12), (8, 7)):
                xa = xa + xb & mask
                xd ^= xa
                xd = (xd << first | xd >> 32 - first) & mask
                xc = xc + xd & mask
                xb ^= xc
                xb = (xb << second | xb >> 32 - second) & mask
            x[a], x[b], x[c], x[d] = xa, xb, xc, xd
    stream = bytearray(64 * blocks)
    for index in range(16):
        lanes = (x[index] + start[index] & mask).to_bytes(8 * blocks, "little")
        for byte in range(4):
            stream[4 * index + byte :: 64] = lanes[byte::8]
    return bytes(stream)


# Section 2.3: four columns, then four diagonals.
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)


class ChaCha20Poly1305:
    """One key of the AEAD (RFC 8439 section 2.8): block 0 is the key of the tag, the text begins with block 1."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"a ChaCha20 key has 32 bytes, not {len(key)}")
        self._key = key

    def crypt(self, nonce: bytes, data: bytes) -> bytes:
        size = len(data)
        stream = chacha20_blocks(self._key, nonce, 1, (size + 63) // 64) if size else b""
        mask = int.from_bytes(stream[:size], "little")
        return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")

    def tag(self, nonce: bytes, associated_data: bytes, ciphertext: bytes) -> bytes:
        one_time_key = chacha20_blocks(self._key, nonce, 0, 1)[:32]
        lengths = _LANES.pack(len(associated_data)) + _LANES.pack(len(ciphertext))
        return poly1305(one_time_key, _padded(associated_data) + _padded(ciphertext) + lengths)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)
