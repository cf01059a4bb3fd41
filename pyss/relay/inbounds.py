"""How clients name their targets: a proxy's dialogues, or Shadowsocks itself."""

from __future__ import annotations

from functools import partial
from socket import AF_INET, inet_ntop
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

from ..address import Address
from ..errors import ProxyLoop, PyssError, UnsupportedCommand
from ..net.channel import Channel
from ..protocol import http
from ..protocol.credentials import Credentials
from ..protocol.http import PacRequest
from ..protocol.keyring import Clock, Keyring
from ..protocol.mixed import mixed
from ..protocol.request import AssociateRequest, Request
from ..protocol.shadowsocks import SaltMemory, server_script

if TYPE_CHECKING:
    from .session import Session

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})


class Inbound(Protocol):
    def accepted(self, session: Session) -> None:
        """There is a client: `converse` with it, or `dial_soon` where the target is known already."""

    def greeted(self, session: Session, result: Any) -> None:
        """The handshake has ended with `result`."""

    def refused(self, session: Session, error: PyssError) -> None:
        """The handshake has failed; the session drains."""

    def drain_deadline(self, session: Session) -> float:
        """Until when the input of a refused client is read."""


PlainHttpForward = Callable[["Session", bytes, Credentials], None]
Associate = Callable[["Session", AssociateRequest], None]
ServePac = Callable[["Session", PacRequest], None]


def refuse_association(session: Session, request: AssociateRequest) -> None:
    """Where UDP is not relayed."""
    error = UnsupportedCommand("UDP is not relayed here")
    session.refuse(error, request.refused(error))


class Mixed:
    """SOCKS5, SOCKS4, 4a and HTTP on one port.

    forward    takes over sessions of plain HTTP; None where that is not available
    associate  takes over sessions that are for datagrams
    connects   whether connections are relayed
    serve_pac  answers who asks for the proxy's PAC file; None where there is none
    """

    def __init__(
        self,
        credentials: Credentials,
        forward: Optional[PlainHttpForward] = None,
        associate: Associate = refuse_association,
        connects: bool = True,
        serve_pac: Optional[ServePac] = None,
    ) -> None:
        self._serve_pac = serve_pac
        self._credentials = credentials
        self._forward = forward
        self._associate = associate
        self._connects = connects
        self.script = partial(mixed, credentials=credentials)

    def accepted(self, session: Session) -> None:
        session.converse(self.script)

    def greeted(self, session: Session, result: Any) -> None:
        if not self._connects and not isinstance(result, AssociateRequest):
            refusal = UnsupportedCommand("only UDP is relayed here")
            session.refuse(refusal, result.refused(refusal) if isinstance(result, Request) else http.refused(refusal))
        elif isinstance(result, Request):
            if result.target.port in session.service.ports:
                try:
                    refuse_loop(session.client, result.target)
                except ProxyLoop as loop:
                    session.refuse(loop, result.refused(loop))
                    return
            session.dial(result)
        elif isinstance(result, AssociateRequest):
            self._associate(session, result)
        elif self._serve_pac is not None and isinstance(result, PacRequest):
            self._serve_pac(session, result)
        elif self._forward is not None:
            self._forward(session, result.data, self._credentials)
        else:
            error = UnsupportedCommand("plain HTTP needs the package h11 (pip install h11); CONNECT works without it")
            session.refuse(error, http.refused(error))

    def refused(self, session: Session, error: PyssError) -> None:
        pass  # the client has been told, and the session's line tells the user

    def drain_deadline(self, session: Session) -> float:
        return session.seen + session.service.limits.linger


class ShadowsocksServed:
    """The server's end of Shadowsocks, for one key."""

    def __init__(self, keyring: Keyring, memory: SaltMemory, monotonic: Clock) -> None:
        self.keyring = keyring
        self.script = server_script(keyring, memory, monotonic)

    def accepted(self, session: Session) -> None:
        session.converse(self.script)

    def greeted(self, session: Session, result: Any) -> None:
        session.dial(result)

    def refused(self, session: Session, error: PyssError) -> None:
        # The words that fail2ban's filters look for; then why.
        session.service.report(
            "error",
            f"can not parse header when handling connection from {session.client_name}",
        )
        session.service.report("warning", f"draining {session.client_name}: {error}")

    def drain_deadline(self, session: Session) -> float:
        """When a peer that says nothing would be closed."""
        return session.started + session.service.limits.greeting


class Wordless:
    """For inbounds that know the target without a word, and have none to say."""

    def greeted(self, session: Session, result: Any) -> None:
        session.dial(result)

    def refused(self, session: Session, error: PyssError) -> None:
        pass  # the session's line tells the user

    def drain_deadline(self, session: Session) -> float:
        return session.seen + session.service.limits.linger


class Tunnel(Wordless):
    """Every client has the same target."""

    def __init__(self, target: Address) -> None:
        self._target = target

    def accepted(self, session: Session) -> None:
        session.dial_soon(Request(self._target))


def refuse_loop(channel: Channel, target: Address) -> None:
    """Raises ProxyLoop for a target that is the address this client reached us by, or this machine's loopback."""
    host, port = channel.sock.getsockname()[:2]
    if target.port != port:
        return
    wanted = target.host.lower().rstrip(".")
    if target.is_ip and wanted.startswith("::ffff:"):  # IPv4-mapped, RFC 4291 section 2.5.5.2
        wanted = inet_ntop(AF_INET, target.wire[-6:-2])
    if wanted == host or wanted in _LOOPBACK_NAMES or (target.is_ip and wanted.startswith("127.")):
        raise ProxyLoop(f"{target} is this proxy itself")
