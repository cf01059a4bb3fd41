"""One direction by itself: a hand-turned loop between two socket pairs, short writes at every possible amount."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.relay import HOST, SELECTORS, SelectorFactory
from helpers.streaming import Ended, applied, every_sealed_method, every_selector, keyring_for, understood

from pyss.address import Address
from pyss.errors import BadTag, PeerReset, Truncated
from pyss.net.channel import Channel
from pyss.net.loop import READ, WRITE, Loop
from pyss.protocol.shadowsocks import client_transforms
from pyss.protocol.transform import Plain, Transform
from pyss.relay.pump import EndOfInput, Pump, stream

MESSAGE = bytes(range(48))

# A socket pair is TCP there, and bytes take a moment; elsewhere they are there at once.
MOMENT = 0.02 if sys.platform == "win32" else 0.0
TARGET = Address.of(HOST, 80)


class Miser:
    """A socket that takes only so many bytes: one number for each send, and all of them afterwards."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.amounts: list[int] = []

    def send(self, data: Any) -> int:
        if not self.amounts:
            return self._sock.send(data)
        amount = self.amounts.pop(0)
        if not amount:
            raise BlockingIOError
        return self._sock.send(data[:amount])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class Line:
    """source ──► pump ──► sink; the test holds the far ends `writer` and `reader`."""

    def __init__(self, transform: Transform, selector: SelectorFactory = SELECTORS["default"]) -> None:
        self.loop = Loop(selector(), debug=True)
        self.session = Ended(self.loop)
        near, self.writer = socket.socketpair()
        self.sink_sock, self.reader = socket.socketpair()
        near.setblocking(False)
        self.sink_sock.setblocking(False)
        self.reader.setblocking(False)
        self.source = Channel(near, stream, self.session)
        self.miser = Miser(self.sink_sock)
        self.sink = Channel(self.miser, stream, self.session)  # type: ignore[arg-type]
        self.session.channels = [self.source, self.sink]
        self.pump = Pump(self.session, self.loop, self.source, self.sink, transform)
        self.pump.start()

    def tick(self) -> None:
        self.loop.tick(MOMENT)
        assert len(self.pump.pending) <= len(self.loop.tx)
        if self.pump.pending:  # the source must wait: TCP slows the sender down
            assert not self.source.events & READ
            assert self.sink.events & WRITE

    def arrived(self) -> bytes:
        """What has reached the reader, FIN not included."""
        came = b""
        select.select([self.reader], [], [], MOMENT)
        try:
            while part := self.reader.recv(65536):
                came += part
        except BlockingIOError:
            pass
        return came

    def at_end(self) -> bool:
        select.select([self.reader], [], [], MOMENT)
        try:
            return not self.reader.recv(1)
        except BlockingIOError:
            return False

    def close(self) -> None:
        for sock in (self.writer, self.reader, self.source.sock, self.sink_sock):
            sock.close()
        self.loop.close()


@pytest.fixture
def lines() -> Iterator[Any]:
    made: list[Line] = []

    def line(transform: Transform, selector: SelectorFactory = SELECTORS["default"]) -> Line:
        made.append(Line(transform, selector))
        return made[-1]

    yield line
    for one in made:
        one.close()


# --- short writes --------------------------------------------------------------------------------
@every_selector
def test_a_short_write_of_any_amount_loses_nothing(lines: Any, selector: SelectorFactory) -> None:
    line = lines(Plain(), selector)
    for amount in range(len(MESSAGE) + 1):
        line.miser.amounts = [amount]
        line.writer.sendall(MESSAGE)
        line.tick()
        assert len(line.pump.pending) == len(MESSAGE) - amount
        line.tick()
        assert line.arrived() == MESSAGE
        assert not line.pump.pending
        assert line.source.events == READ and line.sink.events == 0
    assert line.pump.count == len(MESSAGE) * (len(MESSAGE) + 1)


