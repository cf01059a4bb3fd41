"""XChaCha20-Poly1305 out of ChaCha20 and ChaCha20-Poly1305, for libraries that have these two alone.

    key (32) ──┐                              key of the AEAD (32)
               ├─► one block of ChaCha20 ──► minus what was added ──┐
    nonce[:16] ┘   in the place of                                  ├─► ChaCha20-Poly1305
                   counter and nonce          0000 || nonce[16:] ───┘

HChaCha20 is ChaCha20 without the last addition, and it uses only the rows of the state that are not the key
(draft-irtf-cfrg-xchacha-03 section 2.2).  So the four constants and the nonce are taken away from a block of the
key stream, and what is left is the subkey.
"""

from __future__ import annotations

from struct import Struct
from typing import Callable, Optional

from .backends import Aead, Buffer, Copying

_NONCE = 24
_CONSTANTS = Struct("<4I").unpack(b"expand 32-byte k")
_BLOCK = Struct("<4I32x4I")  # the first row and the last
_ROW = Struct("<4I")
_SUBKEY = Struct("<8I")
_WORD = 0xFFFF_FFFF


class XChaCha20Poly1305(Copying):
    """An Aead with nonces of 24 bytes.

    block  gives the first 64 bytes of the key stream for a key and the last row of the state, 16 bytes
    inner  makes ChaCha20-Poly1305 of a key
    """

    __slots__ = ("_block", "_inner", "_key")

    def __init__(self, block: Callable[[bytes, bytes], bytes], inner: Callable[[bytes], Aead], key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"a ChaCha20 key has 32 bytes, not {len(key)}")
        self._block = block
        self._inner = inner
        self._key = key

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        return self._under(nonce).encrypt(bytes(4) + nonce[16:], data, associated_data)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        return self._under(nonce).decrypt(bytes(4) + nonce[16:], data, associated_data)

    def _under(self, nonce: bytes) -> Aead:
        """The AEAD of this nonce.  Raises ValueError for a nonce of another size."""
        if len(nonce) != _NONCE:
            raise ValueError(f"this nonce has {_NONCE} bytes, not {len(nonce)}")
        row = nonce[:16]
        a, b, c, d, e, f, g, h = _BLOCK.unpack(self._block(self._key, row))
        i, j, k, m = _CONSTANTS
        n, o, p, q = _ROW.unpack(row)
        return self._inner(
            _SUBKEY.pack(
                a - i & _WORD, b - j & _WORD, c - k & _WORD, d - m & _WORD,
                e - n & _WORD, f - o & _WORD, g - p & _WORD, h - q & _WORD,
            )
        )  # fmt: skip
