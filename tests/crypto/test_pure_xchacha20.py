"""XChaCha20 in Python: the draft's vectors and Wycheproof's, HChaCha20 beside ChaCha20, every length, other rounds.

The second opinion is `pycryptodome`, whose ChaCha20 and ChaCha20_Poly1305 take nonces of 24 bytes.
"""

from __future__ import annotations

import struct
from hashlib import shake_128
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.chacha20 import ChaCha20, ChaCha20Poly1305
from pyss.crypto.pure.chacha20_lanes import key_stream
from pyss.crypto.pure.xchacha20 import XChaCha20, XChaCha20Poly1305
from pyss.errors import BadTag

KEY, NONCE = bytes(range(32)), bytes(range(100, 124))
KEYS = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=24, max_size=24)
LONG = [4095, 5000, 16_384, 65_535, 65_537, 140_001]


def material(size: int) -> bytes:
    return shake_128(b"text").digest(size)


def plain_hchacha(key: bytes, nonce: bytes, rounds: int) -> bytes:
    """Section 2.2 from the block function: what it adds in the end is taken away again."""
    before = struct.unpack("<16I", b"expand 32-byte k" + key + nonce)
    after = struct.unpack("<16I", key_stream(before, 1, rounds))
    words = [(b - a) & 0xFFFFFFFF for a, b in zip(before, after)]
    return struct.pack("<8I", *words[:4], *words[12:])


# --- vectors -------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", of_kind("hchacha20"))
def test_published_subkeys(case: Any) -> None:
    """With the published subkey and the rest of the nonce, ChaCha20 does what XChaCha20 does with the key."""
    key, nonce, subkey = (bytes.fromhex(case[field]) for field in ("key", "nonce", "subkey"))
    rest = NONCE[16:]
    assert XChaCha20(key, nonce + rest, True).update(bytes(64)) == ChaCha20(subkey, rest, True).update(bytes(64))
    inner = ChaCha20Poly1305(subkey).encrypt(bytes(4) + rest, b"text", b"extra")
    assert XChaCha20Poly1305(key).encrypt(nonce + rest, b"text", b"extra") == inner
    assert plain_hchacha(key, nonce, 20) == subkey  # the yardstick, too


@pytest.mark.parametrize("case", of_kind("xchacha20"))
def test_published_streams(case: Any) -> None:
    key, iv, plain, text = (bytes.fromhex(case[field]) for field in ("key", "nonce", "plain", "cipher"))
    skipped = 64 * case["counter"]
    assert XChaCha20(key, iv, True).update(bytes(skipped) + plain)[skipped:] == text
    assert XChaCha20(key, iv, False).update(bytes(skipped) + text)[skipped:] == plain


# --- HChaCha -------------------------------------------------------------------------------------
@given(KEYS, NONCES, st.sampled_from([8, 12, 20]))
def test_a_subkey_is_two_rows_without_the_last_addition(key: bytes, nonce: bytes, rounds: int) -> None:
    subkey, rest = plain_hchacha(key, nonce[:16], rounds), nonce[16:]
    inner = ChaCha20Poly1305(subkey, rounds).encrypt(bytes(4) + rest, b"text", None)
    assert XChaCha20Poly1305(key, rounds).encrypt(nonce, b"text", None) == inner
    if rounds == 20:
        assert XChaCha20(key, nonce, True).update(bytes(64)) == ChaCha20(subkey, rest, True).update(bytes(64))


# --- the AEAD ------------------------------------------------------------------------------------
def second_opinion(key: bytes, nonce: bytes, text: bytes, extra: bytes) -> bytes:
    theirs = pytest.importorskip(
        "Crypto.Cipher.ChaCha20_Poly1305", reason="the second opinion is the package pycryptodome"
    )
    cipher = theirs.new(key=key, nonce=nonce)
    cipher.update(extra)
    return b"".join(cipher.encrypt_and_digest(text))


def test_every_length_and_long_ones() -> None:
    cipher = XChaCha20Poly1305(KEY)
    for size in [*range(301), *LONG]:
        text, extra = material(size), material(size % 37)
        sealed = cipher.encrypt(NONCE, text, extra)
        assert sealed == second_opinion(KEY, NONCE, text, extra), size
        assert cipher.decrypt(NONCE, sealed, extra) == text, size


