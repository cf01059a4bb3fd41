"""One client, one target, and how their session goes.

    GREETING ──request──► DIALING ──connected──► STREAMING ──one FIN──► HALF_CLOSED ──other FIN──► CLOSED
       │ error               │ refused              │ error: reset             │ error: reset
       ├──────► DRAINING ◄───┘                      └──────► CLOSED ◄──────────┘
       │            ▲ └── end of input or deadline ──► CLOSED
       ├──plain HTTP──► FORWARDING
       └──datagrams──► ASSOCIATED

GREETING     the inbound's script reads in small pieces until it knows the target.
DIALING      the client is not read: TCP is the buffer.
STREAMING    two pumps run; FIN passes from one side to the other behind the last byte.
HALF_CLOSED  one direction has ended, the other goes on under a shorter limit of silence.
FORWARDING   plain HTTP: `http_forward` has both channels and dials one target after another.
ASSOCIATED   UDP ASSOCIATE of SOCKS5: a port for the client's datagrams is open as long as this connection.
DRAINING     the client's input is read and discarded.  On a server it is told nothing, and the connection
             ends when that of a silent peer would: a prober learns nothing.  A proxy's client has been told
             why, and the rest of its input is read so that no reset overtakes the answer.
CLOSED       entered exactly once: one record, both channels retired.

Time limits need one timer.  It re-arms itself from `seen`, which the pumps merely store.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

from ..address import Address, join_host_port
from ..errors import DialTimeout, Disconnected, PeerReset, PyssError, SilenceLimit
from ..net.channel import Channel, OnReady
from ..net.dialer import Dialing
from ..net.loop import READ
from ..net.sockets import WOULD_BLOCK, Socket, SocketAddress, finish_writing, is_broken
from ..net.timers import NEVER
from ..protocol.dialogue import Dialogue, Script
from ..protocol.request import Request, silence
from .accounting import SessionRecord
from .outbounds import Route
from .pump import Pump, stream_down, stream_up

if TYPE_CHECKING:
    from .service import Service

GREETING, DIALING, STREAMING, HALF_CLOSED, FORWARDING, ASSOCIATED, DRAINING, CLOSED = range(8)
STATES = ("GREETING", "DIALING", "STREAMING", "HALF_CLOSED", "FORWARDING", "ASSOCIATED", "DRAINING", "CLOSED")

TRANSITIONS: dict[int, frozenset[int]] = {
    GREETING: frozenset({DIALING, FORWARDING, ASSOCIATED, DRAINING, CLOSED}),
    DIALING: frozenset({STREAMING, DRAINING, CLOSED}),
    STREAMING: frozenset({HALF_CLOSED, CLOSED}),
    HALF_CLOSED: frozenset({CLOSED}),
    FORWARDING: frozenset({DRAINING, CLOSED}),
    ASSOCIATED: frozenset({CLOSED}),
    DRAINING: frozenset({CLOSED}),
    CLOSED: frozenset(),
}

# Before streaming, reads are small: what a thousand dialing clients pipeline must stay small in sum.
GREETING_READ = 16 * 1024
LAST_READS = 4  # of a client that is to be closed now


class Forward(Protocol):
    """A relay that sessions are handed over to."""

    def dialed(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        """The way that `dial_next` opened stands, and the session has it as its target; or not."""

    def silent(self) -> None:
        """Nothing has moved for as long as a session may be idle."""


class DatagramPort(Protocol):
    """What a session in ASSOCIATED holds open.

    upstream, downstream  bytes of its datagrams' payloads
    """

    upstream: int
    downstream: int

    def close(self) -> None: ...


class Session:
    """See the module.  `Service` makes one for each accepted connection."""

    __slots__ = (
        "_detail", "_dial", "_dialogue", "_port", "_timer", "client", "down", "loop", "named", "peer", "request",
        "route", "seen", "service", "started", "state", "status", "target", "up",
    )  # fmt: skip

    def __init__(self, service: Service, sock: Socket, peer: SocketAddress) -> None:
        self.service = service
        self.loop = loop = service.loop
        self.peer = peer
        self.state = GREETING
        self.started = self.seen = loop.now
        self.named: Optional[Address] = None  # the target, once the client has named one
        self.request: Optional[Request] = None  # until it streams
        self.target: Optional[Channel] = None
        self.up: Optional[Pump] = None
        self.down: Optional[Pump] = None
        self.route: Optional[Route] = None
        self._dial: Optional[Dialing] = None
        self.status = "ok"
        self._detail = ""
        self._dialogue: Optional[Dialogue[Any]] = None  # while it lasts
        self._port: Optional[DatagramPort] = None
        self._timer = loop.timers.arm(loop.now + service.first, self._on_time, self)
        self.client = Channel(sock, greet, self)

    # --- GREETING --------------------------------------------------------------------------------
    def converse(self, script: Callable[[Dialogue[Any]], Script[Any]]) -> None:
        """Talk with the client until it has named its target; `Inbound.greeted` is told."""
        self._dialogue = Dialogue(script)
        self.loop.watch(self.client, READ)

    def dial_soon(self, request: Request) -> None:
        """There is nothing to talk about."""
        self.loop.call_soon(partial(self.dial, request), self)

    def hear(self, data: bytes) -> None:
        """The client said something; `data` is b"" at its FIN."""
        dialogue = self._dialogue
        assert dialogue is not None
        try:
            done = dialogue.feed(data) if data else dialogue.end()
        except Disconnected as error:
            self.close(error)
            return
        except PyssError as error:
            self.refuse(error, dialogue.replies())
            return
        replies = dialogue.replies()
        if replies and not self._tell(replies):
            return
        if done:
            self._dialogue = None
            self.service.inbound.greeted(self, dialogue.result)

    def refuse(self, error: PyssError, answer: bytes) -> None:
        """Tell the client, where its protocol has words, and read on until it goes."""
        self._note(error)
        self._enter(DRAINING)
        self._forget_dial()
        self._drop_dialogue()
        self.drop_target()
        self.service.inbound.refused(self, error)
        if answer:
            if not self._tell(answer):
                return
            finish_writing(self.client.sock)
        self._read_on()

    def _read_on(self) -> None:
        """Read and discard until the client goes, or the deadline of this state."""
        self.seen = self.loop.now
        self.client.on_ready = drain
        self.loop.watch(self.client, READ)
        self._hasten()

    def _tell(self, words: bytes) -> bool:
        """Say a few words of a handshake; they always fit an empty socket buffer."""
        try:
            sent = self.client.sock.send(words)
        except OSError as error:
            self.abort(PeerReset(f"sending failed: {error.strerror}"))
            return False
        if sent != len(words):
            self.abort(PeerReset("the client does not read"))
            return False
        return True

    # --- DIALING ---------------------------------------------------------------------------------
    def dial(self, request: Request) -> None:
        """The inbound's script has ended: open the way to the target."""
        self._enter(DIALING)
        self.client.on_ready = hold
        self._open_way(request)

    def _open_way(self, request: Request) -> None:
        service = self.service
        self.request = request
        self.named = target = request.target
        self.seen = self.loop.now
        service.dialing(self)
        self.route = route = service.outbound.route()
        self._dial = route.dial(target, self._dial_ended)

    def _dial_ended(self, channel: Optional[Channel], error: Optional[PyssError]) -> None:
        self._dial = None
        try:
            assert self.route is not None
            self.route.dialed(error)
            if channel is not None:
                channel.owner = self
                self.target = channel
            if self.state == FORWARDING:
                forward: Forward = self.client.incoming
                forward.dialed(channel, error)
            elif channel is not None:
                self._dialed(channel)
            elif error is not None:
                self._unreached(error)
        except Exception as fault:  # this was called in the dial's name, and is this session's fault
            if channel is not None and channel is not self.target:
                self.loop.retire(channel)
            self.abort(fault)

    def _unreached(self, error: PyssError) -> None:
        assert self.request is not None
        answer = self.request.refused(error)
        if answer:
            self.refuse(error, answer)
        else:
            self.abort(error)

    def _dialed(self, channel: Channel) -> None:
        request, self.request = self.request, None
        assert request is not None
        self._enter(STREAMING)
        self.seen = self.loop.now
        # What has no words needs no address for them.
        if request.accepted is silence or self._tell(request.accepted(channel.sock.getsockname())):
            self._stream(request, channel)

    # --- FORWARDING ------------------------------------------------------------------------------
    def hand_over(self, on_ready: OnReady, forward: Forward) -> None:
        """Another relay has the client from now on; it stays this session's to end."""
        self._enter(FORWARDING)
        self.client.on_ready = on_ready
        self.client.incoming = forward

    def dial_next(self, request: Request) -> None:
        """Open the way to another target; `Forward.dialed` is called later, once, unless this session ends before."""
        if self.named is not None:
            self.service.account(self)
            self.up = self.down = None
            self.started = self.loop.now
        self._open_way(request)
        self._hasten()

    def drop_target(self, *, reset: bool = False) -> None:
        """End the connection to the target, if there is one."""
        target, self.target = self.target, None
        if target is not None:
            loop = self.loop
            loop.retire(target, reset=reset)
            target.owner = loop

    def linger(self) -> None:
        """All is said: send FIN, and read on until the client has heard it."""
        self._enter(DRAINING)
        self.drop_target()
        finish_writing(self.client.sock)
        self._read_on()

    # --- ASSOCIATED ------------------------------------------------------------------------------
    def associate(self, port: DatagramPort, answer: bytes) -> None:
        """The client sends datagrams to `port` from now on, and is told so."""
        self._enter(ASSOCIATED)
        self._port = port
        self._detail = "UDP"
        self._tell(answer)
        self.client.on_ready = drain

    # --- STREAMING -------------------------------------------------------------------------------
    def _stream(self, request: Request, channel: Channel) -> None:
        loop = self.loop
        client = self.client
        assert self.route is not None
        sealer, opener = self.route.transforms(request.target)
        self.up = up = Pump(self, loop, client, channel, request.upstream or sealer)
        self.down = down = Pump(self, loop, channel, client, request.downstream or opener)
        payload = request.payload
        client.on_ready = stream_up
        channel.on_ready = stream_down
        down.start()
        if payload:
            up.feed(payload, sealer)
            if self.state == CLOSED:
                return
        elif request.upstream is None:
            # Salt and address wait a moment for the first payload, to leave in one packet with it.
            self.service.joining.add(self)
        up.start()

    @property
    def is_mute(self) -> bool:
        """Whether the target has not been named to the server yet, for want of a payload to go with it."""
        up = self.up
        return up is not None and not up.count and up.verdict is None

    def send_lead(self) -> None:
        """A client that waits for the target to speak first: the address goes alone."""
        if self.is_mute:
            assert self.up is not None
            self.up.feed(b"", self.up.transform)

    def direction_ended(self, pump: Pump) -> None:
        """FIN has come from the pump's source and all bytes before it have left."""
        other = self.down if pump is self.up else self.up
        assert other is not None
        if other.ended:
            self.close()
            return
        pump.pass_on_end()
        self._enter(HALF_CLOSED)
        self._hasten()

    # --- ends ------------------------------------------------------------------------------------
    def abort(self, error: BaseException) -> None:
        """End at once; both sides see RST.  Anything that is not ours is a fault in pyss itself."""
        if not isinstance(error, PyssError):
            self.loop.on_fault(error)
            error = PyssError("internal error")
        self.close(error, reset=True)

    def close(self, error: Optional[PyssError] = None, *, reset: bool = False) -> None:
        """The only way out, taken once."""
        if self.state == CLOSED:
            return
        self._enter(CLOSED)
        if error is not None:
            self._note(error)
        self._timer.cancel()
        if self._dial is not None:
            self._forget_dial()
        if self._dialogue is not None:
            self._drop_dialogue()
        loop = self.loop
        loop.retire(self.client, reset=reset)
        self.drop_target(reset=reset)
        if self._port is not None:
            self._port.close()
        self.service.ended(self)
        # No cycles: what ends here is freed here, without the garbage collector.
        self.client.owner = loop
        self.up = self.down = None

    @property
    def dialing(self) -> bool:
        return self._dial is not None

    @property
    def ended(self) -> bool:
        return self.state == CLOSED

    @property
    def client_name(self) -> str:
        return join_host_port(self.peer[0], self.peer[1])

    @property
    def reset(self) -> bool:
        """Whether one of the two sides broke the connection off."""
        return self.status == PeerReset.status

    def record(self) -> SessionRecord:
        port = self._port
        upstream, downstream = (0, 0) if port is None else (port.upstream, port.downstream)
        return SessionRecord(
            self.client_name,
            "-" if self.named is None else str(self.named),
            self.status,
            upstream if self.up is None else self.up.count,
            downstream if self.down is None else self.down.count,
            self.loop.now - self.started,
            self._detail,
        )

    def _note(self, error: PyssError) -> None:
        if self.status == "ok":  # the first error is the reason, what follows are its consequences
            self.status = error.status
            self._detail = str(error)

    def _enter(self, state: int) -> None:
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"no way from {STATES[self.state]} to {STATES[state]}")
        self.state = state

    def _forget_dial(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None

    def _drop_dialogue(self) -> None:
        if self._dialogue is not None:
            self._dialogue.drop()
            self._dialogue = None

    # --- time ------------------------------------------------------------------------------------
    def _deadline(self) -> float:
        limits = self.service.limits
        if self._dial is not None:
            return self.seen + limits.dial
        if self.state in (STREAMING, FORWARDING):
            return self.seen + limits.idle
        if self.state == HALF_CLOSED:
            return self.seen + limits.half_closed
        if self.state == DRAINING:
            return self.service.inbound.drain_deadline(self)
        if self.state == ASSOCIATED:
            return NEVER
        return self.started + limits.greeting

    def _hasten(self) -> None:
        """A new state may have an earlier deadline than the timer waits for; a later one it finds by itself."""
        if self.state != CLOSED and self._deadline() < self._timer.deadline:
            self._timer.cancel()
            self._rearm()

    def _rearm(self) -> None:
        delay = max(0.0, self._deadline() - self.loop.now)
        self._timer = self.loop.call_later(delay, self._on_time, self)

    def _on_time(self) -> None:
        if self._deadline() > self.loop.now:
            if self.route is not None and self._dial is None:
                self.route.review(self)
            if self.state != CLOSED:
                self._rearm()
        elif self.state == DRAINING:
            self._discard_and_close()
        elif self.state == GREETING:
            self._note(SilenceLimit("no request in time"))
            self._discard_and_close()
        elif self._dial is not None:
            self._dialed_too_long()
        elif self.state == FORWARDING:
            forward: Forward = self.client.incoming
            forward.silent()
        else:
            self.abort(SilenceLimit("nothing moved for too long"))

    def _dialed_too_long(self) -> None:
        assert self._dial is not None
        limit = self.service.limits.dial
        # Not `cancel`: the route must hear of it too, to pass this server over.
        self._dial.fail(DialTimeout(f"{self.named}: no connection within {limit:g} s"))

    def _discard_and_close(self) -> None:
        """FIN, then a last look at the input: what is unread at close() makes the kernel send RST.

        Of a peer that never stops some always is, but behind the FIN the RST comes too late to be seen.  So
        a few reads are enough, and such a peer cannot hold up the loop.
        """
        finish_writing(self.client.sock)
        try:
            for _ in range(LAST_READS):
                if not self.client.sock.recv_into(self.loop.rx):
                    break
        except OSError:
            pass
        self.close()


# --- the states of the client's channel before it streams ----------------------------------------
def greet(channel: Channel, mask: int) -> None:
    session = channel.owner
    assert isinstance(session, Session)
    try:
        data = channel.sock.recv(GREETING_READ)
    except WOULD_BLOCK:
        return
    except OSError as error:
        session.abort(PeerReset(f"the connection broke: {error.strerror}"))
        return
    session.hear(data)


def hold(channel: Channel, mask: int) -> None:
    """Dialing: leave the client's bytes in the kernel, but notice that it is gone."""
    session = channel.owner
    assert isinstance(session, Session)
    session.loop.watch(channel, 0)
    if is_broken(channel.sock):
        session.abort(PeerReset("the client broke off while its target was dialed"))


def drain(channel: Channel, mask: int) -> None:
    session = channel.owner
    assert isinstance(session, Session)
    try:
        size = channel.sock.recv_into(session.loop.rx)
    except WOULD_BLOCK:
        return
    except OSError:
        size = 0
    if not size:
        session.close()
