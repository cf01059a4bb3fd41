"""A local proxy that wants user names and passwords, and one that wants none."""

from __future__ import annotations

import base64
from typing import Optional

import pytest
from helpers.relay import HOST, SelectorFactory, plain_http, relay
from helpers.traffic import echo, target
from helpers.wire import Wire, answering, every_selector, request, socks4a_request, socks5_reply, socks5_request, talk

ACCOUNTS = [("alice", "first secret"), ("bob", "zweites Geheimnis: ä"), ("carol", "")]
WRONG = [
    ("alice", "zweites Geheimnis: ä"),  # another account's
    ("alice", "first secre"),
    ("alice", "first secret "),
    ("Alice", "first secret"),
    ("alice", ""),
    ("", ""),
    ("", "first secret"),
    ("alice:first secret", ""),
]


def offer(wire: Wire, methods: bytes) -> int:
    """The method that the proxy chooses."""
    wire.send(b"\x05", bytes((len(methods),)), methods)
    version, chosen = wire.exactly(2)
    assert version == 5
    return chosen


def log_in(wire: Wire, name: str, password: str) -> int:
    """The status of RFC 1929."""
    user, secret = name.encode(), password.encode()
    wire.send(b"\x01", bytes((len(user),)), user, bytes((len(secret),)), secret)
    version, status = wire.exactly(2)
    assert version == 1
    return status


def basic(name: str, password: str) -> bytes:
    return b"Proxy-Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode())


def ask_connect(wire: Wire, port: int, authorization: Optional[bytes]) -> int:
    lines = [b"CONNECT 127.0.0.1:%d HTTP/1.1" % port, b"Host: 127.0.0.1:%d" % port]
    wire.send(b"\r\n".join(lines + [authorization] * (authorization is not None)), b"\r\n\r\n")
    head, _ = wire.message()
    if head.status == 407:
        check_challenge(head.get(b"proxy-authenticate"), head.get(b"connection"))
        assert wire.rest() == b""
    return head.status


def check_challenge(challenge: Optional[bytes], connection: Optional[bytes]) -> None:
    assert challenge is not None and challenge.startswith(b'Basic realm="')
    assert connection == b"close"


# --- SOCKS ---------------------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account[0])
def test_socks5_with_any_of_the_accounts(selector: SelectorFactory, account: tuple[str, str]) -> None:
    with target(echo) as server, relay(selector, credentials=ACCOUNTS) as running, talk(running) as wire:
        assert offer(wire, b"\x00\x02") == 2
        assert log_in(wire, *account) == 0
        wire.send(socks5_request(HOST, server.port), b"hello")
        assert socks5_reply(wire)[0] == 0
        assert wire.exactly(5) == b"hello"


@every_selector
def test_socks5_with_a_wrong_name_or_password(selector: SelectorFactory) -> None:
    with relay(selector, credentials=ACCOUNTS) as running:
        for account in WRONG:
            with talk(running) as wire:
                assert offer(wire, b"\x02") == 2
                assert log_in(wire, *account) == 1
                assert wire.rest() == b""
        lines = running.log.wait_for("-> - credentials up 0 down 0 .*user name or password is wrong", len(WRONG))
        assert not any("secret" in line or "Geheim" in line for line in lines)
        assert not running.log.matching("connecting")


@every_selector
@pytest.mark.parametrize("methods", [b"", b"\x00", b"\x00\x01\x03\xfe"])
def test_socks5_without_a_password_where_one_is_wanted(selector: SelectorFactory, methods: bytes) -> None:
    with relay(selector, credentials=ACCOUNTS) as running:
        with talk(running) as wire:
            assert offer(wire, methods) == 0xFF
            assert wire.rest() == b""
        running.log.wait_for("-> - credentials ")


@every_selector
def test_a_socks5_request_that_does_not_wait_for_the_password_reply(selector: SelectorFactory) -> None:
    with target(echo) as server, relay(selector, credentials=ACCOUNTS) as running:
        for password, status in ((b"first secret", b"\0"), (b"wrong", b"\1")):
            with talk(running) as wire:
                login = b"\x01\x05alice" + bytes((len(password),)) + password
                wire.send(b"\x05\x01\x02", login, socks5_request(HOST, server.port), b"hello")
                assert wire.exactly(4) == b"\x05\x02\x01" + status
                if status == b"\0":
                    assert socks5_reply(wire)[0] == 0
                    assert wire.exactly(5) == b"hello"
                else:
                    assert wire.rest() == b""
        running.until_idle()
        assert len(running.log.matching("connecting .*")) == 2  # one session, both ends


