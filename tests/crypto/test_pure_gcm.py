"""Galois/Counter Mode in Python: tags bit by bit, counters, every length around blocks, refusals, the limit."""

from __future__ import annotations

from typing import Any, Callable, Optional, cast

import pytest
from helpers.galois import ONE, ghash, multiply
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.crypto.backends import Buffer
from pyss.crypto.pure import gcm
from pyss.crypto.pure.aes import Aes
from pyss.crypto.pure.gcm import MOST_BLOCKS, AesGcm
from pyss.crypto.pure.ghash import LONG, LONG_LANES, MEDIUM, MOST
from pyss.errors import BadTag

KEY, NONCE = bytes(range(16)), bytes(range(200, 212))


def padded(data: bytes) -> bytes:
    while len(data) % 16:
        data += b"\0"
    return data


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other))


def key_stream(size: int) -> bytes:
    """What masks a text under KEY and NONCE: counters from 2 on, section 7.1, block by block."""
    aes = Aes(KEY)
    return b"".join(aes.encrypt_block(NONCE + (2 + n).to_bytes(4, "big")) for n in range((size + 15) // 16))[:size]


def tag_of(masked: bytes, extra: bytes) -> bytes:
    """The tag under KEY and NONCE: section 7.1, steps 4 to 6, bit by bit."""
    aes = Aes(KEY)
    h = int.from_bytes(aes.encrypt_block(bytes(16)), "big")
    lengths = (8 * len(extra)).to_bytes(8, "big") + (8 * len(masked)).to_bytes(8, "big")
    mask = int.from_bytes(aes.encrypt_block(NONCE + b"\0\0\0\1"), "big")
    return (ghash(h, padded(extra) + padded(masked) + lengths) ^ mask).to_bytes(16, "big")


def test_the_yardstick_multiplies() -> None:
    """H and X1 of test case 2 in the GCM paper, appendix B."""
    h, text, x1 = (
        int(number, 16)
        for number in (
            "66e94bd4ef8a2c3b884cfa59ca342b2e",
            "0388dace60b6a392f328c2b971b2fe78",
            "5e2ec746917062882c85b0685353deb7",
        )
    )
    assert multiply(text, h) == multiply(h, text) == x1
    assert multiply(h, ONE) == h


# --- the whole -----------------------------------------------------------------------------------
SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 255 * 16, 255 * 16 + 1, 256 * 16 + 1]


@pytest.mark.parametrize("size", SIZES)
def test_the_text_is_masked_with_counters_from_two_on(size: int) -> None:
    """Past 254 blocks the counter takes its second byte."""
    text = bytes(i * 11 & 0xFF for i in range(size))
    sealed = AesGcm(KEY).encrypt(NONCE, text, None)
    assert sealed[:-16] == xor(text, key_stream(size))
    assert AesGcm(KEY).decrypt(NONCE, sealed, None) == text


@pytest.mark.parametrize("half", [20, 100])
def test_leading_and_trailing_zeros_are_kept(half: int) -> None:
    """Of the text and of what comes out, for few blocks and for many."""
    cipher, stream = AesGcm(KEY), key_stream(2 * half)
    for text in (bytes(2 * half), stream, bytes(half) + stream[half:], stream[:half] + bytes(half)):
        sealed = cipher.encrypt(NONCE, text, None)
        assert sealed[:-16] == xor(text, stream)
        assert cipher.decrypt(NONCE, sealed, None) == text


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_the_tag_is_over_padded_data_and_lengths_in_bits(extra: bytes, masked: bytes) -> None:
    sealed, text = masked + tag_of(masked, extra), xor(masked, key_stream(len(masked)))
    assert AesGcm(KEY).encrypt(NONCE, text, extra) == sealed
    assert AesGcm(KEY).decrypt(NONCE, sealed, extra) == text


def test_padding_is_no_part_of_the_message() -> None:
    """Zeros at the end of one field must not look like padding, nor one field like the other."""
    cipher = AesGcm(KEY)
    pairs = [(0, 0), (1, 0), (0, 1), (16, 0), (0, 16), (8, 8)]  # how many zeros as associated data, and as ciphertext
    sealed = [cipher.encrypt(NONCE, key_stream(masked), bytes(extra)) for extra, masked in pairs]
    assert [whole[:-16] for whole in sealed] == [bytes(masked) for _, masked in pairs]
    assert len({whole[-16:] for whole in sealed}) == len(pairs)


def test_one_object_serves_many_messages_in_any_order() -> None:
    cipher = AesGcm(KEY)
    for size in (40, 0, 40, 16):
        for nonce in (NONCE, bytes(12)):
            fresh = AesGcm(KEY)
            text = bytes(size)
            sealed = fresh.encrypt(nonce, text, b"")
            assert cipher.encrypt(nonce, text, b"") == sealed
            assert cipher.decrypt(nonce, sealed, b"") == AesGcm(KEY).decrypt(nonce, sealed, b"") == text


def test_a_message_longer_than_the_mode_allows_is_refused_before_anything_is_computed() -> None:
    """SP 800-38D section 5.2.1.1.  The length is all that is looked at, so a range will do."""
    assert MOST_BLOCKS * 16 == 2**36 - 32
    too_long: Any = range(2**36 - 31)
    with pytest.raises(OverflowError):
        AesGcm(KEY).encrypt(NONCE, too_long, None)


def test_the_longest_message_is_sealed_and_opened_and_none_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two blocks were the most."""
    cipher = AesGcm(KEY)
    longest, too_long = (cipher.encrypt(NONCE, bytes(size), None) for size in (32, 33))
    monkeypatch.setattr(gcm, "MOST_BLOCKS", 2)
    assert cipher.encrypt(NONCE, bytes(32), None) == longest
    assert cipher.decrypt(NONCE, longest, None) == bytes(32)
    with pytest.raises(OverflowError):
        cipher.encrypt(NONCE, bytes(33), None)
    with pytest.raises(OverflowError):
        cipher.decrypt(NONCE, too_long, None)


# --- the AEAD ------------------------------------------------------------------------------------
KEYS = [bytes(range(50, 50 + size)) for size in (16, 24, 32)]
every_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{8 * len(key)} bits")


class Second:
    """The second opinion: OpenSSL."""

    def __init__(self, key: bytes) -> None:
        aead = pytest.importorskip(
            "cryptography.hazmat.primitives.ciphers.aead", reason="the package cryptography is a second opinion"
        )
        self._aead = aead.AESGCM(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: Optional[bytes]) -> bytes:
        return cast(bytes, self._aead.encrypt(nonce, data, associated_data))


def text_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@every_key
def test_every_length_agrees_with_openssl(key: bytes) -> None:
    cipher, second = AesGcm(key), Second(key)
    for size in range(601):
        nonce, text, extra = size.to_bytes(12, "little"), text_of(size), text_of(size % 35) or None
        sealed = second.encrypt(nonce, text, extra)
        assert cipher.encrypt(nonce, text, extra) == sealed, size
        assert cipher.decrypt(nonce, sealed, extra) == text, size


@every_key
def test_long_messages_agree_with_openssl(key: bytes) -> None:
    """Around the borders of GHASH, and the sizes of records."""
    second = Second(key)
    borders = (16 * MEDIUM, 16 * LONG, 16 * LONG_LANES * 43, 0x3FFF, 0xFFFF, 16 * MOST, 32 * MOST)
    for used in (False, True):
        for size in sorted({border + offset for border in borders for offset in (-33, -17, -16, -1, 0, 1)}):
            cipher, text = AesGcm(key), text_of(size)
            if used:
                cipher.encrypt(NONCE, bytes(2000), None)
            sealed = second.encrypt(NONCE, text, b"extra")
            assert cipher.encrypt(NONCE, text, b"extra") == sealed, size
            assert cipher.decrypt(NONCE, sealed, b"extra") == text, size


@given(st.sampled_from(KEYS), st.binary(min_size=12, max_size=12), st.integers(0, 20_000), st.binary(max_size=3000))
@settings(max_examples=30)
def test_any_message_agrees_with_openssl(key: bytes, nonce: bytes, size: int, extra: bytes) -> None:
    text = text_of(size)
    assert AesGcm(key).encrypt(nonce, text, extra) == Second(key).encrypt(nonce, text, extra)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 2, 100, 6000])
def test_every_kind_of_buffer(kind: Callable[[bytes], Buffer], size: int) -> None:
    cipher, text = AesGcm(KEY), text_of(size)
    sealed = cipher.encrypt(NONCE, kind(text), None)
    assert type(sealed) is bytes
    opened = cipher.decrypt(NONCE, kind(sealed), None)
    assert type(opened) is bytes
    masked = xor(text, key_stream(size))
    assert (sealed, opened) == (masked + tag_of(masked, b""), text)


def test_no_associated_data_is_as_empty_data() -> None:
    cipher = AesGcm(KEY)
    assert cipher.encrypt(NONCE, b"text", None) == cipher.encrypt(NONCE, b"text", b"")


@pytest.mark.parametrize("size", [0, 2, 64, 100, 6000])
def test_whatever_is_changed_is_refused_and_nothing_decrypted(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cipher = AesGcm(KEY)
    sealed = cipher.encrypt(NONCE, text_of(size), b"extra")
    decrypted: list[int] = []
    masked = gcm._masked
    monkeypatch.setattr(gcm, "_masked", lambda *given: decrypted.append(1) or masked(*given))
    for at in {0, size // 2, *range(max(0, size - 1), size + 16)}:
        wrong = bytearray(sealed)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(BadTag):
            cipher.decrypt(NONCE, wrong, b"extra")
    for nonce, extra, data in (
        (bytes(12), b"extra", sealed),
        (NONCE, b"extrb", sealed),
        (NONCE, None, sealed),
        (NONCE, b"extra", sealed + b"\0"),
        (NONCE, b"extra", sealed[:-1]),
        (NONCE, b"extra", sealed[1:]),
    ):
        with pytest.raises(BadTag):
            cipher.decrypt(nonce, data, extra)
    assert not decrypted
    assert cipher.decrypt(NONCE, sealed, b"extra") == text_of(size)
    assert decrypted


@pytest.mark.parametrize("size", range(16))
def test_what_is_shorter_than_a_tag_is_refused(size: int) -> None:
    with pytest.raises(BadTag):
        AesGcm(KEY).decrypt(NONCE, bytes(size), None)


@pytest.mark.parametrize("size", [0, 8, 11, 13, 16, 24])
def test_a_nonce_of_another_size_is_refused(size: int) -> None:
    cipher = AesGcm(KEY)
    for work in (
        lambda nonce: cipher.encrypt(nonce, b"", None),
        lambda nonce: cipher.decrypt(nonce, bytes(16), None),
    ):
        with pytest.raises(ValueError, match=f"12 bytes here, not {size}"):
            work(bytes(size))


def test_the_last_counter_is_used_and_none_after_it() -> None:
    """The longest message ends with counter 2**32 - 1; its first is 2, for 1 is the mask's."""
    aes = Aes(KEY)
    last = aes.counter_blocks(NONCE + b"\xff" * 4, 1)
    assert aes.counter_blocks(NONCE + (MOST_BLOCKS + 1).to_bytes(4, "big"), 1) == last
    assert aes.counter_blocks(NONCE + b"\xff" * 4, 2) == last + aes.encrypt_block(NONCE + bytes(4))
