"""SOCKS4 and 4a: addresses, names behind 0.0.0.x, and refusals; a proxy with accounts takes neither."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.dialogues import ACCOUNTS, BOUND, EVERYBODY, SOCKS4_REFUSED

from pyss.address import Address
from pyss.errors import ConnectionRefused, PyssError
from pyss.protocol import socks4
from pyss.protocol.credentials import Credentials
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.request import Request


def dialogue(credentials: Credentials = EVERYBODY) -> Dialogue[Request]:
    return Dialogue(lambda io: socks4.socks4(io, credentials))


def ask(host: bytes, port: int = 80, user: bytes = b"", name: bytes = b"", command: int = 1) -> bytes:
    return bytes((4, command)) + port.to_bytes(2, "big") + host + user + b"\0" + name


def request(data: bytes) -> Request:
    io = dialogue()
    assert io.feed(data)
    assert io.result is not None
    assert io.replies() == b""
    return io.result


@pytest.mark.parametrize("user", [b"", b"me", b"\xff" * 511])
def test_an_address(user: bytes) -> None:
    made = request(ask(b"\xc6\x33\x64\x07", 443, user) + b"payload")
    assert made.target == Address.of("198.51.100.7", 443)
    assert made.payload == b"payload"


@pytest.mark.parametrize("host", [b"\0\0\0\x01", b"\0\0\0\xff"])
def test_a_name(host: bytes) -> None:
    made = request(ask(host, 80, b"me", b"example.org\0") + b"payload")
    assert made.target == Address.of("example.org", 80)
    assert made.payload == b"payload"


def test_a_name_in_utf_8_travels_as_a_labels() -> None:
    assert request(ask(b"\0\0\0\x01", name="bücher.example\0".encode())).target.host == "xn--bcher-kva.example"


def test_the_longest_name() -> None:
    assert request(ask(b"\0\0\0\x01", name=b"a" * 255 + b"\0")).target.host == "a" * 255


@pytest.mark.parametrize("host", [b"\0\0\0\0", b"\0\0\x01\x01", b"\x01\0\0\x01"])
def test_only_0_0_0_x_announces_a_name(host: bytes) -> None:
    """What follows the user is payload then."""
    made = request(ask(host, name=b"example.org\0"))
    assert made.target == Address.of(".".join(map(str, host)), 80)
    assert made.payload == b"example.org\0"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x05\x01\x00\x50\x01\x02\x03\x04", "bad-request"),
        (ask(b"\x01\x02\x03\x04", command=2), "unsupported-command"),
        (ask(b"\x01\x02\x03\x04", command=0), "unsupported-command"),
        (ask(b"\0\0\0\x01", name=b"\0"), "bad-address"),
        (ask(b"\0\0\0\x01", name=b"a b\0"), "bad-address"),
        (ask(b"\0\0\0\x01", name=b"\xff\xfe\0"), "bad-address"),
        (ask(b"\0\0\0\x01", name=b"fe80::1%eth0\0"), "bad-address"),
        (ask(b"\0\0\0\x01", name=b"a" * 256 + b"\0"), "bad-address"),
        (ask(b"\0\0\0\x01", name=b"a" * 512), "bad-request"),
        (ask(b"\x01\x02\x03\x04", user=b"a" * 512), "bad-request"),
    ],
)
def test_requests_that_are_refused(data: bytes, status: str) -> None:
    io = dialogue()
    with pytest.raises(PyssError) as caught:
        io.feed(data)
    assert caught.value.status == status
    assert io.replies() == SOCKS4_REFUSED


@pytest.mark.parametrize("name", [b"", b"example.org\0"])
def test_no_password_can_be_given_so_accounts_refuse_it(name: bytes) -> None:
    io = dialogue(ACCOUNTS)
    with pytest.raises(PyssError) as caught:
        io.feed(ask(b"\0\0\0\x01" if name else b"\x01\x02\x03\x04", user=b"user", name=name))
    assert caught.value.status == "credentials"
    assert io.replies() == SOCKS4_REFUSED
    assert io.result is None


@pytest.mark.parametrize(
    ("bound", "reply"),
    [(BOUND, b"\x00\x5a\x12\x67\xc0\x00\x02\x09"), (("2001:db8::9", 4711, 0, 0), b"\x00\x5a\x12\x67\0\0\0\0")],
)
def test_success_names_the_address_that_is_bound(bound: tuple[Any, ...], reply: bytes) -> None:
    """An IPv6 address has no room there."""
    assert request(ask(b"\x01\x02\x03\x04")).accepted(bound) == reply


def test_there_is_one_word_for_every_failure() -> None:
    assert request(ask(b"\x01\x02\x03\x04")).refused(ConnectionRefused("no")) == SOCKS4_REFUSED
