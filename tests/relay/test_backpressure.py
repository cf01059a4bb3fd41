"""A reader that stalls stops the reads at the source: at most one scratch-full waits, and all goes on afterwards."""

from __future__ import annotations

import socket
from typing import Any, Callable

import pytest
from helpers.relay import HOST, PATIENT, SELECTORS, RunningRelay, SelectorFactory, relay
from helpers.streaming import METHODS, Mailbox, Shrink, every_selector, small_buffers
from helpers.traffic import Background, receive_digest, send_blocks, socks5_connect, target

from pyss.net.loop import READ, WRITE
from pyss.relay.pump import Pump
from pyss.relay.session import Session

MIB = 1024 * 1024
MUCH = MIB  # more than all small buffers between the two ends hold


def stalled(pump: Pump) -> bool:
    """Something is pending; then it is bounded, and the source is not read."""
    if not pump.pending:
        return False
    assert len(pump.pending) <= len(pump.loop.tx)
    assert not pump.source.events & READ
    assert pump.sink.events & WRITE
    return True


def every_session(running: RunningRelay) -> list[Session]:
    assert running.local is not None and running.server is not None
    return [*running.local.sessions, *running.server.sessions]


def stall(running: RunningRelay, way: Callable[[Session], Any]) -> None:
    """Wait until the pumps of one way are stalled at both relays, and carry nothing for twenty turns of the loop."""
    counts: list[list[int]] = []

    def everywhere() -> bool:
        pumps = [way(session) for session in every_session(running)]
        if len(pumps) != 2 or not all(pump is not None and stalled(pump) for pump in pumps):
            counts.clear()
            return False
        counts.append([pump.count for pump in pumps])
        if counts[-1] != counts[0]:
            counts.clear()
        return len(counts) > 20

    running.thread.until(everywhere)


@pytest.mark.parametrize(
    ("selector", "method"),
    [(selector, "chacha20-ietf-poly1305") for selector in SELECTORS.values()]
    + [(SELECTORS["default"], method) for method in METHODS if method != "chacha20-ietf-poly1305"],
    ids=[*SELECTORS, *(method for method in METHODS if method != "chacha20-ietf-poly1305")],
)
def test_a_stalled_client_stops_the_target(selector: SelectorFactory, method: str, shrink: Shrink) -> None:
    def serve(sock: socket.socket) -> str:
        small_buffers(sock)
        return send_blocks(sock, MUCH, b"down")

    with relay(selector, method=method) as running, target(serve) as server:
        shrink(running)
        with socks5_connect(running.local_port, server.port) as client:
            small_buffers(client)
            stall(running, lambda session: session.down)
            digest = receive_digest(client, MUCH)
            assert client.recv(1) == b""
        running.until_idle()
    assert server.results == [digest]


@every_selector
def test_a_stalled_target_stops_the_client(selector: SelectorFactory, shrink: Shrink) -> None:
    go_on = Mailbox()

    def serve(sock: socket.socket) -> str:
        small_buffers(sock)
        go_on.get()
        return receive_digest(sock, MUCH)

    with relay(selector, method="chacha20-ietf-poly1305") as running, target(serve) as server:
        shrink(running)
        with socks5_connect(running.local_port, server.port) as client:
            small_buffers(client)
            sending = Background(lambda: send_blocks(client, MUCH, b"up"))
            stall(running, lambda session: session.up)
            go_on.put(None)
            digest = sending.result()
            assert client.recv(1) == b""
        running.until_idle()
    assert server.results == [digest]


@every_selector
def test_one_stalled_direction_does_not_hold_up_the_other(selector: SelectorFactory, shrink: Shrink) -> None:
    heard = Mailbox()

    def serve(sock: socket.socket) -> object:
        small_buffers(sock)
        sending = Background(lambda: send_blocks(sock, MUCH, b"down"))
        heard.put(receive_digest(sock, MUCH))
        return sending.result()

    with relay(selector, method="chacha20-ietf-poly1305") as running, target(serve) as server:
        shrink(running)
        with socks5_connect(running.local_port, server.port) as client:
            small_buffers(client)
            running.thread.until(lambda: any(s.down is not None and stalled(s.down) for s in every_session(running)))
            sent = send_blocks(client, MUCH, b"up")
            assert heard.get() == sent
            digest = receive_digest(client, MUCH)
        running.until_idle()
    assert server.results == [digest]


@every_selector
def test_what_a_client_pipelines_while_its_target_is_dialed_stays_in_the_kernel(selector: SelectorFactory) -> None:
    class Silent:
        def resolve(self, host: str, port: int, done: object) -> Silent:
            return self

        def cancel(self) -> None:
            pass

    with relay(
        selector, direct=True, with_server=False, names=Silent()
    ) as running, socket.create_connection((HOST, running.local_port), PATIENT) as client:
        request = b"\x05\x01\x00\x05\x01\x00\x03\x0cslow.example\x00\x50"
        client.setblocking(False)
        assert client.send(request + bytes(MIB)) > 32 * 1024
        assert running.local is not None
        sessions = running.local.sessions
        running.thread.until(lambda: any(session.dialing for session in sessions))
        try:
            while True:
                client.send(bytes(65536))
        except BlockingIOError:
            pass
        running.thread.until(lambda: all(not session.client.events for session in sessions))
        held = running.thread.call(lambda: [s.request.payload for s in sessions if s.request is not None])
        assert [len(payload) <= 16 * 1024 for payload in held] == [True]
