"""EpollSelector beside the standard library's: the same operations must come to the same."""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pyss.net.epoll import default_selector

if sys.platform != "linux":
    pytest.skip("epoll is of Linux", allow_module_level=True)

from helpers.twins import Twins, plain

from pyss.net.epoll import EpollSelector

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BOTH = READ | WRITE


@pytest.fixture
def twins() -> Iterator[Twins]:
    twins = Twins()
    yield twins
    twins.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


Pair = tuple[socket.socket, socket.socket]


# --- the contract --------------------------------------------------------------------------------
def test_registering(twins: Twins, pair: Pair) -> None:
    near, far = pair
    assert twins.same(lambda selector: selector.register(near, READ, "data")) == (near, near.fileno(), READ, "data")
    assert twins.same(lambda selector: selector.register(far.fileno(), BOTH)) == (
        far.fileno(), far.fileno(), BOTH, None
    )  # fmt: skip
    for sock in (near, far):
        for name in (sock, sock.fileno()):
            assert twins.same(lambda selector, name=name: selector.register(name, READ)) is KeyError
            twins.same(lambda selector, name=name: selector.get_key(name))
            twins.same(lambda selector, name=name: selector.get_map()[name])
    twins.same(lambda selector: len(selector.get_map()))
    twins.same(lambda selector: sorted(key.fd for key in selector.get_map().values()))
    twins.same(lambda selector: near in selector.get_map())


@pytest.mark.parametrize("events", [0, 4, 8, READ | 4, -1])
def test_events_that_do_not_exist(twins: Twins, pair: Pair, events: int) -> None:
    assert twins.same(lambda selector: selector.register(pair[0], events)) is ValueError
    assert twins.same(lambda selector: len(selector.get_map())) == 0


def test_what_is_not_registered(twins: Twins, pair: Pair) -> None:
    near, _ = pair
    for name in (near, near.fileno(), 0, 63, 64, 100_000):
        assert twins.same(lambda selector, name=name: selector.unregister(name)) is KeyError
        assert twins.same(lambda selector, name=name: selector.modify(name, READ)) is KeyError
        assert twins.same(lambda selector, name=name: selector.get_key(name)) is KeyError
        assert twins.same(lambda selector, name=name: selector.get_map()[name]) is KeyError
        assert twins.same(lambda selector, name=name: name in selector.get_map()) is False


def test_what_has_no_descriptor(twins: Twins) -> None:
    closed = socket.socket()
    closed.close()
    assert twins.same(lambda selector: selector.register(closed, READ)) is ValueError
    assert twins.same(lambda selector: selector.register(-1, READ)) is ValueError
    assert twins.same(lambda selector: selector.register(100_000, READ)) is OSError  # bad descriptor
    assert twins.same(lambda selector: len(selector.get_map())) == 0


def test_a_file_that_epoll_refuses_is_not_registered(twins: Twins) -> None:
    with open(__file__, "rb") as file:
        assert twins.same(lambda selector: selector.register(file, READ)) is PermissionError
        assert twins.same(lambda selector: file in selector.get_map()) is False


def test_modifying(twins: Twins, pair: Pair) -> None:
    near, far = pair
    twins.same(lambda selector: selector.register(near, READ, "first"))
    for events, data in ((WRITE, "first"), (WRITE, "second"), (BOTH, "third"), (READ, None)):
        twins.same(lambda selector, events=events, data=data: selector.modify(near, events, data))
        twins.same(lambda selector: selector.get_key(near))
        twins.same(lambda selector: selector.select(0))
    far.send(b"x")
    assert twins.same(lambda selector: selector.select(1)) == [(near.fileno(), None, READ)]


def test_unregistering(twins: Twins, pair: Pair) -> None:
    near, _ = pair
    twins.same(lambda selector: selector.register(near, BOTH, "data"))
    twins.same(lambda selector: selector.unregister(near))
    assert twins.same(lambda selector: selector.select(0)) == []
    assert twins.same(lambda selector: selector.unregister(near)) is KeyError
    twins.same(lambda selector: selector.register(near, WRITE, "again"))
    assert twins.same(lambda selector: selector.select(0)) == [(near.fileno(), "again", WRITE)]


def test_a_number_whose_socket_is_closed_can_be_unregistered(twins: Twins, pair: Pair) -> None:
    near, _ = pair
    fd = near.fileno()
    twins.same(lambda selector: selector.register(fd, READ))
    near.close()
    assert twins.same(lambda selector: selector.unregister(fd)) == (fd, fd, READ, None)
    assert twins.same(lambda selector: selector.unregister(fd)) is KeyError
    assert twins.same(lambda selector: len(selector.get_map())) == 0


def test_forgetting_is_unregistering_for_what_is_closed_then(pair: Pair) -> None:
    near, far = pair
    far.send(b"x")
    selector = EpollSelector()
    selector.register(near, READ)
    selector.forget(near.fileno())
    assert selector.select(0) == []  # the kernel still knows it: its events go nowhere
    with pytest.raises(KeyError):
        selector.get_key(near)
    near.close()
    copy = far.dup()  # most likely under the same number
    with copy:
        selector.register(copy, WRITE, "newcomer")
        assert plain(selector.select(1)) == [(copy.fileno(), "newcomer", WRITE)]
    selector.close()


