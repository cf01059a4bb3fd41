"""Dials under test: names by hand, every socket that was opened, and an address that never answers."""

from __future__ import annotations

import socket
from typing import Any, Callable, Optional

from helpers.looping import HOST, Wires, turn
from pyss.address import Address
from pyss.errors import DialError, PyssError
from pyss.net import dialer as module
from pyss.net.channel import Channel
from pyss.net.dialer import Dial, Dialer, Endpoint, Permit
from pyss.net.loop import Loop

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6

Answer = Callable[[list[Endpoint], Optional[DialError]], None]


class Flight:
    def __init__(self, done: Answer) -> None:
        self.done = done
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Names:
    """In place of the resolver: it answers when the test says so, also what was cancelled."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.flights: list[Flight] = []

    def resolve(self, host: str, port: int, done: Answer) -> Flight:
        self.asked.append((host, port))
        self.flights.append(Flight(done))
        return self.flights[-1]

    def answer(self, *endpoints: Endpoint, error: Optional[DialError] = None) -> None:
        self.flights.pop(0).done(list(endpoints), error)


class Site:
    """A dialer, what it came to, and the sockets it opened, in their order with their addresses."""

    def __init__(self, loop: Loop, wires: Wires, monkeypatch: Any) -> None:
        self.loop, self.wires = loop, wires
        self.names = Names()
        self.results: list[tuple[Optional[Channel], Optional[PyssError]]] = []
        self.opened: list[Any] = []
        self.tried: list[Any] = []
        new_stream, connect = module.new_stream, module.connect

        def noting_stream(family: int) -> Any:
            sock = new_stream(family)
            self.opened.append(sock)
            return sock

        def noting_connect(sock: Any, address: Any) -> int:
            self.tried.append(address)
            return connect(sock, address)

        monkeypatch.setattr(module, "new_stream", noting_stream)
        monkeypatch.setattr(module, "connect", noting_connect)

    def done(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        self.results.append((channel, error))

    def dial(self, host: str, port: int = 80, permit: Optional[Permit] = None) -> Dial:
        dial = Dialer(self.loop, self.names, permit).dial(Address.of(host, port), self.done)
        assert not self.results  # never out of dial()
        return dial

    def dial_name(self, *endpoints: Endpoint, permit: Optional[Permit] = None) -> Dial:
        """Of a name that has these addresses."""
        dial = self.dial("example.com", permit=permit)
        self.names.answer(*endpoints)
        assert not self.results
        return dial

    def channel(self) -> Channel:
        """Wait for the connection."""
        turn(self.loop, lambda: self.results)
        ((channel, error),) = self.results
        assert error is None
        assert channel is not None
        return channel

    def error(self) -> PyssError:
        """Wait for the failure."""
        turn(self.loop, lambda: self.results)
        ((channel, error),) = self.results
        assert channel is None
        assert error is not None
        return error

    def open_sockets(self) -> list[Any]:
        self.loop.tick(0)
        return [sock for sock in self.opened if sock.fileno() != -1]

    def end(self) -> None:
        """One answer at most, and only what was handed over is still open."""
        for _ in range(3):
            self.loop.tick(0)
        assert len(self.results) <= 1
        handed_over = [channel.sock for channel, _ in self.results if channel is not None]
        left = [sock for sock in self.open_sockets() if sock not in handed_over]
        for sock in self.opened:
            sock.close()
        assert left == []
        assert self.loop.timers.pop_due(0) is None
        assert len(self.loop.timers) == 0

    # --- addresses -------------------------------------------------------------------------------
    def listening(self) -> tuple[socket.socket, Endpoint]:
        """One that answers."""
        sock = self.wires.listening()
        return sock, (IPV4, sock.getsockname())

    def refusing(self) -> Endpoint:
        return IPV4, (HOST, self.wires.closed_port())

    def silent(self) -> tuple[socket.socket, Endpoint]:
        """One whose queue is full: Linux drops what comes, until somebody accepts."""
        sock = self.wires.listening(backlog=0)
        for _ in range(8):
            filler = self.wires.keep(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
            try:
                filler.getpeername()
            except OSError:
                filler.close()
                return sock, (IPV4, sock.getsockname())
        raise AssertionError("the queue is never full")
