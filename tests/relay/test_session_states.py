"""The states of a session: the table, its picture, and a real session for every arrow."""

from __future__ import annotations

import re
import socket
from typing import Any, Callable, Optional

import pytest
from helpers.datagrams import SocksAssociation, packet_target
from helpers.relay import HOST, PATIENT, RunningRelay, relay
from helpers.streaming import HandMadeClient, reset
from helpers.traffic import Target, echo, receive_exactly, socks5_connect, target

import pyss.relay.session as module
from pyss.address import Address
from pyss.limits import PacketLimits
from pyss.net.channel import Channel
from pyss.relay.service import Limits
from pyss.relay.session import (
    ASSOCIATED,
    CLOSED,
    DIALING,
    DRAINING,
    FORWARDING,
    GREETING,
    HALF_CLOSED,
    STATES,
    STREAMING,
    TRANSITIONS,
    Session,
)

ARROWS = [(source, sink) for source, sinks in TRANSITIONS.items() for sink in sorted(sinks)]


# --- the table -----------------------------------------------------------------------------------
def test_every_state_has_a_name_and_a_row() -> None:
    assert [getattr(module, name) for name in STATES] == list(range(len(STATES))) == sorted(TRANSITIONS)


def test_every_state_can_be_reached_and_left_for_the_end() -> None:
    reached = {GREETING}
    while more := {sink for state in reached for sink in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(TRANSITIONS)
    assert all(CLOSED in sinks for state, sinks in TRANSITIONS.items() if state != CLOSED)
    assert not TRANSITIONS[CLOSED]
    assert not any(GREETING in sinks for sinks in TRANSITIONS.values())


def test_the_picture_and_the_prose_name_every_state() -> None:
    assert module.__doc__ is not None
    picture, prose = module.__doc__.split("\n\n", 2)[1:]
    for name in STATES:
        assert re.search(rf"\b{name}\b", picture), name
        assert re.search(rf"^{name} ", prose, re.MULTILINE), name


@pytest.mark.parametrize("source", range(len(STATES)), ids=STATES)
def test_no_other_way_can_be_taken(source: int) -> None:
    session = Session.__new__(Session)
    for sink in range(len(STATES)):
        session.state = source
        if sink in TRANSITIONS[source]:
            session._enter(sink)
            assert session.state == sink
        else:
            with pytest.raises(RuntimeError, match=f"no way from {STATES[source]} to {STATES[sink]}"):
                session._enter(sink)
            assert session.state == source


# --- a session for every arrow -------------------------------------------------------------------
Play = Callable[[RunningRelay, Target], None]
PLAYS: dict[tuple[int, int], Play] = {}


def play(*arrows: tuple[int, int]) -> Callable[[Play], Play]:
    def add(function: Play) -> Play:
        for arrow in arrows:
            assert arrow not in PLAYS
            PLAYS[arrow] = function
        return function

    return add


@play((GREETING, DIALING), (DIALING, STREAMING), (STREAMING, HALF_CLOSED), (HALF_CLOSED, CLOSED))
def from_beginning_to_end(running: RunningRelay, server: Target) -> None:
    with socks5_connect(running.local_port, server.port) as client:
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


@play((STREAMING, CLOSED))
def a_reset(running: RunningRelay, server: Target) -> None:
    client = socks5_connect(running.local_port, server.port)
    client.sendall(b"hello")
    receive_exactly(client, 5)
    reset(client)


@play((GREETING, CLOSED))
def a_client_that_says_nothing_and_goes(running: RunningRelay, server: Target) -> None:
    socket.create_connection((HOST, running.local_port), PATIENT).close()


@play((GREETING, DRAINING), (DRAINING, CLOSED))
def a_client_that_speaks_something_else(running: RunningRelay, server: Target) -> None:
    with socket.create_connection((HOST, running.local_port), PATIENT) as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        while client.recv(64):
            pass


def _nobody_listens(running: RunningRelay, server: Target, connect: Callable[[int], None]) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        connect(unused.getsockname()[1])


@play((DIALING, DRAINING))
def a_proxys_client_is_told_that_its_target_refused(running: RunningRelay, server: Target) -> None:
    assert running.local is not None
    running.local.outbound = running.server.outbound  # type: ignore[union-attr]

    def connect(port: int) -> None:
        with pytest.raises(AssertionError, match="SOCKS5 reply 5"):
            socks5_connect(running.local_port, port)

    _nobody_listens(running, server, connect)


@play((DIALING, CLOSED))
def a_shadowsocks_client_is_not_told_that_its_target_refused(running: RunningRelay, server: Target) -> None:
    def connect(port: int) -> None:
        with HandMadeClient("aes-256-gcm", running.server_port, port) as client:
            client.send(b"hello")
            with pytest.raises(ConnectionError):
                client.sock.recv(1)

    _nobody_listens(running, server, connect)


class Forward:
    """In place of the relay for plain HTTP: as soon as the client goes on talking, it ends it as told."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def silent(self) -> None:
        self.session.linger()


def on_ready(channel: Channel, mask: int) -> None:
    if channel.sock.recv(64) == b"linger":
        channel.incoming.session.linger()
    else:
        channel.incoming.session.close()


def forward(session: Session, data: bytes, credentials: Any) -> None:
    session.hand_over(on_ready, Forward(session))


def _plain_http(running: RunningRelay, word: bytes) -> None:
    with socket.create_connection((HOST, running.local_port), PATIENT) as client:
        client.sendall(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert running.local is not None
        sessions = running.local.sessions
        running.thread.until(lambda: any(session.state == FORWARDING for session in sessions))
        client.sendall(word)
        assert client.recv(1) == b""


@play((GREETING, FORWARDING), (FORWARDING, CLOSED))
def plain_http_that_ends(running: RunningRelay, server: Target) -> None:
    _plain_http(running, b"end")


@play((FORWARDING, DRAINING))
def plain_http_that_is_answered_to_the_end(running: RunningRelay, server: Target) -> None:
    _plain_http(running, b"linger")


@play((GREETING, ASSOCIATED), (ASSOCIATED, CLOSED))
def datagrams_for_a_while(running: RunningRelay, server: Target) -> None:
    with packet_target() as echoing, SocksAssociation(running.local_port) as client:
        assert client.ask(Address.of(HOST, echoing.port), b"hello") == b"hello"


@pytest.mark.parametrize("arrow", ARROWS, ids=[f"{STATES[source]}-{STATES[sink]}" for source, sink in ARROWS])
def test_every_arrow_is_taken_by_a_real_session(arrow: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []
    enter = Session._enter

    def recorded(session: Session, state: int) -> None:
        before: Optional[int] = session.state
        enter(session, state)
        assert before is not None
        taken.append((before, state))

    monkeypatch.setattr(Session, "_enter", recorded)
    limits = Limits(linger=0.2, greeting=30.0)
    with relay(forward=forward, limits=limits, packets=PacketLimits()) as running, target(echo) as server:
        PLAYS[arrow](running, server)
        running.until_idle()
    assert arrow in taken
    assert all(sink in TRANSITIONS[source] for source, sink in taken)


def test_no_play_is_without_its_arrow() -> None:
    assert set(PLAYS) == set(ARROWS)