def test_two_short_writes_of_any_amounts_lose_nothing(lines: Any) -> None:
    line = lines(Plain())
    for first in range(0, len(MESSAGE)):
        for second in range(0, len(MESSAGE) - first):
            line.miser.amounts = [first, second]
            line.writer.sendall(MESSAGE)
            for _ in range(3):
                line.tick()
            assert line.arrived() == MESSAGE
            assert not line.pump.pending


@every_sealed_method
def test_a_sealed_stream_survives_short_writes_of_any_amount(lines: Any, method: str) -> None:
    sealer, _ = client_transforms(keyring_for(method), TARGET)
    line = lines(sealer)
    line.writer.sendall(b"first")
    line.tick()
    request = understood(method, line.arrived())
    assert request is not None and request.payload == b"first" and request.upstream is not None
    for amount in range(len(MESSAGE) + 34):
        line.miser.amounts = [amount]
        line.writer.sendall(MESSAGE)
        line.tick()
        line.tick()
        assert applied(request.upstream, line.arrived()) == MESSAGE
    assert line.pump.count == 5 + len(MESSAGE) * (len(MESSAGE) + 34)


def test_while_something_is_pending_nothing_more_is_read(lines: Any) -> None:
    line = lines(Plain())
    line.miser.amounts = [3] + [0] * 10
    line.writer.sendall(MESSAGE)
    line.tick()
    line.writer.sendall(MESSAGE)
    for _ in range(10):
        line.tick()
        assert line.pump.pending == MESSAGE[3:]
    assert line.pump.count == len(MESSAGE)
    line.tick()
    line.tick()
    assert line.arrived() == MESSAGE + MESSAGE


def test_what_is_pending_is_a_copy_not_a_view_of_scratch(lines: Any) -> None:
    line = lines(Plain())
    line.miser.amounts = [0]
    line.writer.sendall(MESSAGE)
    line.tick()  # the loop poisons its scratch after it
    assert type(line.pump.pending) is bytes
    assert line.pump.pending == MESSAGE


# --- FIN -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("amount", range(len(MESSAGE)))
def test_the_end_is_reported_only_when_nothing_is_pending(lines: Any, amount: int) -> None:
    line = lines(Plain())
    line.miser.amounts = [amount, 0]
    line.writer.sendall(MESSAGE)
    line.writer.shutdown(socket.SHUT_WR)
    for _ in range(2):
        line.tick()
        assert not line.session.finished and not line.pump.ended
    line.tick()
    line.tick()
    assert line.session.finished == [line.pump]
    assert line.pump.ended and isinstance(line.pump.verdict, EndOfInput)
    assert line.source.events == line.sink.events == 0
    assert line.arrived() == MESSAGE
    assert not line.at_end()  # that is for the session to do
    line.pump.pass_on_end()
    assert line.at_end()
    assert not line.session.aborted


@every_sealed_method
def test_the_header_that_leaves_at_the_end_may_be_written_short_at_any_amount(lines: Any, method: str) -> None:
    size = 0
    amount = 0
    while amount <= size:
        sealer, _ = client_transforms(keyring_for(method), TARGET)
        line = lines(sealer)
        line.miser.amounts = [amount]
        line.writer.shutdown(socket.SHUT_WR)
        line.tick()
        size = min(100, amount + len(line.pump.pending))  # padding differs
        assert bool(line.session.finished) is not bool(line.pump.pending)
        line.tick()
        assert line.session.finished == [line.pump]
        request = understood(method, line.arrived())
        assert request is not None and request.target == TARGET and not request.payload
        line.close()
        amount += 1


@pytest.mark.skipif(sys.platform == "win32", reason="a socket pair is TCP there: the first send after a close succeeds")
def test_a_sink_that_is_gone_when_the_header_leaves_at_the_end_aborts_once(lines: Any) -> None:
    sealer, _ = client_transforms(keyring_for("aes-256-gcm"), TARGET)
    line = lines(sealer)
    line.reader.close()
    line.writer.shutdown(socket.SHUT_WR)
    line.tick()
    (error,) = line.session.aborted
    assert isinstance(error, PeerReset)
    assert not line.session.finished


