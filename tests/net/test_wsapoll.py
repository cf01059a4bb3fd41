"""WSAPollSelector: on Windows on what it has, elsewhere on a WSAPoll made of poll(); the loop's tests use it too.

Beside the standard library's selector the same operations must come to the same.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Callable

import pytest
from helpers.looping import HOST, Wires
from helpers.processes import ROOT
from helpers.windows import WAITS_IN_VAIN, WINE_DIFFERS, excused, wsapoll_selector
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.net import wsapoll
from pyss.net.epoll import default_selector
from pyss.net.wsapoll import HUP, RDNORM, ROW, WRNORM, WSAPollSelector

WINDOWS = sys.platform == "win32"
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BOTH = READ | WRITE

Selector = WSAPollSelector
Operation = Callable[[selectors.BaseSelector], Any]


@pytest.fixture
def selector() -> Iterator[Selector]:
    with wsapoll_selector() as selector:
        yield selector


@pytest.fixture
def pair(wires: Wires) -> tuple[socket.socket, socket.socket]:
    return wires.pair()


Pair = tuple[socket.socket, socket.socket]


def plain(value: Any) -> Any:
    if hasattr(value, "fileobj"):
        return (value.fileobj, value.fd, value.events, value.data)
    if isinstance(value, list):
        return sorted(((key.fd, key.data, mask) for key, mask in value), key=lambda item: item[0])
    return value


def outcome(operation: Operation, selector: selectors.BaseSelector) -> Any:
    try:
        return plain(operation(selector))
    except Exception as error:
        return type(error)


class Twins:
    """Ours and the standard library's, which must do the same."""

    def __init__(self) -> None:
        self.ours = wsapoll_selector()
        self.theirs = getattr(selectors, "PollSelector", selectors.SelectSelector)()

    def same(self, operation: Operation) -> Any:
        ours = outcome(operation, self.ours)
        assert ours == outcome(operation, self.theirs)
        return ours

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def twins() -> Iterator[Twins]:
    twins = Twins()
    yield twins
    twins.close()


# --- the contract --------------------------------------------------------------------------------
def test_registering(twins: Twins, pair: Pair) -> None:
    near, far = pair
    assert twins.same(lambda selector: selector.register(near, READ, "data")) == (near, near.fileno(), READ, "data")
    twins.same(lambda selector: selector.register(far.fileno(), BOTH))
    for sock in (near, far):
        for name in (sock, sock.fileno()):
            assert twins.same(lambda selector, name=name: selector.register(name, READ)) is KeyError
            twins.same(lambda selector, name=name: selector.get_key(name))
            twins.same(lambda selector, name=name: selector.get_map()[name])
    assert twins.same(lambda selector: len(selector.get_map())) == 2
    twins.same(lambda selector: sorted(key.fd for key in selector.get_map().values()))
    twins.same(lambda selector: near in selector.get_map())


@pytest.mark.parametrize("events", [0, 4, 8, READ | 4, -1])
def test_events_that_do_not_exist(selector: Selector, pair: Pair, events: int) -> None:
    with pytest.raises(ValueError):
        selector.register(pair[0], events)
    assert len(selector.get_map()) == 0
    selector.register(pair[0], READ)
    with pytest.raises(ValueError):
        selector.modify(pair[0], events)


def test_what_is_not_registered(twins: Twins, pair: Pair) -> None:
    near, _ = pair
    for name in (near, near.fileno(), 0, 100_000):
        assert twins.same(lambda selector, name=name: selector.unregister(name)) is KeyError
        assert twins.same(lambda selector, name=name: selector.modify(name, READ)) is KeyError
        assert twins.same(lambda selector, name=name: selector.get_key(name)) is KeyError
        assert twins.same(lambda selector, name=name: selector.get_map()[name]) is KeyError
        assert twins.same(lambda selector, name=name: name in selector.get_map()) is False


@pytest.mark.parametrize("name", [-1, "a name", None, object()])
def test_what_is_no_socket(twins: Twins, name: Any) -> None:
    assert twins.same(lambda selector: selector.register(name, READ)) is ValueError


def test_what_was_closed(twins: Twins, pair: Pair) -> None:
    near, far = pair
    for sock in pair:
        twins.same(lambda selector, sock=sock: selector.register(sock, READ))
    fd = near.fileno()
    near.close()
    far.close()
    assert twins.same(lambda selector: selector.unregister(near)) == (near, fd, READ, None)
    assert twins.same(lambda selector: selector.register(near, READ)) is ValueError
    with pytest.raises(KeyError):
        twins.ours.unregister(near)
    assert twins.same(lambda selector: len(selector.get_map())) == 1


