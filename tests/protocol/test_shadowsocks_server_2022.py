"""The handshake of an AEAD-2022 server (SIP022 section 3.1): time, type, padding, first payload, the first read."""

from __future__ import annotations

import pytest
from helpers.codecs import FEW_2022, NOW, bytes_of, in_pieces_of, run
from helpers.dialogues import NAME, Memory, first_read
from helpers.served import accepted, dialogue, memory_for, refused, request_2022, variable_2022


@pytest.mark.parametrize("name", FEW_2022)
@pytest.mark.parametrize("off", [-30, -1, 0, 1, 30])
def test_2022_within_30_seconds(name: str, off: int) -> None:
    request = accepted(dialogue(name), request_2022(name, time=NOW + off))
    assert (request.target, request.payload) == (NAME, b"payload")


@pytest.mark.parametrize("name", FEW_2022)
@pytest.mark.parametrize("time", [0, NOW - 31, NOW + 31, NOW + 3600, 2**63, 2**64 - 1])
def test_2022_beyond_30_seconds(name: str, time: int) -> None:
    assert refused(dialogue(name), request_2022(name, time=time)) == "bad-time"


@pytest.mark.parametrize("kind", [1, 2, 255])
def test_2022_another_type(kind: int) -> None:
    assert refused(dialogue(FEW_2022[0]), request_2022(FEW_2022[0], kind=kind)) == "bad-header"


ROOM = 0xFFFF - len(NAME.wire) - 2


@pytest.mark.parametrize("padding", [0, 1, 900, 901, ROOM - 7])
def test_2022_padding_and_first_payload(padding: int) -> None:
    name = FEW_2022[0]
    io = dialogue(name)
    request = accepted(io, request_2022(name, padding=bytes(padding), chunks=[b" and ", b"more"]))
    assert (request.target, request.payload) == (NAME, b"payload and more")


@pytest.mark.parametrize("padding", [1, 900, ROOM])
def test_2022_padding_without_payload(padding: int) -> None:
    name = FEW_2022[0]
    request = accepted(dialogue(name), request_2022(name, padding=bytes(padding), initial=b""))
    assert (request.target, request.payload) == (NAME, b"")


@pytest.mark.parametrize(
    "variable",
    [
        b"",
        NAME.wire[:-1],
        NAME.wire,
        NAME.wire + b"\0",
        NAME.wire + b"\0\0",  # neither payload nor padding
        NAME.wire + b"\0\x05" + bytes(4),
        NAME.wire + b"\xff\xff" + bytes(900),
    ],
)
def test_2022_a_header_that_breaks_the_rules(variable: bytes) -> None:
    name = FEW_2022[0]
    memory = memory_for(name)
    assert refused(dialogue(name, memory), variable_2022(name, variable)) == "bad-header"
    assert len(memory) == 1  # it was authentic, and shall not come again


@pytest.mark.parametrize("name", FEW_2022)
def test_2022_every_shorter_first_read_is_refused_alike(name: str) -> None:
    """The sizes differ, what the peer sees does not: no word, one status, nothing remembered."""
    wire = request_2022(name)
    statuses = set()
    for size in range(1, first_read(name)):
        memory = Memory()
        statuses.add(refused(dialogue(name, memory.exact), wire[:size]))
        assert len(memory) == 0
    assert statuses == {"bad-request"}
    assert not dialogue(name).feed(wire[: first_read(name)])


def test_2022_chunks_of_no_bytes_behind_the_headers() -> None:
    name = FEW_2022[0]
    request = accepted(dialogue(name), request_2022(name, chunks=[b" more", b"", b"never"]))
    assert request.payload == b"payload more"
    assert request.upstream is not None and request.upstream.fault is not None
    assert request.upstream.fault.status == "bad-header"


def test_2022_the_largest_chunk_behind_the_headers() -> None:
    name = FEW_2022[0]
    largest = bytes_of("largest", 0xFFFF)
    wire = request_2022(name, chunks=[largest])
    request = accepted(dialogue(name), wire[:16384])
    assert request.upstream is not None
    assert request.payload + run(request.upstream, in_pieces_of(wire[16384:], 16384)).data == b"payload" + largest
