"""The handshakes of a Shadowsocks server: both ends understand each other; replays, reflection, AEAD-2017."""

from __future__ import annotations

import pytest
from helpers import reference_codec as reference
from helpers.codecs import (
    FEW_2017,
    FEW_2022,
    METHODS_2017,
    METHODS_2022,
    NOW,
    Salts,
    bytes_of,
    in_pieces_of,
    keyring_of,
    run,
)
from helpers.dialogues import MONOTONIC, NAME, V4, V6
from helpers.served import accepted, dialogue, memory_for, refused, request_2022, stream_2017, variable_2022

from pyss.address import Address
from pyss.crypto.methods import METHODS
from pyss.protocol.aead import Opener
from pyss.protocol.aead2022 import RequestOpener, ResponseSealer
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.shadowsocks import RememberingSealer, client_transforms, server_script
from pyss.protocol.transform import Plain


# --- both ends -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("target", [V4, NAME, V6], ids=str)
def test_client_and_server_understand_each_other(name: str, target: Address) -> None:
    """The server's answer is sealed by what its handshake returned, and opened by the client."""
    client_keyring = keyring_of(name, entropy=Salts("client"))
    seal, unseal = client_transforms(client_keyring, target)
    question = [b"first", bytes_of(1, 3000), b"last"]
    wire = run(seal, question).outputs
    request = accepted(dialogue(name), wire[0])
    assert request.target == target
    upstream = request.upstream or Plain()
    assert request.payload + run(upstream, wire[1:]).data == b"".join(question)
    answer = [b"answer", bytes_of(2, 3000), b"end"]
    sealed = run(request.downstream or Plain(), answer).data
    assert run(unseal, in_pieces_of(sealed, 700)).data == b"".join(answer)
    assert unseal.finish() == b""
    assert upstream.finish() == b""


@pytest.mark.parametrize("name", METHODS)
def test_a_client_that_says_nothing_names_its_target(name: str) -> None:
    seal, _ = client_transforms(keyring_of(name), NAME)
    request = accepted(dialogue(name), seal.finish())
    assert (request.target, request.payload) == (NAME, b"")


def test_the_family_chooses_the_codec() -> None:
    request = accepted(dialogue(FEW_2017[0]), stream_2017(FEW_2017[0], [NAME.wire]))
    assert type(request.upstream) is Opener
    assert type(request.downstream) is RememberingSealer
    request = accepted(dialogue(FEW_2022[0]), request_2022(FEW_2022[0]))
    assert type(request.upstream) is RequestOpener
    assert type(request.downstream) is ResponseSealer
    request = accepted(dialogue("none"), NAME.wire)
    assert request.upstream is None and request.downstream is None


@pytest.mark.parametrize("name", METHODS_2017 + METHODS_2022)
def test_another_password_is_a_bad_tag(name: str) -> None:
    memory = memory_for(name)
    seal, _ = client_transforms(keyring_of(name), NAME)
    wire = run(seal, [b"payload"]).data
    server = keyring_of(name)
    server._key = bytes(len(server._key))
    io = Dialogue(server_script(server, memory, lambda: MONOTONIC))
    assert refused(io, wire) == "bad-tag"
    assert len(memory) == 0


# --- replays and reflection ----------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2017 + METHODS_2022)
def test_a_recording_is_refused(name: str) -> None:
    memory = memory_for(name)
    seal, _ = client_transforms(keyring_of(name), NAME)
    wire = run(seal, [b"payload"]).data
    accepted(dialogue(name, memory), wire)
    assert len(memory) == 1
    assert refused(dialogue(name, memory), wire) == "replay"
    assert len(memory) == 1


@pytest.mark.parametrize("name", FEW_2017 + FEW_2022)
def test_only_what_is_authentic_is_remembered(name: str) -> None:
    memory = memory_for(name)
    for number in range(20):
        assert refused(dialogue(name, memory), bytes_of(number, 200)) == "bad-tag"
    assert len(memory) == 0


@pytest.mark.parametrize("name", FEW_2022)
def test_2022_a_time_that_is_refused_is_not_remembered(name: str) -> None:
    """The same salt is fine when the clock is."""
    memory = memory_for(name)
    assert refused(dialogue(name, memory), request_2022(name, time=NOW + 31)) == "bad-time"
    assert len(memory) == 0
    accepted(dialogue(name, memory), request_2022(name))


