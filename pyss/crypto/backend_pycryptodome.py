"""Algorithms from the package `pycryptodome`: C of its own, an object for each message."""

from __future__ import annotations

from typing import Any, Callable, Optional

from Crypto.Cipher import AES, ARC2, ARC4, CAST, DES, Blowfish, ChaCha20, ChaCha20_Poly1305, Salsa20

from ..errors import BadTag
from .backends import Aead, Buffer, Copying, NewBlock, NewStream, keyed_by_md5

REJECTED = BadTag
_TAG = 16


class Cipher(Copying):
    """An Aead on the interface of pycryptodome, whose objects serve one message each.

    `decrypt_into` is not theirs with `output=`: that would be written before the tag is checked.
    """

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

    def _start(self, nonce: bytes, associated_data: Optional[bytes]) -> Any:
        cipher = self._begin(nonce)
        if associated_data:
            cipher.update(associated_data)
        return cipher


class _Stream:
    """Theirs has a method for each direction."""

    __slots__ = ("update",)

    def __init__(self, cipher: Any, encrypting: bool) -> None:
        self.update: Callable[[Buffer], bytes] = cipher.encrypt if encrypting else cipher.decrypt


def _aes_gcm(key: bytes) -> Aead:
    return Cipher(lambda nonce: AES.new(key, AES.MODE_GCM, nonce=nonce))


def _aes_ocb(key: bytes) -> Aead:
    return Cipher(lambda nonce: AES.new(key, AES.MODE_OCB, nonce=nonce))


def _chacha20_poly1305(key: bytes) -> Aead:
    """The size of the nonce tells ChaCha20 (12) from XChaCha20 (24)."""
    return Cipher(lambda nonce: ChaCha20_Poly1305.new(key=key, nonce=nonce))


ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    "aes-128-gcm": _aes_gcm,
    "aes-192-gcm": _aes_gcm,
    "aes-256-gcm": _aes_gcm,
    "aes-128-ocb": _aes_ocb,
    "aes-192-ocb": _aes_ocb,
    "aes-256-ocb": _aes_ocb,
    "chacha20-poly1305": _chacha20_poly1305,
    "xchacha20-poly1305": _chacha20_poly1305,
}


def _cfb(module: Any, feedback: int, **options: int) -> NewStream:
    return lambda key, iv, encrypting: _Stream(
        module.new(key, module.MODE_CFB, iv=iv, segment_size=feedback, **options), encrypting
    )


def _aes_ofb(key: bytes, iv: bytes, encrypting: bool) -> _Stream:
    return _Stream(AES.new(key, AES.MODE_OFB, iv=iv), encrypting)


def _aes_ctr(key: bytes, iv: bytes, encrypting: bool) -> _Stream:
    return _Stream(AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=iv), encrypting)


def _chacha20(key: bytes, iv: bytes, encrypting: bool) -> _Stream:
    return _Stream(ChaCha20.new(key=key, nonce=iv), encrypting)


def _salsa20(key: bytes, iv: bytes, encrypting: bool) -> _Stream:
    return _Stream(Salsa20.new(key=key, nonce=iv), encrypting)


def _rc4(key: bytes, iv: bytes, encrypting: bool) -> _Stream:
    return _Stream(ARC4.new(key), encrypting)


_AES_MODES: dict[str, NewStream] = {"cfb": _cfb(AES, 128), "cfb8": _cfb(AES, 8), "ofb": _aes_ofb, "ctr": _aes_ctr}

STREAMS: dict[str, NewStream] = {
    **{f"aes-{bits}-{mode}": new for mode, new in _AES_MODES.items() for bits in (128, 192, 256)},
    "bf-cfb": _cfb(Blowfish, 64),
    "cast5-cfb": _cfb(CAST, 64),
    "des-cfb": _cfb(DES, 64),
    "rc2-cfb": _cfb(ARC2, 64, effective_keylen=128),
    "rc4": _rc4,
    "rc4-md5": keyed_by_md5(_rc4),
    "chacha20": _chacha20,
    "chacha20-ietf": _chacha20,
    "xchacha20": _chacha20,
    "salsa20": _salsa20,
}


def _aes_blocks(key: bytes, encrypting: bool) -> _Stream:
    return _Stream(AES.new(key, AES.MODE_ECB), encrypting)


BLOCKS: dict[str, NewBlock] = {f"aes-{bits}-ecb": _aes_blocks for bits in (128, 192, 256)}
