"""A relay in this process: real sockets on loopback, a loop in a thread of its own, any selector.

    with relay(selectors.SelectSelector) as running:
        sock = socks5_connect(running.local_port, target.port)

The clients and targets in `traffic` are blocking sockets in other threads and know nothing of pyss.
"""

from __future__ import annotations

import re
import selectors
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, TypeVar

import pytest

from helpers.windows import wsapoll_selector
from pyss.address import Address
from pyss.limits import PacketLimits
from pyss.net.clock import monotonic, wall
from pyss.net.dialer import Dialer, Names
from pyss.net.epoll import default_selector
from pyss.net.loop import Loop
from pyss.net.resolver import Resolver
from pyss.net.sockets import datagram_socket, new_datagram
from pyss.protocol.credentials import Credentials
from pyss.protocol.keyring import Keyring
from pyss.protocol.packet import server_packets
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.relay import packet_ways
from pyss.relay.associate import Associating
from pyss.relay.datagrams import Associations, MaximumTransmissionUnit, PacketPort
from pyss.relay.inbounds import Inbound, Mixed, PlainHttpForward, ShadowsocksServed, Tunnel
from pyss.relay.outbounds import Direct, Outbound, Shadowsocks, ShadowsocksServer
from pyss.relay.packet_inbounds import ServedPackets, TunnelPackets
from pyss.relay.policy import DestinationPolicy
from pyss.relay.service import Limits, Service

HOST = "127.0.0.1"
PATIENT = 30.0  # seconds until a test gives up
METHOD = "aes-256-gcm"
PASSWORD = "a password"
KEY_2022 = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="  # 32 bytes, for the 256-bit methods

LIMITS = Limits()

SelectorFactory = Callable[[], selectors.BaseSelector]

# The selectors that sessions are tested on, under the name that the test ids show.
SELECTORS: dict[str, SelectorFactory] = {"select": selectors.SelectSelector}
if hasattr(selectors, "PollSelector"):
    SELECTORS["poll"] = selectors.PollSelector
SELECTORS["default"] = default_selector
# And that of Windows, elsewhere on a WSAPoll made of poll(), and the one that the standard library would choose, which
# pyss falls back on: for the tests of the loop.
ALL_SELECTORS: dict[str, SelectorFactory] = {
    **SELECTORS,
    "wsapoll": wsapoll_selector,
    "stdlib-default": selectors.DefaultSelector,
}

Value = TypeVar("Value")


class Log:
    """The lines that services report, for any thread."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._more = threading.Condition()

    def __call__(self, level: str, text: str) -> None:
        with self._more:
            self._lines.append(f"{level} {text}")
            self._more.notify_all()

    @property
    def lines(self) -> list[str]:
        """`LEVEL TEXT` each, in order."""
        with self._more:
            return list(self._lines)

    def matching(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]

    def wait_for(self, pattern: str, count: int = 1, seconds: float = PATIENT) -> list[str]:
        """Until so many lines match; returns them.  Raises AssertionError with the log if they never do."""
        deadline = time.monotonic() + seconds
        with self._more:
            while len(found := [line for line in self._lines if re.search(pattern, line)]) < count:
                if not self._more.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {pattern!r} x {count} in:\n" + "\n".join(self._lines))
            return found


class LoopThread:
    """A Loop that runs in a thread of its own; `call` does something on it and hands back the result.

    faults  what `on_fault` was called with: bugs of pyss itself
    """

    def __init__(self, selector: SelectorFactory = default_selector, *, debug: bool = False) -> None:
        self.loop = Loop(selector(), debug=debug)
        self.faults: list[BaseException] = []
        self.loop.on_fault = self.faults.append
        self._thread = threading.Thread(target=self.loop.run, name="loop under test", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Value]) -> Value:
        future: Future[Value] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_threadsafe(run)
        return future.result(PATIENT)

    def until(self, condition: Callable[[], bool], seconds: float = PATIENT) -> None:
        """Wait until `condition`, asked on the loop's thread, holds.  Raises AssertionError."""
        deadline = time.monotonic() + seconds
        while not self.call(condition):
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.005)

    def end(self) -> None:
        self.loop.call_threadsafe(self.loop.stop)
        self._thread.join(PATIENT)
        assert not self._thread.is_alive()


@dataclass
class RunningRelay:
    """local is None when only a server runs, and the other way round."""

    thread: LoopThread
    log: Log
    local: Optional[Service]
    server: Optional[Service]
    local_packets: Optional[Associations] = None
    server_packets: Optional[Associations] = None
    ports: list[PacketPort] = field(default_factory=list)

    @property
    def local_port(self) -> int:
        assert self.local is not None
        return int(self.local.listeners[0].address[1])

    @property
    def server_port(self) -> int:
        assert self.server is not None
        return int(self.server.listeners[0].address[1])

    def sessions(self) -> int:
        """How many there are now, on both ends."""
        return self.thread.call(
            lambda: sum(len(service.sessions) for service in (self.local, self.server) if service is not None)
        )

    def until_idle(self) -> None:
        """Wait until every session has ended."""
        services = [service for service in (self.local, self.server) if service is not None]
        self.thread.until(lambda: not any(service.sessions for service in services))


