"""A resolver without a network: a loop by hand, whose clock stands still unless it is moved, and names that hang."""

from __future__ import annotations

import socket
import threading
from collections import deque
from queue import SimpleQueue
from typing import Any, Callable, Optional

from pyss.errors import DialError
from pyss.net.resolver import Endpoint, Resolver, Waiter

PATIENT = 20.0  # real seconds until a test gives up on a thread
IPV4, IPV6 = socket.AF_INET, socket.AF_INET6


class FakeTimer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Optional[Callable[[], None]] = callback

    def cancel(self) -> None:
        self.callback = None


class FakeLoop:
    """A loop by hand: `turn` runs what is ready, `land` waits for a thread, `advance` moves the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: deque[Callable[[], None]] = deque()
        self.timers: list[FakeTimer] = []
        self.from_threads: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.faults: list[Exception] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + delay, callback)
        self.timers.append(timer)
        return timer

    def turn(self) -> None:
        while self.soon:
            self._guard(self.soon.popleft())

    def land(self, count: int = 1) -> None:
        """Wait until so many lookups are back, and deliver."""
        for _ in range(count):
            self._guard(self.from_threads.get(timeout=PATIENT))
            self.turn()

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [timer for timer in self.armed() if timer.due <= until]:
            timer = min(due, key=lambda timer: timer.due)
            self.now = timer.due
            callback, timer.callback = timer.callback, None
            assert callback is not None
            self._guard(callback)
            self.turn()
        self.now = until

    def armed(self) -> list[FakeTimer]:
        self.timers = [timer for timer in self.timers if timer.callback is not None]
        return self.timers

    def _guard(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            self.faults.append(error)


class Names:
    """In place of getaddrinfo: answers by name; a name that was hung up answers when it is released."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.gates: dict[str, threading.Event] = {}
        self.threads: set[threading.Thread] = set()
        self.count = 0
        self._counting = threading.Lock()  # several threads are here at once

    def hang(self, *names: str) -> None:
        self.gates.update((name, threading.Event()) for name in names)

    def release(self, *names: str) -> None:
        for name in names or tuple(self.gates):
            self.gates[name].set()

    def next_asked(self) -> str:
        """Wait until a thread has begun a lookup."""
        return self.asked.get(timeout=PATIENT)

    def __call__(self, host: str, port: object, family: int, kind: int) -> Any:
        assert (port, family, kind) == (None, 0, socket.SOCK_STREAM)
        with self._counting:
            self.count += 1
        self.threads.add(threading.current_thread())
        self.asked.put(host)
        if host in self.gates:
            assert self.gates[host].wait(PATIENT)
        answer = self.answers.get(host, ["192.0.2.1"])
        if isinstance(answer, Exception):
            raise answer
        return [found(item) if isinstance(item, str) else item for item in answer]


def found(ip: str) -> tuple[Any, ...]:
    """One row as getaddrinfo gives it."""
    if ":" in ip:
        return (IPV6, socket.SOCK_STREAM, 6, "", (ip, 0, 0, 0))
    return (IPV4, socket.SOCK_STREAM, 6, "", (ip, 0))


class Asker:
    """Collects what `done` is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Endpoint], Optional[DialError]]] = []

    def __call__(self, endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        self.calls.append((endpoints, error))

    @property
    def ips(self) -> list[str]:
        ((endpoints, error),) = self.calls
        assert error is None
        return [where[0] for _, where in endpoints]

    @property
    def error(self) -> DialError:
        ((endpoints, error),) = self.calls
        assert endpoints == []
        assert error is not None
        return error


class World:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.names = Names()
        self.resolvers: list[Resolver] = []

    def resolver(self, **options: Any) -> Resolver:
        loop = self.loop
        options.setdefault("lookup", self.names)
        resolver = Resolver(loop.from_threads.put, loop.call_soon, loop.call_later, lambda: loop.now, **options)
        self.resolvers.append(resolver)
        return resolver

    def end(self) -> None:
        """Let go of all that hangs; no thread, fault or timer may be left."""
        self.names.release()
        for resolver in self.resolvers:
            resolver.close()
        for thread in self.names.threads:
            thread.join(PATIENT)
            assert not thread.is_alive()
        assert not self.loop.faults
        assert not self.loop.armed()


def ask(resolver: Resolver, host: str, port: int = 80) -> tuple[Asker, Waiter]:
    asker = Asker()
    waiter = resolver.resolve(host, port, asker)
    assert not asker.calls  # never out of resolve()
    return asker, waiter
