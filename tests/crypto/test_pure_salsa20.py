"""Salsa20 in Python: the vectors of ECRYPT, the specification word by word, counters across lanes, every split."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure import salsa20
from pyss.crypto.pure.salsa20 import MOST_BLOCKS, Salsa20, salsa20_blocks

KEY, IV = bytes(range(32)), bytes(range(100, 108))


def text(size: int) -> bytes:
    return hashlib.shake_128(b"text").digest(size)


def one_block(key: bytes, iv: bytes, number: int) -> bytes:
    """The hash function of the specification, sections 3 to 8, on one block."""
    words = struct.unpack("<8I", key)
    c = struct.unpack("<4I", b"expand 32-byte k")
    inner = (*struct.unpack("<2I", iv), *struct.unpack("<2I", number.to_bytes(8, "little")))
    start = [c[0], *words[:4], c[1], *inner, c[2], *words[4:], c[3]]

    def quarter(y0: int, y1: int, y2: int, y3: int) -> tuple[int, int, int, int]:
        def turned(one: int, other: int, by: int) -> int:
            total = (one + other) & 0xFFFFFFFF
            return (total << by | total >> 32 - by) & 0xFFFFFFFF

        z1 = y1 ^ turned(y0, y3, 7)
        z2 = y2 ^ turned(z1, y0, 9)
        z3 = y3 ^ turned(z2, z1, 13)
        return y0 ^ turned(z3, z2, 18), z1, z2, z3

    x = list(start)
    for turn in range(20):
        y = x if turn % 2 else [x[4 * (i % 4) + i // 4] for i in range(16)]  # the columns are the rows transposed
        for row in range(4):
            places = [4 * row + (row + step) % 4 for step in range(4)]
            for place, word in zip(places, quarter(*(y[place] for place in places))):
                y[place] = word
        x = y if turn % 2 else [y[4 * (i % 4) + i // 4] for i in range(16)]
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start)))


@pytest.mark.parametrize("case", of_kind("salsa20"))
def test_published_vectors(case: Any) -> None:
    key, iv = bytes.fromhex(case["key"]), bytes.fromhex(case["iv"])
    stream = Salsa20(key, iv, True).update(bytes(512))
    assert {at: stream[int(at) : int(at) + 64].hex() for at in case["stream"]} == case["stream"]
    assert one_block(key, iv, 0).hex() == case["stream"]["0"]  # the yardstick, too


# --- counters ------------------------------------------------------------------------------------
@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=8, max_size=8),
    st.one_of(st.integers(0, MOST_BLOCKS - 50), st.integers(2**32 - 50, 2**32)),
    st.integers(0, 50),
)
def test_each_lane_is_the_block_of_its_number(key: bytes, iv: bytes, number: int, blocks: int) -> None:
    expected = b"".join(one_block(key, iv, number + lane) for lane in range(blocks))
    assert salsa20_blocks(key, iv, number, blocks) == expected


@pytest.mark.parametrize("blocks", [3, 45])
@pytest.mark.parametrize("number", [254, 65_534, 2**31 - 2, 2**32 - 2, 2**32 - 1, 2**32, 2**40 - 2, 2**63 - 2])
def test_a_carry_stays_in_its_lane_and_reaches_the_upper_word(number: int, blocks: int) -> None:
    stream = salsa20_blocks(KEY, IV, number, blocks)
    for lane in (0, 1, 2):
        assert stream[64 * lane : 64 * lane + 64] == one_block(KEY, IV, number + lane)


def test_more_blocks_than_one_evaluation_takes() -> None:
    stream = salsa20_blocks(KEY, IV, 5, 2100)
    for block in (0, 1, 1023, 1024, 1025, 2047, 2048, 2099):
        assert stream[64 * block : 64 * block + 64] == one_block(KEY, IV, 5 + block)


@pytest.mark.parametrize("blocks", [1, 2, 7, 40, 41, 100])
def test_both_layouts_give_the_same(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salsa20, "_MOST_IN_ROWS", 0)
    in_words = salsa20_blocks(KEY, IV, 2**32 - 3, blocks)
    monkeypatch.setattr(salsa20, "_MOST_IN_ROWS", 1000)
    assert salsa20_blocks(KEY, IV, 2**32 - 3, blocks) == in_words


def test_the_last_block_is_given_out_and_none_after_it() -> None:
    last = one_block(KEY, IV, 2**64 - 1)
    assert salsa20_blocks(KEY, IV, 2**64 - 1, 1) == last
    assert salsa20_blocks(KEY, IV, 2**64 - 2, 2)[64:] == last
    for number, blocks in ((2**64, 1), (2**64 - 1, 2), (2**64 - 10, 11), (1, 2**64)):
        with pytest.raises(OverflowError):
            salsa20_blocks(KEY, IV, number, blocks)


def test_a_stream_at_its_end_raises_and_is_what_it_was() -> None:
    stream = Salsa20(KEY, IV, True)
    stream._number = 2**64 - 1
    assert stream.update(bytes(60)) == one_block(KEY, IV, 2**64 - 1)[:60]
    for _ in range(2):
        with pytest.raises(OverflowError):
            stream.update(bytes(5))
    assert stream.update(bytes(4)) == one_block(KEY, IV, 2**64 - 1)[60:]
    with pytest.raises(OverflowError):
        stream.update(bytes(1))


# --- the stream ----------------------------------------------------------------------------------
def test_every_split_in_two_gives_the_same() -> None:
    data = text(200)
    whole = Salsa20(KEY, IV, True).update(data)
    assert len(whole) == 200
    for cut in range(201):
        stream = Salsa20(KEY, IV, True)
        assert stream.update(data[:cut]) + stream.update(data[cut:]) == whole


@given(st.lists(st.integers(0, 300), max_size=8))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    stream, whole = Salsa20(KEY, IV, False), Salsa20(KEY, IV, True).update(bytes(sum(sizes)))
    assert b"".join(stream.update(bytes(size)) for size in sizes) == whole


def test_both_directions_are_the_same_and_zeros_at_the_ends_are_kept() -> None:
    stream = Salsa20(KEY, IV, True).update(bytes(100))
    assert Salsa20(KEY, IV, False).update(stream) == bytes(100)
    assert Salsa20(KEY, IV, False).update(stream[:50] + bytes(50)) == bytes(50) + stream[50:]


def test_any_buffer_will_do() -> None:
    expected = Salsa20(KEY, IV, True).update(text(50))
    for data in (bytearray(text(50)), memoryview(text(50)), memoryview(b"<" + text(50) + b">")[1:-1]):
        made = Salsa20(KEY, IV, True).update(data)
        assert type(made) is bytes and made == expected
    assert Salsa20(KEY, IV, True).update(b"") == b""


@pytest.mark.parametrize(("key", "iv"), [(16, 8), (31, 8), (33, 8), (32, 0), (32, 12), (32, 24)])
def test_other_sizes_are_refused_and_not_shown(key: int, iv: int) -> None:
    with pytest.raises(ValueError) as caught:
        Salsa20(b"K" * key, b"V" * iv, True)
    assert str(caught.value) == f"Salsa20 takes a key of 32 bytes and an IV of 8 here, not {key} and {iv}"


def test_every_length_agrees_with_pycryptodome() -> None:
    other = pytest.importorskip("Crypto.Cipher.Salsa20", reason="pycryptodome is a second opinion")
    for size in (*range(0, 301), 2559, 2560, 2561, 16_384, 65_537, 140_000):
        assert Salsa20(KEY, IV, True).update(text(size)) == other.new(key=KEY, nonce=IV).encrypt(text(size)), size
