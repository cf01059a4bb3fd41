"""The local proxy's SOCKS5 and SOCKS4 over real sockets: replies that are true, however the request arrives."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from helpers.relay import HOST, Limits, SelectorFactory, relay
from helpers.traffic import Background, echo, target
from helpers.wire import (
    ASK,
    GRANTED,
    ask_socks4,
    every_selector,
    every_way,
    hanging_port,
    refusing_port,
    socks4a_request,
    socks5_reply,
    socks5_request,
    talk,
)

REFUSED = {"socks5": 5, "socks4a": 0x5B, "connect": 502}
NOT_FOUND = {"socks5": 4, "socks4a": 0x5B, "connect": 502}
TIMED_OUT = {"socks5": 6, "socks4a": 0x5B, "connect": 504}
FORBIDDEN = {"socks5": 2, "socks4a": 0x5B, "connect": 403}
LOOP = {"socks5": 2, "socks4a": 0x5B, "connect": 508}


@pytest.fixture(scope="module")
def hanging() -> Iterator[int]:
    with hanging_port() as port:
        yield port


def ask_all(running: Any, host: str, port: int) -> dict[str, int]:
    """The verdict of each protocol about one target; all ask at the same time."""

    def ask(name: str) -> int:
        with talk(running) as wire:
            code = ASK[name](wire, host, port)
            if code != GRANTED[name]:
                assert wire.rest() == b""  # FIN behind the answer, no RST
            return code

    asked = {name: Background(lambda name=name: ask(name)) for name in ASK}
    return {name: call.result() for name, call in asked.items()}  # type: ignore[misc]


def unknown(*query: object) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "no such name")


# --- what the replies say ------------------------------------------------------------------------
@every_selector
@every_way
def test_success_is_reported_where_the_connection_stands(selector: SelectorFactory, direct: bool) -> None:
    with target(echo) as server, relay(selector, direct=direct) as running:
        assert ask_all(running, HOST, server.port) == GRANTED


@every_selector
def test_a_refused_connection(selector: SelectorFactory) -> None:
    with refusing_port() as port, relay(selector, direct=True) as running:
        assert ask_all(running, HOST, port) == REFUSED
        running.log.wait_for(rf"-> {HOST}:{port} connection-refused up 0 down 0 ", 3)


@every_selector
def test_a_server_that_refuses_connections(selector: SelectorFactory) -> None:
    with refusing_port() as port, relay(selector, server_at=(HOST, port)) as running:
        assert ask_all(running, HOST, 9) == REFUSED
        running.log.wait_for(rf"-> {HOST}:9 connection-refused .*: {HOST}:{port}: ", 3)


@every_selector
@every_way
def test_a_name_that_is_not_found(selector: SelectorFactory, direct: bool) -> None:
    with relay(selector, direct=direct, lookup=unknown, server_at=("server.test", 9)) as running:
        assert ask_all(running, "target.test", 9) == NOT_FOUND
        missing = "target.test" if direct else "server.test"
        running.log.wait_for(f"-> target.test:9 name-not-found .*{missing}", 3)


@every_selector
@every_way
def test_a_connection_that_does_not_stand_in_time(selector: SelectorFactory, direct: bool, hanging: int) -> None:
    """Nothing is said before: the first reply that the clients get is the failure."""
    with relay(selector, direct=direct, server_at=(HOST, hanging), local_limits=Limits(dial=0.1)) as running:
        assert ask_all(running, HOST, hanging) == TIMED_OUT


@every_selector
def test_a_target_that_the_policy_forbids(selector: SelectorFactory) -> None:
    with relay(selector, direct=True, forbidden=["127.0.0.0/8"]) as running:
        assert ask_all(running, HOST, 9) == FORBIDDEN


@every_selector
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "::1", "0.0.0.0"])
def test_the_proxy_itself_is_no_target(selector: SelectorFactory, host: str) -> None:
    with relay(selector, direct=True) as running:
        expected = dict(LOOP)
        asked = f"[{host}]" if ":" in host else host
        with talk(running) as wire:
            assert ASK["connect"](wire, asked, running.local_port) == expected["connect"]
        for name in ("socks5", "socks4a"):
            with talk(running) as wire:
                assert ASK[name](wire, host, running.local_port) == expected[name]
        running.until_idle()
        assert len(running.log.matching("loop up 0 down 0")) == 3
        assert not running.log.matching("connecting")


@every_selector
@every_way
def test_nothing_is_granted_while_the_dial_is_under_way(selector: SelectorFactory, direct: bool) -> None:
    asked, known = threading.Event(), threading.Event()

    def slow(host: str, port: int, *query: object) -> list[Any]:
        asked.set()
        assert known.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))]

    with target(echo) as server, relay(selector, direct=True) as far:
        options: dict[str, Any] = {"direct": True} if direct else {"server_at": ("name.test", far.local_port)}
        with relay(selector, lookup=slow, **options) as running, talk(running) as wire:
            wire.send(b"\x05\x01\x00", socks5_request("name.test", server.port))
            assert wire.exactly(2) == b"\x05\x00"
            assert asked.wait(30)
            assert wire.silent()
            known.set()
            assert socks5_reply(wire)[0] == 0


@every_selector
def test_the_bound_address_is_that_of_the_connection_to_the_target(selector: SelectorFactory) -> None:
    def who(sock: socket.socket) -> None:
        sock.sendall(repr(sock.getpeername()).encode())

    with target(who) as server, relay(selector, direct=True) as running, talk(running) as wire:
        wire.send(b"\x05\x01\x00", socks5_request(HOST, server.port))
        assert wire.exactly(2) == b"\x05\x00"
        code, *bound = socks5_reply(wire)
        assert code == 0
        assert wire.rest() == repr(tuple(bound)).encode()


@every_selector
def test_the_bound_address_is_that_of_the_connection_to_the_server(selector: SelectorFactory) -> None:
    with target(echo) as server, relay(selector) as running:
        with talk(running) as wire:
            wire.send(b"\x05\x01\x00", socks5_request(HOST, server.port), b"hello")
            assert wire.exactly(2) == b"\x05\x00"
            code, host, port = socks5_reply(wire)
            assert code == 0
            assert wire.exactly(5) == b"hello"
            wire.end()
            assert wire.rest() == b""
        running.log.wait_for(rf"^info {host}:{port} -> {HOST}:{server.port} ok up 5 down 5 ")


@every_selector
@pytest.mark.parametrize("name", ASK)
def test_a_failure_behind_the_server_arrives_as_a_reset(selector: SelectorFactory, name: str) -> None:
    """Only the connection to the server is reported on; a FIN would look like an empty answer."""
    with refusing_port() as port, relay(selector) as running:
        with talk(running) as wire:
            assert ASK[name](wire, HOST, port) == GRANTED[name]
            with pytest.raises(ConnectionResetError):
                wire.send(b"hello")
                wire.rest()
        running.log.wait_for(rf"-> {HOST}:{port} reset up 5 down 0 ")


# --- what is not offered -------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize("command", [2, 3, 0, 255], ids=["bind", "udp associate", "0", "255"])
def test_commands_other_than_connect(selector: SelectorFactory, command: int) -> None:
    with relay(selector) as running:
        with talk(running) as wire:
            wire.send(b"\x05\x01\x00", socks5_request(HOST, 9, command))
            assert wire.exactly(2) == b"\x05\x00"
            assert socks5_reply(wire)[0] == 7
            assert wire.rest() == b""
        with talk(running) as wire:
            wire.send(socks4a_request(HOST, 9, command))
            assert wire.exactly(8) == b"\x00\x5b" + bytes(6)
            assert wire.rest() == b""
        running.log.wait_for("-> - unsupported-command up 0 down 0", 2)


@every_selector
@pytest.mark.parametrize("kind", [0, 2, 5, 0x13, 255])
def test_address_types_that_do_not_exist(selector: SelectorFactory, kind: int) -> None:
    with relay(selector) as running:
        with talk(running) as wire:
            wire.send(b"\x05\x01\x00", bytes((5, 1, 0, kind)), bytes(6))
            assert wire.exactly(2) == b"\x05\x00"
            assert socks5_reply(wire)[0] == 8
            assert wire.rest() == b""
        running.log.wait_for("-> - unsupported-address ")


@every_selector
@pytest.mark.parametrize("first", [b"\x00", b"\x16\x03\x01\x02", b"\x06", b"\xff" * 100, b" GET / HTTP/1.1\r\n\r\n"])
def test_whatever_is_no_proxy_protocol_gets_no_answer(selector: SelectorFactory, first: bytes) -> None:
    with relay(selector, local_limits=Limits(linger=0.05)) as running, talk(running) as wire:
        wire.send(first)
        assert wire.rest() == b""
        (line,) = running.log.wait_for(" -> - bad-request up 0 down 0 ")
        assert f"byte 0x{first[0]:02x} begins neither SOCKS nor HTTP" in line


# --- how it arrives ------------------------------------------------------------------------------
REQUESTS: dict[str, Callable[[int], bytes]] = {
    "socks5": lambda port: b"\x05\x02\x00\x02" + socks5_request(HOST, port),
    "socks5 with IPv4": lambda port: b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\x01" + port.to_bytes(2, "big"),
    "socks4a": lambda port: socks4a_request(HOST, port),
    "socks4": lambda port: b"\x04\x01" + port.to_bytes(2, "big") + b"\x7f\0\0\x01someone\0",
    "connect": lambda port: b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: whatever\r\n\r\n" % port,
}
REPLY = {
    "socks5": (b"\x05\x00\x05\x00", 12),
    "socks5 with IPv4": (b"\x05\x00\x05\x00", 12),
    "socks4a": (b"\x00\x5a", 8),
    "socks4": (b"\x00\x5a", 8),
    "connect": (b"HTTP/1.1 200 ", 39),
}


@every_selector
@every_way
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("pieces", ["one", "bytes"])
def test_greeting_request_and_payload_in_one_piece_and_byte_by_byte(
    selector: SelectorFactory, direct: bool, name: str, pieces: str
) -> None:
    with target(echo) as server, relay(selector, direct=direct) as running:
        with talk(running) as wire:
            said = REQUESTS[name](server.port) + b"payload"
            for piece in [said] if pieces == "one" else [said[n : n + 1] for n in range(len(said))]:
                wire.send(piece)
            begins, size = REPLY[name]
            assert wire.exactly(size).startswith(begins)
            assert wire.exactly(7) == b"payload"
            wire.end()
            assert wire.rest() == b""
        running.log.wait_for(rf"-> {HOST}:{server.port} ok up 7 down 7 ", 1 if direct else 2)


@every_selector
def test_socks4_with_an_address(selector: SelectorFactory) -> None:
    with target(echo) as server, relay(selector) as running, talk(running) as wire:
        assert ask_socks4(wire, HOST, server.port) == 0x5A
        wire.send(b"hello")
        assert wire.exactly(5) == b"hello"


@every_selector
@pytest.mark.skipif(sys.platform == "win32", reason="a dial to a port nobody listens on takes two seconds there")
def test_the_refusal_is_read_whole_by_a_client_that_sends_megabytes_ahead(selector: SelectorFactory) -> None:
    """Closing a socket with unread input would send RST, and RST overtakes the answer."""
    with refusing_port() as port, relay(selector, direct=True) as running, talk(running) as wire:
        wire.send(b"\x05\x01\x00", socks5_request(HOST, port), bytes(4 << 20))
        wire.end()
        assert wire.exactly(2) == b"\x05\x00"
        assert socks5_reply(wire)[0] == 5
        assert wire.rest() == b""