@every_selector
def test_socks4_has_no_password_and_is_refused_where_one_is_wanted(selector: SelectorFactory) -> None:
    with relay(selector, credentials=ACCOUNTS) as running:
        with talk(running) as wire:
            wire.send(socks4a_request(HOST, 9))
            assert wire.exactly(8) == b"\x00\x5b" + bytes(6)
            assert wire.rest() == b""
        running.log.wait_for("-> - credentials .*SOCKS4 has no passwords")


@every_selector
@pytest.mark.parametrize("methods", [b"", b"\x02", b"\x01\x02\x80"])
def test_socks5_that_insists_on_a_password_where_none_is_wanted(selector: SelectorFactory, methods: bytes) -> None:
    with relay(selector) as running:
        with talk(running) as wire:
            assert offer(wire, methods) == 0xFF
            assert wire.rest() == b""
        running.log.wait_for("-> - credentials .*insists on an authentication method")


# --- HTTP ----------------------------------------------------------------------------------------
@every_selector
def test_connect_with_any_of_the_accounts(selector: SelectorFactory) -> None:
    with target(echo) as server, relay(selector, credentials=ACCOUNTS) as running:
        for account in ACCOUNTS:
            with talk(running) as wire:
                assert ask_connect(wire, server.port, basic(*account)) == 200
                wire.send(b"hello")
                assert wire.exactly(5) == b"hello"


NO_AUTHORIZATION: list[Optional[bytes]] = [
    None,
    b"Proxy-Authorization:",
    b"Proxy-Authorization: Basic",
    b"Proxy-Authorization: Basic ====",
    b"Proxy-Authorization: Basic " + base64.b64encode(b"alice"),
    b"Proxy-Authorization: Basic \xff\xfe",
    b"Proxy-Authorization: Bearer " + base64.b64encode(b"alice:first secret"),
    b"Authorization: Basic " + base64.b64encode(b"alice:first secret"),
    *(basic(*account) for account in WRONG),
]


@every_selector
def test_connect_without_what_is_wanted(selector: SelectorFactory) -> None:
    with relay(selector, credentials=ACCOUNTS) as running:
        for authorization in NO_AUTHORIZATION:
            with talk(running) as wire:
                assert ask_connect(wire, 9, authorization) == 407, authorization
        running.log.wait_for("-> - credentials ", len(NO_AUTHORIZATION))
        assert not running.log.matching("connecting|secret|Geheim")


@every_selector
def test_plain_http_with_any_of_the_accounts_on_one_connection(selector: SelectorFactory) -> None:
    origin = answering()
    with target(origin) as server, relay(selector, credentials=ACCOUNTS, forward=plain_http()) as running:
        with talk(running) as wire:
            for account in ACCOUNTS:
                wire.send(request(server.port, b"/", basic(*account)))
                assert wire.message()[1] == b"hello"
        assert all(head.get(b"proxy-authorization") is None for head, _ in origin.requests)


@every_selector
def test_plain_http_without_what_is_wanted(selector: SelectorFactory) -> None:
    origin = answering()
    with target(origin) as server, relay(selector, credentials=ACCOUNTS, forward=plain_http()) as running:
        for authorization in NO_AUTHORIZATION:
            with talk(running) as wire:
                wire.send(request(server.port, b"/", *([authorization] * (authorization is not None))))
                head, _ = wire.message()
                assert head.status == 407, authorization
                check_challenge(head.get(b"proxy-authenticate"), head.get(b"connection"))
                assert wire.rest() == b""
        # The second request of a connection is no less asked for its password than the first.
        with talk(running) as wire:
            wire.send(request(server.port, b"/", basic(*ACCOUNTS[0])))
            assert wire.message()[0].status == 200
            wire.send(request(server.port, b"/"))
            assert wire.message()[0].status == 407
        running.until_idle()
        assert origin.connections == 1
        assert not running.log.matching("secret|Geheim")
