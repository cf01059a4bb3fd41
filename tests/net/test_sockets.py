"""What differs between platforms: errors, connecting, resetting, listening, accepting, descriptors."""

from __future__ import annotations

import errno
import json
import selectors
import socket
import subprocess
import sys
from typing import Any

import pytest
from helpers.looping import HOST, PATIENT, Wires
from helpers.processes import ROOT, clean_environment

from pyss.errors import ConnectionRefused, DialError, DialTimeout, HostUnreachable, NetworkUnreachable
from pyss.net import sockets, wsapoll
from pyss.net.loop import Loop

WINDOWS = sys.platform == "win32"


def wait(sock: socket.socket | sockets.Socket, event: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock.fileno(), event)
        assert selector.select(PATIENT)


# --- errors --------------------------------------------------------------------------------------
TABLE = [
    ("ECONNREFUSED", ConnectionRefused),
    ("ENETUNREACH", NetworkUnreachable),
    ("ENETDOWN", NetworkUnreachable),
    ("EHOSTUNREACH", HostUnreachable),
    ("EHOSTDOWN", HostUnreachable),
    ("ETIMEDOUT", DialTimeout),
    ("EACCES", DialError),
    ("EMFILE", DialError),
    ("EADDRNOTAVAIL", DialError),
]


@pytest.mark.parametrize(("name", "kind"), TABLE)
def test_dial_errors(name: str, kind: type[DialError]) -> None:
    for number in {getattr(errno, name), getattr(errno, "WSA" + name, getattr(errno, name))}:
        error = sockets.dial_error(number, "example.com:80")
        assert type(error) is kind
        text = str(error)
        assert text.startswith("example.com:80: ")
        assert text.endswith(sockets.errno_text(number))


WINSOCK = [
    (10061, ConnectionRefused),
    (10051, NetworkUnreachable),
    (10050, NetworkUnreachable),
    (10065, HostUnreachable),
    (10064, HostUnreachable),
    (10060, DialTimeout),
    (10054, DialError),
    (10013, DialError),
]


@pytest.mark.parametrize(("number", "kind"), WINSOCK)
def test_dial_errors_as_windows_numbers_them(number: int, kind: type[DialError]) -> None:
    error = sockets.dial_error(number, "example.com:80")
    assert type(error) is kind
    if WINDOWS:
        assert str(error) == "example.com:80: " + sockets.errno_text(number) and "nknown" not in str(error)


@pytest.mark.skipif(not WINDOWS, reason="of Windows")
def test_numbers_of_winsock_are_those_of_the_module_errno() -> None:
    for name in ("WSAEINTR", "WSAEWOULDBLOCK", "WSAEINPROGRESS", "WSAEALREADY", "WSAEMFILE", "WSAENOBUFS"):
        assert getattr(sockets, f"_{name}") == getattr(errno, name)


def test_an_accept_for_want_of_sockets_is_known_as_windows_numbers_it() -> None:
    assert {10024, 10055, errno.EMFILE} <= sockets.EXHAUSTED


def test_an_errno_that_nobody_knows_is_a_dial_error() -> None:
    assert type(sockets.dial_error(99_999, "example.com:80")) is DialError
    assert type(sockets.dial_error(0, "example.com:80")) is DialError


# --- connecting ----------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_connecting(wires: Wires, host: str) -> None:
    listener = wires.listening(host=host)
    sock = sockets.new_stream(listener.family)
    try:
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sockets.connected(sock)
        assert sockets.connect(sock, listener.getsockname()) == 0
        wait(sock, selectors.EVENT_WRITE)
        assert sockets.pending_error(sock) == 0
        assert sockets.connected(sock)
    finally:
        sock.close()


