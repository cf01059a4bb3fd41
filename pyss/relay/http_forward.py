"""Plain HTTP through the proxy: a small relay of its own, on the parser h11.

It does not fit "one dialogue, one target".  A connection carries several requests to different hosts, and
each message changes on its way.  So here are two connections with a parser each,

    client ──► h11 as server ──► request rewritten ──► h11 as client ──► sealer ──► target
           ◄──               ◄── hop-by-hop removed ◄──             ◄── opener ◄──

and one rule: after every event, `_turn` takes steps until neither side can go on, and `_wait` watches each
side for what is missing: input, or room for what it has not taken yet (backpressure).  The connection to
the target is kept for the next request, if that goes to the same host and port.

In the log, every connection to a target is a session with a line of its own.
"""

from __future__ import annotations

from typing import Any, Optional

import h11

from ..address import Address
from ..errors import CipherError, DialError, Disconnected, PeerReset, ProtocolError, PyssError, SilenceLimit
from ..net.channel import Channel
from ..net.loop import READ, WRITE
from ..net.sockets import WOULD_BLOCK
from ..protocol import http
from ..protocol.credentials import Credentials
from ..protocol.http_forward import authorization, end_to_end, forwarded_request, has_body
from ..protocol.request import Request
from ..protocol.transform import Output, Plain, Transform
from .inbounds import refuse_loop
from .pump import Pump
from .session import Session

READ_SIZE = 64 * 1024
_ASKED_AGAIN = (b"GET", b"HEAD", b"OPTIONS", b"TRACE")  # safe to be said twice


def forward(session: Session, data: bytes, credentials: Credentials) -> None:
    """Take over a session whose client turned out to speak plain HTTP; `data` is what it has said."""
    relay = HttpForward(session, credentials)
    session.hand_over(on_ready, relay)
    relay.hear(data)
    relay.turn()


class Outlet(Pump):
    """A pump that reads nothing and watches nothing: the relay hands it what is to be sent."""

    __slots__ = ()

    def write(self, data: Output) -> None:
        """Send, keep what is not taken.  Raises PeerReset."""
        self.pending = self.pending + data if self.pending else bytes(data)
        self.flush()

    def flush(self) -> None:
        """Raises PeerReset."""
        if not self.pending:
            return
        try:
            sent = self.sink.sock.send(self.pending)
        except WOULD_BLOCK:
            return
        except OSError as error:
            self.pending = b""
            raise PeerReset(f"sending failed: {error.strerror}") from None
        self.session.seen = self.loop.now
        self.pending = self.pending[sent:]