def plain_http() -> PlainHttpForward:
    """For `forward`: what forwards plain HTTP.  Skips the test where h11 is missing."""
    pytest.importorskip("h11", reason="plain HTTP is forwarded only where the package h11 is installed")
    from pyss.relay.http_forward import forward

    return forward


@contextmanager
def relay(
    selector: SelectorFactory = default_selector,
    *,
    method: str = METHOD,
    password: str = "",
    client_password: str = "",
    limits: Limits = LIMITS,
    local_limits: Optional[Limits] = None,
    credentials: Sequence[tuple[str, str]] = (),
    forward: Optional[PlainHttpForward] = None,
    forbidden: Optional[Sequence[str]] = (),
    allowed: Sequence[str] = (),
    lookup: Any = None,
    names: Optional[Names] = None,
    server_at: Optional[tuple[str, int]] = None,
    with_local: bool = True,
    with_server: bool = True,
    direct: bool = False,
    clock: Callable[[], float] = wall,
    verbose: bool = True,
    debug: bool = False,
    crypto: Optional[str] = None,
    packets: Optional[PacketLimits] = None,
    tunnel: Optional[Address] = None,
    mtu: int = 0,
) -> Iterator[RunningRelay]:
    """A local proxy and a Shadowsocks server under one loop, which are ended and checked for faults at the end.

    password         of the server; "" for a suitable one; client_password is the client's where it differs
    limits           time limits of both ends; local_limits of the local end alone
    forbidden        networks the server refuses; by default none, so that targets on loopback can be reached
    lookup           in place of socket.getaddrinfo; names: in place of the resolver
    server_at        where the local proxy finds its server, if not in this relay
    direct           the local proxy goes straight to its targets, without Shadowsocks
    debug            the loop fills its scratch with rubbish after each callback
    packets          relay UDP too, within these limits
    tunnel           the local end is a tunnel to this target
    """
    thread = LoopThread(selector, debug=debug)
    loop, log = thread.loop, Log()
    secret = password or (KEY_2022 if method.startswith("2022-") else PASSWORD)
    resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic, lookup=lookup)
    found: Names = names or resolver

    def service(inbound: Inbound, outbound: Outbound, times: Limits) -> Service:
        made = Service(loop, inbound, outbound, log, times, verbose=verbose)
        made.listen(HOST, 0)
        return made

    def unit(table: Associations) -> Optional[MaximumTransmissionUnit]:
        return MaximumTransmissionUnit(mtu, table) if mtu else None

    def start() -> RunningRelay:
        running = RunningRelay(thread, log, None, None)
        policy = DestinationPolicy(forbidden, allowed)
        if with_server:
            keyring = Keyring.of(method, secret, clock, crypto)
            memory = SaltMemory2022() if method.startswith("2022-") else SaltFilter2017()
            way_out = Direct(Dialer(loop, found, policy.check))
            running.server = service(ShadowsocksServed(keyring, memory, monotonic), way_out, limits)
            if packets is not None:
                running.server_packets = table = Associations(loop, log, packets)
                served = ServedPackets(server_packets(keyring, SaltFilter2017(), monotonic), unit(table))
                straight = packet_ways.Direct(found, policy.check, new_datagram)
                sock = datagram_socket(HOST, running.server_port)
                running.ports.append(PacketPort(table, sock, served, straight, "server", running.server.connecting))
        if with_local:
            outbound: Outbound = Direct(Dialer(loop, found, policy.check))
            if not direct:
                at = server_at or (HOST, running.server_port)
                keyring = Keyring.of(method, client_password or secret, clock, crypto)
                outbound = Shadowsocks([ShadowsocksServer(Dialer(loop, found), Address.of(*at), keyring, log)])
            inbound: Inbound = Mixed(Credentials(credentials), forward)
            if packets is not None and isinstance(outbound, Shadowsocks):
                running.local_packets = table = Associations(loop, log, packets)
                through = packet_ways.ThroughServers(outbound, found, new_datagram, unit(table))
                inbound = Mixed(Credentials(credentials), forward, Associating(table, through, datagram_socket))
                if tunnel is not None:
                    sock, packet_inbound = datagram_socket(HOST, 0), TunnelPackets(tunnel)
                    running.ports.append(PacketPort(table, sock, packet_inbound, through, "tunnel"))
            if tunnel is not None:
                inbound = Tunnel(tunnel)
            running.local = service(inbound, outbound, local_limits or limits)
        return running

    running = thread.call(start)
    try:
        yield running
    finally:

        def stop() -> None:
            for service in (running.local, running.server):
                if service is not None:
                    service.shut_down()
            for port in running.ports:
                port.close()
            for table in (running.local_packets, running.server_packets):
                if table is not None:
                    table.close()
                    assert not len(table)
            resolver.close()

        thread.call(stop)
        thread.end()
        loop.close()
    assert not thread.faults, thread.faults
