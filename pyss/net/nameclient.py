"""Names asked of servers of one's choice, without a thread.

    resolve ──IP address, hosts file, cache──────────────────────────────────► call_soon ──► done
       └─────not──► flight, one for each name ──┬──► Lookup A    ──┐
                                                └──► Lookup AAAA ──┴──► families by turns ──► cache, done

In place of `Resolver`, which asks the system in threads and learns no time to live.  Both families are asked for at
once; when one has come the other is waited for a moment longer (RFC 8305 section 3), and if it comes later still it
is for those who ask next.  MOST_QUESTIONS lookups ask at the same time, others wait in their order; each flight has
one deadline, waiting included, so that names without an answer hold nobody up for longer.

Needs the package `dnspython`: without it, importing this module raises ImportError.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Callable, Optional

from ..errors import DialError, NameNotFound
from ..limits import NameLimits
from .clock import monotonic
from .loop import Loop
from .nameanswer import Answer, Cache, Endpoint, interleave
from .namelookup import Circle, Lookup, Outcome
from .namemessage import AAAA, A
from .namepeer import Peer
from .names import Hosts, NameServer, canonical, literal
from .nametls import name_server_context
from .resolver import Done, Waiter
from .socket_options import NOTHING, SocketOptions
from .timers import Timer

MOST_QUESTIONS = 64  # lookups that ask at the same time; each has one socket at most
DELAY = 0.05  # seconds that the second family may come after the first; RFC 8305 section 3
FAILURE_KEPT = 1.0  # seconds that a failure is kept for which no server vouches; RFC 9520 section 3.2
COMPLAIN_EVERY = 60.0  # seconds, for each server

_LIMITS = NameLimits()

Report = Callable[[str, str], None]  # level, sentence


class Flight:
    """One name being asked for.

    early  the answer of one family, for those who join while the other is awaited
    """

    __slots__ = ("_lose", "deadline", "delay", "early", "lookups", "name", "waiters")

    def __init__(self, name: str, lookups: Sequence[Lookup], lose: Callable[[Flight, BaseException], None]) -> None:
        self.name = name
        self.lookups = lookups
        self.waiters: dict[Waiter, None] = {}  # in their order
        self.early: Optional[Answer] = None
        self.deadline: Optional[Timer] = None
        self.delay: Optional[Timer] = None
        self._lose = lose

    def abort(self, error: BaseException) -> None:
        """A fault inside: this name fails, nothing else."""
        self._lose(self, error)

    def late(self) -> None:
        for lookup in self.lookups:
            if lookup.outcome is None:
                lookup.give_up()

    def stop(self) -> None:
        for timer in (self.deadline, self.delay):
            if timer is not None:
                timer.cancel()
        for lookup in self.lookups:
            lookup.cancel()


class NameClient:
    """Looks names up at `servers`, the first being preferred.

    hosts        what needs no server
    entropy      gives so many random bytes, for the ids of questions
    report       called with a level and a sentence when a server cannot be reached
    clock        monotonic seconds, for the age of answers
    tls_context  which certificates are trusted; None for those that the system trusts
    options      of all sockets to the servers
    """

    def __init__(
        self,
        loop: Loop,
        servers: Sequence[NameServer],
        *,
        hosts: Hosts,
        prefer_ipv6: bool = False,
        limits: NameLimits = _LIMITS,
        entropy: Callable[[int], bytes] = os.urandom,
        report: Report = lambda level, text: None,
        clock: Callable[[], float] = monotonic,
        tls_context: Optional[ssl.SSLContext] = None,
        options: SocketOptions = NOTHING,
    ) -> None:
        if not servers:
            raise ValueError("no name server to ask")
        self._loop = loop
        self._hosts = hosts
        self._limits = limits
        self._report = report
        self._first = int(socket.AF_INET6 if prefer_ipv6 else socket.AF_INET)
        if tls_context is None and any(server.transport == "tls" for server in servers):
            tls_context = name_server_context()
        self._peers = [
            Peer(loop, server, limits.deadline, tls_context if server.transport == "tls" else None, options)
            for server in servers
        ]
        self._circle = Circle(loop, self._peers, limits, entropy, self._complain)
        self._complained: dict[Peer, float] = {}
        self._cache = Cache(limits.names, clock)
        self._flights: dict[str, Flight] = {}
        self._flight_of: dict[Waiter, Flight] = {}
        self._of_lookup: dict[Lookup, Flight] = {}  # until it has landed
        self._queue: OrderedDict[Lookup, None] = OrderedDict()  # those that have no place yet
        self._free = MOST_QUESTIONS
        self._closed = False

    def resolve(self, host: str, port: int, done: Done) -> Waiter:
        """Ask for the addresses of `host`, best first.

        done(endpoints, None) or done([], error) comes later: NameNotFound; DialTimeout when the servers are silent;
        DialError when they fail.
        """
        waiter = Waiter(port, done, self._leave)
        if self._closed:
            return waiter
        try:
            answer = self._at_hand(host)
            if answer is None:
                answer = self._join(canonical(host), waiter)
        except NameNotFound as error:
            answer = Answer((), (NameNotFound, str(error)))
        if answer is not None:
            self._loop.call_soon(partial(waiter.deliver, answer))
        return waiter

    def known(self, host: str, port: int) -> Optional[list[Endpoint]]:
        """What can be said now; None for a failure, and for what has to be asked."""
        try:
            answer = self._at_hand(host)
        except NameNotFound:
            return None
        return None if answer is None or answer.failure is not None else answer.at(port)

    def close(self) -> None:
        """Answer nobody any more; no socket stays open."""
        self._closed = True
        self._cache.clear()
        self._queue.clear()
        for flight in self._flights.values():
            flight.stop()
        for waiter in list(self._flight_of):
            waiter.cancel()
        self._flights.clear()
        self._of_lookup.clear()
        for peer in self._peers:
            peer.close()

    def _at_hand(self, host: str) -> Optional[Answer]:
        """Raises NameNotFound for what is no name."""
        endpoint = literal(host)
        if endpoint is not None:
            return Answer((endpoint,))
        name = canonical(host)
        listed = self._hosts.find(name)
        return Answer(tuple(interleave(listed, self._first))) if listed else self._cache.get(name)

    # --- flights ---------------------------------------------------------------------------------
    def _join(self, name: str, waiter: Waiter) -> Optional[Answer]:
        """Wait for the flight of a name, or have at once what it has brought so far."""
        flight = self._flights.get(name)
        if flight is None:
            if len(self._flights) >= self._limits.names:
                return Answer((), (DialError, f"{name}: not resolved, too many names at once"))
            flight = self._depart(name)
        if flight.early is None:
            flight.waiters[waiter] = None
            self._flight_of[waiter] = flight
        return flight.early

    def _depart(self, name: str) -> Flight:
        lookups = [Lookup(self._circle, name, kind, self._landed) for kind in (A, AAAA)]
        flight = self._flights[name] = Flight(name, lookups, self._lose)
        flight.deadline = self._loop.call_later(self._limits.deadline, flight.late, flight)
        for lookup in lookups:
            self._of_lookup[lookup] = flight
            self._queue[lookup] = None
        self._dispatch()
        return flight

    def _dispatch(self) -> None:
        """Give places to those that wait for one."""
        while self._queue and self._free:
            lookup, _ = self._queue.popitem(last=False)
            self._free -= 1
            lookup.begun = True
            self._loop.call_soon(lookup.begin, lookup)

    def _landed(self, lookup: Lookup) -> None:
        flight = self._of_lookup[lookup]
        try:
            self._vacate(lookup)
            outcomes = [each.outcome for each in flight.lookups if each.outcome is not None]
            if len(outcomes) == len(flight.lookups):
                answer, lifetime = self._combine(outcomes)
                self._arrive(flight, answer, lifetime)
            elif lookup.outcome is not None and lookup.outcome.addresses:
                flight.delay = self._loop.call_later(DELAY, partial(self._enough, flight), flight)
        except Exception as fault:
            flight.abort(fault)

    def _vacate(self, lookup: Lookup) -> None:
        del self._of_lookup[lookup]
        if lookup.begun:
            self._free += 1
            self._dispatch()
        else:
            del self._queue[lookup]

    def _enough(self, flight: Flight) -> None:
        """One family has come and the other is late: it goes on, for those who ask later."""
        answer, _ = self._combine([each.outcome for each in flight.lookups if each.outcome is not None])
        flight.early = answer
        self._deliver(flight, answer)

    def _arrive(self, flight: Flight, answer: Answer, lifetime: float) -> None:
        flight.stop()
        del self._flights[flight.name]
        if lifetime > 0:
            self._cache.put(flight.name, answer, lifetime)
        self._deliver(flight, answer)

    def _deliver(self, flight: Flight, answer: Answer) -> None:
        for waiter in flight.waiters:
            del self._flight_of[waiter]
            self._loop.call_soon(partial(waiter.deliver, answer))  # a fault in one is not the others' fault
        flight.waiters.clear()

    def _leave(self, waiter: Waiter) -> None:
        """Take a waiter off its flight, and the flight off the queue when it has not begun and was for it alone."""
        flight = self._flight_of.pop(waiter, None)
        if flight is None:
            return
        del flight.waiters[waiter]
        if not flight.waiters and not any(lookup.begun for lookup in flight.lookups):
            self._drop(flight)

    def _drop(self, flight: Flight) -> None:
        flight.stop()
        del self._flights[flight.name]
        for lookup in flight.lookups:
            if lookup in self._of_lookup:
                self._vacate(lookup)

    def _lose(self, flight: Flight, error: BaseException) -> None:
        self._loop.on_fault(error)
        if self._flights.get(flight.name) is flight:
            self._drop(flight)
        self._deliver(flight, Answer((), (DialError, f"{flight.name}: internal error")))

    # --- answers ---------------------------------------------------------------------------------
    def _combine(self, outcomes: Sequence[Outcome]) -> tuple[Answer, float]:
        """Of both families, and the seconds to keep it; a family that failed may be back soon."""
        limits = self._limits
        good = [outcome for outcome in outcomes if outcome.addresses]
        failures = [each.failure for each in outcomes if each.failure is not None and each.failure[0] != NameNotFound]
        if good:
            found = [literal(address) for outcome in good for address in outcome.addresses]
            endpoints = interleave([endpoint for endpoint in found if endpoint is not None], self._first)
            lifetime = min(limits.most_ttl, *(outcome.lifetime or 0 for outcome in good))
            if failures:
                lifetime = 0
            return Answer(tuple(endpoints[: limits.addresses])), max(limits.least_ttl, lifetime)
        if failures:
            return Answer((), failures[0]), min(FAILURE_KEPT, limits.negative_ttl)
        vouched = (FAILURE_KEPT if outcome.lifetime is None else outcome.lifetime for outcome in outcomes)
        return Answer((), outcomes[0].failure), min(limits.negative_ttl, *vouched)

    def _complain(self, peer: Peer, why: str) -> None:
        now = self._loop.now
        if now - self._complained.get(peer, -COMPLAIN_EVERY) >= COMPLAIN_EVERY:
            self._complained[peer] = now
            self._report("warning", f"name server {peer.server} cannot be asked: {why}")
