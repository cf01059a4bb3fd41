"""Plain HTTP through the proxy: a small relay of its own, on the parser h11.

It does not fit "one dialogue, one target".  A connection carries several requests to different hosts, and
each message changes on its way.  So here are two connections with a parser each,

    client ──► h11 as server ──► request rewritten ──► h11 as client ──► sealer ──► target
           ◄──               ◄── hop-by-hop removed ◄──             ◄── opener ◄──

and one rule: after every event, `_turn` takes steps until neither side can go on.  A side cannot go on while
what it has to write is not taken (backpressure), while its target is being dialed, or for want of input.
The connection to the target is kept for the next request, if that goes to the same host and port.

In the log, every connection to a target is a session with a line of its own.
"""

from __future__ import annotations

from typing import Any, Optional

import h11

from ..address import Address
from ..errors import CipherError, DialError, PeerReset, ProtocolError, PyssError, SilenceLimit
from ..net.channel import Channel
from ..net.loop import READ, WRITE
from ..net.sockets import WOULD_BLOCK
from ..protocol import http
from ..protocol.credentials import Credentials
from ..protocol.http_forward import authorization, end_to_end, forwarded_request
from ..protocol.request import Request
from ..protocol.transform import Plain, Transform
from .inbounds import refuse_loop
from .pump import Pump
from .session import Session

READ_SIZE = 64 * 1024
_ASKED_AGAIN = (b"GET", b"HEAD", b"OPTIONS", b"TRACE")  # without a body, and safe to be said twice


def forward(session: Session, data: bytes, credentials: Credentials) -> None:
    """Take over a session whose client turned out to speak plain HTTP; `data` is what it has said."""
    relay = HttpForward(session, credentials)
    session.hand_over(on_ready, relay)
    relay.hear(data)