@given(KEYS, NONCES, st.binary(max_size=200), st.none() | st.binary(max_size=100))
def test_another_implementation_agrees(key: bytes, nonce: bytes, text: bytes, extra: Any) -> None:
    sealed = XChaCha20Poly1305(key).encrypt(nonce, memoryview(text), extra)
    assert sealed == second_opinion(key, nonce, text, extra or b"")
    assert XChaCha20Poly1305(key).decrypt(nonce, bytearray(sealed), extra) == text


@pytest.mark.parametrize("rounds", [8, 12, 20])
@pytest.mark.parametrize("size", [0, 1, 100, 3000])
def test_all_of_it_has_the_same_number_of_rounds(rounds: int, size: int) -> None:
    """2022-blake3-chacha8-poly1305 for datagrams: XChaCha8, with HChaCha8."""
    inner = ChaCha20Poly1305(plain_hchacha(KEY, NONCE[:16], rounds), rounds)
    cipher = XChaCha20Poly1305(KEY, rounds)
    sealed = cipher.encrypt(NONCE, material(size), b"extra")
    assert sealed == inner.encrypt(bytes(4) + NONCE[16:], material(size), b"extra")
    assert cipher.decrypt(NONCE, sealed, b"extra") == material(size)


@pytest.mark.parametrize("place", [0, 7, 15, 16, 20, 23])
def test_each_byte_of_the_nonce_counts(place: int) -> None:
    cipher = XChaCha20Poly1305(KEY)
    sealed = cipher.encrypt(NONCE, b"text", None)
    other = bytearray(NONCE)
    other[place] ^= 1
    with pytest.raises(BadTag):
        cipher.decrypt(bytes(other), sealed, None)
    assert cipher.encrypt(bytes(other), b"text", None) != sealed


def test_a_text_longer_than_the_counter_is_refused() -> None:
    too_long: Any = range(2**38 - 63)
    with pytest.raises(OverflowError):
        XChaCha20Poly1305(KEY).encrypt(NONCE, too_long, None)


@pytest.mark.parametrize("size", [0, 8, 12, 16, 20, 23, 25, 32])
def test_nonces_of_other_sizes_are_refused(size: int) -> None:
    uses: list[Any] = [
        lambda nonce: XChaCha20Poly1305(KEY).encrypt(nonce, b"text", None),
        lambda nonce: XChaCha20(KEY, nonce, True),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"24 bytes, not {size}"):
            use(bytes(size))


def test_keys_of_other_sizes_and_other_rounds_are_refused() -> None:
    for new in (XChaCha20Poly1305, lambda key: XChaCha20(key, NONCE, True)):
        with pytest.raises(ValueError, match="32 bytes, not 31"):
            new(bytes(31))
    with pytest.raises(ValueError, match="8, 12 or 20"):
        XChaCha20Poly1305(KEY, 10)


# --- the stream ----------------------------------------------------------------------------------
def test_streams_of_every_length_and_long_ones() -> None:
    theirs = pytest.importorskip("Crypto.Cipher.ChaCha20", reason="the second opinion is the package pycryptodome")
    for size in [*range(301), *LONG]:
        text = material(size)
        masked = XChaCha20(KEY, NONCE, True).update(text)
        assert masked == theirs.new(key=KEY, nonce=NONCE).encrypt(text), size
        assert XChaCha20(KEY, NONCE, False).update(masked) == text, size


def test_every_split_of_a_stream() -> None:
    text = material(200)
    whole = XChaCha20(KEY, NONCE, True).update(text)
    for split in range(201):
        cipher = XChaCha20(KEY, NONCE, True)
        assert cipher.update(text[:split]) + cipher.update(text[split:]) == whole


def test_the_stream_is_that_of_chacha20_under_the_subkey_with_a_counter_of_64_bits() -> None:
    """Also beyond 2**32 blocks, and it ends with the counter."""
    inner: Any = ChaCha20(plain_hchacha(KEY, NONCE[:16], 20), NONCE[16:], True)
    outer: Any = XChaCha20(KEY, NONCE, True)
    for block in (0, 2**32 - 1, 2**64 - 3):
        inner._block = outer._block = block
        assert outer.update(bytes(192)) == inner.update(bytes(192))
    with pytest.raises(OverflowError):
        outer.update(b"x")
