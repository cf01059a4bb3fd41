"""For the tests of sessions and pumps: resets, small buffers, hand-made Shadowsocks streams, a hand-driven loop."""

from __future__ import annotations

import queue
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pytest

from helpers.relay import HOST, KEY_2022, PASSWORD, PATIENT, SELECTORS, Log, RunningRelay, SelectorFactory, relay
from helpers.traffic import LIMIT, target
from helpers.windows import needs_resets
from pyss.address import Address
from pyss.net.channel import Channel
from pyss.net.clock import monotonic, wall
from pyss.net.dialer import Cancellable, Dialer, Endpoint
from pyss.net.loop import Loop
from pyss.net.sockets import new_stream
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.keyring import Keyring
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.protocol.request import Request
from pyss.protocol.shadowsocks import client_transforms, server_script
from pyss.protocol.transform import Transform
from pyss.relay.inbounds import Inbound
from pyss.relay.outbounds import Direct, Outbound
from pyss.relay.service import Limits, Service

METHODS = ("aes-256-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm", "none")

every_selector = pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
every_method = pytest.mark.parametrize("method", METHODS)
SEALED_METHODS = tuple(method for method in METHODS if method != "none")
every_sealed_method = pytest.mark.parametrize("method", SEALED_METHODS)

_RESET_ON_CLOSE = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


# --- sockets -------------------------------------------------------------------------------------
def reset(sock: socket.socket) -> None:
    """Close with RST."""
    needs_resets()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


def receive_until_reset(sock: socket.socket) -> bytes:
    """What came before the RST.  Raises AssertionError at a FIN."""
    came = bytearray()
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionError:
            return bytes(came)
        assert part, f"FIN, not RST, after {len(came)} bytes"
        came += part


def small_buffers(sock: Any) -> None:
    """So that short writes are the rule.  With less room to receive, TCP itself would stall again and again."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)


Shrink = Callable[[RunningRelay], None]


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Shrink:
    """Give every socket of a relay small buffers: those it dials, and by inheritance those it accepts."""

    def small_stream(family: int) -> Any:
        sock = new_stream(family)
        small_buffers(sock)
        return sock

    def shrink(running: RunningRelay) -> None:
        monkeypatch.setattr("pyss.net.dialer.new_stream", small_stream)
        for service in (running.local, running.server):
            if service is not None:
                small_buffers(service.listeners[0]._channel.sock)

    return shrink


class Mailbox:
    """Hands what happened in a target's thread to the test."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, value: object) -> None:
        self._queue.put(value)

    def get(self) -> Any:
        return self._queue.get(timeout=PATIENT)

    def empty(self) -> bool:
        return self._queue.empty()


def delivered(came: bytes, good: bytes) -> bool:
    """Whether what came before a reset is all that is good.

    Windows throws away what its reader has not taken yet when the reset comes.
    """
    return good.startswith(came) if sys.platform == "win32" else came == good


# --- Shadowsocks by hand -------------------------------------------------------------------------
def keyring_for(method: str) -> Keyring:
    """The key that `relay` uses."""
    return Keyring.of(method, KEY_2022 if method.startswith("2022-") else PASSWORD, wall)


def applied(transform: Transform, data: bytes) -> bytes:
    """One read through a transform, residue included, without a pump."""
    whole = transform.residue + data
    room = memoryview(bytearray(2 * len(whole) + 4096))
    return bytes(transform.apply(memoryview(bytearray(whole)), len(whole), room))


class HandMadeClient:
    """Speaks to a Shadowsocks server's port; the test decides what leaves when."""

    def __init__(self, method: str, server_port: int, port: int, host: str = HOST) -> None:
        self.sealer, self.opener = client_transforms(keyring_for(method), Address.of(host, port))
        self.sock = socket.create_connection((HOST, server_port), LIMIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sealed(self, plain: bytes) -> bytes:
        """The first time with salt and address."""
        return applied(self.sealer, plain)

    def send(self, plain: bytes) -> None:
        self.sock.sendall(self.sealed(plain))

    def receive(self, size: int) -> bytes:
        """Exactly so much plaintext."""
        plain = b""
        while len(plain) < size:
            data = self.sock.recv(65536)
            assert data, f"FIN after {len(plain)} of {size} bytes"
            plain += applied(self.opener, data)
            assert self.opener.fault is None
        return plain

    def __enter__(self) -> HandMadeClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()


@contextmanager
def by_hand(
    selector: SelectorFactory,
    method: str,
    serve: Callable[[socket.socket], object],
    host: str = HOST,
    **options: Any,
) -> Iterator[tuple[RunningRelay, HandMadeClient]]:
    """A Shadowsocks server, a hand-made client of it, and a target; `options` are those of `relay`."""
    with relay(selector, method=method, with_local=False, **options) as running, target(serve) as server:
        with HandMadeClient(method, running.server_port, server.port, host) as client:
            yield running, client
            client.sock.close()
        running.until_idle()


def understood(method: str, data: bytes) -> Optional[Request]:
    """What a server makes of one read; None if the request is not complete."""
    memory = SaltMemory2022() if method.startswith("2022-") else SaltFilter2017()
    dialogue: Dialogue[Request] = Dialogue(server_script(keyring_for(method), memory, monotonic))
    return dialogue.result if dialogue.feed(data) else None


# --- a loop that the test turns itself -----------------------------------------------------------
class SilentNames:
    """A resolver that never answers; `asked` lists the names, `cancelled` counts those that were given up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled = 0

    def resolve(self, host: str, port: int, done: Callable[[list[Endpoint], Any], None]) -> Cancellable:
        self.asked.append(host)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


class Bench:
    """Services on a loop that turns only when the test says so, by a clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, selector: Callable[[], Any] = SELECTORS["default"]) -> None:
        self.time = 1000.0
        monkeypatch.setattr("pyss.net.loop.monotonic", lambda: self.time)
        self.loop = Loop(selector())
        self.faults: list[BaseException] = []
        self.loop.on_fault = self.faults.append
        self.log = Log()
        self.names = SilentNames()
        self.services: list[Service] = []

    def service(self, inbound: Inbound, limits: Limits, outbound: Optional[Outbound] = None) -> Service:
        service = Service(self.loop, inbound, outbound or Direct(Dialer(self.loop, self.names)), self.log, limits)
        service.listen(HOST, 0)
        self.services.append(service)
        return service

    def turn(self, until: Callable[[], object]) -> None:
        """Let the loop turn until something holds; its clock stands still."""
        deadline = time.monotonic() + PATIENT
        while not until():
            assert time.monotonic() < deadline, "the condition never held"
            self.loop.tick(0.01)

    def pass_time(self, seconds: float) -> None:
        """So much later; timers that are due run."""
        self.time += seconds
        self.loop.tick(0)
        self.loop.tick(0)  # what they armed for now

    def close(self) -> None:
        for service in self.services:
            service.shut_down()
        self.loop.tick(0)
        self.loop.close()
        assert not self.faults, self.faults


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(monkeypatch)
    yield made
    made.close()


class Ended:
    """In place of a session: remembers what its pumps told it; an abort retires its channels."""

    def __init__(self, loop: Loop) -> None:
        self.seen = 0.0
        self.aborted: list[BaseException] = []
        self.finished: list[Any] = []
        self.channels: list[Channel] = []
        self._loop = loop

    def abort(self, error: BaseException) -> None:
        self.aborted.append(error)
        for channel in self.channels:
            self._loop.retire(channel)

    def direction_ended(self, pump: Any) -> None:
        self.finished.append(pump)
