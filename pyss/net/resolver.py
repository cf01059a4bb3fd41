"""Names to addresses by the system's resolver, without holding up the loop.

    resolve ──in the cache──────────────────────────────────────────► call_soon ──► done
       └─────not──► flight, one for each name ──► thread: getaddrinfo ──► call_threadsafe ──► cache, done

`getaddrinfo` blocks, for many seconds where a name server is silent, and cannot be stopped.  Hence:

* Threads are daemons of our own: those of `concurrent.futures` are waited for when the interpreter exits.
* Each waiter has a deadline of its own, and may cancel; what was cancelled is never called.
* All who ask for one name share one flight, also long after its first waiter gave up: however often a
  hung name is asked for, it holds one thread.
* `threads` lookups run at once.  One that takes longer than `patience` is written off: it no longer
  counts, another thread takes its place, and the latecomer is used again when it comes back.  So hung
  names do not stand in the way of others until there are `most_threads`.  Then names that are not cached
  wait for a thread to come back and fail at their deadline; cached ones are answered as ever.

All but the lookup itself happens on the loop's thread.  What the resolver needs of a loop is handed in.
"""

from __future__ import annotations

import socket
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, Callable, Optional, Protocol

from ..errors import DialError, DialTimeout, NameNotFound
from .nameanswer import Answer, Cache, Endpoint, interleave

LIFETIME = 60.0  # seconds an answer is kept; getaddrinfo does not tell the one of the name server
NEGATIVE_LIFETIME = 5.0  # seconds a failure is kept
DEADLINE = 8.0  # seconds; below the ten of a dial, so that the error names the cause
PATIENCE = 1.0  # seconds until a lookup is written off
MOST_NAMES = 1024  # in the cache
MOST_ADDRESSES = 64  # of one name: a name server of bad will could send thousands

Done = Callable[[list[Endpoint], Optional[DialError]], None]
Lookup = Callable[..., Sequence[tuple[Any, Any, Any, Any, Any]]]  # with the arguments of getaddrinfo


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Flight:
    """One name being looked up, or waiting for a thread.

    patience  the timer that writes its thread off; None before the lookup began, and after that timer
    """

    __slots__ = ("began", "host", "patience", "waiters")

    def __init__(self, host: str) -> None:
        self.host = host
        self.waiters: dict[Waiter, None] = {}  # in their order
        self.began = False
        self.patience: Optional[Cancellable] = None


class Waiter:
    """One question.  `done` is called once, on the loop's thread and never out of `resolve`; unless cancelled."""

    __slots__ = ("_done", "_leave", "_port", "flight", "timer")

    def __init__(self, port: int, done: Done, leave: Callable[[Waiter], None]) -> None:
        self._port = port
        self._done: Optional[Done] = done
        self._leave = leave
        self.flight: Optional[Flight] = None
        self.timer: Optional[Cancellable] = None

    def cancel(self) -> None:
        """From now on nobody is called; a lookup that has not begun and that no one else awaits never begins."""
        self._done = None
        self._leave(self)

    def deliver(self, answer: Answer) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if answer.failure is not None:
            error, sentence = answer.failure
            done([], error(sentence))
        else:
            done(answer.at(self._port), None)


