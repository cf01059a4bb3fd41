"""Poly1305 in Python: published vectors, clamping, the wrap at 2**130 - 5, and every length of every way through it."""

from __future__ import annotations

from hashlib import shake_128
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.poly1305 import poly1305

ONES = b"\xff" * 16


def plain_poly1305(key: bytes, message: bytes) -> bytes:
    """RFC 8439 section 2.5.1, a block at a time, the clamp byte by byte."""
    r = bytearray(key[:16])
    for index in (3, 7, 11, 15):
        r[index] &= 15
    for index in (4, 8, 12):
        r[index] &= 252
    value = 0
    for at in range(0, len(message), 16):
        value += int.from_bytes(message[at : at + 16] + b"\1", "little")
        value = value * int.from_bytes(r, "little") % (2**130 - 5)
    return ((value + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


@pytest.mark.parametrize("case", of_kind("poly1305"))
def test_published_vectors(case: Any) -> None:
    key, message, tag = (bytes.fromhex(case[field]) for field in ("key", "message", "tag"))
    assert poly1305(key, message) == tag
    assert plain_poly1305(key, message) == tag  # the yardstick of the other tests


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=400))
def test_four_blocks_at_a_time_are_the_same_as_one(key: bytes, message: bytes) -> None:
    assert poly1305(key, message) == plain_poly1305(key, message)


@pytest.mark.parametrize("key", [ONES + ONES, ONES + bytes(16), bytes(range(32))], ids=["ones", "r", "ramp"])
def test_lengths_around_blocks(key: bytes) -> None:
    for size in (*range(34), *range(47, 50), *range(62, 67), *range(126, 131), 191, 192, 193, 256):
        for fill in (b"\xff", b"\0", b"\x80"):
            assert poly1305(key, fill * size) == plain_poly1305(key, fill * size), (size, fill)


@pytest.mark.parametrize("r", ["ones", "zero", "one", "random"])
def test_every_length_up_to_several_rows(r: str) -> None:
    """Rows begin with 384 bytes; blocks of ones make the largest sums."""
    key = {"ones": ONES, "zero": bytes(16), "one": b"\1" + bytes(15), "random": shake_128(b"r").digest(16)}[r] + ONES
    for text in (shake_128(b"message").digest(1200), ONES * 75):
        for size in range(1201) if r == "random" else range(370, 1201, 7):
            assert poly1305(key, text[:size]) == plain_poly1305(key, text[:size]), size


@pytest.mark.parametrize("size", [3839, 3840, 4095, 4096, 4097, 4608, 5375, 5376, 5377, 16_400, 65_552])
@pytest.mark.parametrize("r", [ONES, shake_128(b"r").digest(16)], ids=["ones", "random"])
def test_long_messages_in_both_widths_of_rows(size: int, r: bytes) -> None:
    for text in (ONES * (size // 16 + 1), bytes(size), shake_128(b"message").digest(size)):
        assert poly1305(r + ONES, text[:size]) == plain_poly1305(r + ONES, text[:size])


def test_another_implementation_agrees_on_every_length_and_very_long_ones() -> None:
    theirs = pytest.importorskip(
        "cryptography.hazmat.primitives.poly1305", reason="the second opinion is the package cryptography"
    )
    text = shake_128(b"message").digest(1_000_003)
    for size in (*range(0, 2500), 10_000, 100_000, 1_000_003):
        key = shake_128(size.to_bytes(4, "big")).digest(32)
        assert poly1305(key, text[:size]) == theirs.Poly1305.generate_tag(key, text[:size]), size
    longest = b"\xff" * 1_000_000
    assert poly1305(ONES + ONES, longest) == theirs.Poly1305.generate_tag(ONES + ONES, longest)


def test_nothing_gives_the_second_half_of_the_key() -> None:
    assert poly1305(ONES + bytes(range(16)), b"") == bytes(range(16))


def test_each_bit_of_the_multiplier_is_kept_or_clamped() -> None:
    """A clamped bit changes nothing: the multiplier is 0, and with it the sum."""
    for bit in range(128):
        clamped = bit % 32 >= 28 or (bit >= 32 and bit % 32 < 2)
        tag = poly1305((1 << bit).to_bytes(16, "little") + bytes(16), b"message")
        assert (tag == bytes(16)) == clamped, bit


@pytest.mark.parametrize("over", range(-6, 7))
@pytest.mark.parametrize("blocks", [3, 4, 5, 8])
def test_the_sum_wraps_at_the_prime(over: int, blocks: int) -> None:
    """With r = 1 the tag is the sum of the blocks: just below, at and above 2**130 - 5."""
    total = (2**130 - 5 + over) - 3 * 2**128  # three blocks of which each has 2**128 on top
    first = min(total, 2**128 - 1)
    parts = [first, min(total - first, 2**128 - 1)]
    parts.append(total - sum(parts))
    message = b"".join(part.to_bytes(16, "little") for part in parts)
    message += bytes(16) * (blocks - 3)
    key = (1).to_bytes(16, "little") + bytes(16)
    expected = (2**130 - 5 + over + (blocks - 3) * 2**128) % (2**130 - 5) % 2**128
    assert poly1305(key, message) == expected.to_bytes(16, "little")


def test_the_last_addition_wraps_at_two_to_the_128() -> None:
    key = (1).to_bytes(16, "little") + ONES
    assert poly1305(key, b"\5" + bytes(15)) == (4).to_bytes(16, "little")
