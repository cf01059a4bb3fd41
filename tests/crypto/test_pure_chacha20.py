"""ChaCha20 in Python: published vectors, counters across lanes, the end of the counter, and every length."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.chacha20 import MOST_BLOCKS, ChaCha20Poly1305, chacha20_blocks
from pyss.crypto.pure.poly1305 import poly1305

KEY, NONCE = bytes(range(32)), bytes(range(100, 112))
KEYS = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=12, max_size=12)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other))


def one_block(key: bytes, nonce: bytes, counter: int) -> bytes:
    """The block function of RFC 8439 section 2.3, word by word: slow, and nothing to go wrong."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += struct.unpack("<3I", nonce)
    state = list(start)

    def mix(a: int, b: int, d: int, turn: int) -> None:
        state[a] = (state[a] + state[b]) & 0xFFFFFFFF
        mixed = state[d] ^ state[a]
        state[d] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for shift in (0, 1):  # columns, then diagonals
            for i in range(4):
                a, b, c, d = (i, 4 + (i + shift) % 4, 8 + (i + 2 * shift) % 4, 12 + (i + 3 * shift) % 4)
                mix(a, b, d, 16)
                mix(c, d, b, 12)
                mix(a, b, d, 8)
                mix(c, d, b, 7)
    return struct.pack("<16I", *((word + first) & 0xFFFFFFFF for word, first in zip(state, start)))


@pytest.mark.parametrize("case", of_kind("chacha20"))
def test_published_vectors(case: Any) -> None:
    key, nonce, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "nonce", "plain", "cipher"))
    blocks = (len(plain) + 63) // 64
    assert xor(chacha20_blocks(key, nonce, case["counter"], blocks), plain) == cipher
    assert xor(one_block(key, nonce, case["counter"]), plain[:64]) == cipher[:64]  # the yardstick, too


# --- counters ------------------------------------------------------------------------------------
@given(KEYS, NONCES, st.integers(0, MOST_BLOCKS - 20), st.integers(0, 20))
def test_each_lane_is_the_block_of_its_counter(key: bytes, nonce: bytes, counter: int, blocks: int) -> None:
    together = chacha20_blocks(key, nonce, counter, blocks)
    assert together == b"".join(one_block(key, nonce, counter + lane) for lane in range(blocks))


@pytest.mark.parametrize("counter", [255, 256, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 3])
def test_a_carry_stays_in_its_lane(counter: int) -> None:
    expected = b"".join(one_block(KEY, NONCE, counter + lane) for lane in range(3))
    assert chacha20_blocks(KEY, NONCE, counter, 3) == expected


def test_many_lanes_at_once() -> None:
    stream = chacha20_blocks(KEY, NONCE, 1, 1100)
    for block in (0, 1, 255, 256, 1023, 1024, 1099):
        assert stream[64 * block : 64 * block + 64] == one_block(KEY, NONCE, 1 + block)


def test_layouts_are_not_mixed_up() -> None:
    """They are cached by the number of lanes: more numbers than the cache holds, then again."""
    expected = [chacha20_blocks(KEY, NONCE, 0, blocks) for blocks in range(1, 21)]
    assert [chacha20_blocks(KEY, NONCE, 0, blocks) for blocks in range(1, 21)] == expected
    assert all(expected[-1].startswith(stream) for stream in expected)


def test_the_last_block_is_given_out_and_none_after_it() -> None:
    last = one_block(KEY, NONCE, 2**32 - 1)
    assert chacha20_blocks(KEY, NONCE, 2**32 - 1, 1) == last
    assert chacha20_blocks(KEY, NONCE, 2**32 - 2, 2)[64:] == last
    for counter, blocks in ((2**32, 1), (2**32 - 1, 2), (2**32 - 10, 11), (1, 2**32)):
        with pytest.raises(OverflowError):
            chacha20_blocks(KEY, NONCE, counter, blocks)


def test_a_message_longer_than_the_counter_is_refused_before_anything_is_computed() -> None:
    """RFC 8439 section 2.8: at most 2**38 - 64 bytes.  The length is all that is looked at, so a range will do."""
    too_long: Any = range(2**38 - 63)
    with pytest.raises(OverflowError):
        ChaCha20Poly1305(KEY).crypt(NONCE, too_long)


# --- the AEAD ------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000])
def test_every_length_of_text(size: int) -> None:
    text = bytes(i * 7 & 0xFF for i in range(size))
    stream = b"".join(one_block(KEY, NONCE, 1 + block) for block in range(size // 64 + 1))
    cipher = ChaCha20Poly1305(KEY)
    assert cipher.crypt(NONCE, text) == xor(text, stream)
    assert cipher.crypt(NONCE, cipher.crypt(NONCE, text)) == text


def test_leading_and_trailing_zeros_are_kept() -> None:
    """The text becomes a number on the way: zeros at either end must not be lost."""
    stream = chacha20_blocks(KEY, NONCE, 1, 2)
    for text in (bytes(100), stream[:100], stream[:50] + bytes(50), bytes(50) + stream[50:100]):
        assert ChaCha20Poly1305(KEY).crypt(NONCE, text) == xor(text, stream)


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_the_tag_is_over_padded_data_and_lengths(extra: bytes, text: bytes) -> None:
    def padded(data: bytes) -> bytes:
        while len(data) % 16:
            data += b"\0"
        return data

    lengths = len(extra).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    expected = poly1305(one_block(KEY, NONCE, 0)[:32], padded(extra) + padded(text) + lengths)
    assert ChaCha20Poly1305(KEY).tag(NONCE, extra, text) == expected


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused_and_not_shown(size: int) -> None:
    with pytest.raises(ValueError) as caught:
        ChaCha20Poly1305(b"K" * size)
    assert str(caught.value) == f"a ChaCha20 key has 32 bytes, not {size}"