class Resolver:
    """Looks names up.

    call_threadsafe  runs a function on the loop's thread; may be called from any
    call_soon        runs a function on the loop's thread, after the caller has returned
    call_later       the same after so many seconds; what it returns can be cancelled
    clock            monotonic seconds
    lookup           `socket.getaddrinfo`, or what behaves like it; called in a thread
    """

    def __init__(
        self,
        call_threadsafe: Callable[[Callable[[], None]], object],
        call_soon: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], Cancellable],
        clock: Callable[[], float],
        *,
        lookup: Optional[Lookup] = None,
        prefer_ipv6: bool = False,
        threads: int = 8,
        most_threads: int = 64,
        deadline: float = DEADLINE,
        patience: float = PATIENCE,
        most_names: int = MOST_NAMES,
    ) -> None:
        self._call_threadsafe = call_threadsafe
        self._call_soon = call_soon
        self._call_later = call_later
        self._lookup = lookup or socket.getaddrinfo
        self._first = socket.AF_INET6 if prefer_ipv6 else socket.AF_INET
        self._threads = threads
        self._most_threads = most_threads
        self._deadline = deadline
        self._patience = patience
        self._cache = Cache(most_names, clock)
        self._flights: dict[str, Flight] = {}
        self._pending: OrderedDict[str, Flight] = OrderedDict()  # flights that have no thread yet
        self._jobs: SimpleQueue[Optional[Flight]] = SimpleQueue()  # never more than there are idle threads
        self._alive = 0  # threads
        self._idle = 0  # of them, those that wait for a job
        self._running = 0  # lookups that have not been written off
        self._closed = False

    def resolve(self, host: str, port: int, done: Done) -> Waiter:
        """Ask for the addresses of `host`, best first.

        done(endpoints, None) or done([], error) comes later: NameNotFound; DialTimeout after the deadline.
        """
        waiter = Waiter(port, done, self._leave)
        host = _folded(host)
        answer = self._cache.get(host)
        if answer is not None:
            self._call_soon(partial(waiter.deliver, answer))
            return waiter
        if self._closed:
            return waiter
        flight = self._flights.get(host)
        if flight is None:
            flight = self._flights[host] = self._pending[host] = Flight(host)
        flight.waiters[waiter] = None
        waiter.flight = flight
        waiter.timer = self._call_later(self._deadline, partial(self._late, waiter, flight))
        self._dispatch()
        return waiter

    def known(self, host: str, port: int) -> Optional[list[Endpoint]]:
        """What the cache says now; None for a failure, and for what has to be asked."""
        answer = self._cache.get(_folded(host))
        return None if answer is None or answer.failure is not None else answer.at(port)

    def close(self) -> None:
        """Answer nobody any more; threads end as soon as they have nothing to look up."""
        self._closed = True
        self._cache.clear()
        for flight in list(self._flights.values()):
            if flight.patience is not None:
                flight.patience.cancel()
            for waiter in list(flight.waiters):
                waiter.cancel()
        for _ in range(self._alive):
            self._jobs.put(None)
        self._alive = self._idle = 0

    def _leave(self, waiter: Waiter) -> None:
        """Take a waiter off its flight, and the flight off the queue when it has not begun and was for it alone."""
        flight, waiter.flight = waiter.flight, None
        if flight is None or waiter.timer is None:
            return
        waiter.timer.cancel()
        waiter.timer = None
        del flight.waiters[waiter]
        if not flight.waiters and not flight.began:
            del self._pending[flight.host], self._flights[flight.host]

    # --- threads ---------------------------------------------------------------------------------
    def _dispatch(self) -> None:
        """Give pending flights to threads, idle ones first."""
        while self._pending and self._running < self._threads:
            flight = next(iter(self._pending.values()))
            if self._idle:
                self._idle -= 1
                self._jobs.put(flight)
            elif not self._start_thread(flight):
                return
            del self._pending[flight.host]
            flight.began = True
            flight.patience = self._call_later(self._patience, partial(self._write_off, flight))
            self._running += 1

    def _start_thread(self, flight: Flight) -> bool:
        if self._alive >= self._most_threads:
            return False
        thread = threading.Thread(target=self._work, args=(flight,), name="pyss-resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more; tried again with the next name and the next answer
            return False
        self._alive += 1
        return True

    def _work(self, flight: Optional[Flight]) -> None:
        """A thread's life.  It touches nothing of the resolver but the queue."""
        while flight is not None:
            answer = _look_up(self._lookup, flight.host, self._first)
            self._call_threadsafe(partial(self._landed, flight, answer))
            flight = answer = None  # type: ignore[assignment]  # an idle thread keeps nothing alive
            flight = self._jobs.get()

    def _write_off(self, flight: Flight) -> None:
        flight.patience = None
        self._running -= 1
        self._dispatch()

    def _landed(self, flight: Flight, answer: Answer) -> None:
        """A thread is back with an answer, however late."""
        if self._closed:
            return
        if flight.patience is not None:
            flight.patience.cancel()
            flight.patience = None
            self._running -= 1
        del self._flights[flight.host]
        self._cache.put(flight.host, answer, LIFETIME if answer.failure is None else NEGATIVE_LIFETIME)
        for waiter in list(flight.waiters):
            self._leave(waiter)
            self._call_soon(partial(waiter.deliver, answer))  # a fault in one is not the others' fault
        self._idle += 1
        self._dispatch()
        if self._idle > self._threads:  # it stood in for one that was written off
            self._idle -= 1
            self._alive -= 1
            self._jobs.put(None)

    def _late(self, waiter: Waiter, flight: Flight) -> None:
        self._leave(waiter)
        why = "the name server is silent" if flight.began else f"other names hold all {self._alive} threads"
        sentence = f"{flight.host}: not resolved within {self._deadline:g} s, {why}"
        waiter.deliver(Answer((), (DialTimeout, sentence)))


def _folded(host: str) -> str:
    return host.lower() if host.isascii() else host  # lower() changes the length of some other letters


def _look_up(lookup: Lookup, host: str, first: int) -> Answer:
    """In a thread: whatever happens, it is an answer."""
    try:
        endpoints = dict.fromkeys(  # each once: in a hosts file an address may stand twice
            (int(family), where)
            for family, _, _, _, where in lookup(host, None, 0, socket.SOCK_STREAM)
            if family in (socket.AF_INET, socket.AF_INET6)
        )
    except UnicodeError:
        return Answer((), (NameNotFound, f"{host[:80]!r} is not a host name: a part of it is empty or too long"))
    except OSError as error:
        return Answer((), (NameNotFound, f"{host}: the name cannot be resolved ({error.strerror or error})"))
    except Exception as error:
        return Answer((), (DialError, f"{host}: the lookup failed ({error!r})"))
    if not endpoints:
        return Answer((), (NameNotFound, f"{host}: the name has neither an IPv4 nor an IPv6 address"))
    return Answer(tuple(interleave(list(endpoints), first)[:MOST_ADDRESSES]))


__all__ = ["Answer", "Cancellable", "Done", "Endpoint", "Resolver", "Waiter", "interleave"]
