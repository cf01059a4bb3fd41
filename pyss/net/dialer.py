"""Opening a TCP connection to a host, whatever that takes (RFC 8305 without its sorting).

    host ──resolver──► addresses ──permit──► attempt 1
                                               └─250 ms or failure─► attempt 2 ─► ...   first to stand wins

All addresses are tried.  The attempt that stands first is handed over, the others are closed.  A dial
that was cancelled calls nobody and opens nothing more, whenever its name resolves.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Callable, Optional, Protocol

from ..address import Address, join_host_port
from ..errors import DialError, PyssError
from .channel import Channel
from .fast_open import FIRST_DATA, LOOK_AGAIN, FastStream
from .loop import WRITE, Loop
from .socket_options import NOTHING, SocketOptions
from .sockets import Socket, SocketAddress, connect, connected, dial_error, new_stream, pending_error
from .timers import Timer

STAGGER = 0.25  # seconds; RFC 8305 section 5

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)

Endpoint = tuple[int, SocketAddress]  # family, address
Dialed = Callable[[Optional[Channel], Optional[PyssError]], None]
Permit = Callable[[str], None]  # raises Forbidden for an IP address


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Dialing(Cancellable, Protocol):
    """A dial that has not ended yet."""

    def fail(self, error: PyssError) -> None: ...


class Names(Protocol):
    """What the dialer needs of a resolver."""

    def resolve(
        self, host: str, port: int, done: Callable[[list[Endpoint], Optional[DialError]], None]
    ) -> Cancellable: ...

    def known(self, host: str, port: int) -> Optional[list[Endpoint]]:
        """What can be said without waiting; None when the name has to be asked for."""
        ...


class Dialer:
    """Makes dials; one for each way out.

    options  what is asked of its sockets; None where that is nothing, so that no connection has to look
    """

    def __init__(
        self, loop: Loop, names: Names, permit: Optional[Permit] = None, options: SocketOptions = NOTHING
    ) -> None:
        self.loop = loop
        self.names = names
        self.permit = permit
        self.options = None if options == NOTHING else options

    def dial(self, target: Address, done: Dialed) -> Dial:
        """Connect to `target`; `done(channel, error)` is called later, once, unless cancelled.

        The channel comes without a watched event; whoever takes it sets `on_ready` and `owner`.
        """
        dial = Dial(self, target, done)
        host = target.host
        if not target.is_ip:
            dial.flight = self.names.resolve(host, target.port, dial.answered)
        elif ":" in host:
            dial.resolved([(_AF_INET6, (host, target.port, 0, 0))], None)
        else:
            dial.resolved([(_AF_INET, (host, target.port))], None)
        return dial

    def see_to(self, sock: Socket) -> None:
        """A connection that stands as far as can be seen: its SYN may still wait for data, or FIN for an answer."""
        if isinstance(sock, FastStream) and sock.opening:
            self.loop.call_later(FIRST_DATA, partial(self._look, sock, FIRST_DATA))

    def _look(self, sock: FastStream, waited: float) -> None:
        if not sock.settled():
            delay = min(waited, LOOK_AGAIN)
            self.loop.call_later(delay, partial(self._look, sock, waited + delay))


class Dial:
    """One connection being opened."""

    __slots__ = ("_attempts", "_dialer", "_done", "_error", "_stagger", "_target", "_waiting", "flight")

    def __init__(self, dialer: Dialer, target: Address, done: Dialed) -> None:
        self._dialer = dialer
        self._target = target
        self._done: Optional[Dialed] = done
        self._waiting: list[Endpoint] = []
        self._attempts: list[Channel] = []
        self._error: Optional[PyssError] = None
        self._stagger: Optional[Timer] = None
        self.flight: Optional[Cancellable] = None

    def cancel(self) -> None:
        self._done = None
        self._clear()

    def abort(self, error: BaseException) -> None:
        """A fault inside: this dial fails, nothing else."""
        self._dialer.loop.on_fault(error)
        self.fail(DialError(f"{self._target}: internal error"))

    def answered(self, endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        """The resolver's answer; a fault in it is this dial's, not the resolver's."""
        try:
            self.resolved(endpoints, error)
        except Exception as fault:
            self.abort(fault)

    def resolved(self, endpoints: list[Endpoint], error: Optional[PyssError]) -> None:
        """The addresses; forbidden ones are left out, and if none is left that is the error."""
        self.flight = None
        if self._done is None:
            return
        permit = self._dialer.permit
        if permit is not None:
            refused = error
            permitted = []
            for endpoint in endpoints:
                try:
                    permit(endpoint[1][0])
                    permitted.append(endpoint)
                except PyssError as refusal:
                    refused = refused or refusal.with_traceback(None)  # which would hold this frame, a cycle
            endpoints, error = permitted, refused
        if not endpoints:
            self._error = error
        self._waiting = endpoints[::-1]
        self._next()

    def _next(self) -> None:
        """Start attempts until one is under way; without one the dial has failed."""
        if self._stagger is not None:
            self._stagger.cancel()
            self._stagger = None
        waiting = self._waiting
        while waiting:
            family, address = waiting.pop()
            try:
                self._attempt(family, address)
                break
            except OSError as error:
                self._note(error.errno or 0, address)
        if waiting:
            self._stagger = self._dialer.loop.call_later(STAGGER, self._next, self)
        elif not self._attempts:
            # Never out of the call that asked: the caller is not ready for the answer yet.
            self._dialer.loop.call_soon(self._give_up, self)

    def _attempt(self, family: int, address: SocketAddress) -> None:
        options = self._dialer.options
        sock = new_stream(family) if options is None else new_stream(family, options)
        try:
            number = connect(sock, address)
        except BaseException:
            sock.close()
            raise
        if number:
            sock.close()
            raise OSError(number, "connect")
        channel = Channel(sock, _on_attempt, self)
        self._attempts.append(channel)
        channel.outgoing = address
        if connected(sock):
            self._waiting.clear()  # nothing else need be tried
            self._dialer.loop.call_soon(self._stands, self)
        else:
            self._dialer.loop.watch(channel, WRITE)

    def _stands(self) -> None:
        """The latest attempt had succeeded when connect() returned, and there was none after it."""
        if self._attempts:
            self._won(self._attempts[-1])

    def on_writable(self, channel: Channel) -> None:
        number = pending_error(channel.sock)
        if not number:
            self._won(channel)
            return
        self._note(number, channel.outgoing)
        self._attempts.remove(channel)
        self._dialer.loop.retire(channel)
        if self._waiting:
            self._next()
        elif not self._attempts:
            self._give_up()

    def _won(self, channel: Channel) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        attempts = self._attempts
        attempts.remove(channel)
        channel.on_ready = ignore_until_taken
        channel.outgoing = None
        if attempts or self._stagger is not None:
            self._clear()
        if self._dialer.options is not None:
            self._dialer.see_to(channel.sock)
        try:
            done(channel, None)
        except BaseException:
            if channel.owner is self:  # nobody took it
                self._dialer.loop.retire(channel)
            raise

    def _note(self, number: int, address: SocketAddress) -> None:
        """Keep the first error: that of the address that was preferred."""
        if self._error is None:
            where = str(self._target)
            if address[0] != self._target.host:
                where += f" ({join_host_port(address[0], address[1])})"
            self._error = dial_error(number, where)

    def _give_up(self) -> None:
        self.fail(self._error or DialError(f"{self._target}: no address to try"))

    def fail(self, error: PyssError) -> None:
        """Whatever is under way, that is the outcome; calls `done`."""
        done, self._done = self._done, None
        self._clear()
        if done is not None:
            done(None, error)

    def _clear(self) -> None:
        if self.flight is not None:
            self.flight.cancel()
            self.flight = None
        if self._stagger is not None:
            self._stagger.cancel()
            self._stagger = None
        self._waiting.clear()
        for channel in self._attempts:
            self._dialer.loop.retire(channel)
        self._attempts.clear()


def _on_attempt(channel: Channel, mask: int) -> None:
    dial = channel.owner
    assert isinstance(dial, Dial)
    dial.on_writable(channel)


def ignore_until_taken(channel: Channel, mask: int) -> None:
    """Between the dial and the session: no event is lost, for selectors are level-triggered."""


__all__ = ["STAGGER", "Cancellable", "Dial", "Dialed", "Dialer", "Endpoint", "Names", "Permit", "Socket"]