class HttpForward:
    """One client, one target at a time.

    asked     the request that has no answer yet, and may be asked again on a fresh connection
    reused    the connection to the target has served a request before
    ending    nothing more will be read from the client
    """

    __slots__ = ("asked", "client", "credentials", "ending", "opener", "reused", "server", "session", "target")

    def __init__(self, session: Session, credentials: Credentials) -> None:
        self.session = session
        self.credentials = credentials
        self.client = h11.Connection(h11.SERVER, max_incomplete_event_size=http.LONGEST_HEAD)
        self.server: Optional[h11.Connection] = None
        self.opener: Transform = Plain()
        self.target: Optional[Address] = None
        self.asked: Optional[h11.Request] = None
        self.reused = False
        self.ending = False

    # --- events ----------------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        """From the client; b"" at its FIN."""
        self.client.receive_data(data)
        if not data:
            self._watch_client(False)
        self._turn()

    def read(self, channel: Channel) -> None:
        """One of the two sockets has something."""
        session = self.session
        try:
            data = channel.sock.recv(READ_SIZE)
        except WOULD_BLOCK:
            return
        except OSError as error:
            self._broken(channel, f"the connection broke: {error.strerror}")
            return
        session.seen = session.loop.now
        if channel is session.client:
            self.hear(data)
        else:
            self._hear_target(channel, data)

    def _hear_target(self, channel: Channel, data: bytes) -> None:
        assert self.server is not None
        opener = self.opener
        if data:
            whole = opener.residue + data
            opened = bytes(opener.apply(memoryview(whole), len(whole), self.session.loop.tx))
            if opened:
                assert self.session.down is not None
                self.session.down.count += len(opened)
                self.server.receive_data(opened)
        else:
            self.session.loop.watch(channel, channel.events & ~READ)
            try:
                opener.finish()
            except CipherError as fault:
                self.session.abort(fault)
                return
            self.server.receive_data(b"")
        self._turn()
        if opener.fault is not None:
            self.session.abort(opener.fault)

    def dialed(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        """The way to the target stands, or not."""
        session = self.session
        if channel is None:
            assert error is not None
            self._refuse(error)
            return
        sealer = self._adopt(channel)
        session.up = Pump(session, session.loop, session.client, channel, sealer)
        session.down = Pump(session, session.loop, channel, session.client, Plain())
        channel.outgoing = session.up
        session.client.outgoing = session.down
        self.server = h11.Connection(h11.CLIENT, max_incomplete_event_size=http.LONGEST_HEAD)
        self.reused = False
        session.loop.watch(channel, READ)
        self._ask()
        if self._request_is_whole:  # asked again: this is all that was behind its head
            self._pass_on(h11.EndOfMessage())
        self._turn()

    def silent(self) -> None:
        """Nothing has moved for too long."""
        if self.client.our_state is h11.IDLE and self.client.their_state is h11.IDLE:
            self.session.linger()
        else:
            self._refuse(SilenceLimit("nothing moved for too long"))

    def _adopt(self, channel: Channel) -> Transform:
        session = self.session
        assert session.route is not None and self.target is not None
        sealer, self.opener = session.route.transforms(self.target)
        channel.on_ready = on_ready
        channel.incoming = self
        session.adopt(channel)
        return sealer

    # --- steps -----------------------------------------------------------------------------------
    def _turn(self) -> None:
        """Go on as far as it goes, then see to it that what is missing is waited for."""
        try:
            while not self.session.ended and (self._answer() or self._request()):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(ProtocolError(f"the request is not HTTP: {error}"))
        except h11.LocalProtocolError as error:
            self._refuse(DialError(f"the target's answer cannot be passed on: {error}"))
        except PyssError as error:
            self._refuse(error)

    def _answer(self) -> bool:
        """One step of the target's answer; False when there is none to take."""
        server, session = self.server, self.session
        if server is None or session.down is None or session.down.pending:
            return False
        try:
            event = server.next_event()
        except h11.RemoteProtocolError as error:
            return self._target_failed(f"the target's answer is not HTTP: {error}")
        if event is h11.NEED_DATA or event is h11.PAUSED:
            return False
        if isinstance(event, h11.ConnectionClosed):
            self._hang_up()
            return self.asked is None or self._target_failed("the target closed without an answer")
        self.asked = None
        if isinstance(event, h11.EndOfMessage):
            self._complete(server)
        elif isinstance(event, h11.Data):
            self._say(event)
        elif isinstance(event, h11.Response):
            headers = end_to_end(event.headers.raw_items())
            self._say(h11.Response(status_code=event.status_code, headers=headers, reason=event.reason))
        elif isinstance(event, h11.InformationalResponse) and self.client.their_http_version == b"1.1":
            # an HTTP/1.0 client knows no 1xx
            headers = end_to_end(event.headers.raw_items())
            self._say(
                h11.InformationalResponse(status_code=event.status_code, headers=headers, reason=event.reason)
            )
        return True

    def _request(self) -> bool:
        """One step of the client's requests; False when none can be taken now."""
        session, client = self.session, self.client
        if session.dialing or (session.down is not None and session.down.pending):
            return False
        if self.ending:
            self.server = None
            session.linger()
            return False
        if session.up is not None and session.up.pending:
            return False
        if self._request_is_whole:
            # Watched on, so that its end is noticed; but what it sends ahead stays in the kernel.
            self._watch_client(not any(client.trailing_data))
            return False
        event = client.next_event()
        if event is h11.NEED_DATA or event is h11.PAUSED:
            self._watch_client(not client.trailing_data[1])
            return False
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, (h11.Data, h11.EndOfMessage)):
            self._pass_on(h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event)
        else:
            self.ending = True
        return not session.dialing

    @property
    def _request_is_whole(self) -> bool:
        """The client has said all of a request, and its answer is still to come or under way."""
        client = self.client
        return client.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY) and client.their_state is not h11.SEND_BODY

    def _begin(self, request: h11.Request) -> None:
        headers = list(request.headers.raw_items())
        http.check_authorization(authorization(headers), self.credentials)
        if request.method == b"CONNECT":
            raise ProtocolError("CONNECT opens a connection of its own; it cannot follow other requests")
        target, path, sent = forwarded_request(request.target, headers)
        refuse_loop(self.session.client, target)
        self.asked = h11.Request(method=request.method, target=path, headers=sent)
        if self.server is not None and target == self.target and self.server.our_state is h11.IDLE:
            self.reused = True
            self._ask()
            return
        self._hang_up()
        self._dial(target)

    def _dial(self, target: Address) -> None:
        self.target = target
        self._watch_client(False)
        self.session.dial_next(Request(target), self.dialed)

    def _ask(self) -> None:
        assert self.asked is not None
        self._pass_on(self.asked)

    def _pass_on(self, event: Any) -> None:
        """To the target, where it still listens: an early answer may have ended the exchange."""
        server, up = self.server, self.session.up
        if server is None or up is None or server.our_state is h11.ERROR:
            return
        data = server.send(event)
        if data:
            up.feed(data, up.transform)

    def _say(self, event: Any) -> None:
        """To the client."""
        data = self.client.send(event)
        down = self.session.down
        assert down is not None
        if data:
            down.write(data)

    def _complete(self, server: h11.Connection) -> None:
        """The answer has been passed on whole."""
        client = self.client
        self._say(h11.EndOfMessage())
        if server.our_state is h11.DONE and server.their_state is h11.DONE:
            server.start_next_cycle()
        else:
            self.target = None  # not to be used again
        if client.our_state is h11.DONE and client.their_state is h11.DONE:
            client.start_next_cycle()
        else:
            self.ending = True

    # --- ends ------------------------------------------------------------------------------------
    def _broken(self, channel: Channel, why: str) -> None:
        """One of the two connections was reset."""
        if channel is self.session.client or self.client.our_state is h11.SEND_BODY:
            self.session.abort(PeerReset(why))
        elif self.asked is None:
            self._hang_up()
        else:
            try:
                self._target_failed(why)
            except DialError as error:
                self._refuse(error)

    def _hang_up(self) -> None:
        """End the connection to the target, if there is one."""
        self.server = None
        self.session.drop_target()

    def _target_failed(self, why: str) -> bool:
        """The target gave up.  A kept connection may have been closed just before it was used again."""
        request, target = self.asked, self.target
        self._hang_up()
        again = self.reused and self._request_is_whole and request is not None and request.method in _ASKED_AGAIN
        if again and target is not None:
            self._dial(target)
            return False
        raise DialError(why)

    def _refuse(self, error: PyssError) -> None:
        """Tell the client, unless it has heard the beginning of an answer."""
        session = self.session
        if self.client.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            session.refuse(error, http.refused(error))
        else:
            session.abort(error)

    def _watch_client(self, wanted: bool) -> None:
        client = self.session.client
        self.session.loop.watch(client, client.events | READ if wanted else client.events & ~READ)


def on_ready(channel: Channel, mask: int) -> None:
    """The state of both channels while plain HTTP is forwarded."""
    relay = channel.incoming
    assert isinstance(relay, HttpForward)
    if mask & WRITE:
        channel.outgoing.flush()
        if channel.on_ready is on_ready:
            relay._turn()
    if channel.on_ready is on_ready and mask & channel.events & READ:
        relay.read(channel)
