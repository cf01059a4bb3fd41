"""Ports for connections, for datagrams, and for both under one number: all or nothing, and one sentence about it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Optional

import pytest
from helpers.processes import free_port

from pyss.app.ports import ATTEMPTS, SEARCHED, name_of, open_ports
from pyss.errors import ConfigError
from pyss.net.sockets import BindSocket, datagram_socket, listening_socket

HOST = "127.0.0.1"
OPTIONS = ("-b HOST", "-l PORT")


class Recording:
    """Binds as `bind` does, but raises `errors` one after the other as long as there are any."""

    def __init__(self, bind: BindSocket, *errors: Exception) -> None:
        self._bind = bind
        self._errors = list(errors)
        self.sockets: list[socket.socket] = []
        self.asked: list[int] = []

    def __call__(self, host: str, port: int) -> socket.socket:
        self.asked.append(port)
        if self._errors:
            raise self._errors.pop(0)
        self.sockets.append(self._bind(host, port))
        return self.sockets[-1]

    def open_now(self) -> list[socket.socket]:
        return [sock for sock in self.sockets if sock.fileno() != -1]


@contextmanager
def recorders(*errors: Exception) -> Iterator[tuple[Recording, Recording]]:
    """For connections, and for datagrams, where these errors come first."""
    streams, packets = Recording(listening_socket), Recording(datagram_socket, *errors)
    with ExitStack() as stack:
        yield streams, packets
        for sock in streams.sockets + packets.sockets:
            stack.callback(sock.close)


def number(sock: Optional[socket.socket]) -> int:
    assert sock is not None
    return int(sock.getsockname()[1])


def in_use() -> OSError:
    return OSError(errno.EADDRINUSE, "In use")


# --- what is opened ------------------------------------------------------------------------------
def test_both_have_the_number_that_the_system_chose() -> None:
    with recorders() as (streams, packets):
        found = open_ports(HOST, 0, streams, packets, OPTIONS)
        assert found.connections is not None and found.datagrams is not None
        assert found.connections.type == socket.SOCK_STREAM and found.datagrams.type == socket.SOCK_DGRAM
        assert number(found.connections) == number(found.datagrams) > 0
        assert packets.asked == [number(found.connections)]


def test_one_alone() -> None:
    with recorders() as (streams, packets):
        found = open_ports(HOST, 0, streams, None, OPTIONS)
        assert (found.datagrams, packets.asked) == (None, [])
        assert number(found.connections) > 0
    with recorders() as (streams, packets):
        found = open_ports(HOST, 0, None, packets, OPTIONS)
        assert (found.connections, streams.asked, packets.asked) == (None, [], [0])
        assert number(found.datagrams) > 0


# --- a number that UDP has in use ----------------------------------------------------------------
@pytest.mark.parametrize("code", [errno.EADDRINUSE, errno.EACCES])
def test_where_any_number_will_do_another_one_is_tried(code: int) -> None:
    with recorders(*(OSError(code, "Taken") for _ in range(3))) as (streams, packets):
        found = open_ports(HOST, 0, streams, packets, OPTIONS)
        assert number(found.connections) == number(found.datagrams)
        assert len(set(packets.asked)) == 4  # never the same again
        assert streams.open_now() == [found.connections]


def test_another_number_for_real() -> None:
    """The system offers a number that somebody has for UDP."""
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        taken.bind((HOST, free_port()))
        offered = iter([number(taken), 0])
        found = open_ports(HOST, 0, lambda host, port: listening_socket(host, next(offered)), datagram_socket, OPTIONS)
        for sock in found:
            assert sock is not None
            stack.enter_context(sock)
        assert number(found.connections) == number(found.datagrams) != number(taken)


def test_it_is_not_tried_for_ever() -> None:
    with recorders(*(in_use() for _ in range(ATTEMPTS))) as (streams, packets):
        with pytest.raises(ConfigError) as caught:
            open_ports(HOST, 0, streams, packets, OPTIONS)
        assert len(packets.asked) == ATTEMPTS
        assert not streams.open_now()
    assert str(caught.value).startswith(f"cannot listen on {HOST}:{packets.asked[-1]} (UDP): In use; another program")


def test_a_number_that_was_asked_for_is_the_only_one() -> None:
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        taken.bind((HOST, free_port()))
        port = number(taken)
        streams, packets = Recording(listening_socket), Recording(datagram_socket)
        with pytest.raises(ConfigError) as caught:
            open_ports(HOST, port, streams, packets, OPTIONS)
        assert streams.asked == packets.asked == [port]
        assert not streams.open_now()
        # And the port is free again.
        stack.enter_context(socket.create_server((HOST, port)))
    text = str(caught.value)
    assert text.startswith(f"cannot listen on {HOST}:{port} (UDP): ")
    assert text.endswith("choose another one (-l PORT)")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_what_another_number_would_not_help_ends_it(code: int) -> None:
    with recorders(OSError(code, "No")) as (streams, packets):
        with pytest.raises(ConfigError, match=r"\(UDP\): No"):
            open_ports(HOST, 0, streams, packets, OPTIONS)
        assert len(packets.asked) == 1
        assert not streams.open_now()


def test_udp_alone_is_not_tried_again() -> None:
    with recorders(in_use()) as (_, packets):
        with pytest.raises(ConfigError, match=rf"cannot listen on {HOST}:0 \(UDP\): In use"):
            open_ports(HOST, 0, None, packets, OPTIONS)
        assert packets.asked == [0]


# --- sentences -----------------------------------------------------------------------------------
ELSEWHERE = "give an address that this machine has (-b HOST), or 0.0.0.0 for all that it has"
OTHER = "choose another one (-l PORT)"
REFUSALS = [
    (in_use(), 1080, f"In use; another program has this port; end it, or {OTHER}"),
    (PermissionError(errno.EACCES, "No"), 1023, f"No; ports below 1024 want more rights; {OTHER}"),
    (PermissionError(errno.EACCES, "No"), 1024, f"No; the system keeps this port for something else; {OTHER}"),
    (PermissionError(errno.EPERM, "it needs root"), 1, "it needs root"),
    (OSError(errno.EADDRNOTAVAIL, "Not here"), 1, f"Not here; {ELSEWHERE}"),
    (OSError(errno.EAFNOSUPPORT, "No IPv6"), 1, f"No IPv6; {ELSEWHERE}"),
    (socket.gaierror(socket.EAI_NONAME, "Unknown name"), 1, f"Unknown name; {ELSEWHERE}"),
    (UnicodeError("label empty or too long"), 1, f"this is not a host name; {ELSEWHERE}"),
    (OSError(errno.EMFILE, "Too many open files"), 1, "Too many open files"),
    (OSError("without a number"), 1, "without a number"),
]


@pytest.mark.parametrize(("error", "port", "words"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_port_that_cannot_be_had(error: Exception, port: int, words: str) -> None:
    for kind, streams, packets in (("", Recording(listening_socket, error), None), (" (UDP)", None, error)):
        with pytest.raises(ConfigError) as caught:
            open_ports("::1", port, streams, packets and Recording(datagram_socket, packets), OPTIONS)
        assert str(caught.value) == f"cannot listen on [::1]:{port}{kind}: {words}"


# --- ports that Windows reserves -------------------------------------------------------------------
class Reserving(Recording):
    """Refuses numbers up to `last` as Windows does."""

    def __init__(self, bind: BindSocket, last: int) -> None:
        super().__init__(bind)
        self._last = last

    def __call__(self, host: str, port: int) -> socket.socket:
        if port <= self._last:
            self.asked.append(port)
            error = PermissionError(errno.EACCES, "An attempt was made to access a socket in a way forbidden")
            error.winerror = 10013  # type: ignore[attr-defined,unused-ignore]
            raise error
        return super().__call__(host, port)


def reserved_sentence(kind: str, port: int, free: int) -> str:
    protocol = "udp" if kind else "tcp"
    return (
        f"cannot listen on {HOST}:{port}{kind}: this port is reserved by Windows or one of its services (10013); take "
        f"a free one (-l {free}), or see what it keeps: netsh interface ipv4 show excludedportrange protocol={protocol}"
    )


@pytest.mark.parametrize("kind", ["", " (UDP)"])
def test_a_port_that_windows_reserves_comes_with_one_that_is_free(kind: str) -> None:
    port = free_port()
    refusing = Reserving(datagram_socket if kind else listening_socket, port + 99)
    other = Recording(listening_socket if kind else datagram_socket)
    streams, packets = (other, refusing) if kind else (refusing, other)
    with pytest.raises(ConfigError) as caught:
        open_ports(HOST, port, streams, packets, OPTIONS)
    free = refusing.asked[-1]
    assert free >= port + 100
    assert str(caught.value) == reserved_sentence(kind, port, free)
    assert other.asked[-1] == free  # for both kinds
    assert not streams.open_now() and not packets.open_now()
    for bind in (listening_socket, datagram_socket):
        bind(HOST, free).close()


def test_a_free_number_that_the_other_kind_has_not_is_passed_over() -> None:
    with ExitStack() as stack:
        streams = Reserving(listening_socket, free_port())
        port = streams._last
        taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        taken.bind((HOST, port + 1))
        with pytest.raises(ConfigError) as caught:
            open_ports(HOST, port, streams, Recording(datagram_socket), OPTIONS)
    free = streams.asked[-1]
    assert free > port + 1
    assert str(caught.value) == reserved_sentence("", port, free)


def test_where_no_number_nearby_is_free_there_is_no_offer() -> None:
    streams = Reserving(listening_socket, 65535)
    with pytest.raises(ConfigError) as caught:
        open_ports(HOST, 65000, streams, None, OPTIONS)
    assert streams.asked == list(range(65000, 65536))
    assert "one of its services (10013); choose another one (-l PORT), or see" in str(caught.value)
    streams.asked.clear()
    with pytest.raises(ConfigError):
        open_ports(HOST, 1080, streams, None, OPTIONS)
    assert len(streams.asked) == 1 + SEARCHED


def test_names_of_errors_are_those_of_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_of(errno.EADDRINUSE) == "EADDRINUSE"
    monkeypatch.setitem(errno.errorcode, 10048, "WSAEADDRINUSE")  # as Windows calls it
    assert name_of(10048) == "EADDRINUSE"
    assert name_of(None) == name_of(-2) == ""