def test_a_refused_connection(wires: Wires) -> None:
    """It fails at once or later, by platform; either way with the same number."""
    sock = sockets.new_stream(socket.AF_INET)
    try:
        number = sockets.connect(sock, (HOST, wires.closed_port()))
        if not number:
            wait(sock, selectors.EVENT_WRITE)
            number = sockets.pending_error(sock)
        assert type(sockets.dial_error(number, "")) is ConnectionRefused
        assert not sockets.connected(sock)
    finally:
        sock.close()


UNDER_WAY = [errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR, 10035, 10036, 10037]


@pytest.mark.parametrize("number", UNDER_WAY)
def test_a_connection_under_way_is_no_failure(number: int) -> None:
    assert sockets.connect(Answering(number), (HOST, 1)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL"])
def test_a_connection_that_fails_at_once(name: str) -> None:
    number = getattr(errno, name)
    assert sockets.connect(Answering(number), (HOST, 1)) == number  # type: ignore[arg-type]


class Answering:
    """Stands for a system whose connect() comes to this number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def connect_ex(self, address: Any) -> int:
        return self._number


# --- the end of a connection ---------------------------------------------------------------------
def test_reset_on_close(wires: Wires) -> None:
    near, far = wires.pair()
    sockets.reset_on_close(near)
    near.close()
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    sockets.reset_on_close(near)  # when it is too late it is nothing


def test_broken_is_what_the_peer_has_reset(wires: Wires) -> None:
    near, far = wires.pair()
    assert not sockets.is_broken(near)
    far.sendall(b"data")
    wait(near, selectors.EVENT_READ)
    assert not sockets.is_broken(near)
    assert near.recv(100) == b"data"  # nothing was taken
    sockets.reset_on_close(far)
    far.close()
    wait(near, selectors.EVENT_READ)
    assert sockets.is_broken(near)


def test_a_peer_that_only_ended_is_not_broken(wires: Wires) -> None:
    near, far = wires.pair()
    far.shutdown(socket.SHUT_WR)
    wait(near, selectors.EVENT_READ)
    assert not sockets.is_broken(near)


def test_finish_writing_sends_fin_and_nothing_else_ends(wires: Wires) -> None:
    near, far = wires.pair()
    sockets.finish_writing(near)
    assert far.recv(1) == b""
    far.sendall(b"still heard")
    wait(near, selectors.EVENT_READ)
    assert near.recv(100) == b"still heard"


def test_finish_writing_on_what_is_gone_is_nothing(wires: Wires) -> None:
    near, far = wires.pair()
    sockets.reset_on_close(far)
    far.close()
    wait(near, selectors.EVENT_READ)
    assert sockets.is_broken(near)
    sockets.finish_writing(near)
    near.close()
    sockets.finish_writing(near)


# --- listening -----------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_a_listening_socket(host: str) -> None:
    with sockets.listening_socket(host, 0) as sock:
        assert sock.gettimeout() == 0
        assert sock.getsockname()[0] == host
        with socket.create_connection(sock.getsockname()[:2], PATIENT):
            pass


def test_ipv6_sockets_are_for_ipv6_only() -> None:
    """So that `::` and `0.0.0.0` can both be listened on; an IPv4 address is no address for them."""
    with pytest.raises(OSError):
        sockets.listening_socket("::ffff:127.0.0.1", 0)


def test_a_port_in_use_is_an_error() -> None:
    with sockets.listening_socket(HOST, 0) as first, pytest.raises(OSError) as failure:
        sockets.listening_socket(HOST, first.getsockname()[1])
    assert failure.traceback[-1].frame.f_locals["sock"].fileno() == -1  # and the socket is closed


def test_the_port_of_a_server_that_ended_can_be_taken_again(wires: Wires) -> None:
    """Its connections are in TIME_WAIT for minutes; a restart must not wait for that."""
    with sockets.listening_socket(HOST, 0) as first:
        port = first.getsockname()[1]
        client = wires.connect(port)
        wait(first, selectors.EVENT_READ)
        served, _ = first.accept()
        served.close()
        assert client.recv(1) == b""
        client.close()
    with sockets.listening_socket(HOST, port) as again:
        if WINDOWS:  # where SO_REUSEADDR would let anybody take the port away
            assert not again.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            assert again.getsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE)
        else:
            assert again.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


# --- accepting -----------------------------------------------------------------------------------
class WithoutShortcut:
    """A listener of an interpreter that has accept(), and not CPython's `_accept` underneath."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def accept(self) -> Any:
        return self._sock.accept()


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_accepting(wires: Wires, host: str, shortcut: bool) -> None:
    listening = wires.keep(sockets.listening_socket(host, 0))
    accept = sockets.acceptor(listening if shortcut else WithoutShortcut(listening))  # type: ignore[arg-type]
    with pytest.raises(BlockingIOError):
        accept()
    with socket.create_connection(listening.getsockname()[:2], PATIENT) as client:
        wait(listening, selectors.EVENT_READ)
        sock, peer = accept()
        try:
            assert peer == client.getsockname()
            assert sock.family == listening.family
            assert sock.gettimeout() == 0
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            client.sendall(b"x")
            wait(sock, selectors.EVENT_READ)
            assert sock.recv(1) == b"x"
        finally:
            sock.close()


# --- descriptors ---------------------------------------------------------------------------------
RAISE = """
import json, resource, sys
from pyss.net.sockets import raise_descriptor_limit
soft, hard = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
told = raise_descriptor_limit()
print(json.dumps([told, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.skipif(WINDOWS, reason="there is no such limit there")
@pytest.mark.parametrize(("soft", "hard"), [(64, 128), (128, 128), (64, 200)])
def test_the_limit_of_descriptors_is_raised(soft: int, hard: int) -> None:
    argv = [sys.executable, "-c", RAISE, json.dumps([soft, hard])]
    run = subprocess.run(argv, cwd=ROOT, env=clean_environment(), timeout=PATIENT, check=True, stdout=subprocess.PIPE)
    assert json.loads(run.stdout) == [hard, hard, hard]


@pytest.mark.skipif(not WINDOWS, reason="of Windows")
@pytest.mark.parametrize(("usable", "number"), [(True, 16384), (False, 512)])
def test_windows_has_as_many_sockets_as_its_selector_takes(
    monkeypatch: pytest.MonkeyPatch, usable: bool, number: int
) -> None:
    monkeypatch.setattr(wsapoll, "usable", lambda: usable)
    assert sockets.raise_descriptor_limit() == number


# --- Windows -------------------------------------------------------------------------------------
@pytest.mark.skipif(not WINDOWS, reason="of Windows")
def test_no_send_is_given_more_than_windows_takes_well() -> None:
    """Above 128 KiB it slows down; what is sent at once is at most the loop's scratch."""
    loop = Loop()
    assert len(loop.rx) <= len(loop.tx) <= 128 * 1024
    loop.close()


@pytest.mark.skipif(not WINDOWS, reason="of Windows")
def test_nobody_takes_a_port_away() -> None:
    """SO_EXCLUSIVEADDRUSE: even one who asks for SO_REUSEADDR."""
    for bound in (sockets.listening_socket(HOST, 0), sockets.datagram_socket(HOST, 0)):
        with bound, socket.socket(socket.AF_INET, bound.type) as thief:
            assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError):
                thief.bind(bound.getsockname())


def test_a_datagram_that_nobody_took_does_not_end_receiving() -> None:
    """Windows would say 10054 for each earlier packet that came back; it is asked not to."""
    with sockets.datagram_socket(HOST, 0) as sock, sockets.datagram_socket(HOST, 0) as other:
        with sockets.datagram_socket(HOST, 0) as gone:
            nobody = gone.getsockname()
        for _ in range(3):
            sock.sendto(b"x", nobody)
        other.sendto(b"y", sock.getsockname())
        wait(sock, selectors.EVENT_READ)
        assert sock.recvfrom(10)[0] == b"y"