# --- faults --------------------------------------------------------------------------------------
def spoiled_stream(method: str) -> tuple[bytes, bytes, Any]:
    """Two good chunks' plaintext; them and a bad one sealed; a function that makes the opener anew."""
    sealer, _ = client_transforms(keyring_for(method), TARGET)
    head = applied(sealer, b"head")
    good = applied(sealer, b"one") + applied(sealer, b"two")
    bad = bytearray(applied(sealer, b"bad"))
    bad[-1] ^= 1

    def opener() -> Transform:
        request = understood(method, head)
        assert request is not None and request.upstream is not None
        return request.upstream

    return b"onetwo", good + bad, opener


@every_sealed_method
def test_wherever_a_stream_is_split_the_good_chunks_leave_before_the_reset(lines: Any, method: str) -> None:
    plain, sealed, opener = spoiled_stream(method)
    for split in range(1, len(sealed)):
        line = lines(opener())
        line.writer.sendall(sealed[:split])
        line.tick()
        line.writer.sendall(sealed[split:])
        line.tick()
        assert line.arrived() == plain
        (error,) = line.session.aborted
        assert isinstance(error, BadTag)
        assert not line.session.finished
        assert not line.source.events & READ
        line.close()


@every_sealed_method
def test_one_byte_at_a_time_the_good_chunks_leave_before_the_reset(lines: Any, method: str) -> None:
    plain, sealed, opener = spoiled_stream(method)
    line = lines(opener())
    for at in range(len(sealed)):
        line.writer.sendall(sealed[at : at + 1])
        line.tick()
    assert line.arrived() == plain
    assert [type(error) for error in line.session.aborted] == [BadTag]


@pytest.mark.parametrize("amount", range(6))
def test_the_reset_waits_for_good_bytes_that_are_pending(lines: Any, amount: int) -> None:
    plain, sealed, opener = spoiled_stream("aes-256-gcm")
    line = lines(opener())
    line.miser.amounts = [amount, 0]
    line.writer.sendall(sealed)
    line.tick()
    line.tick()
    assert not line.session.aborted
    assert line.pump.pending == plain[amount:]
    line.tick()
    assert line.arrived() == plain
    assert [type(error) for error in line.session.aborted] == [BadTag]


@every_sealed_method
def test_an_end_inside_a_chunk_is_an_error_at_every_byte(lines: Any, method: str) -> None:
    _, sealed, opener = spoiled_stream(method)
    chunk = sealed[: 3 + 34]
    for cut in range(1, len(chunk) + 1):
        line = lines(opener())
        line.writer.sendall(chunk[:cut])
        line.tick()
        line.writer.shutdown(socket.SHUT_WR)
        line.tick()
        whole = cut == len(chunk)
        assert [type(error) for error in line.session.aborted] == ([] if whole else [Truncated])
        assert line.session.finished == ([line.pump] if whole else [])
        assert line.arrived() == (b"one" if whole else b"")
        line.close()


def test_a_fault_that_the_handshake_has_met_ends_the_direction_at_its_start(lines: Any) -> None:
    _, sealed, opener = spoiled_stream("aes-256-gcm")
    transform = opener()
    applied(transform, sealed)
    line = lines(transform)
    assert [type(error) for error in line.session.aborted] == [BadTag]
    assert not line.source.events & READ


def test_a_send_that_fails_aborts(lines: Any) -> None:
    line = lines(Plain())
    line.sink_sock.shutdown(socket.SHUT_WR)
    line.writer.sendall(MESSAGE)
    line.tick()
    assert [type(error) for error in line.session.aborted] == [PeerReset]


def test_every_read_and_every_flush_is_activity(lines: Any) -> None:
    line = lines(Plain())
    line.miser.amounts = [1, 0, 1]
    line.writer.sendall(MESSAGE)
    line.tick()
    assert line.session.seen == line.loop.now
    line.session.seen = 0.0
    line.tick()  # nothing is taken
    assert line.session.seen == 0.0
    line.tick()
    assert line.session.seen == line.loop.now
