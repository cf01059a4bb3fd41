"""What is not a handshake: one that ends early, one with changed bytes, and noise.

A dialogue answers with a request, waits for more, or raises a PyssError; nothing else may come out of it, and
it may not keep more than its limit.
"""

from __future__ import annotations

from typing import Any

import pytest
from helpers.codecs import FEW_2017, FEW_2022, cut, flipped, masks
from helpers.dialogues import ACCEPTED, ACCOUNTS, REFUSED, SEALED, Case, Memory, named, proxy, server
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address
from pyss.errors import Disconnected, ProtocolError, PyssError
from pyss.protocol.dialogue import LIMIT, Dialogue

ANYTHING = {"mixed": proxy(), "mixed-password": proxy(ACCOUNTS)}
SERVERS = {name: server(name) for name in (*FEW_2017, *FEW_2022)}
READ = 16 * 1024  # of a session that greets


@pytest.mark.parametrize(**named(ACCEPTED))
def test_every_prefix_waits_and_its_end_is_disconnected(case: Case) -> None:
    for size in range(len(case.wire)):
        io: Dialogue[Any] = Dialogue(case.script(Memory()))
        if 0 < size < case.first:
            with pytest.raises(ProtocolError, match="too short"):
                io.feed(case.wire[:size])
        elif size:
            assert not io.feed(case.wire[:size])
        assert case.replies.startswith(io.replies())
        with pytest.raises(Disconnected):
            io.end()


@pytest.mark.parametrize(**named(ACCEPTED))
def test_every_prefix_may_end_byte_by_byte(case: Case) -> None:
    """The same with the first bytes in one read and the others one by one."""
    io: Dialogue[Any] = Dialogue(case.script(Memory()))
    for at in range(case.first, len(case.wire)):
        piece = case.wire[: case.first] if at == case.first else case.wire[at - 1 : at]
        assert not io.feed(piece)
        with pytest.raises(Disconnected):
            io.end()


@pytest.mark.parametrize(**named(SEALED))
def test_every_changed_byte_of_a_sealed_handshake_is_refused(case: Case) -> None:
    """Or, behind the handshake, good chunks are delivered and then the stream is faulty; never wrong plaintext."""
    whole = case.wire + case.behind
    for at, mask in zip(range(len(whole)), masks()):
        outcome = case.run([flipped(whole, at, mask)])
        assert outcome.replies == b""
        if outcome.status == "ok":
            assert at >= len(case.wire)
            assert outcome.fault == "bad-tag"
            assert case.target is not None
            assert outcome.target == case.target.wire
            assert case.payload.startswith(outcome.delivered)
            assert outcome.delivered != case.payload
        else:
            assert at < len(case.wire)
            assert outcome.status == "bad-tag"


@pytest.mark.parametrize(**named(ACCEPTED))
def test_every_changed_byte_gives_an_answer_or_an_error_of_ours(case: Case) -> None:
    for at in range(len(case.wire)):
        changed = [flipped(case.wire, at, mask) for mask in (0x01, 0xFF)]
        for wire in (*changed, case.wire[:at] + case.wire[at + 1 :]):
            assert case.run([wire]).status != "error"


@given(st.sampled_from(sorted(ANYTHING)), st.binary(max_size=300), st.lists(st.integers(1, 299), max_size=5))
def test_noise_into_the_proxy(name: str, data: bytes, points: list[int]) -> None:
    for first in (b"", b"\x05", b"\x04", b"C"):
        whole = first + data
        Case(name, ANYTHING[name], whole).run(cut(whole, points))


@given(st.sampled_from(ACCEPTED + REFUSED), st.data())
def test_noise_behind_a_beginning(case: Case, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(case.wire)))
    noise = data.draw(st.binary(min_size=1, max_size=80))
    whole = case.wire[:kept] + noise
    one = case.run([whole])
    two = case.run(cut(whole, [point for point in [data.draw(st.integers(1, len(whole)))] if point >= case.first]))
    if len(whole) >= case.first:
        assert one == two


@given(st.sampled_from(sorted(SERVERS)), st.binary(min_size=60, max_size=400))
def test_noise_into_a_server_is_refused_without_a_word(name: str, data: bytes) -> None:
    outcome = Case(name, SERVERS[name], data).run([data])
    assert outcome.status in ("bad-tag", "waiting")
    assert outcome.replies == b""
    assert outcome.remembered == 0


@given(st.binary(max_size=300))
def test_noise_into_a_server_without_a_cipher(data: bytes) -> None:
    outcome = Case("none", server("none"), data).run([data])
    if outcome.status == "ok":
        assert Address.parse(outcome.target) is not None


ENDLESS = {
    "socks5-methods": b"\x05\xff",
    "socks4-user": b"\x04\x01\x00\x50\x01\x02\x03\x04",
    "socks4a-name": b"\x04\x01\x00\x50\x00\x00\x00\x01user\0",
    "http-request-line": b"CONNECT ",
    "http-header": b"CONNECT example.org:80 HTTP/1.1\r\nX: ",
}


@pytest.mark.parametrize("name", sorted(ENDLESS))
def test_what_never_ends_is_refused_within_the_limit(name: str) -> None:
    io: Dialogue[Any] = Dialogue(proxy()(Memory()))
    io.feed(ENDLESS[name])
    with pytest.raises(PyssError):
        for _ in range(LIMIT // READ + 1):
            assert not io.feed(b"a" * READ)


@pytest.mark.parametrize("name", ["none", "aes-128-gcm", "2022-blake3-aes-128-gcm"])
def test_a_server_does_not_keep_noise(name: str) -> None:
    io: Dialogue[Any] = Dialogue(server(name)(Memory()))
    with pytest.raises(PyssError):
        for _ in range(LIMIT // READ + 2):
            io.feed(b"\xaa" * READ)
