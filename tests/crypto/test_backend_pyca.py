"""The package `cryptography`: its own objects where they are complete, Copying where they are older than that."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from helpers.vectors import HERE

from pyss.crypto.backends import check
from pyss.crypto.known_answers import AEAD_ANSWERS

pytest.importorskip("cryptography", reason="the package cryptography is not here")

from cryptography.hazmat.primitives.ciphers import aead

from pyss.crypto.backend_pyca import REJECTED, _constructor, _Copied

CLASSES: dict[str, Any] = {f"aes-{bits}-gcm": aead.AESGCM for bits in (128, 192, 256)}
CLASSES["chacha20-poly1305"] = aead.ChaCha20Poly1305
if hasattr(aead, "AESOCB3"):
    CLASSES.update((f"aes-{bits}-ocb", aead.AESOCB3) for bits in (128, 192, 256))


def old(cipher: Any) -> Callable[[bytes], Any]:
    """A class as `cryptography` had it before version 47: without encrypt_into and decrypt_into."""

    class Old:
        def __init__(self, key: bytes) -> None:
            whole = cipher(key)
            self.encrypt, self.decrypt = whole.encrypt, whole.decrypt

    return Old


@pytest.mark.parametrize("algorithm", CLASSES)
def test_a_complete_class_is_handed_out_itself(algorithm: str) -> None:
    """No Python function between a codec and OpenSSL."""
    if not hasattr(CLASSES[algorithm], "encrypt_into"):
        pytest.skip("this version of cryptography has no encrypt_into")
    assert HERE["cryptography"].ALGORITHMS[algorithm] is CLASSES[algorithm]


@pytest.mark.parametrize("algorithm", CLASSES)
def test_an_older_class_gets_what_it_lacks(algorithm: str) -> None:
    new = _constructor(old(CLASSES[algorithm]))
    key, nonce, extra, plain, sealed = (bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm])
    cipher = new(key)
    assert type(cipher) is _Copied
    check(algorithm, new, REJECTED)
    room = bytearray(b"<" + bytes(len(sealed)) + b">")
    assert cipher.encrypt_into(nonce, memoryview(plain), extra, memoryview(room)[1:-1]) == len(sealed)
    assert room == b"<" + sealed + b">"
    room = bytearray(b"<" + bytes(len(plain)) + b">")
    assert cipher.decrypt_into(nonce, memoryview(sealed), extra, memoryview(room)[1:-1]) == len(plain)
    assert room == b"<" + plain + b">"


@pytest.mark.parametrize("algorithm", CLASSES)
def test_an_older_class_writes_nothing_that_is_not_genuine(algorithm: str) -> None:
    key, nonce, _, plain, sealed = (bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm])
    room = bytearray(b"?" * len(plain))
    with pytest.raises(REJECTED):
        _constructor(old(CLASSES[algorithm]))(key).decrypt_into(
            nonce, memoryview(sealed), b"other data", memoryview(room)
        )
    assert room == b"?" * len(plain)


@pytest.mark.parametrize("algorithm", CLASSES)
def test_an_older_class_refuses_a_buffer_of_another_size(algorithm: str) -> None:
    key, nonce, extra, plain, sealed = (bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm])
    cipher = _constructor(old(CLASSES[algorithm]))(key)
    for more in (-1, 1):
        with pytest.raises(ValueError):
            cipher.encrypt_into(nonce, plain, extra, memoryview(bytearray(len(sealed) + more)))
        with pytest.raises(ValueError):
            cipher.decrypt_into(nonce, sealed, extra, memoryview(bytearray(len(plain) + more)))
