"""Galois/Counter Mode in Python: the multiplication bit by bit, counters, lengths around blocks, the limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.aes import Aes
from pyss.crypto.pure.gcm import MOST_BLOCKS, AesGcm, _ghash, _multiples

KEY, NONCE = bytes(range(16)), bytes(range(200, 212))
ELEMENTS = st.integers(0, 2**128 - 1)
ONE = 1 << 127  # the most significant bit is the coefficient of x**0


def multiply(x: int, y: int) -> int:
    """NIST SP 800-38D section 6.3, algorithm 1."""
    product, power = 0, y
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= power
        power = power >> 1 ^ (0xE1 << 120 if power & 1 else 0)
    return product


def ghash(h: int, data: bytes) -> int:
    value = 0
    for at in range(0, len(data), 16):
        value = multiply(value ^ int.from_bytes(data[at : at + 16], "big"), h)
    return value


def padded(data: bytes) -> bytes:
    while len(data) % 16:
        data += b"\0"
    return data


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


@given(ELEMENTS, st.lists(ELEMENTS, max_size=4))
def test_tables_multiply_as_the_standard_does(h: int, blocks: list[int]) -> None:
    data = b"".join(block.to_bytes(16, "big") for block in blocks)
    assert _ghash(_multiples(h), data) == ghash(h, data)


@pytest.mark.parametrize("h", [0, 1, ONE, 2**128 - 1, 0xE1 << 120], ids=hex)
def test_each_byte_of_a_factor_has_its_own_table(h: int) -> None:
    tables = _multiples(h)
    for place in range(16):
        for byte in (1, 2, 0x80, 0xFF):
            element = byte << 8 * (15 - place)
            assert _ghash(tables, element.to_bytes(16, "big")) == multiply(element, h)


# --- the whole -----------------------------------------------------------------------------------
SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 255 * 16, 255 * 16 + 1, 256 * 16 + 1]


@pytest.mark.parametrize("size", SIZES)
def test_the_text_is_masked_with_counters_from_two_on(size: int) -> None:
    """Past 254 blocks the counter takes its second byte."""
    text = bytes(i * 11 & 0xFF for i in range(size))
    aes = Aes(KEY)
    stream = b"".join(aes.encrypt_block(NONCE + (2 + n).to_bytes(4, "big")) for n in range((size + 15) // 16))
    masked = AesGcm(KEY).crypt(NONCE, text)
    assert masked == bytes(a ^ b for a, b in zip(text, stream))
    assert AesGcm(KEY).crypt(NONCE, masked) == text


def test_leading_and_trailing_zeros_are_kept() -> None:
    cipher = AesGcm(KEY)
    stream = cipher.crypt(NONCE, bytes(40))
    assert cipher.crypt(NONCE, stream) == bytes(40)
    assert cipher.crypt(NONCE, bytes(20) + stream[20:]) == stream[:20] + bytes(20)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_the_tag_is_over_padded_data_and_lengths_in_bits(extra: bytes, text: bytes) -> None:
    aes = Aes(KEY)
    h = int.from_bytes(aes.encrypt_block(bytes(16)), "big")
    lengths = (8 * len(extra)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    mask = int.from_bytes(aes.encrypt_block(NONCE + b"\0\0\0\1"), "big")
    expected = ghash(h, padded(extra) + padded(text) + lengths) ^ mask
    assert AesGcm(KEY).tag(NONCE, extra, text) == expected.to_bytes(16, "big")


def test_padding_is_no_part_of_the_message() -> None:
    """Zeros at the end of one field must not look like padding, nor one field like the other."""
    cipher = AesGcm(KEY)
    pairs = [(b"", b""), (b"\0", b""), (b"", b"\0"), (bytes(16), b""), (b"", bytes(16)), (bytes(8), bytes(8))]
    assert len({cipher.tag(NONCE, extra, text) for extra, text in pairs}) == len(pairs)


def test_one_object_serves_many_messages_in_any_order() -> None:
    cipher = AesGcm(KEY)
    for size in (40, 0, 40, 16):
        for nonce in (NONCE, bytes(12)):
            fresh = AesGcm(KEY)
            text = bytes(size)
            assert cipher.tag(nonce, b"", text) == fresh.tag(nonce, b"", text)
            assert cipher.crypt(nonce, text) == fresh.crypt(nonce, text)


def test_a_message_longer_than_the_mode_allows_is_refused_before_anything_is_computed() -> None:
    """SP 800-38D section 5.2.1.1.  The length is all that is looked at, so a range will do."""
    assert MOST_BLOCKS * 16 == 2**36 - 32
    too_long: Any = range(2**36 - 31)
    with pytest.raises(OverflowError):
        AesGcm(KEY).crypt(NONCE, too_long)
