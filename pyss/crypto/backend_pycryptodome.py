"""Algorithms from the package `pycryptodome`: C of its own, an object for each message."""

from __future__ import annotations

from typing import Any, Callable, Optional

from Crypto.Cipher import AES, ChaCha20_Poly1305

from ..errors import BadTag
from .backends import Aead, Buffer

REJECTED = BadTag
_TAG = 16


class Cipher:
    """An Aead on the interface of pycryptodome, whose objects serve one message each."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[bytes], Any]) -> None:
        self._begin = begin

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        cipher = self._start(nonce, associated_data)
        text, tag = cipher.encrypt_and_digest(data)
        return bytes(text + tag)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        cipher = self._start(nonce, associated_data)
        try:
            return bytes(cipher.decrypt_and_verify(data[:-_TAG], data[-_TAG:]))
        except ValueError:
            raise BadTag("a tag does not match") from None

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = sealed = self.encrypt(nonce, data, associated_data)
        return len(sealed)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        # Not with `output=`: that would be written before the tag is checked.
        buf[:] = plain = self.decrypt(nonce, data, associated_data)
        return len(plain)

    def _start(self, nonce: bytes, associated_data: Optional[bytes]) -> Any:
        cipher = self._begin(nonce)
        if associated_data:
            cipher.update(associated_data)
        return cipher


def _aes_gcm(key: bytes) -> Aead:
    return Cipher(lambda nonce: AES.new(key, AES.MODE_GCM, nonce=nonce))


def _chacha20_poly1305(key: bytes) -> Aead:
    return Cipher(lambda nonce: ChaCha20_Poly1305.new(key=key, nonce=nonce))


ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    "aes-128-gcm": _aes_gcm,
    "aes-192-gcm": _aes_gcm,
    "aes-256-gcm": _aes_gcm,
    "chacha20-poly1305": _chacha20_poly1305,
}
