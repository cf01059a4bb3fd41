"""AES in Galois/Counter Mode (NIST SP 800-38D), for nonces of 96 bits and tags of 128.

    counter block   nonce (12) || 1, 2, 3, ... (4): the first masks the tag, the others the text
    tag             GHASH(associated data, ciphertext, both lengths) ^ mask

Mask and key stream come from one call where the blocks are many enough to stand side by side.  The tables of
GHASH are made when the first tag is.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Optional, Union

from ...errors import BadTag
from .aes import FEW, Aes
from .ghash import Ghash

Buffer = Union[bytes, bytearray, memoryview]

MOST_BLOCKS = (1 << 32) - 2  # of one message, section 5.2.1.1: then the counter would begin anew
TAG = 16

_FIRST = b"\0\0\0\1"
_SECOND = b"\0\0\0\2"


class AesGcm:
    """One key of 16, 24 or 32 bytes.  Holds no state but tables, see `Aes` and `Ghash` for their size."""

    __slots__ = ("_aes", "_ghash")

    def __init__(self, key: bytes) -> None:
        self._aes = Aes(key)
        self._ghash: Optional[Ghash] = None

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        """Ciphertext, then the tag (section 7.1).

        Raises ValueError for a nonce that has not 12 bytes, OverflowError for a message that is longer than
        the mode allows: the counter of blocks would reach its beginning again.
        """
        size, blocks = _measured(nonce, data)
        stream = self._aes.counter_blocks(nonce + _FIRST, blocks + 1)
        text = _masked(data, stream[16:], size)
        return text + self._sealed(stream[:16], associated_data, text)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        """The text of ciphertext and tag (section 7.2).

        Raises BadTag when the tag does not match, or when there is no room for one, and then nothing has been
        decrypted; ValueError and OverflowError as `encrypt`.
        """
        text, tag = bytes(data[:-TAG]), bytes(data[-TAG:])
        size, blocks = _measured(nonce, text)
        # One by one, blocks are computed only for those who may have them.
        stream = self._aes.counter_blocks(nonce + _FIRST, 1 if blocks < FEW else blocks + 1)
        if not compare_digest(tag, self._sealed(stream[:16], associated_data, text)):
            raise BadTag("a tag does not match")
        if blocks < FEW:
            return _masked(text, self._aes.counter_blocks(nonce + _SECOND, blocks), size)
        return _masked(text, stream[16:], size)

    def _sealed(self, mask: bytes, associated_data: Optional[bytes], text: bytes) -> bytes:
        ghash = self._ghash
        if ghash is None:
            ghash = self._ghash = Ghash(self._aes.encrypt_block(bytes(16)))
        extra = associated_data or b""
        lengths = (len(extra) << 67 | len(text) << 3).to_bytes(16, "big")
        value = ghash.of(b"".join((extra, bytes(-len(extra) % 16), text, bytes(-len(text) % 16), lengths)))
        return (value ^ int.from_bytes(mask, "big")).to_bytes(16, "big")


def _measured(nonce: bytes, data: Buffer) -> tuple[int, int]:
    """The size of a message, and how many blocks it has."""
    if len(nonce) != 12:
        raise ValueError(f"a nonce of GCM has 12 bytes here, not {len(nonce)}")
    size = len(data)
    blocks = (size + 15) // 16
    if blocks > MOST_BLOCKS:
        raise OverflowError("a GCM message has at most 2**36 - 32 bytes")
    return size, blocks


def _masked(data: Buffer, stream: bytes, size: int) -> bytes:
    """`stream` may be up to a block longer."""
    mask = int.from_bytes(stream[:size], "big")
    return (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
