"""The PAC file, served to browsers at /proxy.pac of the proxy's own port.

    browser ──GET /proxy.pac──► Mixed ──► PacServer ──200, the script──► browser      and the connection ends

The proxy that the script names is the address that this client has reached it at: what it wrote as Host if that is an
IP address or `localhost`, since a router or container on the way may have changed where the connection ends; otherwise
the socket's own address.

A script may be longer than a socket takes at once, so the session is handed over: its client is written to when it is
ready to read, under the time limit of idle sessions.
"""

from __future__ import annotations

from typing import Callable, Optional

from ..address import Address, split_host_port
from ..errors import BadAddress, PeerReset, PyssError, SilenceLimit
from ..net.channel import Channel
from ..net.loop import WRITE
from ..net.sockets import WOULD_BLOCK, SocketAddress
from ..protocol.http import PacRequest
from ..protocol.pac import pac_script
from .session import Session

_MAPPED = "::ffff:"
_MOST_SENT = 64 * 1024  # bytes at once; Windows locks all of them into memory


class PacServer:
    """Answers requests for the PAC file.

    tables       gives all of the script but the proxy's address, see `protocol.pac.pac_tables`; asked each time
    credentials  whether clients of the proxy have to say who they are
    """

    def __init__(self, tables: Callable[[], bytes], credentials: bool = False) -> None:
        self._tables = tables
        self._credentials = credentials

    def __call__(self, session: Session, request: PacRequest) -> None:
        host, port = reached(request.host, session.client.sock.getsockname())
        script = pac_script(host, port, self._tables(), credentials=self._credentials)
        Answer(session, answer(script, request.head_only)).begin()


class Answer:
    """What is still to be sent to one client."""

    def __init__(self, session: Session, data: bytes) -> None:
        self._session = session
        self._data = memoryview(data)

    def begin(self) -> None:
        self._session.hand_over(on_ready, self)
        self.go_on()

    def go_on(self) -> None:
        """Send as much as the client takes; behind the last byte comes FIN."""
        session = self._session
        try:
            sent = session.client.sock.send(self._data[:_MOST_SENT])
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            session.abort(PeerReset(f"sending failed: {error.strerror}"))
            return
        if sent:
            session.seen = session.loop.now
        self._data = self._data[sent:]
        if self._data:
            session.loop.watch(session.client, WRITE)
        else:
            session.linger()

    # --- called by the session -------------------------------------------------------------------
    def dialed(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        """Nothing is dialed for a PAC file."""

    def silent(self) -> None:
        self._session.abort(SilenceLimit("the client does not read its PAC file"))


def on_ready(channel: Channel, mask: int) -> None:
    """The state of the client's channel while it is answered."""
    waiting = channel.incoming
    assert isinstance(waiting, Answer)
    waiting.go_on()


def answer(script: bytes, head_only: bool) -> bytes:
    """The whole response.  For this client alone, and not to be kept; and no web page may run it as its own script."""
    head = (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/x-ns-proxy-autoconfig\r\n"
        b"Content-Length: %d\r\n"
        b"Cache-Control: no-store\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"Connection: close\r\n\r\n" % len(script)
    )
    return head if head_only else head + script


def reached(host: Optional[bytes], own: SocketAddress) -> tuple[str, int]:
    """Where this client finds the proxy.  `host` is the value of its Host header, `own` the socket's address."""
    if host is not None:
        try:
            called = Address.of(*split_host_port(host.decode("ascii"), 80))
            if called.port and (called.is_ip or called.host.lower() == "localhost"):
                return called.host.lower(), called.port
        except (BadAddress, UnicodeDecodeError):
            pass
    name = str(own[0]).partition("%")[0]
    if name.startswith(_MAPPED) and "." in name:  # RFC 4291 section 2.5.5.2: a client of IPv4
        name = name[len(_MAPPED) :]
    return name, int(own[1])
