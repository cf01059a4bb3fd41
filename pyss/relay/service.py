"""A service: listeners, one inbound, one outbound, and the sessions between them.

There is no local and no server here: `app` puts a service together from its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..address import Address
from ..errors import Shutdown
from ..net.listener import Listener
from ..net.loop import Loop
from ..net.sockets import BindSocket, Socket, SocketAddress, listening_socket
from .accounting import Report, Statistics
from .inbounds import Inbound
from .outbounds import Outbound
from .session import ASSOCIATED, Session

# Descriptors that are not sessions': standard streams, selector, wake-up pair, listeners, log, and the
# second and third attempts of dials.
RESERVED_DESCRIPTORS = 24


@dataclass(frozen=True)
class Limits:
    """Time limits of a session, in seconds.

    greeting     from accept to a complete request
    dial         for the connection to the target, or to the Shadowsocks server
    idle         of silence while both directions are open
    half_closed  of silence after one direction has ended
    linger       for a refused client to read its answer
    join         that salt and address wait for the first payload, at least
    """

    greeting: float = 60.0
    dial: float = 10.0
    idle: float = 300.0
    half_closed: float = 60.0
    linger: float = 5.0
    join: float = 0.005

    @property
    def first(self) -> float:
        """When a session's timer first looks: at the earliest deadline it could have."""
        return min(self.greeting, self.dial, self.idle)


class Joining:
    """Sessions that wait `delay` seconds, and up to twice as long, for a payload to join their first bytes.

    One timer serves all of them: most have their payload long before, and a timer for each would cost as
    much as sealing it.
    """

    __slots__ = ("_delay", "_loop", "_newer", "_older")

    def __init__(self, loop: Loop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._newer: list[Session] = []
        self._older: list[Session] = []

    def add(self, session: Session) -> None:
        if not self._newer and not self._older:
            self._loop.call_later(self._delay, self._turn)
        self._newer.append(session)

    def _turn(self) -> None:
        overdue, self._older, self._newer = self._older, self._newer, []
        if self._older:
            self._loop.call_later(self._delay, self._turn)
        for session in overdue:
            if session.is_mute:
                self._loop.call_soon(session.send_lead, session)  # a fault is that session's alone


class Service:
    """Sessions from `inbound` to `outbound`.

    name      what it is, for the log
    report    called with a level ("debug", "info", "warning", "error") and a line
    verbose   whether lines of level "debug" are wanted
    quiet     whether not even the one line for each session is wanted
    sockets   how many descriptors the process may have open

    ports     that it listens on
    """

    def __init__(
        self,
        loop: Loop,
        inbound: Inbound,
        outbound: Outbound,
        report: Report,
        limits: Limits = Limits(),
        *,
        name: str = "service",
        verbose: bool = False,
        quiet: bool = False,
        sockets: int = 65536,
    ) -> None:
        self.loop = loop
        self.inbound = inbound
        self.outbound = outbound
        self.report = report
        self.limits = limits
        self.first = limits.first
        self.name = name
        self.verbose = verbose
        self.quiet = quiet
        self.capacity = max(1, (sockets - RESERVED_DESCRIPTORS) // 2)
        self.sessions: set[Session] = set()
        self.statistics = Statistics()
        self.joining = Joining(loop, limits.join)
        self.listeners: list[Listener] = []
        self.ports: set[int] = set()

    def listen(self, host: str, port: int, bind: BindSocket = listening_socket) -> Listener:
        """Accept on host:port from now on.  Raises OSError."""
        listener = Listener(
            self.loop,
            bind(host, port),
            self._accepted,
            has_room=self._has_room,
            complain=lambda text: self.report("warning", text),
        )
        self.listeners.append(listener)
        self.ports.add(listener.address[1])
        return listener

    def close(self) -> None:
        """Stop accepting.  Sessions go on, but for those that are for datagrams, which have no end to wait for."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        for session in [session for session in self.sessions if session.state == ASSOCIATED]:
            session.close()

    def shut_down(self) -> None:
        """Stop accepting, and end every session; what was carried so far is accounted for."""
        self.close()
        for session in list(self.sessions):
            session.abort(Shutdown("the process is ending"))

    # --- called by sessions ----------------------------------------------------------------------
    def dialing(self, session: Session) -> None:
        if self.verbose:
            self.connecting(session.named, session.client_name)

    def connecting(self, target: Optional[Address], client: str) -> None:
        """The words that other programs look for in the log."""
        if self.verbose:
            self.report("debug", f"connecting {target} from {client}")

    def account(self, session: Session) -> None:
        """What a session has done so far is all that it did with this target."""
        if session.route is not None:
            session.route.review(session)
        self.statistics.add(session)
        if not self.quiet:
            self.report("info", session.record().line())

    def ended(self, session: Session) -> None:
        self.sessions.discard(session)
        self.account(session)
        for listener in self.listeners:
            listener.resume()

    def _has_room(self) -> bool:
        return len(self.sessions) < self.capacity

    def _accepted(self, sock: Socket, peer: SocketAddress) -> None:
        session = Session(self, sock, peer)
        self.sessions.add(session)
        try:
            self.inbound.accepted(session)
        except Exception as fault:  # which is this session's, not the listener's
            session.abort(fault)
