"""A connection to one name server that many questions share (RFC 7766), plain or through TLS (RFC 7858).

    TCP ──► TLS handshake, if any ──► questions, each after its length ──► answers in any order, told apart by id

    +--------+---------+--------+---------+---
    | length | message | length | message | ...       length: 2 bytes, big-endian (RFC 1035 section 4.2.2)
    +--------+---------+--------+---------+---

What comes may be split at any byte.  A connection that nobody waits at is kept for a few seconds; one that was silent
while a question at it grew old is given no new ones, for it may be dead.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Optional

from .channel import Channel
from .loop import READ, WRITE, Loop
from .names import NameServer
from .nametls import Tls, tls_error_text
from .namewire import Asker, Exchange
from .socket_options import NOTHING, SocketOptions
from .sockets import WOULD_BLOCK, connect, errno_text, new_stream, pending_error
from .timers import Timer

KEPT = 5.0  # seconds that a stream nobody waits at stays open; RFC 7766 section 6.2.3 says "a few"

_AT_ONCE = 16384  # bytes of one read
_LEAST = 12  # bytes of a message: its header


class Stream:
    """A connection to one name server.

    tls        what it is wrapped in, or None
    patience   seconds until it must stand, TLS included
    ended      called with the stream when it takes no more questions
    questions  by id, those that wait
    heard      messages that somebody waited for
    closed     whether it is over
    """

    def __init__(
        self,
        loop: Loop,
        server: NameServer,
        tls: Optional[Tls],
        patience: float,
        ended: Callable[[Stream], None],
        options: SocketOptions,
    ) -> None:
        self.loop = loop
        self._tls = tls
        self._ended = ended
        self.questions: dict[int, Question] = {}
        self.heard = 0
        self._incoming, self._outgoing = bytearray(), bytearray()
        self._open = False
        self.closed = self._dismissed = False
        self._channel: Optional[Channel] = None
        self._timer: Timer = loop.call_later(patience, partial(self.fail, "no connection in time"), self)
        try:
            self._connect(server, None if options is NOTHING else options)
        except OSError as error:
            loop.call_soon(partial(self.fail, error.strerror or str(error)), self)

    def _connect(self, server: NameServer, options: Optional[SocketOptions]) -> None:
        family, where = server.endpoint()
        sock = new_stream(family, options)
        try:
            number = connect(sock, where)
            if number:
                raise OSError(number, errno_text(number))
        except BaseException:
            sock.close()
            raise
        self._channel = Channel(sock, _on_connected, self)
        self.loop.watch(self._channel, WRITE)

    def ask(self, identity: int, message: bytes, asker: Asker) -> Exchange:
        """Send a question under an id that no other one here has."""
        if self.ready:
            self._timer.cancel()  # of those that nobody waits at
        question = self.questions[identity] = Question(self, identity, asker)
        framed = len(message).to_bytes(2, "big") + message
        if self._tls is None:
            self._outgoing += framed
        else:
            self._tls.send(framed)
        self._flush()
        return question

    @property
    def ready(self) -> bool:
        """Whether it stands, TLS included."""
        return self._open and (self._tls is None or self._tls.ready)

    def dismiss(self) -> None:
        """Take no more questions, and close after the last answer."""
        if not self._dismissed:
            self._dismissed = True
            self._ended(self)
        if not self.questions:
            self.close()

    def close(self) -> None:
        self.closed = True
        self._timer.cancel()
        self.questions.clear()
        if self._channel is not None:
            self.loop.retire(self._channel)

    def forget(self, identity: int) -> None:
        """Somebody waits no longer."""
        if self.questions.pop(identity, None) is None or self.questions or self.closed:
            return
        if self._dismissed:
            self.close()
        elif self.ready:
            self._timer = self.loop.call_later(KEPT, self.dismiss, self)

    def fail(self, why: str) -> None:
        """Close; whoever waits here is told."""
        if self.closed:
            return
        questions = list(self.questions.values())
        self.close()
        self.dismiss()
        for question in questions:
            self.loop.call_soon(partial(question.lost, why, used=self.heard > 0), question)

    def abort(self, error: BaseException) -> None:
        """A fault inside: this connection ends, nothing else."""
        self.loop.on_fault(error)
        self.fail("internal error")

    # --- events ----------------------------------------------------------------------------------
    def connected(self, channel: Channel) -> None:
        number = pending_error(channel.sock)
        if number:
            self.fail(errno_text(number))
            return
        self._open = True
        channel.on_ready = _on_stream
        self.loop.watch(channel, READ)
        self._stands()
        self._flush()

    def _stands(self) -> None:
        if self.ready:
            self._timer.cancel()
            if not self.questions:  # they all gave up meanwhile
                self._timer = self.loop.call_later(KEPT, self.dismiss, self)

    def happened(self, channel: Channel, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & READ and not self.closed:
            self._read(channel)

    def _flush(self) -> None:
        """Send what there is.  A failure is told later: this may be called out of a question."""
        channel = self._channel
        if not self._open or self.closed or channel is None:
            return
        if self._tls is not None:
            self._outgoing += self._tls.take()
        try:
            if self._outgoing:
                del self._outgoing[: channel.sock.send(self._outgoing)]
        except WOULD_BLOCK:
            pass
        except OSError as error:
            self.loop.call_soon(partial(self.fail, error.strerror or str(error)), self)
            self._outgoing.clear()
        self.loop.watch(channel, READ | WRITE if self._outgoing else READ)

    def _read(self, channel: Channel) -> None:
        rx = self.loop.rx[:_AT_ONCE]
        try:
            size = channel.sock.recv_into(rx)
            data = bytes(rx[:size])
            if self._tls is not None and size:
                data = self._receive(self._tls, data)
        except WOULD_BLOCK:
            return
        except OSError as error:
            self.fail(tls_error_text(error))
            return
        if not size:
            self.fail("the connection was closed")
            return
        self._incoming += data
        self._deliver()

    def _receive(self, tls: Tls, data: bytes) -> bytes:
        """Through TLS, which may want to send something too: an alert also when it raises."""
        was_ready = tls.ready
        try:
            return tls.receive(data)
        finally:
            self._flush()
            if not was_ready:
                self._stands()

    def _deliver(self) -> None:
        """Each whole message to whoever asked under its id."""
        incoming = self._incoming
        while len(incoming) >= 2 and not self.closed:
            size = int.from_bytes(incoming[:2], "big")
            if size < _LEAST:
                self.fail("it sends no messages of DNS")
                return
            if len(incoming) < 2 + size:
                return
            message = bytes(incoming[2 : 2 + size])
            del incoming[: 2 + size]
            question = self.questions.get(int.from_bytes(message[:2], "big"))
            if question is not None:  # else late, or nobody's
                self.heard += 1
                question.heard(message)


class Question:
    """One that waits at a stream; its asker is called no more once it has ended."""

    __slots__ = ("_asker", "_heard", "_identity", "_stream")

    def __init__(self, stream: Stream, identity: int, asker: Asker) -> None:
        self._stream = stream
        self._identity = identity
        self._asker: Optional[Asker] = asker
        self._heard = stream.heard

    def heard(self, message: bytes) -> None:
        try:
            if self._asker is not None:
                self._asker.heard(message)
        except Exception as fault:  # the asker's, not the connection's
            self.abort(fault)

    def lost(self, why: str, *, used: bool) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.lost(why, used=used)

    def abort(self, error: BaseException) -> None:
        if self._asker is not None:
            self._asker.abort(error)
        else:
            self._stream.loop.on_fault(error)

    def end(self, *, late: bool = False) -> None:
        self._asker = None
        stream = self._stream
        stream.forget(self._identity)
        if late and stream.ready and stream.heard == self._heard:
            stream.dismiss()


def _on_connected(channel: Channel, mask: int) -> None:
    stream = channel.owner
    assert isinstance(stream, Stream)
    stream.connected(channel)


def _on_stream(channel: Channel, mask: int) -> None:
    stream = channel.owner
    assert isinstance(stream, Stream)
    stream.happened(channel, mask)
