"""The server's end over real connections: what clients get from it, how it says that something failed, and that
no method, no port and no neighbour makes a difference."""

from __future__ import annotations

import socket
import sys
import threading

import pytest
from helpers.forging import METHOD_2022, METHODS, Request, connect, exchange, port_of, read_answer, secret_of
from helpers.relay import HOST, SelectorFactory, relay
from helpers.traffic import echo, receive_all, receive_exactly, socks5_connect, target

from pyss.address import Address
from pyss.relay.service import Limits

PATIENT = Limits(greeting=120.0)


def receive_until_reset(sock: socket.socket) -> bytes:
    """All that came before the RST; a clean end is a failure."""
    came = b""
    try:
        while part := sock.recv(65536):
            came += part
    except ConnectionResetError:
        return came
    raise AssertionError(f"FIN instead of RST after {came!r}")


def unused_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("method", METHODS)
def test_bytes_may_arrive_one_by_one(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method, with_local=False) as running, target(echo) as echoing:
        request = Request(method)
        start = request.start(Address.of(HOST, echoing.port), b"hello")
        whole = start + request.chunk(b" there")
        first = 59 if method == METHOD_2022 else 1  # SIP022: the first read brings salt and fixed header
        with connect(running.server_port) as sock:
            sock.sendall(whole[:first])
            running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 1)
            for at in range(first, len(whole)):
                sock.sendall(whole[at : at + 1])
            assert read_answer(sock, request)[0].startswith(b"hello")


@pytest.mark.parametrize("method", METHODS)
def test_good_chunks_before_a_bad_one_arrive_then_both_sides_are_reset(selector: SelectorFactory, method: str) -> None:
    arrived = threading.Event()

    def read(sock: socket.socket) -> tuple[bytes, bytes]:
        good = receive_exactly(sock, 14)
        arrived.set()
        return good, receive_until_reset(sock)

    with relay(selector, method=method, with_local=False) as running, target(read) as reading:
        request = Request(method)
        with connect(running.server_port) as sock:
            sock.sendall(request.start(Address.of(HOST, reading.port), b"first ") + request.chunk(b"second"))
            sock.sendall(request.chunk(b" 3"))
            assert arrived.wait(30)
            bad = bytearray(request.chunk(b"changed on its way"))
            bad[-1] ^= 1
            sock.sendall(bad)
            assert receive_until_reset(sock) == b""
        running.log.wait_for(f":{reading.port} bad-tag up 14 down 0 ")
        running.thread.until(lambda: bool(reading.results or reading.errors))
    assert reading.errors == [] and reading.results == [(b"first second 3", b"")]


@pytest.mark.skipif(sys.platform == "win32", reason="there RST takes away what was not read yet")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [0, 6])
def test_a_bad_chunk_in_the_read_of_the_request_changes_nothing(
    selector: SelectorFactory, method: str, length: int
) -> None:
    with relay(selector, method=method, with_local=False) as running, target(receive_until_reset) as reading:
        request = Request(method)
        good = b"first "[:length]
        head = request.start(Address.of(HOST, reading.port), b"x" + good)
        with connect(running.server_port) as sock:
            sock.sendall(head + bytes(50))
            assert receive_until_reset(sock) == b""
        running.log.wait_for(f":{reading.port} bad-tag up {length + 1} down 0 ")
        running.thread.until(lambda: bool(reading.results or reading.errors))
    assert reading.errors == [] and reading.results == [b"x" + good]


@pytest.mark.parametrize("method", METHODS)
def test_a_stream_that_is_cut_inside_a_chunk_is_no_clean_end(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method, with_local=False) as running, target(receive_until_reset) as reading:
        request = Request(method)
        with connect(running.server_port) as sock:
            sock.sendall(request.start(Address.of(HOST, reading.port), b"whole"))
            sock.sendall(request.chunk(b"cut off")[:-1])
            running.thread.until(
                lambda: running.server is not None
                and any(session.up is not None and session.up.count for session in running.server.sessions)
            )
            sock.shutdown(socket.SHUT_WR)
            assert receive_until_reset(sock) == b""
        running.log.wait_for(f":{reading.port} truncated up 5 ")
        running.thread.until(lambda: bool(reading.results or reading.errors))
    assert reading.errors == [] and reading.results == [b"whole"]


@pytest.mark.parametrize("method", [*METHODS, "none"])
@pytest.mark.parametrize("host, status", [(HOST, "connection-refused"), ("nowhere.test", "name-not-found")])
def test_a_failed_dial_is_a_reset_for_the_local_client(
    selector: SelectorFactory, method: str, host: str, status: str
) -> None:
    """A clean end would be taken for an empty answer."""

    def unknown(name: str, *rest: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    with relay(selector, method=method, lookup=unknown) as running:
        port = unused_port()
        with socks5_connect(running.local_port, port, host) as sock:
            sock.sendall(b"is anybody there?")
            assert receive_until_reset(sock) == b""
        lines = running.log.wait_for(f"{host}:{port} ", 4)
    assert len([line for line in lines if f"{host}:{port} {status} up 0 down 0 " in line]) == 1
    assert len([line for line in lines if f"{host}:{port} reset up 17 down 0 " in line]) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_client_that_says_no_more_gets_its_answer(selector: SelectorFactory, method: str) -> None:
    def answer(sock: socket.socket) -> bytes:
        came = receive_all(sock)
        sock.sendall(came.upper())
        return came

    with relay(selector, method=method, with_local=False) as running, target(answer) as answering:
        request = Request(method)
        with connect(running.server_port) as sock:
            sock.sendall(request.start(Address.of(HOST, answering.port), b"question"))
            sock.shutdown(socket.SHUT_WR)
            assert read_answer(sock, request)[0] == b"QUESTION"
            assert sock.recv(1) == b""
        running.log.wait_for(" ok up 8 down 8 ")


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_says_nothing_ends_in_fin_and_not_one_byte(selector: SelectorFactory, method: str) -> None:
    """A sealed chunk of no bytes must never be sent: peers disagree what follows it."""
    with relay(selector, method=method, with_local=False) as running, target(receive_all) as mute:
        with connect(running.server_port) as sock:
            sock.sendall(Request(method).start(Address.of(HOST, mute.port), b"question"))
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        running.log.wait_for(" ok up 8 down 0 ")


def test_without_a_cipher_the_address_goes_first_and_bytes_as_they_are(selector: SelectorFactory) -> None:
    with relay(selector, method="none", limits=PATIENT) as running, target(echo) as echoing:
        with connect(running.server_port) as sock:
            for byte in Address.of(HOST, echoing.port).wire + b"hello":
                sock.sendall(bytes([byte]))
            assert receive_exactly(sock, 5) == b"hello"
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        with socks5_connect(running.local_port, echoing.port) as sock:
            sock.sendall(b"through both ends")
            assert receive_exactly(sock, 17) == b"through both ends"
        with connect(running.server_port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            running.log.wait_for(f"draining .*:{port_of(sock)}: address type 71 is not")


@pytest.mark.parametrize("method", METHODS)
def test_no_line_of_the_log_holds_a_secret(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method) as running, target(echo) as echoing:
        exchange(running.server_port, method, echoing.port, b"a private word")
        with socks5_connect(running.local_port, echoing.port) as sock:
            sock.sendall(b"a private word")
            receive_exactly(sock, 14)
        with connect(running.server_port) as sock:
            sock.sendall(Request(method).start_with(b"\0a private word"))
            running.log.wait_for("draining ")
        running.until_idle()
        log = "\n".join(running.log.lines)
    for secret in (secret_of(method), "private"):
        assert secret not in log
