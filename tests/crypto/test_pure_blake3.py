"""BLAKE3 in Python: the vectors of its authors, and trees of every shape."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.vectors import FOLDER, load, of_kind

from pyss.crypto.pure.blake3 import BLOCK, CHUNK, blake3, derive_key, key_deriver

CONTEXT = load(FOLDER / "blake3.json")["context"]
# Around blocks, around chunks, and one to nine chunks: each number of them is a tree of another shape.
SIZES = sorted(
    {
        *(blocks * BLOCK + more for blocks in (1, 2, 15) for more in (-1, 0, 1)),
        *(chunks * CHUNK + more for chunks in range(1, 10) for more in (-1, 0, 1, BLOCK)),
    }
)


def ramp(size: int) -> bytes:
    """The input of the vectors: 0, 1, ..., 250, 0, 1, ..."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("case", of_kind("blake3"))
def test_vectors_of_the_authors(case: Any) -> None:
    data = ramp(case["size"])
    assert blake3(data).hex() == case["hash"]
    assert derive_key(CONTEXT, data).hex() == case["derive_key"]


def test_a_context_is_hashed_once_and_serves_many_keys() -> None:
    cases = load(FOLDER / "blake3.json")["vectors"][:5]
    derive = key_deriver(CONTEXT)
    for _ in range(2):
        assert [derive(ramp(case["size"])).hex() for case in cases] == [case["derive_key"] for case in cases]


def test_contexts_matter_and_so_does_their_last_letter() -> None:
    keys = {derive_key(context, b"material") for context in ("", "a", "b", "ab", "é", "a" * 64, "a" * 65, "a" * 2000)}
    assert len(keys) == 8
    assert blake3(b"material") not in keys


def test_every_byte_of_the_input_counts() -> None:
    data = bytes(2 * CHUNK + 1)
    seen = {blake3(data)}
    for at in (0, BLOCK - 1, BLOCK, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK):
        seen.add(blake3(data[:at] + b"\1" + data[at + 1 :]))
    seen |= {blake3(bytes(size)) for size in range(BLOCK + 2)}  # zeros at the end are no padding
    assert len(seen) == 8 + BLOCK + 2


def test_trees_of_every_shape_agree_with_the_package_of_the_authors() -> None:
    package = pytest.importorskip("blake3", reason="the package blake3 is a second opinion")
    for size in SIZES:
        data = ramp(size)
        assert blake3(data) == package.blake3(data).digest(), size
        assert derive_key("some context", data) == package.blake3(data, derive_key_context="some context").digest()
