"""Who asks name servers: a loop, servers that can lie, clients, and a look at the end that nothing is left.

    World ──► NameClient ──udp, tcp, tls──► FakeServer

Needs dnspython.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

from helpers.looping import turn
from helpers.nameserver import FakeServer
from helpers.resolving import Asker
from pyss.limits import NameLimits
from pyss.net.loop import Loop
from pyss.net.nameclient import NameClient
from pyss.net.names import Hosts, NameServer

# Long where a test does not wait for its end: a busy machine must not turn one question into two.
LIMITS = NameLimits(deadline=20.0, attempt=10.0, attempts=3, least_ttl=5.0, most_ttl=300.0, names=8, aliases=4)


class Clock:
    """Monotonic seconds that stand still unless they are moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A loop, servers, clients; `end` looks that nothing is left."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.loop = loop
        self.clock = Clock()
        self.hosts_file = folder / "hosts"
        self.faults: list[BaseException] = []
        loop.on_fault = self.faults.append
        self.reports: list[tuple[str, str]] = []
        self._servers: list[FakeServer] = []
        self._clients: list[NameClient] = []

    def server(self, *records: str, context: Optional[ssl.SSLContext] = None) -> FakeServer:
        """It knows `www.example`, and what these records are of."""
        server = FakeServer(self.loop, context)
        for record in ("www.example 60 A 192.0.2.1", *records):
            owner, rest = record.split(maxsplit=1)
            server.zone[owner] = [*server.zone.get(owner, ()), f"{owner}. {rest}"]
        self._servers.append(server)
        return server

    def client(self, *servers: NameServer, limits: NameLimits = LIMITS, **options: Any) -> NameClient:
        self.loop.tick(0)  # so that short limits count from now
        client = NameClient(
            self.loop,
            servers,
            hosts=Hosts(str(self.hosts_file), lambda path: Path(path).read_bytes(), self.clock),
            limits=limits,
            report=lambda level, text: self.reports.append((level, text)),
            clock=self.clock,
            **options,
        )
        self._clients.append(client)
        return client

    def ask(self, client: NameClient, host: str, port: int = 80) -> Asker:
        asker = Asker()
        client.resolve(host, port, asker)
        assert not asker.calls  # never out of resolve()
        return asker

    def answer(self, client: NameClient, host: str, port: int = 80) -> Asker:
        """Ask, and wait."""
        asker = self.ask(client, host, port)
        turn(self.loop, lambda: asker.calls)
        return asker

    def late(self, client: NameClient) -> None:
        """The attempts that are under way have taken too long, as if their time were over."""
        for flight in list(client._flights.values()):
            for lookup in flight.lookups:
                if lookup._timer is not None:
                    lookup._timer.cancel()
                    lookup._late()

    def turn(self, condition: Callable[[], Any]) -> None:
        turn(self.loop, condition)

    def end(self) -> None:
        """Close all; nothing may be left."""
        for client in self._clients:
            client.close()
        for server in self._servers:
            server.close()
        self.loop.tick(0)

    def nothing_is_left(self) -> None:
        assert not self.faults
        for server in self._servers:
            assert not server.faults
        for client in self._clients:
            assert not client._flights
            assert not client._flight_of
            assert not client._of_lookup
        assert not [timer for _, _, timer in self.loop.timers._heap if timer.callback is not None]
        assert len(self.loop._selector.get_map()) == 1  # what wakes it


@contextmanager
def worlds(folder: Path, loop: Optional[Loop] = None) -> Iterator[World]:
    """For a fixture; on a loop of its own if none is given."""
    own = loop or Loop(debug=True)
    world = World(own, folder)
    try:
        yield world
        world.end()
        world.nothing_is_left()
    finally:
        world.end()
        if loop is None:
            own.close()
