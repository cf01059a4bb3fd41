"""ChaCha20: the stream cipher with its two sizes of counter, and the AEADs that it forms with Poly1305.

    state          words 0..3      words 4..11    words 12..15
    RFC 8439       "expand 32..."  key            counter (1 word) || nonce (3 words)
    original       "expand 32..."  key            counter (2 words, the lower one first) || nonce (2 words)

    AEAD           block 0: its first half is the key of the tag          blocks 1, 2, ...: mask the text

The key stream of block 0 and of the text comes from one evaluation.  To open takes the key stream before the
tag is known to be right, but what it would decrypt is not touched until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from struct import Struct, unpack
from typing import Optional, Union

from ...errors import BadTag
from .chacha20_lanes import CONSTANTS, key_stream
from .poly1305 import poly1305

_Buffer = Union[bytes, bytearray, memoryview]

_TAG = 16
_LENGTHS = Struct("<2Q")
_LENGTH = Struct("<Q")
_ROUNDS = (8, 12, 20)

MOST_BLOCKS = 1 << 32  # of one nonce, with a counter of one word: then it would begin anew


def key_words(key: bytes) -> tuple[int, ...]:
    """The first twelve words of the state.  Raises ValueError unless the key has 32 bytes."""
    if len(key) != 32:
        raise ValueError(f"a ChaCha20 key has 32 bytes, not {len(key)}")
    return CONSTANTS + unpack("<8I", key)


def words_of(nonce: bytes, size: int) -> tuple[int, ...]:
    """A nonce of `size` bytes as words.  Raises ValueError for one of another size: never cut short nor padded."""
    if len(nonce) != size:
        raise ValueError(f"this nonce has {size} bytes, not {len(nonce)}")
    return unpack(f"<{size // 4}I", nonce)


def _xor(data: _Buffer, stream: bytes) -> bytes:
    size = len(stream)
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")


# --- authenticated -------------------------------------------------------------------------------
class ChaCha20Poly1305:
    """One key of the AEAD of RFC 8439 section 2.8.  Nonces of 12 bytes, never twice under a key; tags of 16.

    rounds  20; 12 and 8 are the same construction around ChaCha12 and ChaCha8
    A text has at most 2**38 - 64 bytes, which is what the counter of 32 bits leaves beside block 0.
    """

    __slots__ = ("_key", "_rounds")

    def __init__(self, key: bytes, rounds: int = 20) -> None:
        if rounds not in _ROUNDS:
            raise ValueError(f"ChaCha has 8, 12 or 20 rounds, not {rounds}")
        self._key = key_words(key)
        self._rounds = rounds

    def encrypt(self, nonce: bytes, data: _Buffer, associated_data: Optional[bytes]) -> bytes:
        """Ciphertext, then tag.  Raises OverflowError for a text that is too long."""
        stream = self._key_stream(nonce, len(data))
        text = _xor(data, stream[64 : 64 + len(data)])
        return text + poly1305(stream[:32], self._authenticated(associated_data or b"", text))

    def decrypt(self, nonce: bytes, data: _Buffer, associated_data: Optional[bytes]) -> bytes:
        """The text of ciphertext and tag.  Raises BadTag before anything is decrypted."""
        size = len(data) - _TAG
        if size < 0:
            raise BadTag("there is no room for a tag")
        sealed = bytes(data)
        text = sealed[:size]
        stream = self._key_stream(nonce, size)
        tag = poly1305(stream[:32], self._authenticated(associated_data or b"", text))
        if not compare_digest(tag, sealed[size:]):
            raise BadTag("a tag does not match")
        return _xor(text, stream[64 : 64 + size])

    def _key_stream(self, nonce: bytes, size: int) -> bytes:
        """Block 0, and the blocks of a text of `size` bytes."""
        blocks = 1 + (size + 63) // 64
        if blocks > MOST_BLOCKS:
            raise OverflowError("a text of ChaCha20-Poly1305 has at most 2**38 - 64 bytes")
        return key_stream(self._state(nonce), blocks, self._rounds)

    def _state(self, nonce: bytes) -> Sequence[int]:
        return (*self._key, 0, *words_of(nonce, 12))

    def _authenticated(self, associated_data: bytes, text: bytes) -> bytes:
        """What the tag is computed over: each of the two padded to whole blocks, then both lengths."""
        sizes = len(associated_data), len(text)
        padding = bytes(-sizes[0] % 16), bytes(-sizes[1] % 16)
        return b"".join((associated_data, padding[0], text, padding[1], _LENGTHS.pack(*sizes)))


class OriginalChaCha20Poly1305(ChaCha20Poly1305):
    """The AEAD from before RFC 7539: draft-agl-tls-chacha20poly1305-04, crypto_aead_chacha20poly1305 of libsodium.

    Section 5 of the draft: nonces of 8 bytes beside a counter of 64 bits, and the tag over `data || its length ||
    text || its length` without padding, so that a block of Poly1305 may hold the end of one and the beginning of
    the next.  A text has the limit of the other class, although this counter would go on.
    """

    __slots__ = ()

    def __init__(self, key: bytes) -> None:
        super().__init__(key)

    def _state(self, nonce: bytes) -> Sequence[int]:
        return (*self._key, 0, 0, *words_of(nonce, 8))

    def _authenticated(self, associated_data: bytes, text: bytes) -> bytes:
        lengths = _LENGTH.pack(len(associated_data)), _LENGTH.pack(len(text))
        return b"".join((associated_data, lengths[0], text, lengths[1]))


# --- streams -------------------------------------------------------------------------------------
class CounterStream:
    """Key stream from block 0 on, for any split of the text.

    key      the first twelve words of the state
    nonce    its last words: three leave a counter of 32 bits, two one of 64
    `update` raises OverflowError when the counter is at its end, instead of beginning anew: a key stream that
    is used twice gives both texts away.  The call that raises gives nothing out and changes nothing.
    """

    __slots__ = ("_block", "_key", "_nonce", "_rest")

    def __init__(self, key: Sequence[int], nonce: Sequence[int]) -> None:
        self._key = key
        self._nonce = nonce
        self._block = 0  # the next one
        self._rest = b""  # of the key stream of the block before it

    def update(self, data: _Buffer) -> bytes:
        """The next bytes of the other side, as many as are given."""
        size = len(data)
        stream = self._rest
        if size > len(stream):
            stream += self._blocks((size - len(stream) + 63) // 64)
        self._rest = stream[size:]
        return _xor(data, stream[:size])

    def _blocks(self, count: int) -> bytes:
        counter_words = 4 - len(self._nonce)
        block, end = self._block, self._block + count
        if end > 1 << 32 * counter_words:
            raise OverflowError("the block counter of ChaCha20 is at its end: this needs a new IV")
        parts = []
        while block < end:
            high, low = divmod(block, 1 << 32)
            now = min(end - block, (1 << 32) - low)  # to where the lower word of the counter wraps
            counter = (low, high)[:counter_words]
            parts.append(key_stream((*self._key, *counter, *self._nonce), now, 20))
            block += now
        self._block = end
        return b"".join(parts)


class ChaCha20(CounterStream):
    """The original: an IV of 8 bytes and a counter of 64 bits, for 2**70 bytes."""

    __slots__ = ()

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        super().__init__(key_words(key), words_of(iv, 8))


class ChaCha20Ietf(CounterStream):
    """That of RFC 8439: an IV of 12 bytes and a counter of 32 bits, so that byte 2**38 is the first to be refused."""

    __slots__ = ()

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        super().__init__(key_words(key), words_of(iv, 12))
