"""Both codecs, both directions, however the bytes are cut: plaintext, fault and what is kept never depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

import pytest
from helpers import reference_codec as reference
from helpers.codecs import (
    FEW_2017,
    FEW_2022,
    NOW,
    bytes_of,
    cut,
    every_split,
    flipped,
    in_pieces_of,
    keyring_of,
    password_of,
    run,
)
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address
from pyss.errors import Truncated
from pyss.protocol.aead import SMALL, Opener, Sealer
from pyss.protocol.aead2022 import RequestOpener, RequestSealer, ResponseOpener, ResponseSealer
from pyss.protocol.transform import Transform

TARGET = Address.of("example.org", 80)
NO_LEAD = b""


def salt_of(name: str, seed: str = "peer") -> bytes:
    return bytes_of(seed, reference.SIZES[name])


def key_of(name: str) -> bytes:
    return reference.key_of(name, password_of(name))


class Way(NamedTuple):
    """One direction of one codec.

    opener  a fresh one
    write   the reference's stream of these chunks, as that opener reads it
    sealer  a fresh one
    read    the reference's plaintext of what that sealer wrote
    lead    plaintext before the first payload
    """

    opener: Callable[[], Transform]
    write: Callable[[Sequence[bytes]], bytes]
    sealer: Callable[[], Transform]
    read: Callable[[bytes], bytes]
    lead: bytes


def way_2017(name: str, lead: bytes) -> Way:
    return Way(
        lambda: Opener(keyring_of(name)),
        lambda chunks: reference.write_2017(name, key_of(name), salt_of(name), chunks),
        lambda: Sealer(keyring_of(name), lead),
        lambda wire: b"".join(reference.read_2017(name, key_of(name), wire)),
        lead,
    )


def request_2022(name: str) -> Way:
    def opener() -> Transform:
        keyring = keyring_of(name)
        return RequestOpener(keyring, keyring.session(salt_of(name)))

    def write(chunks: Sequence[bytes]) -> bytes:
        """Behind both headers, which the handshake takes."""
        headers = reference.write_request_2022(name, key_of(name), salt_of(name), NOW, TARGET.wire, padding=b"x")
        whole = reference.write_request_2022(
            name, key_of(name), salt_of(name), NOW, TARGET.wire, padding=b"x", chunks=chunks
        )
        return whole[len(headers) :]

    def read(wire: bytes) -> bytes:
        parts = reference.read_request_2022(name, key_of(name), wire)
        return parts.address + parts.initial + b"".join(parts.chunks)

    return Way(opener, write, lambda: RequestSealer(keyring_of(name), TARGET.wire), read, TARGET.wire)


def response_2022(name: str) -> Way:
    request = RequestSealer(keyring_of(name, entropy=lambda size: salt_of(name, "request")[:size]), TARGET.wire)
    run(request, [b"question"])

    def opener() -> Transform:
        return ResponseOpener(keyring_of(name), request)

    def write(chunks: Sequence[bytes]) -> bytes:
        return reference.write_response_2022(name, key_of(name), salt_of(name), NOW, salt_of(name, "request"), chunks)

    def read(wire: bytes) -> bytes:
        return b"".join(reference.read_response_2022(name, key_of(name), wire)[2])

    return Way(opener, write, lambda: ResponseSealer(keyring_of(name), salt_of(name, "request")), read, NO_LEAD)


WAYS = {
    **{f"{name}-up": way_2017(name, TARGET.wire) for name in FEW_2017},
    **{f"{name}-down": way_2017(name, NO_LEAD) for name in FEW_2017},
    **{f"{name}-request": request_2022(name) for name in FEW_2022},
    **{f"{name}-response": response_2022(name) for name in FEW_2022},
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
QUICKER = {name: way for name, way in WAYS.items() if "chacha" in name}
SMALL_STREAM = [b"first", b"s", b"\0\x05" + bytes_of(1, 20)]


def end_of(transform: Transform) -> str:
    """How the stream ends if no byte follows."""
    try:
        assert transform.finish() == b""
    except Truncated:
        return "truncated"
    return "clean"


# --- opening -------------------------------------------------------------------------------------
@EVERY_WAY
def test_every_split_of_a_stream(way: Way) -> None:
    wire = way.write(SMALL_STREAM)
    for pieces in every_split(wire):
        opener = way.opener()
        passed = run(opener, pieces)
        assert (passed.data, passed.fault) == (b"".join(SMALL_STREAM), None)
        assert opener.residue == b""
        assert end_of(opener) == "clean"


@EVERY_WAY
def test_every_split_in_three(way: Way) -> None:
    """So that a residue grows, and is followed by a chunk that comes whole."""
    wire = way.write([b"a", b"bc"])
    for first in range(1, len(wire), 5):
        for second in range(first + 1, len(wire), 11):
            passed = run(way.opener(), cut(wire, [first, second]))
            assert (passed.data, passed.fault) == (b"abc", None)


@pytest.mark.parametrize("way", QUICKER.values(), ids=QUICKER)
@pytest.mark.parametrize("kind", ["tag", "empty", "length"])
def test_every_split_of_a_faulty_stream(way: Way, kind: str) -> None:
    """What was good is delivered, and the fault is the same."""
    good = [b"first", b"s"]
    start = len(way.write(good))
    if kind == "tag":
        wire, status = flipped(way.write([*good, b"third"]), start + 20), "bad-tag"
    elif kind == "length":
        wire, status = flipped(way.write([*good, b"third"]), start), "bad-tag"
    else:
        wire, status = way.write([*good, b"", b"fourth"]), "bad-header"
    for pieces in every_split(wire):
        opener = way.opener()
        passed = run(opener, pieces)
        assert (passed.data, passed.status) == (b"firsts", status)
        assert opener.residue == b""


@EVERY_WAY
def test_every_truncation_of_a_stream(way: Way) -> None:
    wire = way.write([b"a", b"bc"])
    for size in range(1, len(wire)):
        whole, bytewise = way.opener(), way.opener()
        one = run(whole, [wire[:size]])
        many = run(bytewise, in_pieces_of(wire[:size], 1))
        assert one.data == many.data
        assert b"abc".startswith(one.data)
        assert one.fault is None and many.fault is None
        assert end_of(whole) == end_of(bytewise)
        assert whole.residue == bytewise.residue


SIZES = st.one_of(st.integers(1, 60), st.sampled_from([SMALL - 34, SMALL, SMALL + 1, 0x3FFE, 0x3FFF]))
READS = st.one_of(st.integers(1, 80), st.sampled_from([SMALL, SMALL + 1, 0x3FFF, 70_000]))


@given(st.sampled_from(sorted(WAYS)), st.lists(SIZES, min_size=1, max_size=5), st.lists(READS, min_size=1, max_size=8))
def test_chunks_of_any_size_in_reads_of_any_size(name: str, sizes: list[int], reads: list[int]) -> None:
    way = WAYS[name]
    if "aes" in name:  # slow in Python alone
        sizes = [min(size, 200) for size in sizes]
    chunks = [bytes_of(number, size) for number, size in enumerate(sizes)]
    wire = way.write(chunks)
    points, at = [], 0
    while at < len(wire) and len(points) < 400:
        at += reads[len(points) % len(reads)]
        points.append(at)
    opener = way.opener()
    passed = run(opener, cut(wire, points))
    assert (passed.data, passed.fault) == (b"".join(chunks), None)
    assert end_of(opener) == "clean"


@given(st.sampled_from(sorted(WAYS)), st.data())
def test_a_changed_byte_wherever_it_is_cut(name: str, data: st.DataObject) -> None:
    way = WAYS[name]
    wire = way.write(SMALL_STREAM)
    at = data.draw(st.integers(0, len(wire) - 1))
    changed = flipped(wire, at, data.draw(st.integers(1, 255)))
    whole = run(way.opener(), [changed])
    pieces = run(way.opener(), cut(changed, data.draw(st.lists(st.integers(1, len(wire)), max_size=6))))
    assert (whole.data, whole.status) == (pieces.data, pieces.status)
    assert whole.status == "bad-tag"
    plain = b"".join(SMALL_STREAM)
    assert plain.startswith(whole.data) and whole.data != plain


# --- sealing -------------------------------------------------------------------------------------
@EVERY_WAY
def test_every_split_of_what_is_sealed(way: Way) -> None:
    plain = b"".join(SMALL_STREAM)
    for pieces in every_split(plain):
        passed = run(way.sealer(), pieces)
        assert way.read(passed.data) == way.lead + plain
        assert all(passed.outputs)  # every read leaves at once


@given(st.sampled_from(sorted(WAYS)), st.lists(SIZES, min_size=1, max_size=6))
def test_sealing_reads_of_any_size(name: str, sizes: list[int]) -> None:
    way = WAYS[name]
    if "aes" in name:
        sizes = [min(size, 200) for size in sizes]
    pieces = [bytes_of(number, size) for number, size in enumerate(sizes)]
    assert way.read(run(way.sealer(), pieces).data) == way.lead + b"".join(pieces)
