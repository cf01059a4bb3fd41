"""Streams without authentication: an IV, then text; every split, each end, and what a server makes of a start."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.codecs import Salts, every_split, keyring_of
from helpers.dialogues import MONOTONIC, NAME

from pyss.crypto.methods import METHODS, Family
from pyss.errors import PyssError, Replayed, Truncated
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.replay import SaltFilter2017
from pyss.protocol.request import Request
from pyss.protocol.shadowsocks import client_transforms, server_script
from pyss.protocol.stream import StreamOpener, StreamSealer

STREAM_METHODS = [name for name, method in METHODS.items() if method.family is Family.STREAM]
FEW = ["aes-128-cfb", "rc4-md5", "chacha20-ietf", "table", "rc4"]  # sizes of IVs from 0 to 16
TX = memoryview(bytearray(1 << 17))

every_method = pytest.mark.parametrize("name", STREAM_METHODS)


def apply(transform: Any, data: bytes) -> bytes:
    """As a pump does it: the residue first."""
    whole = transform.residue + data
    return bytes(transform.apply(memoryview(whole), len(whole), TX))


def plain(name: str, iv: bytes, text: bytes) -> bytes:
    """What the cipher itself makes of a stream."""
    return bytes(keyring_of(name).stream(iv, encrypting=False).update(text))


def dialogue(name: str, memory: SaltFilter2017) -> Dialogue[Request]:
    return Dialogue(server_script(keyring_of(name), memory, lambda: MONOTONIC))


@every_method
def test_the_iv_comes_first_then_the_address_then_the_text(name: str) -> None:
    salts = Salts()
    sealer, opener = client_transforms(keyring_of(name, entropy=salts), NAME)
    assert isinstance(sealer, StreamSealer) and isinstance(opener, StreamOpener)
    wire = apply(sealer, b"first ") + apply(sealer, b"second")
    (iv,) = salts.given
    assert len(iv) == METHODS[name].salt_size and wire.startswith(iv)
    assert plain(name, iv, wire[len(iv) :]) == NAME.wire + b"first second"
    assert sealer.finish() == b""


@every_method
def test_a_client_that_says_nothing_still_names_its_target(name: str) -> None:
    salts = Salts()
    sealer, _ = client_transforms(keyring_of(name, entropy=salts), NAME)
    wire = sealer.finish()
    size = METHODS[name].salt_size
    assert plain(name, wire[:size], wire[size:]) == NAME.wire
    assert sealer.finish() == b""


@pytest.mark.parametrize("name", FEW)
def test_a_server_reads_a_request_at_every_split(name: str) -> None:
    sealer, _ = client_transforms(keyring_of(name), NAME)
    wire = apply(sealer, b"payload")
    for pieces in every_split(wire):
        io = dialogue(name, SaltFilter2017())
        said = iter(pieces)
        while not io.feed(next(said)):
            assert io.replies() == b""
        request = io.result
        assert request is not None and request.target == NAME
        assert request.upstream is not None
        got = request.payload + b"".join(apply(request.upstream, piece) for piece in said)
        assert got == b"payload"


@every_method
def test_the_answer_has_an_iv_of_its_own(name: str) -> None:
    sealer, opener = client_transforms(keyring_of(name), NAME)
    io = dialogue(name, SaltFilter2017())
    assert io.feed(apply(sealer, b"?"))
    assert io.result is not None and io.result.downstream is not None
    wire = apply(io.result.downstream, b"an ") + apply(io.result.downstream, b"answer")
    assert len(wire) == METHODS[name].salt_size + 9
    assert b"".join(apply(opener, wire[at : at + 1]) for at in range(len(wire))) == b"an answer"
    assert opener.finish() == b""


@pytest.mark.parametrize("name", [name for name in STREAM_METHODS if METHODS[name].salt_size])
def test_an_answer_that_ends_inside_its_iv_was_cut(name: str) -> None:
    _, opener = client_transforms(keyring_of(name), NAME)
    assert opener.finish() == b""  # no byte at all is an empty answer
    assert apply(opener, b"\0" * (METHODS[name].salt_size - 1)) == b""
    with pytest.raises(Truncated):
        opener.finish()


@pytest.mark.parametrize("name", [name for name in FEW if METHODS[name].salt_size])
def test_a_recording_is_refused_and_so_is_what_the_server_itself_has_said(name: str) -> None:
    memory = SaltFilter2017()
    sealer, _ = client_transforms(keyring_of(name, entropy=Salts("client")), NAME)
    wire = apply(sealer, b"payload")
    io = dialogue(name, memory)
    assert io.feed(wire)
    with pytest.raises(Replayed):
        dialogue(name, memory).feed(wire)
    assert io.result is not None and io.result.downstream is not None
    reflected = apply(io.result.downstream, NAME.wire + b"sent back")
    with pytest.raises(Replayed):
        dialogue(name, memory).feed(reflected)


@pytest.mark.parametrize("name", FEW)
def test_noise_ends_as_a_refusal_or_waits_and_is_never_answered(name: str) -> None:
    refused = 0
    for number in range(200):
        io = dialogue(name, SaltFilter2017())
        try:
            io.feed(Salts(number)(100))
        except PyssError:
            refused += 1
        assert io.replies() == b""
    assert refused > 150  # most first bytes are no type of address


def test_a_password_is_the_key_of_table() -> None:
    keyring = keyring_of("table")
    other = keyring_of("table")
    other._key = b"another password"
    assert keyring.stream(b"", encrypting=True).update(b"text") != other.stream(b"", encrypting=True).update(b"text")
