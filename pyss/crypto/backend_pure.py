"""Algorithms in Python alone, for interpreters to which nothing else can be installed.

No implementation in Python runs in constant time: who shares a processor with an attacker should not
rely on the AES here, whose tables are indexed by secrets.  ChaCha20 has no such tables.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Callable, Optional, Protocol

from ..errors import BadTag
from .backends import Aead, Buffer

REJECTED = BadTag
_TAG = 16


class _Primitive(Protocol):
    """The two halves of an AEAD; `open` relies on its caller to check the tag first."""

    def crypt(self, nonce: bytes, data: bytes) -> bytes:
        """Exclusive or with the key stream: both directions are the same."""

    def tag(self, nonce: bytes, associated_data: bytes, ciphertext: bytes) -> bytes: ...


class Cipher:
    """An Aead from a primitive."""

    __slots__ = ("_primitive",)

    def __init__(self, primitive: _Primitive) -> None:
        self._primitive = primitive

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        text = self._primitive.crypt(nonce, bytes(data))
        return text + self._primitive.tag(nonce, associated_data or b"", text)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        text, tag = bytes(data[:-_TAG]), bytes(data[-_TAG:])
        if not compare_digest(tag, self._primitive.tag(nonce, associated_data or b"", text)):
            raise BadTag("a tag does not match")
        return self._primitive.crypt(nonce, text)

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = sealed = self.encrypt(nonce, data, associated_data)
        return len(sealed)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = plain = self.decrypt(nonce, data, associated_data)
        return len(plain)


def _aes_gcm(key: bytes) -> Aead:
    from .pure.gcm import AesGcm

    return Cipher(AesGcm(key))


def _chacha20_poly1305(key: bytes) -> Aead:
    from .pure.chacha20 import ChaCha20Poly1305

    return Cipher(ChaCha20Poly1305(key))


ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    "aes-128-gcm": _aes_gcm,
    "aes-192-gcm": _aes_gcm,
    "aes-256-gcm": _aes_gcm,
    "chacha20-poly1305": _chacha20_poly1305,
}