class HttpForward:
    """One client, one target at a time.

    method    of the present request
    unsent    the request that waits for its target to be dialed
    again     the request to ask again on a fresh connection, should the kept one turn out to be dead
    ended     the client has sent FIN
    ending    all is said to the client once what is pending has left, and it to the target
    fault     why nothing more can be heard from the target
    silent_target  it has sent FIN, or broken off
    deaf      the target takes nothing any more; what it has answered may still be here
    """

    __slots__ = (
        "again", "client", "credentials", "deaf", "ended", "ending", "fault", "method", "opener", "server", "session",
        "silent_target", "target", "unsent",
    )  # fmt: skip

    def __init__(self, session: Session, credentials: Credentials) -> None:
        self.session = session
        self.credentials = credentials
        self.client = h11.Connection(h11.SERVER, max_incomplete_event_size=http.LONGEST_HEAD)
        self.server: Optional[h11.Connection] = None
        self.opener: Transform = Plain()
        self.target: Optional[Address] = None
        self.method = b""
        self.unsent: Optional[h11.Request] = None
        self.again: Optional[h11.Request] = None
        self.fault: Optional[PyssError] = None
        self.ended = self.ending = self.silent_target = self.deaf = False

    # --- events ----------------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        """From the client; b"" at its FIN."""
        self.client.receive_data(data)
        self.ended = not data

    def read(self, channel: Channel) -> None:
        """One of the two sockets has something."""
        session = self.session
        try:
            data = channel.sock.recv(READ_SIZE)
        except WOULD_BLOCK:
            return
        except OSError as error:
            fault = PeerReset(f"the connection broke: {error.strerror}")
            if channel is session.client:
                session.abort(fault)
            else:
                self._lose_target(fault)
            return
        session.seen = session.loop.now
        if channel is session.client:
            self.hear(data)
        else:
            self._hear_target(data)

    def _hear_target(self, data: bytes) -> None:
        opener, server, down = self.opener, self.server, self.session.down
        assert server is not None and down is not None
        if not data:
            try:
                opener.finish()
            except CipherError as fault:
                self._lose_target(fault)
                return
            down.ended = self.silent_target = True
            server.receive_data(b"")
            return
        whole = opener.residue + data
        room = self.session.loop.tx
        if len(whole) > len(room):  # Windows, whose scratch is smaller, and a chunk of AEAD-2022 that waits for its end
            room = memoryview(bytearray(len(whole)))
        opened = bytes(opener.apply(memoryview(whole), len(whole), room))
        if opened:
            down.count += len(opened)
            server.receive_data(opened)
        if opener.fault is not None:
            self._lose_target(opener.fault)

    def _lose_target(self, fault: PyssError) -> None:
        """What was good before the fault is still passed on; its end must not look like a FIN."""
        self.silent_target = True
        self.fault = fault

    def dialed(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        """The way to the target stands, or not."""
        session = self.session
        if channel is None:
            assert error is not None
            self._refuse(error)
            return
        assert session.route is not None and self.target is not None
        sealer, self.opener = session.route.transforms(self.target)
        channel.on_ready = on_ready
        channel.incoming = self
        session.up = Outlet(session, session.loop, session.client, channel, sealer)
        session.down = Outlet(session, session.loop, channel, session.client, Plain())
        self.server = h11.Connection(h11.CLIENT, max_incomplete_event_size=http.LONGEST_HEAD)
        self.turn()

    def silent(self) -> None:
        """Nothing has moved for too long."""
        idle = self.client.our_state is h11.IDLE and self.client.their_state is h11.IDLE
        if idle and not _pending(self.session.down):
            self.session.linger()
        else:
            self._refuse(SilenceLimit("nothing moved for too long"))

    # --- steps -----------------------------------------------------------------------------------
    def turn(self) -> None:
        """Go on as far as it goes, then see to it that what is missing is waited for."""
        try:
            self._flush()
            while self._forwarding and (self._answer() or self._request()):
                pass
        except h11.RemoteProtocolError as error:
            self._not_http(_reason(error))
        except h11.LocalProtocolError as error:
            self._refuse(DialError(f"this cannot be passed on: {_reason(error)}"))
        except PyssError as error:
            self._refuse(error)
        if self._forwarding:
            self._wait()

    @property
    def _forwarding(self) -> bool:
        return self.session.client.on_ready is on_ready

    def _flush(self) -> None:
        up, down = self.session.up, self.session.down
        if down is not None:
            down.flush()
        if up is not None and self.server is not None:
            try:
                up.flush()
            except PeerReset:
                self.deaf = True

    def _wait(self) -> None:
        """Watch both sides for what would let `turn` go on, and the client's end."""
        session, client = self.session, self.client
        up_pending, down_pending = _pending(session.up), _pending(session.down)
        if client.their_state is h11.SEND_BODY:
            wanted = not up_pending
        elif self._request_is_whole:
            wanted = not client.trailing_data[0]  # what it sends ahead stays in the kernel
        else:
            wanted = not down_pending
        listen = wanted and not (self.ended or session.dialing)
        session.loop.watch(session.client, (READ if listen else 0) | (WRITE if down_pending else 0))
        if session.target is not None:
            listen = not (down_pending or self.silent_target)
            session.loop.watch(session.target, (READ if listen else 0) | (WRITE if up_pending else 0))

    def _answer(self) -> bool:
        """One step of the target's answer; False when there is none to take."""
        server = self.server
        if server is None or _pending(self.session.down):
            return False
        if server.our_state is h11.IDLE or self.ending:
            if self.silent_target or server.trailing_data[0]:
                self._hang_up()  # whatever it says now, nobody has asked
            return False
        if self.silent_target and server.their_state is h11.SEND_RESPONSE and not server.trailing_data[0]:
            return self._target_failed(self.fault or DialError("the target closed without an answer"))
        try:
            event = server.next_event()
        except h11.RemoteProtocolError as error:
            return self._target_failed(DialError(f"the target's answer is not HTTP: {_reason(error)}"))
        if event is h11.NEED_DATA:
            return self.fault is not None and self._target_failed(self.fault)
        self.again = None
        if isinstance(event, h11.Data):
            self._say(event)
        elif isinstance(event, h11.EndOfMessage):
            self._complete(server)
        elif isinstance(event, h11.Response):
            headers = end_to_end(event.headers.raw_items())
            if self.client.their_state is h11.SEND_BODY:
                headers.append((b"Connection", b"close"))  # what it may still send is no request
                self.deaf |= self.client.they_are_waiting_for_100_continue  # it will send nothing
            self._say(h11.Response(status_code=event.status_code, headers=headers, reason=event.reason))
        elif isinstance(event, h11.InformationalResponse) and (self.client.their_http_version or b"") >= b"1.1":
            # an HTTP/1.0 client knows no 1xx
            headers = end_to_end(event.headers.raw_items())
            self._say(
                h11.InformationalResponse(status_code=event.status_code, headers=headers, reason=event.reason)
            )
        return True

    def _request(self) -> bool:
        """One step of the client's requests; False when none can be taken now."""
        session, client = self.session, self.client
        down_pending = _pending(session.down)
        if session.dialing:
            return False
        if self.ending and not down_pending and not self._uploading:
            self._hang_up()
            session.linger()
            return False
        if _pending(session.up):
            return False
        if self.unsent is not None:
            request, self.unsent = self.unsent, None
            self._ask(request)
            return True
        if self._request_is_whole or (down_pending and client.their_state is not h11.SEND_BODY):
            return False
        event = client.next_event()
        if event is h11.NEED_DATA or event is h11.PAUSED:
            return False
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._pass_on(event)
        elif isinstance(event, h11.EndOfMessage):
            self._pass_on(h11.EndOfMessage())  # without its trailers
        else:
            self.ending = True
        return True

    @property
    def _request_is_whole(self) -> bool:
        """The client has said all of a request, and its answer is still to come or under way."""
        client = self.client
        return client.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY) and client.their_state is not h11.SEND_BODY

    @property
    def _uploading(self) -> bool:
        """Something of the request is still to be passed on, and the target listens."""
        unfinished = self.client.their_state is h11.SEND_BODY or _pending(self.session.up)
        return unfinished and self.server is not None and not self.deaf

    def _begin(self, request: h11.Request) -> None:
        headers = list(request.headers.raw_items())
        self.method = request.method
        http.check_authorization(authorization(headers), self.credentials)
        if request.method == b"CONNECT":
            raise ProtocolError("CONNECT opens a connection of its own; it cannot follow other requests")
        target, path, sent = forwarded_request(request.target, headers, request.method)
        refuse_loop(self.session.client, target)
        asked = h11.Request(method=request.method, target=path, headers=sent)
        if self.server is not None and target == self.target:
            self.again = asked if request.method in _ASKED_AGAIN and not has_body(sent) else None
            self._ask(asked)
        else:
            self._hang_up()
            self._dial(target, asked)

    def _dial(self, target: Address, request: h11.Request) -> None:
        self.target = target
        self.unsent = request
        self.session.dial_next(Request(target))

    def _ask(self, request: h11.Request) -> None:
        self._pass_on(request)
        if self._request_is_whole:  # asked again: this is all that was behind its head
            self._pass_on(h11.EndOfMessage())

    def _pass_on(self, event: Any) -> None:
        """To the target, while it listens."""
        server, up = self.server, self.session.up
        if server is None or up is None or self.deaf:
            return
        data = server.send(event)
        if not data:
            return
        if len(data) > len(up.loop.rx):
            raise ProtocolError("the head of the request is too long")
        try:
            up.feed(data, up.transform)
        except PeerReset:
            self.deaf = True

    def _say(self, event: Any) -> None:
        """To the client."""
        data = self.client.send(event)
        down = self.session.down
        assert down is not None
        if data:
            down.write(data)

    def _complete(self, server: h11.Connection) -> None:
        """The answer has been passed on whole; its request may still be on its way."""
        client = self.client
        self._say(h11.EndOfMessage())
        if server.our_state is h11.DONE and server.their_state is h11.DONE:
            server.start_next_cycle()
        elif not self._uploading:
            self._hang_up()
        if client.our_state is h11.DONE and client.their_state is h11.DONE:
            client.start_next_cycle()
        else:
            self.ending = True

    # --- ends ------------------------------------------------------------------------------------
    def _hang_up(self) -> None:
        """End the connection to the target, if there is one."""
        self.server = self.target = self.fault = None
        self.silent_target = self.deaf = False
        if self.session.up is not None:
            self.session.up.pending = b""
        self.session.drop_target()

    def _target_failed(self, fault: PyssError) -> bool:
        """The target gave up.  A kept connection may have been closed just before it was used again."""
        request, self.again = self.again, None
        target = self.target
        self._hang_up()
        if request is None or target is None:
            self._refuse(fault)  # to raise it would make a cycle of it and this frame
        else:
            self._dial(target, request)
        return True

    def _not_http(self, reason: str) -> None:
        if self.ended and reason.startswith("peer "):
            self.session.close(Disconnected("the client closed before its request was complete"))
        else:
            self._refuse(ProtocolError(f"the request is not HTTP: {reason}"))

    def _refuse(self, error: PyssError) -> None:
        """Tell the client, unless it has heard the beginning of an answer."""
        session = self.session
        if self.client.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or _pending(session.down):
            session.abort(error)
            return
        answer = http.refused(error)
        if self.method == b"HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        session.refuse(error, answer)


def _pending(pump: Optional[Pump]) -> bool:
    return pump is not None and bool(pump.pending)


def _reason(error: h11.ProtocolError) -> str:
    """What the parser found, without the bytes: they may hold secrets."""
    error.__traceback__ = None  # h11 makes a cycle of it, which would keep the session
    return str(error).partition(": b")[0]


def on_ready(channel: Channel, mask: int) -> None:
    """The state of both channels while plain HTTP is forwarded."""
    relay = channel.incoming
    assert isinstance(relay, HttpForward)
    if mask & channel.events & READ:
        relay.read(channel)
    if channel.on_ready is on_ready:
        relay.turn()
