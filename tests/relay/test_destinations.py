"""Where a server lets nobody go, over real connections: after names were looked up, in every form of an address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional

import pytest
from helpers.forging import METHOD_2017, METHODS, Request, connect, exchange, port_of, read_answer
from helpers.relay import HOST, SELECTORS, RunningRelay, SelectorFactory, relay
from helpers.traffic import Target, echo, socks5_connect, target

from pyss.address import Address
from pyss.relay import policy

# Names of the tests' own world; what stands for one address only is a list all the same.
NAMES = {
    "localhost": [HOST, "::1"],
    "private.test": ["10.1.2.3", "192.168.7.8", "fd00::1"],
    "inwards.test": [HOST],
    "metadata.test": ["169.254.169.254"],
    "both.test": ["10.1.2.3", HOST],
    "127.0.0.1.": [HOST],  # what some resolvers make of the dot behind it
}
Answer = tuple[int, int, int, str, tuple[object, ...]]


def lookup(host: str, port: Optional[int], family: int = 0, kind: int = 0) -> list[Answer]:
    """NAMES, and every text that a system's resolver takes for an IP address; it asks nobody."""
    found = NAMES.get(host) or NAMES.get(host.rstrip("."))
    if found is not None:
        return [
            (socket.AF_INET6, kind, 6, "", (ip, 0, 0, 0)) if ":" in ip else (socket.AF_INET, kind, 6, "", (ip, 0))
            for ip in found
        ]
    try:
        answers = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
        return [(int(one), int(two), three, four, tuple(five)) for one, two, three, four, five in answers]
    except OSError:
        return [(socket.AF_INET, kind, 6, "", (socket.inet_ntoa(socket.inet_aton(host)), 0))]


@pytest.fixture
def echoing() -> Iterator[Target]:
    with target(echo) as server:
        yield server


@contextmanager
def serving(selector: SelectorFactory, method: str = METHOD_2017, **more: object) -> Iterator[RunningRelay]:
    with relay(selector, method=method, with_local=False, lookup=lookup, **more) as running:  # type: ignore[arg-type]
        yield running


def in_wire(host: str, port: int) -> bytes:
    """As a client may send it: every text as a name, unless it is an address in the usual form."""
    for family, kind in ((socket.AF_INET, b"\1"), (socket.AF_INET6, b"\4")):
        try:
            return kind + socket.inet_pton(family, host) + port.to_bytes(2, "big")
        except OSError:
            pass
    return as_name(host, port)


def as_name(host: str, port: int) -> bytes:
    return b"\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


def status_of(
    running: RunningRelay, host: str, port: int, method: str = METHOD_2017, wire: Callable[[str, int], bytes] = in_wire
) -> str:
    """Ask for the address; the status that the server's log shows for it."""
    with connect(running.server_port) as sock:
        sock.sendall(Request(method).start_with(wire(host, port)))
        me = port_of(sock)
        line = running.log.wait_for(f"info 127.0.0.1:{me} -> ")[0]
        with pytest.raises(ConnectionResetError):  # as after any dial that fails
            sock.recv(1)
        return line.split(" -> ")[1].split()[1]


FORMS = [
    *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1"),
    *("017700000001", "127.255.1.2", "0.0.0.0", "0", "::", "::1", "::ffff:127.0.0.1", "::ffff:0:0"),
    *("::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "10.0.0.1", "172.16.0.1", "192.168.0.1"),
    *("169.254.169.254", "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "fe80::1"),
    *("fc00::1", "ff02::1", "64:ff9b:1::7f00:1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"),
    *("2002:c0a8:1:2:3:4:5:6", "localhost", "LOCALHOST", "localhost.", "inwards.test", "inwards.test."),
    *("private.test", "metadata.test", "both.test", "127.0.0.1.", "::ffff:7f00:1"),
]


def test_the_default_table_holds_in_every_form_of_an_address(selector: SelectorFactory, echoing: Target) -> None:
    with serving(selector, forbidden=None) as running:
        found = {host: status_of(running, host, echoing.port) for host in FORMS}
        again = {host: status_of(running, host, echoing.port) for host in FORMS}
    assert found == again == dict.fromkeys(FORMS, "forbidden")
    assert echoing.results == []


@pytest.mark.parametrize("method", [*METHODS, "none"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "[::1]", "localhost", "127.1"])
def test_an_address_written_as_a_name_is_refused_too(echoing: Target, method: str, host: str) -> None:
    with serving(SELECTORS["default"], method, forbidden=None) as running, connect(running.server_port) as sock:
        wire = as_name(host, echoing.port)
        sock.sendall(wire if method == "none" else Request(method).start_with(wire))
        running.log.wait_for(" forbidden up 0 down 0 .*--allowed-ip opens it")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert echoing.results == []


@pytest.mark.parametrize("method", METHODS)
def test_of_several_addresses_those_allowed_are_used(selector: SelectorFactory, echoing: Target, method: str) -> None:
    with serving(selector, method, forbidden=None, allowed=["127.0.0.1"]) as running:
        request = Request(method)
        with connect(running.server_port) as sock:
            sock.sendall(request.start(Address.of("both.test", echoing.port), b"which one?"))
            assert read_answer(sock, request)[0] == b"which one?"
        running.log.wait_for(f" -> both.test:{echoing.port} ok up 10 down 10 ")


def test_what_is_allowed_is_open_and_nothing_else(selector: SelectorFactory, echoing: Target) -> None:
    with serving(selector, forbidden=None, allowed=["127.0.0.1/32"]) as running:
        exchange(running.server_port, METHOD_2017, echoing.port)
        for host in ("127.0.0.2", "::1", "private.test", "::ffff:127.0.0.2"):
            assert status_of(running, host, echoing.port) == "forbidden"
        exchange(running.server_port, METHOD_2017, echoing.port)


def test_an_empty_table_forbids_nothing(selector: SelectorFactory, echoing: Target) -> None:
    with serving(selector, forbidden=()) as running:
        for host in (HOST, "localhost", "inwards.test", "127.1"):
            request = Request(METHOD_2017)
            with connect(running.server_port) as sock:
                sock.sendall(request.start(Address.of(host, echoing.port), b"open"))
                assert read_answer(sock, request)[0] == b"open"


def test_a_table_of_ones_own_replaces_the_default(selector: SelectorFactory, echoing: Target) -> None:
    with serving(selector, forbidden=["10.0.0.0/8", "127.0.0.2"]) as running:
        exchange(running.server_port, METHOD_2017, echoing.port)
        for host in ("10.1.2.3", "127.0.0.2", "::ffff:127.0.0.2"):
            assert status_of(running, host, echoing.port) == "forbidden"


def test_own_addresses_are_refused_though_no_table_names_them(
    selector: SelectorFactory, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "DEFAULT_FORBIDDEN", ("192.0.2.0/24",))
    with serving(selector, forbidden=None) as running:
        for host in (HOST, "inwards.test", "::ffff:127.0.0.1"):
            assert status_of(running, host, echoing.port) == "forbidden"
        assert len(running.log.matching("own address")) == 3


def test_a_local_client_sees_a_reset_and_is_told_nothing(selector: SelectorFactory, echoing: Target) -> None:
    """The local end cannot know why: for it the connection to its server broke."""
    with relay(selector, forbidden=None, lookup=lookup) as running:
        with socks5_connect(running.local_port, echoing.port, "inwards.test") as sock:
            sock.sendall(b"let me in")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        found = running.log.wait_for(r"^info .*inwards\.test", 2)
    assert sorted(line.split()[4] for line in found) == ["forbidden", "reset"]
    assert echoing.results == []