# --- select --------------------------------------------------------------------------------------
@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5])
def test_no_timeout_means_looking_only(twins: Twins, pair: Pair, timeout: float) -> None:
    twins.same(lambda selector: selector.register(pair[0], READ))
    assert twins.same(lambda selector: selector.select(timeout)) == []


def test_a_timeout_is_waited_for(twins: Twins, pair: Pair) -> None:
    twins.same(lambda selector: selector.register(pair[0], READ))
    for selector in (twins.ours, twins.theirs):
        begun = time.monotonic()
        assert selector.select(0.03) == []
        assert time.monotonic() - begun >= 0.029


def test_less_than_a_millisecond_is_rounded_up() -> None:
    """Rounded down, the loop would spin until its timer is due."""
    selector = EpollSelector()
    begun = time.monotonic()
    for _ in range(20):
        assert selector.select(0.0001) == []
    assert time.monotonic() - begun >= 20 * 0.0001
    selector.close()


def test_none_waits_for_an_event(twins: Twins, pair: Pair) -> None:
    near, far = pair
    far.send(b"x")
    twins.same(lambda selector: selector.register(near, READ, "data"))
    assert twins.same(lambda selector: selector.select()) == [(near.fileno(), "data", READ)]
    assert twins.same(lambda selector: selector.select(None)) == [(near.fileno(), "data", READ)]


@pytest.mark.parametrize("events", [READ, WRITE, BOTH])
@pytest.mark.parametrize("end", ["fin", "hang-up", "reset"])
def test_an_end_wakes_whoever_waits(twins: Twins, events: int, end: str) -> None:
    """Errors and hang-ups come to readers and writers alike: the call that follows tells the error."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        far = stack.enter_context(socket.create_connection(listener.getsockname(), 20))
        near = stack.enter_context(listener.accept()[0])
        twins.same(lambda selector: selector.register(near, events))
        if end == "reset":
            near.send(b"unread, which makes close() a reset")
        elif end == "hang-up":
            near.shutdown(socket.SHUT_WR)
        far.close()
        twins.ours.select(20)
        ready = twins.same(lambda selector: selector.select(20))
        if end != "fin":
            assert ready == [(near.fileno(), None, events)]


def test_an_error_alone_wakes_whoever_waits(twins: Twins) -> None:
    """Without EPOLLIN and EPOLLOUT: only a pipe has that."""
    reader, writer = os.pipe()
    os.close(writer)
    full_reader, full_writer = os.pipe()
    os.set_blocking(full_writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(full_writer, bytes(4096))
    os.close(full_reader)
    try:
        twins.same(lambda selector: selector.register(reader, READ))
        twins.same(lambda selector: selector.register(full_writer, WRITE))
        ready = twins.same(lambda selector: selector.select(1))
    finally:
        os.close(reader)
        os.close(full_writer)
    assert ready == [(reader, None, READ), (full_writer, None, WRITE)]


def test_a_refused_connection_is_ready(twins: Twins, pair: Pair) -> None:
    with socket.socket() as taken, socket.socket() as sock:
        taken.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sock.connect_ex(taken.getsockname())
        twins.same(lambda selector: selector.register(sock, BOTH))
        assert twins.same(lambda selector: selector.select(20)) == [(sock.fileno(), None, BOTH)]


def test_more_ready_ones_than_one_look_takes(pair: Pair) -> None:
    near, far = pair
    far.send(b"x")
    selector = EpollSelector()
    copies = [os.dup(near.fileno()) for _ in range(300)]
    try:
        for fd in copies:
            selector.register(fd, READ)
        first = {key.fd for key, _ in selector.select(0)}
        second = {key.fd for key, _ in selector.select(0)}
    finally:
        for fd in copies:
            os.close(fd)
        selector.close()
    assert len(first) == 256
    assert first | second == set(copies)


def test_this_platform_gets_it() -> None:
    selector = default_selector()
    assert isinstance(selector, EpollSelector)
    selector.close()


def test_closing_closes_the_descriptor() -> None:
    selector = EpollSelector()
    fd = selector._epoll.fileno()
    selector.close()
    with pytest.raises(OSError):
        os.fstat(fd)
    selector.close()  # twice is nothing, as with the standard library's


def test_a_closed_selector_takes_nothing(pair: Pair) -> None:
    selector = EpollSelector()
    selector.close()
    with pytest.raises(ValueError):
        selector.register(pair[0], READ)


def test_a_number_that_cannot_be_modified_is_forgotten() -> None:
    selector = EpollSelector()
    sock = socket.socket()
    fd = sock.fileno()
    selector.register(fd, READ)
    sock.close()
    with pytest.raises(OSError):
        selector.modify(fd, READ | WRITE)
    with socket.socket() as other:  # it may get that number
        selector.register(other.fileno(), READ)
    selector.close()
