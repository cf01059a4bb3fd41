"""Algorithms in Python alone, for interpreters to which nothing else can be installed.

No implementation in Python runs in constant time: who shares a processor with an attacker should not
rely on the AES here, whose tables are indexed by secrets.  ChaCha20 has no such tables.

A module of `pure` is imported when its first cipher is made: most processes need one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, Optional

from ..errors import BadTag
from .backends import Aead, Buffer, Copying, NewBlock, NewStream, Stream

REJECTED = BadTag


class Cipher(Copying):
    """An Aead of one of the classes in `pure`, which seal and open whole messages."""

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, cipher: Any) -> None:
        self.encrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = cipher.encrypt
        self.decrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = cipher.decrypt


class BlockCipher:
    """One direction of one of the classes in `pure` that work on blocks."""

    __slots__ = ("_many",)

    def __init__(self, key: bytes, encrypting: bool) -> None:
        cipher = _class("aes", "Aes")(key)
        self._many: Callable[[bytes], bytes] = cipher.encrypt_blocks if encrypting else cipher.decrypt_blocks

    def update(self, data: Buffer) -> bytes:
        return self._many(bytes(data))


def _class(module: str, name: str) -> Any:
    return getattr(import_module(f".pure.{module}", __package__), name)


def _aead(module: str, name: str, **options: int) -> Callable[[bytes], Aead]:
    return lambda key: Cipher(_class(module, name)(key, **options))


def _stream(module: str, name: str) -> NewStream:
    def new(key: bytes, iv: bytes, encrypting: bool) -> Stream:
        stream: Stream = _class(module, name)(key, iv, encrypting)
        return stream

    return new


def _mode(mode: str, module: str, cipher: str) -> NewStream:
    """A block cipher in a mode that makes a stream cipher of it."""

    def new(key: bytes, iv: bytes, encrypting: bool) -> Stream:
        stream: Stream = _class("modes", mode)(_class(module, cipher)(key), iv, encrypting)
        return stream

    return new


_BITS = (128, 192, 256)
_AES_MODES = {"cfb": "Cfb", "cfb8": "Cfb8", "cfb1": "Cfb1", "ofb": "Ofb", "ctr": "Ctr"}

ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    **{f"aes-{bits}-gcm": _aead("gcm", "AesGcm") for bits in _BITS},
    **{f"aes-{bits}-ocb": _aead("ocb", "AesOcb") for bits in _BITS},
    "chacha20-poly1305": _aead("chacha20", "ChaCha20Poly1305"),
    "chacha12-poly1305": _aead("chacha20", "ChaCha20Poly1305", rounds=12),
    "chacha8-poly1305": _aead("chacha20", "ChaCha20Poly1305", rounds=8),
    "xchacha20-poly1305": _aead("xchacha20", "XChaCha20Poly1305"),
    "xchacha12-poly1305": _aead("xchacha20", "XChaCha20Poly1305", rounds=12),
    "xchacha8-poly1305": _aead("xchacha20", "XChaCha20Poly1305", rounds=8),
    "chacha20-poly1305-original": _aead("chacha20", "OriginalChaCha20Poly1305"),
}

STREAMS: dict[str, NewStream] = {
    **{f"aes-{bits}-{name}": _mode(mode, "aes", "Aes") for name, mode in _AES_MODES.items() for bits in _BITS},
    **{f"camellia-{bits}-cfb": _mode("Cfb", "camellia", "Camellia") for bits in _BITS},
    "bf-cfb": _mode("Cfb", "blowfish", "Blowfish"),
    "cast5-cfb": _mode("Cfb", "cast5", "Cast5"),
    "des-cfb": _mode("Cfb", "des", "Des"),
    "idea-cfb": _mode("Cfb", "idea", "Idea"),
    "rc2-cfb": _mode("Cfb", "rc2", "Rc2"),
    "seed-cfb": _mode("Cfb", "seed", "Seed"),
    "rc4": _stream("rc4", "Rc4"),
    "rc4-md5": _stream("rc4", "Rc4Md5"),
    "chacha20": _stream("chacha20", "ChaCha20"),
    "chacha20-ietf": _stream("chacha20", "ChaCha20Ietf"),
    "xchacha20": _stream("xchacha20", "XChaCha20"),
    "salsa20": _stream("salsa20", "Salsa20"),
    "table": _stream("table", "Table"),
}

BLOCKS: dict[str, NewBlock] = {f"aes-{bits}-ecb": BlockCipher for bits in _BITS}
