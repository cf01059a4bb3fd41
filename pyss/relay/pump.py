"""One direction of a session: read, transform, send.

A pump reads from its source channel into the loop's scratch, lets its transform seal or open the bytes,
and sends what comes out to its sink; all within one callback, so that ten thousand idle sessions hold no
buffers.  What the sink does not take is copied, at most one scratch-full, and until it is gone the source
is not watched: TCP itself then slows the sender down.

`verdict` is how the direction ends once everything pending has left: with FIN after the source's FIN, with
RST after a fault.
"""

from __future__ import annotations

from types import FunctionType
from typing import Optional, Protocol

from ..errors import CipherError, PeerReset, PyssError
from ..net.channel import Channel, OnReady, ignore
from ..net.loop import READ, WRITE, Loop
from ..net.sockets import WOULD_BLOCK, finish_writing
from ..protocol.transform import Output, Transform


class Ending(Protocol):
    """What a pump tells its session."""

    seen: float

    def abort(self, error: BaseException) -> None: ...
    def direction_ended(self, pump: Pump) -> None: ...


class EndOfInput(PyssError):
    """The verdict of a direction that ended as it should."""

    status = "ok"


_END_OF_INPUT = EndOfInput()


class Pump:
    """Bytes from `source` to `sink`.

    transform  what happens to them
    pending    what the sink has not taken yet
    count      plaintext bytes carried so far
    verdict    how this direction ends when nothing is pending; None while it runs
    ended      the verdict has been carried out
    """

    __slots__ = ("count", "ended", "loop", "pending", "session", "sink", "source", "transform", "verdict")

    def __init__(self, session: Ending, loop: Loop, source: Channel, sink: Channel, transform: Transform) -> None:
        self.session = session
        self.loop = loop
        self.source = source
        self.sink = sink
        self.transform = transform
        self.pending = b""
        self.count = 0
        self.verdict: Optional[PyssError] = None
        self.ended = False

    def start(self) -> None:
        """Read from now on, unless something is pending or the transform has found a fault already."""
        self.source.incoming = self
        self.sink.outgoing = self
        if self.transform.fault is not None:
            self.fail(self.transform.fault)
        elif not self.pending:
            self.loop.watch(self.source, self.source.events | READ)

    def feed(self, plain: bytes, sealer: Transform) -> None:
        """Send plaintext that came with the handshake; `sealer` is the outbound's half of the way.

        b"" sends what leads the stream alone.
        """
        rx = self.loop.rx
        size = len(plain)
        rx[:size] = plain
        self.count += size
        self.write(sealer.apply(rx, size, self.loop.tx))

    def write(self, data: Output) -> None:
        """Send, keep what is not taken, pause the source meanwhile."""
        try:
            sent = self.sink.sock.send(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self.session.abort(PeerReset(f"sending failed: {error.strerror}"))
            return
        if sent != len(data):
            self.pending = bytes(data[sent:])
            loop = self.loop
            loop.watch(self.source, self.source.events & ~READ)
            loop.watch(self.sink, self.sink.events | WRITE)

    def flush(self) -> None:
        """The sink is writable: send more of what is pending; carry out the verdict behind it."""
        pending = self.pending
        if pending:
            try:
                sent = self.sink.sock.send(pending)
            except WOULD_BLOCK:
                return
            except OSError as error:
                self.session.abort(PeerReset(f"sending failed: {error.strerror}"))
                return
            self.session.seen = self.loop.now
            self.pending = pending[sent:]
            if self.pending:
                return
        self.loop.watch(self.sink, self.sink.events & ~WRITE)
        if self.verdict is not None:
            self._conclude()
        else:
            self.loop.watch(self.source, self.source.events | READ)

    def end_of_input(self) -> None:
        """The source has sent FIN."""
        source = self.source
        try:
            last = self.transform.finish()
        except CipherError as fault:
            self.fail(fault.with_traceback(None))  # whose frame would hold this pump, and this pump the fault
            return
        self.verdict = _END_OF_INPUT
        if last:
            self.write(last)
        if not self.pending and source.on_ready is not ignore:  # else the sink was gone, and the session with it
            self._conclude()
        if source.on_ready is not ignore:  # else that was the end of the session, and its descriptors are gone
            self.loop.watch(source, source.events & ~READ)

    def fail(self, fault: PyssError) -> None:
        """Nothing more can be trusted; what was good leaves before the reset."""
        self.loop.watch(self.source, self.source.events & ~READ)
        self.verdict = fault
        if not self.pending:
            self._conclude()

    def _conclude(self) -> None:
        if self.ended:
            return
        verdict = self.verdict
        if verdict is not _END_OF_INPUT:
            assert verdict is not None
            self.session.abort(verdict)
            return
        self.ended = True
        self.session.direction_ended(self)

    def pass_on_end(self) -> None:
        """FIN to the sink; its other direction goes on."""
        finish_writing(self.sink.sock)


def stream(channel: Channel, mask: int) -> None:
    """The state of a channel whose session is streaming.

    One flat function, and what is not needed to pass the message on comes behind `send`: each layer of calls
    would cost a hundredth of a small message.
    """
    if mask != READ:
        if mask & WRITE:
            writer: Pump = channel.outgoing
            writer.flush()
            if channel.on_ready is ignore:  # that was the end of the session
                return
        if not mask & READ:
            return
    if not channel.events & READ:
        return
    pump: Pump = channel.incoming
    loop = pump.loop
    transform = pump.transform
    rx = loop.rx
    residue = transform.residue
    try:
        if residue:
            kept = len(residue)
            rx[:kept] = residue
            size = channel.sock.recv_into(rx[kept:])
            if size:
                size += kept
        else:
            size = channel.sock.recv_into(rx)
    except WOULD_BLOCK:
        return
    except OSError as error:
        pump.session.abort(PeerReset(f"the connection broke: {error.strerror}"))
        return
    if not size:
        pump.end_of_input()
        return
    data = transform.apply(rx, size, loop.tx)
    length = len(data)
    if length:
        try:
            sent = pump.sink.sock.send(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            pump.session.abort(PeerReset(f"sending failed: {error.strerror}"))
            return
        pump.count += length if length < size else size
        if sent != length:
            pump.pending = bytes(data[sent:])
            loop.watch(channel, channel.events & ~READ)
            loop.watch(pump.sink, pump.sink.events | WRITE)
    pump.session.seen = loop.now
    if transform.fault is not None:
        pump.fail(transform.fault)


def _twin(function: OnReady) -> OnReady:
    """The same code in an object of its own.

    From 3.11 on CPython learns, for each place in the code, the type of what it meets there, and is slow where two
    types take turns, as sealers and openers would here.
    """
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(), function.__globals__, function.__name__)


stream_up, stream_down = stream, _twin(stream)  # of a session's client, and of its target
