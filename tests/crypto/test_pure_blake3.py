"""BLAKE3 in Python: the vectors of its authors, and trees of every shape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from helpers.vectors import FOLDER, load, of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.blake3 import BLOCK, CHUNK, _compress, _hash, key_deriver

# Section 2.2, table 1: the first words of the fractions of the square roots of the first eight primes.
IV = [int((Decimal(prime).sqrt() % 1) * 2**32) for prime in (2, 3, 5, 7, 11, 13, 17, 19)]
CONTEXT = load(FOLDER / "blake3.json")["context"]
# Around blocks, around chunks, and one to nine chunks: each number of them is a tree of another shape.
SIZES = sorted(
    {
        *(blocks * BLOCK + more for blocks in (1, 2, 15) for more in (-1, 0, 1)),
        *(chunks * CHUNK + more for chunks in range(1, 10) for more in (-1, 0, 1, BLOCK)),
    }
)


WORDS = st.one_of(st.sampled_from([0, 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))


def ramp(size: int) -> bytes:
    """The input of the vectors: 0, 1, ..., 250, 0, 1, ..."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def hashed(data: bytes) -> bytes:
    """The mode without a key (section 2.3), in which the same tree is built with no flag of a mode."""
    return _hash(IV, data, 0)


@pytest.mark.parametrize("case", of_kind("blake3"))
def test_vectors_of_the_authors(case: Any) -> None:
    data = ramp(case["size"])
    assert hashed(data).hex() == case["hash"]
    assert key_deriver(CONTEXT)(data).hex() == case["derive_key"]


def test_a_context_is_hashed_once_and_serves_many_keys() -> None:
    cases = load(FOLDER / "blake3.json")["vectors"][:5]
    derive = key_deriver(CONTEXT)
    for _ in range(2):
        assert [derive(ramp(case["size"])).hex() for case in cases] == [case["derive_key"] for case in cases]


@pytest.mark.parametrize("size", [0, 1, 32, 48, 63, 64, 65, 127, 128, 129, CHUNK, CHUNK + 1])
def test_a_single_block_is_derived_from_as_any_other_length(size: int) -> None:
    """Material of one block has a way of its own: the general one, with the flags of derive_key, says the same."""
    context = _hash(IV, CONTEXT.encode(), 32)
    words = [int.from_bytes(context[at : at + 4], "little") for at in range(0, 32, 4)]
    assert key_deriver(CONTEXT)(ramp(size)) == _hash(words, ramp(size), 64)


def compress(chaining: list[int], block: list[int], counter: int, size: int, flags: int) -> list[int]:
    """Section 2.2 as it stands there: a loop over lists, masked after each step."""
    state = [*chaining, *IV[:4], counter % 2**32, counter // 2**32, size, flags]

    def turned(word: int, by: int) -> int:
        return (word >> by | word << (32 - by)) % 2**32

    def mix(a: int, b: int, c: int, d: int, x: int, y: int) -> None:
        for word, first, second in ((x, 16, 12), (y, 8, 7)):
            state[a] = (state[a] + state[b] + word) % 2**32
            state[d] = turned(state[d] ^ state[a], first)
            state[c] = (state[c] + state[d]) % 2**32
            state[b] = turned(state[b] ^ state[c], second)

    for _ in range(7):
        for i in range(4):
            mix(i, 4 + i, 8 + i, 12 + i, block[2 * i], block[2 * i + 1])
        for i in range(4):
            mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, block[8 + 2 * i], block[9 + 2 * i])
        block = [block[place] for place in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)]
    return [state[i] ^ state[i + 8] for i in range(8)]


@given(
    st.lists(WORDS, min_size=8, max_size=8),
    st.lists(WORDS, min_size=16, max_size=16),
    st.integers(0, 2**64 - 1),
    st.integers(0, 64),
    st.integers(0, 127),
)
def test_the_unrolled_compression_is_the_one_of_the_paper(
    chaining: list[int], block: list[int], counter: int, size: int, flags: int
) -> None:
    assert list(_compress(chaining, block, counter, size, flags)) == compress(chaining, block, counter, size, flags)


def test_contexts_matter_and_so_does_their_last_letter() -> None:
    keys = {key_deriver(context)(b"material") for context in ("", "a", "b", "ab", "é", "a" * 64, "a" * 65, "a" * 2000)}
    assert len(keys) == 8
    assert hashed(b"material") not in keys


def test_every_byte_of_the_input_counts() -> None:
    data = bytes(2 * CHUNK + 1)
    seen = {hashed(data)}
    for at in (0, BLOCK - 1, BLOCK, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK):
        seen.add(hashed(data[:at] + b"\1" + data[at + 1 :]))
    seen |= {hashed(bytes(size)) for size in range(BLOCK + 2)}  # zeros at the end are no padding
    assert len(seen) == 8 + BLOCK + 2


def test_trees_of_every_shape_agree_with_the_package_of_the_authors() -> None:
    package = pytest.importorskip("blake3", reason="the package blake3 is a second opinion")
    for size in (*range(200), *SIZES):
        data = ramp(size)
        assert hashed(data) == package.blake3(data).digest(), size
        assert key_deriver("some context")(data) == package.blake3(data, derive_key_context="some context").digest()