@pytest.mark.parametrize("name", METHODS_2017)
def test_2017_what_the_server_said_cannot_be_sent_back(name: str) -> None:
    """An answer of the server looks like a request: it begins with whatever the target chose to send."""
    memory = memory_for(name)
    request = accepted(dialogue(name, memory), stream_2017(name, [NAME.wire]))
    assert request.downstream is not None
    answer = run(request.downstream, [V4.wire + b"attack", b"more"])
    assert len(memory) == 2
    assert answer.data[: reference.SIZES[name]] == request.downstream.salt
    assert refused(dialogue(name, memory), answer.data) == "replay"
    # Without the memory it would be taken for a request.
    assert accepted(dialogue(name), answer.data).target == V4


@pytest.mark.parametrize("name", METHODS_2022)
def test_2022_what_the_server_said_is_of_another_type(name: str) -> None:
    request = accepted(dialogue(name), request_2022(name))
    assert request.downstream is not None
    answer = run(request.downstream, [V4.wire + b"\0\1\0attack"]).data
    # Its header is longer than a request's: cut to fit, it is not authentic; made to fit, its type is wrong.
    assert refused(dialogue(name), answer) == "bad-tag"
    assert refused(dialogue(name), variable_2022(name, V4.wire + b"\0\0x", kind=1)) == "bad-header"


def test_2017_each_answer_has_a_fresh_salt_that_is_remembered_when_it_leaves() -> None:
    name = FEW_2017[0]
    memory = memory_for(name)
    entropy = Salts("server")
    for number in range(5):
        io = dialogue(name, memory, entropy=entropy)
        request = accepted(io, stream_2017(name, [NAME.wire], seed=number))
        assert len(memory) == 2 * number + 1
        assert request.downstream is not None
        run(request.downstream, [b"a", b"b"])
        assert len(memory) == 2 * number + 2
        entropy._seed = number
    assert len(set(entropy.given)) == 5


# --- AEAD-2017 -----------------------------------------------------------------------------------
@pytest.mark.parametrize("sizes", [[1] * 30, [2, 3, 5, 100], [100]])
def test_2017_chunk_borders_mean_nothing(sizes: list[int]) -> None:
    plain = NAME.wire + b"payload"
    chunks, at = [], 0
    for size in sizes:
        chunks.append(plain[at : at + size])
        at += size
    wire = stream_2017(FEW_2017[0], [chunk for chunk in chunks if chunk])
    for size in (1, 20, len(wire)):
        io = dialogue(FEW_2017[0])
        pieces = iter(in_pieces_of(wire, size))
        while not io.feed(next(pieces)):
            pass
        assert io.result is not None and io.result.upstream is not None
        assert io.result.target == NAME
        assert io.result.payload + run(io.result.upstream, pieces).data == b"payload"


@pytest.mark.parametrize("chunk", [b"", bytes(0x4000)], ids=["empty", "too-long"])
def test_2017_a_length_that_is_not_allowed(chunk: bytes) -> None:
    name = FEW_2017[0]
    assert refused(dialogue(name), stream_2017(name, [chunk])) == "bad-header"
    assert refused(dialogue(name), stream_2017(name, [NAME.wire[:3], chunk])) == "bad-header"
    request = accepted(dialogue(name), stream_2017(name, [NAME.wire + b"good", chunk]))
    assert request.payload == b"good"
    assert request.upstream is not None and request.upstream.fault is not None
    assert request.upstream.fault.status == "bad-header"


@pytest.mark.parametrize(
    ("plain", "status"),
    [
        (b"\x00" + bytes(20), "unsupported-address"),
        (b"\x10", "unsupported-address"),  # one-time authentication of the first Shadowsocks
        (b"\x13" + bytes(30), "unsupported-address"),
        (b"\x03\x00", "bad-address"),
        (b"\x03\x03a b\x00\x50", "bad-address"),
        (b"\x03\x02\xff\xfe\x00\x50", "bad-address"),
    ],
)
def test_an_address_that_cannot_be_read(plain: bytes, status: str) -> None:
    for name in FEW_2017:
        assert refused(dialogue(name), stream_2017(name, [plain])) == status
    assert refused(dialogue("none"), plain) == status
    for name in FEW_2022:
        whole = plain.ljust(40, b"\0") if status == "unsupported-address" else plain + b"\0\1x"
        assert refused(dialogue(name), variable_2022(name, whole)) == status
