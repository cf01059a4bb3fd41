"""AES in Python: FIPS 197 both ways, its S-box and round keys, many blocks side by side, counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure import aes as module
from pyss.crypto.pure.aes import FEW, MOST, SBOX, Aes, _expand

KEYS = [bytes(range(100, 100 + size)) for size in (16, 24, 32)]
# Where the way of computing changes: one by one or in planes, and planes in one part or in two.
COUNTS = [*range(41), 255, 256, 257, 1024, 1025, MOST, MOST + 1]
every_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{8 * len(key)} bits")


def some(size: int, seed: int = 1) -> bytes:
    """Bytes without a pattern, the same each time."""
    found = bytearray()
    for _ in range(size):
        seed = seed * 1103515245 + 12345 & 0x7FFF_FFFF
        found.append(seed >> 16 & 0xFF)
    return bytes(found)


def openssl(key: bytes, blocks: bytes) -> bytes:
    ciphers = pytest.importorskip(
        "cryptography.hazmat.primitives.ciphers", reason="the package cryptography is a second opinion"
    )
    encryptor = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.ECB()).encryptor()
    found: bytes = encryptor.update(blocks)
    return found


# --- one block -----------------------------------------------------------------------------------
@pytest.mark.parametrize("case", of_kind("aes"))
def test_published_vectors(case: Any) -> None:
    key, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "plain", "cipher"))
    aes = Aes(key)
    for _ in range(2):  # the round keys are still what they were
        assert aes.encrypt_block(plain) == cipher
        assert aes.decrypt_blocks(cipher) == plain


@pytest.mark.parametrize("case", of_kind("aes"))
def test_published_vectors_side_by_side(case: Any) -> None:
    key, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "plain", "cipher"))
    assert Aes(key).encrypt_blocks(plain * 20) == cipher * 20
    assert Aes(key).decrypt_blocks(cipher * 20) == plain * 20


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


@pytest.mark.parametrize("factor", [1, 2, 3, 9, 11, 13, 14])
def test_tables_of_products(factor: int) -> None:
    assert list(module._times(factor)) == [multiply(byte, factor) for byte in range(256)]


@pytest.mark.parametrize(("size", "rounds"), [(16, 10), (24, 12), (32, 14)])
def test_a_key_gives_a_round_key_more_than_it_has_rounds(size: int, rounds: int) -> None:
    keys = _expand(bytes(range(size)))
    assert len(keys) == rounds + 1
    assert all(0 <= key < 2**128 for key in keys)
    assert b"".join(key.to_bytes(16, "big") for key in keys).startswith(bytes(range(size)))


def test_the_expanded_keys_of_appendix_a() -> None:
    """FIPS 197 appendices A.1 to A.3, the last word of each; it depends on all others."""
    for key, last in (
        ("2b7e151628aed2a6abf7158809cf4f3c", 0xB6630CA6),
        ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0x01002202),
        ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 0x706C631E),
    ):
        assert _expand(bytes.fromhex(key))[-1] & 0xFFFF_FFFF == last


@pytest.mark.parametrize("size", [0, 1, 4, 8, 15, 17, 20, 28, 31, 33, 64])
def test_a_key_of_another_size_is_refused_and_not_shown(size: int) -> None:
    with pytest.raises(ValueError) as caught:
        Aes(b"K" * size)
    assert str(caught.value) == f"an AES key has 16, 24 or 32 bytes, not {size}"


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_block_of_another_size_is_refused(size: int) -> None:
    aes = Aes(KEYS[0])
    with pytest.raises(ValueError, match=f"not {size}"):
        aes.encrypt_block(bytes(size))
    with pytest.raises(ValueError, match=f"not {size}"):
        aes.counter_blocks(bytes(size), 1)


@given(st.sampled_from([16, 24, 32]), st.data())
def test_blocks_agree_with_openssl(size: int, data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=size, max_size=size))
    block = data.draw(st.binary(min_size=16, max_size=16))
    sealed = openssl(key, block)
    assert Aes(key).encrypt_block(block) == sealed
    assert Aes(key).decrypt_blocks(sealed) == block


# --- many blocks ---------------------------------------------------------------------------------
@every_key
def test_many_blocks_agree_with_openssl(key: bytes) -> None:
    aes, plain = Aes(key), some(16 * max(COUNTS))
    sealed = openssl(key, plain)
    for count in COUNTS:
        assert aes.encrypt_blocks(plain[: 16 * count]) == sealed[: 16 * count], count
        assert aes.decrypt_blocks(sealed[: 16 * count]) == plain[: 16 * count], count


@every_key
@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x63, 0x80])
def test_blocks_of_one_byte(key: bytes, byte: int) -> None:
    """Numbers with zeros at the top are shorter than others."""
    aes, plain = Aes(key), bytes((byte,)) * 16 * 9
    one = aes.encrypt_block(plain[:16])
    assert aes.encrypt_blocks(plain) == one * 9
    assert aes.decrypt_blocks(one * 9) == plain
    assert aes.decrypt_blocks(plain) == aes.decrypt_blocks(plain[:16]) * 9


@given(st.sampled_from(KEYS), st.integers(FEW + 1, 20), st.data())
def test_each_block_is_on_its_own(key: bytes, count: int, data: st.DataObject) -> None:
    plain = data.draw(st.binary(min_size=16 * count, max_size=16 * count))
    aes = Aes(key)
    pieces = [plain[at : at + 16] for at in range(0, len(plain), 16)]
    assert aes.encrypt_blocks(plain) == b"".join(map(aes.encrypt_block, pieces))
    assert aes.decrypt_blocks(plain) == b"".join(map(aes.decrypt_blocks, pieces))


@pytest.mark.parametrize("size", [1, 15, 17, 16 * 20 - 1, 16 * 20 + 1])
def test_a_part_of_a_block_is_refused(size: int) -> None:
    for work in (Aes(KEYS[0]).encrypt_blocks, Aes(KEYS[0]).decrypt_blocks):
        with pytest.raises(ValueError, match=f"not {size}"):
            work(bytes(size))


def test_parts_are_nearly_the_same_and_none_is_too_large() -> None:
    for count in (1, MOST - 1, MOST, MOST + 1, 2 * MOST, 5 * MOST + 3):
        parts = list(module._shares(count))
        assert sum(parts) == count
        assert len(parts) == -(-count // MOST)
        assert max(parts) <= MOST
        assert max(parts) - min(parts) <= 1


# --- counters ------------------------------------------------------------------------------------
def counted(first: bytes, count: int, bits: int) -> Iterator[bytes]:
    """SP 800-38D section 6.2: the last bits count, modulo 2**bits, and the others stay."""
    number = int.from_bytes(first, "big")
    fixed = number >> bits << bits
    for index in range(count):
        yield (fixed | (number + index) % 2**bits).to_bytes(16, "big")


# The number in the last bytes of a counter block, from which on something carries.
STARTS = [
    *("00000001", "00000002", "000000f8", "000000ff", "0000fff9", "00fffffe", "fffffff0", "fffffffe", "ffffffff"),
    *("ffffffffffffff01", "ff" * 11 + "fffffffa", "ff" * 16),
]


@every_key
@pytest.mark.parametrize("bits", [8, 32, 64, 128])
@pytest.mark.parametrize("start", STARTS)
def test_counters_carry_within_their_bits_and_begin_anew(key: bytes, bits: int, start: str) -> None:
    tail = bytes.fromhex(start)
    first = some(16 - len(tail)) + tail
    aes = Aes(key)
    for count in (0, 1, FEW, FEW + 1, 30, 300):
        expected = aes.encrypt_blocks(b"".join(counted(first, count, bits)))
        assert aes.counter_blocks(first, count, bits) == expected, count


@every_key
@pytest.mark.parametrize("bits", [32, 128])
def test_long_key_streams_agree_with_openssl(key: bytes, bits: int) -> None:
    for first in (some(15) + b"\1", some(12) + b"\xff\xff\xff\x80"):
        for count in (1025, 2 * MOST + 3):
            assert Aes(key).counter_blocks(first, count, bits) == openssl(key, b"".join(counted(first, count, bits)))


@given(st.sampled_from(KEYS), st.binary(min_size=16, max_size=16), st.integers(0, 60))
def test_any_counter_block_may_be_the_first(key: bytes, first: bytes, count: int) -> None:
    aes = Aes(key)
    for bits in (32, 128):
        expected = b"".join([aes.encrypt_block(block) for block in counted(first, count, bits)])
        assert aes.counter_blocks(first, count, bits) == expected


def test_the_counter_of_the_mode_gcm_is_the_default() -> None:
    first = bytes(11) + b"\1\xff\xff\xff\xff"
    assert Aes(KEYS[0]).counter_blocks(first, 9) == Aes(KEYS[0]).counter_blocks(first, 9, 32)
    assert Aes(KEYS[0]).counter_blocks(first, 9) != Aes(KEYS[0]).counter_blocks(first, 9, 128)