def test_modifying(twins: Twins, pair: Pair) -> None:
    near, far = pair
    twins.same(lambda selector: selector.register(near, READ, "first"))
    for events, data in ((WRITE, "first"), (WRITE, "second"), (BOTH, "third"), (READ, None)):
        twins.same(lambda selector, events=events, data=data: selector.modify(near, events, data))
        twins.same(lambda selector: selector.get_key(near))
        twins.same(lambda selector: selector.select(0))
    far.send(b"x")
    assert twins.same(lambda selector: selector.select(20)) == [(near.fileno(), None, READ)]


def test_a_closed_selector_takes_nothing(pair: Pair) -> None:
    selector = wsapoll_selector()
    selector.register(pair[0], READ)
    selector.close()
    selector.close()
    for operation in (
        lambda: selector.register(pair[1], READ),
        lambda: selector.get_key(pair[0]),
        lambda: selector.unregister(pair[0]),
        selector.get_map,
    ):
        with pytest.raises(RuntimeError):
            operation()


# --- rows ----------------------------------------------------------------------------------------
class Recording:
    """A WSAPoll that notes the rows it is given, and says what it is told to."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []
        self.timeouts: list[int] = []
        self.answers: dict[int, int] = {}

    def __call__(self, array: Any, count: int, milliseconds: int) -> int:
        assert count > 0  # else WSAEINVAL
        self.timeouts.append(milliseconds)
        self.rows = [ROW.unpack_from(array, row * ROW.size) for row in range(count)]
        for row, (fd, events, _) in enumerate(self.rows):
            ROW.pack_into(array, row * ROW.size, fd, events, self.answers.get(fd, 0))
        return sum(fd in self.answers for fd, _, _ in self.rows)


def test_a_row_is_what_windows_calls_wsapollfd() -> None:
    assert ROW.size == (16 if struct.calcsize("P") == 8 else 8)
    recording = Recording()
    selector = WSAPollSelector(recording)
    selector.register(0x1234, READ)
    selector.register(0x2468, WRITE)
    selector.register(0xFFFF, BOTH)
    selector.select(0)
    assert recording.rows == [(0x1234, RDNORM, 0), (0x2468, WRNORM, 0), (0xFFFF, RDNORM | WRNORM, 0)]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 90), st.sampled_from([0, READ, WRITE, BOTH])), max_size=300))
def test_rows_stay_dense_and_true_whatever_is_taken_out(steps: list[tuple[int, int]]) -> None:
    """0 unregisters; beyond 64 rows the array grows."""
    recording = Recording()
    selector = WSAPollSelector(recording)
    wanted: dict[int, int] = {}
    for number, events in [(number, READ) for number in range(0, 90, 3)] + steps:
        fd = number * 4
        if fd not in wanted and events:
            selector.register(fd, events, f"data {fd}")
        elif events:
            selector.modify(fd, events, f"data {fd}")
        elif fd in wanted:
            selector.unregister(fd)
            del wanted[fd]
        if events:
            wanted[fd] = events
    recording.answers = {fd: RDNORM | WRNORM for fd in wanted}
    ready = selector.select(0)
    if wanted:
        bits = {READ: RDNORM, WRITE: WRNORM, BOTH: RDNORM | WRNORM}
        assert sorted((fd, events) for fd, events, _ in recording.rows) == sorted(
            (fd, bits[events]) for fd, events in wanted.items()
        )
    assert sorted((key.fd, mask, key.data) for key, mask in ready) == sorted(
        (fd, events, f"data {fd}") for fd, events in wanted.items()
    )


def test_what_came_before_is_forgotten_when_a_row_moves() -> None:
    recording = Recording()
    selector = WSAPollSelector(recording)
    for fd in (4, 8, 12):
        selector.register(fd, READ)
    recording.answers = {12: RDNORM}
    selector.select(0)
    selector.unregister(4)
    recording.answers = {8: RDNORM}
    assert plain(selector.select(0)) == [(8, None, READ)]
    assert [fd for fd, _, _ in recording.rows] == [12, 8]


# --- select --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("timeout", "milliseconds"),
    [(None, -1), (0, 0), (-1, 0), (0.0001, 1), (0.001, 1), (0.0011, 2),
     (1.5, 1500), (3600.0, 3600_000), (1e12, 2**31 - 1)],
)  # fmt: skip
def test_timeouts_are_milliseconds_rounded_up(timeout: float | None, milliseconds: int) -> None:
    recording = Recording()
    selector = WSAPollSelector(recording)
    selector.register(4, READ)
    assert selector.select(timeout) == []
    assert recording.timeouts == [milliseconds]


@pytest.mark.parametrize("registered", [True, False])
def test_a_timeout_is_waited_for(selector: Selector, pair: Pair, registered: bool) -> None:
    """Without anything to wait for, too, which WSAPoll refuses."""
    if registered:
        selector.register(pair[0], READ)
    begun = time.monotonic()
    assert selector.select(0.03) == []
    assert time.monotonic() - begun >= 0.015  # Windows counts in steps of as much
    assert selector.select(0) == []


def test_none_waits_for_an_event(twins: Twins, pair: Pair) -> None:
    near, far = pair
    far.send(b"x")
    twins.same(lambda selector: selector.register(near, READ, "data"))
    assert twins.same(lambda selector: selector.select()) == [(near.fileno(), "data", READ)]


@pytest.mark.parametrize("events", [READ, BOTH])
@pytest.mark.parametrize("end", ["fin", "hang-up", "reset"])
def test_an_end_wakes_whoever_reads(selector: Selector, pair: Pair, events: int, end: str) -> None:
    near, far = pair
    selector.register(near, events)
    if end == "reset":
        near.send(b"unread, which makes close() a reset")
    elif end == "hang-up":
        near.shutdown(socket.SHUT_WR)
    far.close()
    deadline = time.monotonic() + 20
    while not (ready := [mask & READ for _, mask in selector.select(20)]) or not ready[0]:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("events", [READ, WRITE, BOTH])
def test_errors_come_to_readers_and_writers_alike(events: int) -> None:
    recording = Recording()
    selector = WSAPollSelector(recording)
    selector.register(4, events)
    for bits in (wsapoll.ERR, wsapoll.ERR | HUP, wsapoll.NVAL, HUP | RDNORM | WRNORM):
        recording.answers = {4: bits}
        assert plain(selector.select(0)) == [(4, None, events)]


@pytest.mark.parametrize("events", [WRITE, BOTH])
def test_a_refused_connection_is_ready_to_write(selector: Selector, events: int) -> None:
    """So that the dialer looks, and finds the error."""
    with socket.socket() as taken, socket.socket() as sock:
        taken.bind((HOST, 0))
        sock.setblocking(False)
        sock.connect_ex(taken.getsockname())
        selector.register(sock, events)
        ((key, mask),) = selector.select(20)
        assert key.fd == sock.fileno() and mask & WRITE
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_a_failure_of_the_system_is_raised() -> None:
    def fails(array: Any, count: int, milliseconds: int) -> int:
        raise OSError(10038, "not a socket")

    selector = WSAPollSelector(fails)
    selector.register(4, READ)
    with pytest.raises(OSError, match="not a socket"):
        selector.select(0)


def test_two_thousand_sockets(selector: Selector) -> None:
    """Four times as many as select() takes on Windows."""
    with ExitStack() as stack:
        count = 2000 if WINDOWS else 400
        socks = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for number, sock in enumerate(socks):
            sock.bind((HOST, 0))
            selector.register(sock, READ, number)
        heard = {0, 1, 63, 64, 65, count // 2, count - 1}
        for number in heard:
            socks[0].sendto(b"x", socks[number].getsockname())
        for number in range(2, 60):
            selector.unregister(socks[number])
        found: set[int] = set()
        while found != heard:
            ready = {key.data for key, _ in selector.select(20)}
            assert ready
            found |= ready


# --- a peer that has ended its direction and reads slowly ----------------------------------------------
def fill(sock: socket.socket) -> None:
    """Until the system takes no more."""
    for size in (65536, 1):
        while True:
            try:
                sock.send(bytes(size))
            except BlockingIOError:
                break


def test_who_waits_to_write_to_a_peer_that_has_ended_is_not_woken_in_vain(
    selector: Selector, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = pair
    fill(near)
    selector.register(near, WRITE, "data")
    far.shutdown(socket.SHUT_WR)
    monkeypatch.setattr(wsapoll, "LOOK_AGAIN", 0.05)
    waits = 0
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        assert selector.select(20) == []
        waits += 1
    assert waits < 25
    while not (ready := selector.select(20)):
        far.recv(1 << 20)
    assert plain(ready) == [(near.fileno(), "data", WRITE)]


def aside(answers: dict[int, int]) -> tuple[Recording, WSAPollSelector]:
    """A selector whose socket 8 waits to write and hung up."""
    recording = Recording()
    selector = WSAPollSelector(recording)
    selector.register(4, READ)
    selector.register(8, WRITE, "hung")
    recording.answers = {8: HUP}
    assert selector.select(5) == []
    assert recording.timeouts == [5000, 0]
    recording.timeouts.clear()
    recording.answers = answers
    return recording, selector


def test_one_that_is_set_aside_is_looked_at_without_waiting_for_it() -> None:
    recording, selector = aside({8: HUP})
    for timeout in (5, None, 0.001, 0):
        assert selector.select(timeout) == []
    assert recording.timeouts == [10, 0, 10, 0, 1, 0, 0, 0]
    recording.answers = {4: RDNORM, 8: HUP}
    assert plain(selector.select(5)) == [(4, None, READ)]


@pytest.mark.parametrize("bits", [WRNORM, WRNORM | HUP, wsapoll.ERR | HUP])
def test_one_that_is_set_aside_comes_back_when_it_can_be_written_to_or_failed(bits: int) -> None:
    recording, selector = aside({8: bits})
    assert plain(selector.select(5)) == [(8, "hung", WRITE)]
    recording.timeouts.clear()
    assert plain(selector.select(5)) == [(8, "hung", WRITE)]
    assert recording.timeouts == [5000]


def test_one_that_is_set_aside_can_be_asked_for_reading() -> None:
    recording, selector = aside({8: HUP})
    selector.modify(8, BOTH, "again")
    assert plain(selector.select(5)) == [(8, "again", BOTH)]
    assert recording.timeouts == [5000]


def test_one_that_is_set_aside_can_be_unregistered() -> None:
    recording, selector = aside({8: HUP})
    assert plain(selector.unregister(8)) == (8, 8, WRITE, "hung")
    assert selector.select(5) == []
    assert recording.timeouts == [5000]
    selector.register(8, WRITE)
    selector.unregister(4)
    recording.answers = {8: WRNORM}
    assert plain(selector.select(5)) == [(8, None, WRITE)]


def test_when_all_are_set_aside_the_wait_is_a_sleep() -> None:
    recording, selector = aside({8: HUP})
    selector.unregister(4)
    begun = time.monotonic()
    assert selector.select(20) == []
    assert 0.009 <= time.monotonic() - begun < 10
    assert recording.timeouts == [0]


# --- whether it serves ---------------------------------------------------------------------------
def test_refusals_are_reported_here() -> None:
    assert wsapoll.reports_refusals(wsapoll_selector())


def test_an_old_windows_that_does_not_report_refusals_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsapoll, "PROBE", 0.01)
    asked = Recording()
    assert not wsapoll.reports_refusals(WSAPollSelector(asked))
    assert asked.timeouts == [10]


@pytest.mark.skipif(WINDOWS, reason="there it serves")
def test_other_systems_do_without() -> None:
    assert not wsapoll.usable()
    with pytest.raises(OSError, match="WSAPoll is of Windows"):
        WSAPollSelector()


@pytest.mark.skipif(not WINDOWS, reason="of Windows")
def test_windows_is_served_by_it_unless_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wsapoll.usable()
    with default_selector() as selector:
        assert isinstance(selector, WSAPollSelector)
    monkeypatch.setattr(wsapoll, "usable", lambda: False)
    with default_selector() as selector:
        assert isinstance(selector, selectors.SelectSelector)


@pytest.mark.skipif(not WINDOWS, reason="of Windows")
@pytest.mark.parametrize(
    ("build", "reported", "served"), [(19041, False, True), (18362, True, True), (18362, False, False)]
)
def test_how_windows_is_judged(monkeypatch: pytest.MonkeyPatch, build: int, reported: bool, served: bool) -> None:
    monkeypatch.setattr(wsapoll, "_usable", None, raising=False)
    monkeypatch.setattr(wsapoll, "FIRST_GOOD_BUILD", sys.getwindowsversion().build + 19041 - build)  # type: ignore[attr-defined,unused-ignore]
    monkeypatch.setattr(wsapoll, "reports_refusals", lambda selector: reported)
    assert wsapoll.usable() is served
    monkeypatch.setattr(wsapoll, "reports_refusals", lambda selector: not reported)
    assert wsapoll.usable() is served  # it is found out once


# --- Wine ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted({*WINE_DIFFERS, *WAITS_IN_VAIN}))
def test_what_wine_is_excused_from_is_a_test(name: str) -> None:
    """One that was given another name would fail there."""
    words = f"def {name.partition('[')[0]}("
    assert any(words in path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


def test_under_wine_a_reset_that_comes_as_fin_is_excused_wherever_it_is_looked_for() -> None:
    for words in ("FIN, not RST, after 0 bytes", "DID NOT RAISE ConnectionResetError"):
        assert "SO_LINGER" in (excused("test_anything", words) or "")
    assert excused("test_anything", "DID NOT RAISE <class 'ValueError'>") is None
    assert excused("test_a_machine_without_ipv6", "any words") is not None
