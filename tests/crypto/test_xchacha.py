"""XChaCha20-Poly1305 put together from the parts of a library: the draft's subkeys, and every row of the state."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from helpers.vectors import HERE, of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.backend_pure import ALGORITHMS, STREAMS
from pyss.crypto.pure.chacha20_lanes import key_stream
from pyss.crypto.xchacha import XChaCha20Poly1305

NAME = "xchacha20-poly1305"
COMPOSED = [name for name in ("cryptography", "libcrypto") if name in HERE and NAME in HERE[name].ALGORITHMS]


class Inner:
    """In place of ChaCha20-Poly1305: shows what it is given."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def encrypt(self, *arguments: Any) -> Any:
        return (self.key, *arguments)

    decrypt = encrypt


def block(key: bytes, row: bytes) -> bytes:
    return key_stream(struct.unpack("<16I", b"expand 32-byte k" + key + row), 1, 20)[:64]


@pytest.mark.parametrize("case", of_kind("hchacha20"))
def test_published_subkeys(case: Any) -> None:
    key, nonce, subkey = (bytes.fromhex(case[field]) for field in ("key", "nonce", "subkey"))
    cipher: Any = XChaCha20Poly1305(block, Inner, key)  # type: ignore[arg-type]
    inner_nonce = b"\0\0\0\0remnants"
    assert cipher.encrypt(nonce + b"remnants", b"text", b"extra") == (subkey, inner_nonce, b"text", b"extra")
    assert cipher.decrypt(nonce + b"remnants", b"text", None) == (subkey, inner_nonce, b"text", None)


# Words at both ends of their range: each subtraction passes zero for some, and counters are at their end.
WORDS = st.lists(st.sampled_from([0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]), min_size=6, max_size=6)


@pytest.mark.parametrize("name", COMPOSED)
@given(words=WORDS, key=st.binary(min_size=32, max_size=32), text=st.binary(max_size=100))
def test_every_nonce(name: str, words: list[int], key: bytes, text: bytes) -> None:
    nonce = struct.pack("<6I", *words)
    sealed = HERE[name].ALGORITHMS[NAME](key).encrypt(nonce, text, b"extra")
    assert sealed == ALGORITHMS[NAME](key).encrypt(nonce, text, b"extra")


@pytest.mark.parametrize("name", COMPOSED)
def test_sizes_that_do_not_fit_are_refused(name: str) -> None:
    new = HERE[name].ALGORITHMS[NAME]
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
            new(bytes(size))
    cipher = new(bytes(32))
    for size in (0, 12, 23, 25):
        with pytest.raises(ValueError, match=f"24 bytes, not {size}"):
            cipher.encrypt(bytes(size), b"text", None)
        with pytest.raises(ValueError, match=f"24 bytes, not {size}"):
            cipher.decrypt(bytes(size), bytes(20), None)


def test_the_yardstick_is_the_stream_cipher() -> None:
    assert block(bytes(range(32)), bytes(16)) == STREAMS["chacha20"](bytes(range(32)), bytes(8), True).update(bytes(64))
