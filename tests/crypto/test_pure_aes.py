"""AES in Python: FIPS 197, its S-box, and key sizes."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.aes import SBOX, Aes, _expand


@pytest.mark.parametrize("case", of_kind("aes"))
def test_published_vectors(case: Any) -> None:
    key, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "plain", "cipher"))
    aes = Aes(key)
    assert aes.encrypt_block(plain) == cipher
    assert aes.encrypt_block(plain) == cipher  # the round keys are still what they were


def multiply(a: int, b: int) -> int:
    """In GF(2**8), FIPS 197 section 4.2, bit by bit."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def test_the_substitution_is_the_inverse_and_an_affine_transformation() -> None:
    """FIPS 197 section 5.1.1, equation 5.1, bit by bit."""
    assert sorted(SBOX) == list(range(256))
    assert (SBOX[0x00], SBOX[0x53]) == (0x63, 0xED)  # the example there
    for byte in range(256):
        inverse = next((other for other in range(256) if multiply(byte, other) == 1), 0)
        bits = [inverse >> i & 1 for i in range(8)]
        expected = sum(
            (bits[i] ^ bits[(i + 4) % 8] ^ bits[(i + 5) % 8] ^ bits[(i + 6) % 8] ^ bits[(i + 7) % 8] ^ (0x63 >> i & 1))
            << i
            for i in range(8)
        )
        assert SBOX[byte] == expected


@pytest.mark.parametrize(("size", "rounds"), [(16, 10), (24, 12), (32, 14)])
def test_a_key_gives_a_round_key_more_than_it_has_rounds(size: int, rounds: int) -> None:
    keys = _expand(bytes(range(size)))
    assert len(keys) == rounds + 1
    assert all(len(words) == 4 and all(0 <= word < 2**32 for word in words) for words in keys)
    assert b"".join(word.to_bytes(4, "big") for words in keys for word in words).startswith(bytes(range(size)))


def test_the_expanded_keys_of_appendix_a() -> None:
    """FIPS 197 appendices A.1 to A.3, the last word of each."""
    for key, last in (
        ("2b7e151628aed2a6abf7158809cf4f3c", 0xB6630CA6),
        ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0x01002202),
        ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 0x706C631E),
    ):
        assert _expand(bytes.fromhex(key))[-1][3] == last


@pytest.mark.parametrize("size", [0, 1, 4, 8, 15, 17, 20, 28, 31, 33, 64])
def test_a_key_of_another_size_is_refused_and_not_shown(size: int) -> None:
    with pytest.raises(ValueError) as caught:
        Aes(b"K" * size)
    assert str(caught.value) == f"an AES key has 16, 24 or 32 bytes, not {size}"


@given(st.sampled_from([16, 24, 32]), st.data())
def test_blocks_agree_with_openssl(size: int, data: st.DataObject) -> None:
    ciphers = pytest.importorskip(
        "cryptography.hazmat.primitives.ciphers", reason="the package cryptography is a second opinion"
    )
    key = data.draw(st.binary(min_size=size, max_size=size))
    block = data.draw(st.binary(min_size=16, max_size=16))
    other = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.ECB()).encryptor()
    assert Aes(key).encrypt_block(block) == other.update(block)
