"""A loop that the test itself drives tick by tick, connections on loopback, and owners that remember their end."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any, Callable, Optional

from pyss.net.channel import Channel
from pyss.net.loop import Loop

HOST = "127.0.0.1"
PATIENT = 20.0  # seconds until a test gives up


class Owner:
    """Who is aborted when a callback raises; `second` is raised by abort itself."""

    def __init__(self, second: Any = None) -> None:
        self.errors: list[BaseException] = []
        self._second = second

    def abort(self, error: BaseException) -> None:
        self.errors.append(error)
        if self._second is not None:
            raise self._second


def turn(loop: Loop, condition: Callable[[], Any], seconds: float = PATIENT) -> None:
    """Tick until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        loop.tick(0.01)


class Sleeps:
    """Looks on while a selector waits.

    timeouts  what `select` was called with
    asleep    set when it was called to wait for long
    """

    def __init__(self) -> None:
        self.timeouts: list[Optional[float]] = []
        self.asleep = threading.Event()

    def of(self, selector: selectors.BaseSelector) -> selectors.BaseSelector:
        select = selector.select

        def noticing(timeout: Optional[float] = None) -> Any:
            self.timeouts.append(timeout)
            if timeout is None or timeout > 1:
                self.asleep.set()
            return select(timeout)

        selector.select = noticing  # type: ignore[method-assign,assignment]
        return selector

    def next_timeout(self, loop: Loop) -> Optional[float]:
        """How long the loop would sleep now; it is woken at once."""
        loop.wake()
        loop.tick()
        return self.timeouts[-1]


class Wires:
    """TCP connections on loopback; all that is made here is closed at the end."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def keep(self, sock: socket.socket) -> socket.socket:
        return self._open.enter_context(sock)

    def listening(self, backlog: int = 128, host: str = HOST) -> socket.socket:
        sock = self.keep(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        sock.bind((host, 0))
        sock.listen(backlog)
        sock.settimeout(PATIENT)
        return sock

    def connect(self, port: int) -> socket.socket:
        """A blocking connection, as a client has it."""
        return self.keep(socket.create_connection((HOST, port), PATIENT))

    def accept(self, listener: socket.socket) -> socket.socket:
        sock = self.keep(listener.accept()[0])
        sock.settimeout(PATIENT)
        return sock

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Ours, non-blocking, and the peer's, blocking."""
        listener = self.listening()
        far = self.connect(listener.getsockname()[1])
        near, _ = listener.accept()
        listener.close()
        near.setblocking(False)
        return self.keep(near), far

    def closed_port(self) -> int:
        """A port that refuses: it is taken, but nobody listens."""
        sock = self.keep(socket.socket())
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])

    def close(self) -> None:
        self._open.close()


def read(channel: Channel) -> bytes:
    data: bytes = channel.sock.recv(4096)
    return data
