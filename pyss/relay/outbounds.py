"""The ways to a target: straight to it, or through a Shadowsocks server.

An outbound hands out a `Route` for each session: what to dial, and what happens to the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Protocol

from ..address import Address
from ..errors import PyssError
from ..net.dialer import Dialed, Dialer, Dialing
from ..protocol.keyring import Keyring
from ..protocol.shadowsocks import client_transforms
from ..protocol.transform import Plain, Transform
from .accounting import Report

if TYPE_CHECKING:
    from .session import Session

# A server whose dial failed is passed over this long while others are left, in seconds.
PASS_OVER = 30.0
SUSPECT_EVERY = 60.0  # seconds between two complaints about a silent server
SUSPECT_AFTER = 1.0  # seconds without an answer before a session can say anything about its server


class Route(Protocol):
    """The way of one session."""

    def dial(self, target: Address, done: Dialed) -> Dialing:
        """Connect; `done(channel, error)` comes later, once, unless cancelled."""

    def dialed(self, error: Optional[PyssError]) -> None:
        """How that ended."""

    def transforms(self, target: Address) -> tuple[Transform, Transform]:
        """For the way up and the way down, of a connection that `dial` made."""

    def review(self, session: Session) -> None:
        """Look at a session that has gone on for a while, or has ended."""


class Outbound(Protocol):
    def route(self) -> Route: ...


class Direct:
    """Straight to the target; route and outbound at once."""

    def __init__(self, dialer: Dialer) -> None:
        self.dialer = dialer

    def route(self) -> Route:
        return self

    def dial(self, target: Address, done: Dialed) -> Dialing:
        return self.dialer.dial(target, done)

    def dialed(self, error: Optional[PyssError]) -> None:
        pass

    def transforms(self, target: Address) -> tuple[Transform, Transform]:
        return Plain(), Plain()

    def review(self, session: Session) -> None:
        pass


class ShadowsocksServer:
    """The route through one Shadowsocks server, and what its sessions have shown of it."""

    def __init__(self, dialer: Dialer, address: Address, keyring: Keyring, report: Report) -> None:
        self.address = address
        self.keyring = keyring
        self.failed = -PASS_OVER
        self._dialer = dialer
        self._report = report
        self._answered = float("-inf")
        self._suspected = -SUSPECT_EVERY

    def dial(self, target: Address, done: Dialed) -> Dialing:
        return self._dialer.dial(self.address, done)

    def dialed(self, error: Optional[PyssError]) -> None:
        self.failed = -PASS_OVER if error is None else self._dialer.loop.now

    def transforms(self, target: Address) -> tuple[Transform, Transform]:
        return client_transforms(self.keyring, target)

    def review(self, session: Session) -> None:
        """Say so when this server takes requests and answers none.

        It must keep silent about a wrong password, so the client is the only one who can tell its user.
        A slow target looks the same; what any session got from this server meanwhile clears it.
        """
        now = session.loop.now
        down = session.down
        if down is None or session.up is None:
            return
        if down.count:
            self._answered = now
            return
        if not session.up.count or self._answered >= session.started or now - self._suspected < SUSPECT_EVERY:
            return
        waited = now - session.started
        if session.reset or (waited < SUSPECT_AFTER and not down.ended):
            return
        if self._is_answering(session):
            self._answered = now
            return
        self._suspected = now
        self._report(
            "warning",
            f"server {self.address} took a request and has not answered in {waited:.0f} s; likely causes: wrong "
            f"password, wrong method (here {self.keyring.method.name}), a clock that is off by more than 30 s; "
            "or the target does not answer",
        )

    def _is_answering(self, session: Session) -> bool:
        """Whether another session goes on that this server has answered, and that moved after this one began.

        Asked only before a complaint: an answer is not reported when it comes, but when its session is reviewed.
        """
        return any(
            other.route is self and other.down is not None and other.down.count and other.seen >= session.started
            for other in session.service.sessions
        )


class Shadowsocks:
    """Through one of several servers, in turn; one that could not be reached is passed over for a while."""

    def __init__(self, servers: list[ShadowsocksServer]) -> None:
        self.servers = servers
        self._next = 0

    def route(self) -> Route:
        return self.server()

    def server(self) -> ShadowsocksServer:
        """Whose turn it is."""
        servers = self.servers
        count = len(servers)
        if count == 1:
            return servers[0]
        for step in range(count):
            server = servers[(self._next + step) % count]
            if server._dialer.loop.now - server.failed >= PASS_OVER:
                self._next = (self._next + step + 1) % count
                return server
        self._next = (self._next + 1) % count
        return servers[self._next]
