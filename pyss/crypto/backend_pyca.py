"""Algorithms from the package `cryptography`, which is OpenSSL: the fastest there are."""

from __future__ import annotations

from typing import Any, Callable, Optional

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from .backends import Aead, Buffer

REJECTED = InvalidTag


class Copying:
    """Adds `encrypt_into` and `decrypt_into` where `cryptography` is older than 47 and lacks them."""

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, aead: Any) -> None:
        self.encrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = aead.encrypt
        self.decrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = aead.decrypt

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = sealed = self.encrypt(nonce, data, associated_data)
        return len(sealed)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = plain = self.decrypt(nonce, data, associated_data)
        return len(plain)


def _constructor(cipher: Any) -> Callable[[bytes], Aead]:
    if hasattr(cipher, "encrypt_into"):
        new: Callable[[bytes], Aead] = cipher
        return new
    return lambda key: Copying(cipher(key))


_aes_gcm = _constructor(AESGCM)

ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    "aes-128-gcm": _aes_gcm,
    "aes-192-gcm": _aes_gcm,
    "aes-256-gcm": _aes_gcm,
    "chacha20-poly1305": _constructor(ChaCha20Poly1305),
}
