"""Handshakes as conversations.

A handshake is written as a generator that reads like its RFC and knows nothing of sockets:

    version, count = yield from io.take(2)
    methods = yield from io.take(count)
    io.reply(b"\\x05\\x00")

`Dialogue` drives it.  Whatever way the bytes arrive, one by one, pipelined or all at once, the result is
the same, with one exception: `first` sees only what the first read brought (SIP022 section 3.1.3 wants
that of a server).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Callable, Generic, Optional, TypeVar

from ..errors import Disconnected, ProtocolError

Result = TypeVar("Result")
Value = TypeVar("Value")
Script = Generator[None, None, Value]

LIMIT = 128 * 1024  # bytes that may wait unread in one dialogue: more than any header can have


class Dialogue(Generic[Result]):
    """One run of a script.

    begin   makes the script when the first bytes are here, and may look at them
    result  what the script returned; None until then
    """

    __slots__ = ("_begin", "_buffer", "_reads", "_said", "_script", "_searched", "result")

    def __init__(self, begin: Callable[[Dialogue[Result]], Script[Result]]) -> None:
        self._begin: Optional[Callable[[Dialogue[Result]], Script[Result]]] = begin
        self._buffer = b""
        self._reads = 0
        self._searched = 0
        self._said = b""
        self.result: Optional[Result] = None
        self._script: Optional[Script[Result]] = None

    # --- the driver's side -----------------------------------------------------------------------
    def feed(self, data: bytes) -> bool:
        """Hand in what one read brought, at least a byte; True when the script has ended and `result` stands.

        Raises what the script raises: ProtocolError or CipherError.
        """
        self._buffer = buffer = self._buffer + data
        self._reads += 1
        if len(buffer) > LIMIT:
            raise ProtocolError(f"more than {LIMIT} bytes before the request was complete")
        script = self._script
        if script is None:
            assert self._begin is not None
            script = self._script = self._begin(self)
        try:
            next(script)
        except StopIteration as stop:
            self.result = stop.value
            self.drop()
            return True
        return False

    def end(self) -> bool:
        """The peer will send no more; always raises Disconnected."""
        raise Disconnected("the peer closed before its request was complete")

    def drop(self) -> None:
        """Give up; without this a half-run script and its dialogue would wait for the garbage collector."""
        self._script = self._begin = None

    def replies(self) -> bytes:
        """What the script has said since the last call."""
        said, self._said = self._said, b""
        return said

    # --- the script's side -----------------------------------------------------------------------
    @property
    def here(self) -> bytes:
        """What has come and was not taken yet."""
        return self._buffer

    def reply(self, data: bytes) -> None:
        self._said += data

    def take(self, count: int) -> Script[bytes]:
        """Exactly `count` bytes, however long they take to arrive."""
        while len(self._buffer) < count:
            yield
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def peek(self, count: int) -> Script[bytes]:
        """Like `take`, but the bytes stay."""
        while len(self._buffer) < count:
            yield
        return self._buffer[:count]

    def parse(self, parser: Callable[[bytes], Optional[tuple[Value, int]]]) -> Script[Value]:
        """What `parser` finds at the front; it answers (value, offset behind it), or None while bytes miss."""
        while (found := parser(self._buffer)) is None:
            yield
        value, end = found
        self._buffer = self._buffer[end:]
        return value

    def some(self) -> Script[bytes]:
        """All that is here, at least one byte."""
        while not self._buffer:
            yield
        return self.rest()

    def first(self, count: int) -> Script[bytes]:
        """Exactly `count` bytes of the first read alone.  Raises ProtocolError when it brought fewer."""
        while not self._reads:
            yield
        if self._reads > 1 or len(self._buffer) < count:
            raise ProtocolError("the first read was too short")
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def take_until(self, mark: bytes, limit: int) -> Script[bytes]:
        """Everything through the first `mark`.  Raises ProtocolError when `limit` bytes hold none."""
        while (at := self._buffer.find(mark, max(0, self._searched - len(mark) + 1))) < 0:
            self._searched = len(self._buffer)
            if self._searched >= limit:
                raise ProtocolError(f"no end after {limit} bytes")
            yield
        self._searched = 0
        end = at + len(mark)
        if end > limit:
            raise ProtocolError(f"no end after {limit} bytes")
        taken, self._buffer = self._buffer[:end], self._buffer[end:]
        return taken

    def rest(self) -> bytes:
        """What has come and nobody took."""
        data, self._buffer = self._buffer, b""
        return data
