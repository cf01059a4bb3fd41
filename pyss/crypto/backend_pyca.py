"""Algorithms from the package `cryptography`, which is OpenSSL: the fastest there are."""

from __future__ import annotations

import warnings
from functools import partial
from importlib import import_module
from typing import Any, Callable, Optional

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, aead, algorithms, modes

from .backends import Aead, Block, Buffer, Copying, NewBlock, NewStream, Stream, keyed_by_md5
from .xchacha import XChaCha20Poly1305


def _decrepit(name: str) -> Any:
    """Where what is not recommended any more has moved, piece by piece; None in releases before that."""
    try:
        return import_module(f"cryptography.hazmat.decrepit.ciphers.{name}")
    except ImportError:
        return None


_ALGORITHMS = (_decrepit("algorithms"), algorithms)
_MODES = (_decrepit("modes"), modes)

REJECTED = InvalidTag


class _Copied(Copying):
    """Adds `encrypt_into` and `decrypt_into` where `cryptography` is older than 47 and lacks them."""

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, cipher: Any) -> None:
        self.encrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = cipher.encrypt
        self.decrypt: Callable[[bytes, Buffer, Optional[bytes]], bytes] = cipher.decrypt


def _constructor(cipher: Any) -> Callable[[bytes], Aead]:
    if hasattr(cipher, "encrypt_into"):
        new: Callable[[bytes], Aead] = cipher
        return new
    return lambda key: _Copied(cipher(key))


def _chacha20_block(key: bytes, row: bytes) -> bytes:
    """The first of the key stream; what OpenSSL calls nonce is the whole last row of the state."""
    return bytes(Cipher(algorithms.ChaCha20(key, row), None).encryptor().update(bytes(64)))


_aes_gcm = _constructor(aead.AESGCM)
_chacha20_poly1305 = _constructor(aead.ChaCha20Poly1305)

ALGORITHMS: dict[str, Callable[[bytes], Aead]] = {
    "aes-128-gcm": _aes_gcm,
    "aes-192-gcm": _aes_gcm,
    "aes-256-gcm": _aes_gcm,
    "chacha20-poly1305": _chacha20_poly1305,
    "xchacha20-poly1305": partial(XChaCha20Poly1305, _chacha20_block, _chacha20_poly1305),
}
if hasattr(aead, "AESOCB3"):
    for _name in ("aes-128-ocb", "aes-192-ocb", "aes-256-ocb"):
        ALGORITHMS[_name] = _constructor(aead.AESOCB3)


def _named(name: str, places: tuple[Any, ...]) -> Any:
    """From the first place that has it; None where this release, or the OpenSSL in it, has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # releases before 43 say that it will move, as it did
        return next((getattr(place, name) for place in places if hasattr(place, name)), None)


def _block(cipher: Any, mode: Any) -> NewStream:
    def new(key: bytes, iv: bytes, encrypting: bool) -> Stream:
        context = Cipher(cipher(key), mode(iv))
        stream: Stream = context.encryptor() if encrypting else context.decryptor()
        return stream

    return new


def _chacha20(key: bytes, iv: bytes, encrypting: bool) -> Stream:
    """What OpenSSL calls nonce begins with the block counter: 8 or 4 bytes before an IV of 8 or 12."""
    stream: Stream = Cipher(algorithms.ChaCha20(key, bytes(16 - len(iv)) + iv), None).encryptor()
    return stream


def _rc4(key: bytes, iv: bytes, encrypting: bool) -> Stream:
    stream: Stream = Cipher(_ARC4(key), None).encryptor()
    return stream


_ARC4: Any = _named("ARC4", _ALGORITHMS)


def _streams() -> dict[str, NewStream]:
    found: dict[str, NewStream] = {"chacha20": _chacha20, "chacha20-ietf": _chacha20}
    wanted = [
        *((f"aes-{bits}-{mode.lower()}", "AES", mode, bits) for mode in _AES_MODES for bits in _BITS),
        *((f"camellia-{bits}-cfb", "Camellia", "CFB", bits) for bits in _BITS),
        *(("bf-cfb", "Blowfish", "CFB", 128), ("cast5-cfb", "CAST5", "CFB", 128), ("idea-cfb", "IDEA", "CFB", 128)),
        ("seed-cfb", "SEED", "CFB", 128),
    ]
    for name, cipher_name, mode_name, bits in wanted:
        cipher = _named(cipher_name, _ALGORITHMS)
        mode = _named(mode_name, _MODES)
        if cipher is not None and mode is not None and _works(cipher, mode, bits):
            found[name] = _block(cipher, mode)
    if _ARC4 is not None and _works(_ARC4, None, 128):
        found["rc4"] = _rc4
        found["rc4-md5"] = keyed_by_md5(_rc4)
    return found


_AES_MODES = ("CFB", "CFB8", "OFB", "CTR")
_BITS = (128, 192, 256)


def _works(cipher: Any, mode: Any, bits: int) -> bool:
    """Whether the OpenSSL inside has it too."""
    try:
        made = cipher(bytes(range(bits // 8)))
        Cipher(made, mode and mode(bytes(made.block_size // 8))).encryptor()
    except (UnsupportedAlgorithm, ValueError):
        return False
    return True


STREAMS = _streams()


def _aes_blocks(key: bytes, encrypting: bool) -> Block:
    cipher = Cipher(algorithms.AES(key), modes.ECB())
    block: Block = cipher.encryptor() if encrypting else cipher.decryptor()
    return block


BLOCKS: dict[str, NewBlock] = {f"aes-{bits}-ecb": _aes_blocks for bits in _BITS}
