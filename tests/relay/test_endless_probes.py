"""Probers that never stop sending: at the deadline they too see FIN and no RST, and nobody else waits for them."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
from helpers.forging import METHOD_2022, connect, port_of
from helpers.relay import SelectorFactory, relay

from pyss.relay.service import Limits


class NeverEmpty:
    """A server's socket whose peer sends on whenever all was read, at the worst of all moments."""

    def __init__(self, sock: Any, peer: socket.socket) -> None:
        self._sock = sock
        self._peer = peer
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv_into(self, room: memoryview) -> int:
        self.reads += 1
        assert self.reads < 1000, "the loop is held up"
        try:
            size = int(self._sock.recv_into(room))
        finally:
            self._peer.sendall(b"more")
            select.select([self._sock], [], [], 10)
        return size


@pytest.mark.parametrize("probe", [b"x", bytes(100)], ids=["unfinished", "refused"])
def test_a_prober_that_never_stops_sees_fin(probe: bytes, selector: SelectorFactory) -> None:
    with relay(selector, method=METHOD_2022, with_local=False, limits=Limits(greeting=0.25)) as running:
        assert running.server is not None
        sessions = running.server.sessions
        with connect(running.server_port) as prober:
            prober.sendall(probe)
            running.log.wait_for(f"draining .*:{port_of(prober)}")

            def wrap() -> None:
                (session,) = sessions
                session.loop.watch(session.client, 0)  # only the end reads, with the wrapped socket
                session.client.sock = NeverEmpty(session.client.sock, prober)  # type: ignore[assignment]

            running.thread.call(wrap)
            assert prober.recv(1) == b""
        running.until_idle()
