"""RC4 in Python: the key streams of RFC 6229, every length, every split, and the key through MD5."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.rc4 import Rc4, Rc4Md5

KEY, IV = bytes(range(1, 17)), bytes(range(100, 116))


def text(size: int) -> bytes:
    return hashlib.shake_128(b"text").digest(size)


@pytest.mark.parametrize("case", of_kind("rc4"))
def test_published_vectors(case: Any) -> None:
    stream = Rc4(bytes.fromhex(case["key"]), b"", True).update(bytes(4112))
    found = {offset: stream[int(offset) : int(offset) + 16].hex() for offset in case["stream"]}
    assert found == case["stream"]


def test_both_directions_are_the_same_and_undo_each_other() -> None:
    made = Rc4(KEY, b"", True).update(text(1000))
    assert made != text(1000)
    assert made == Rc4(KEY, b"", False).update(text(1000))
    assert Rc4(KEY, b"", False).update(made) == text(1000)


def test_every_split_in_two_gives_the_same() -> None:
    data = text(600)
    whole = Rc4(KEY, b"", True).update(data)
    for cut in range(601):
        stream = Rc4(KEY, b"", True)
        assert stream.update(data[:cut]) + stream.update(data[cut:]) == whole


@given(st.binary(min_size=1, max_size=256), st.lists(st.integers(0, 700), max_size=6))
def test_any_split_gives_the_same_under_any_key(key: bytes, sizes: list[int]) -> None:
    stream, whole = Rc4(key, b"", True), Rc4(key, b"", True).update(bytes(sum(sizes)))
    assert b"".join(stream.update(bytes(size)) for size in sizes) == whole


def test_the_key_of_rc4_md5_is_the_hash_of_key_and_iv() -> None:
    digest = hashlib.md5(KEY + IV).digest()
    for encrypting in (True, False):
        assert Rc4Md5(KEY, IV, encrypting).update(text(100)) == Rc4(digest, b"", encrypting).update(text(100))
    assert Rc4Md5(KEY, IV, True).update(bytes(16)) != Rc4Md5(IV, KEY, True).update(bytes(16))


def test_two_streams_are_apart() -> None:
    """The state is that of one object, whatever else was made from the same key in between."""
    one = Rc4(KEY, b"", True)
    begun = one.update(bytes(10))
    Rc4(KEY, b"", True).update(bytes(99))
    assert begun + one.update(bytes(10)) == Rc4(KEY, b"", True).update(bytes(20))


def test_any_buffer_will_do() -> None:
    expected = Rc4(KEY, b"", True).update(text(50))
    for data in (bytearray(text(50)), memoryview(text(50)), memoryview(b"<" + text(50) + b">")[1:-1]):
        made = Rc4(KEY, b"", True).update(data)
        assert type(made) is bytes and made == expected
    assert Rc4(KEY, b"", True).update(b"") == b""


@pytest.mark.parametrize("size", [0, 257])
def test_a_key_of_another_size_is_refused_and_not_shown(size: int) -> None:
    with pytest.raises(ValueError) as caught:
        Rc4(b"K" * size, b"", True)
    assert str(caught.value) == f"an RC4 key has 1 to 256 bytes, not {size}"


def test_an_iv_of_rc4_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="no IV, and this one has 16 bytes"):
        Rc4(KEY, IV, True)


def test_every_length_agrees_with_pycryptodome() -> None:
    other = pytest.importorskip("Crypto.Cipher.ARC4", reason="pycryptodome is a second opinion")
    for size in (*range(301), 5000):
        assert Rc4(KEY, b"", True).update(text(size)) == other.new(KEY).encrypt(text(size))
    for size in (*range(1, 257, 15), 256):
        assert Rc4(text(size), b"", True).update(bytes(40)) == other.new(text(size)).encrypt(bytes(40))
