"""SOCKS5 as RFC 1928 and RFC 1929 have it: methods, requests, and a reply code for everything that can go wrong."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from helpers.codecs import every_split
from helpers.dialogues import ACCOUNTS, BOUND, EVERYBODY, NAME, V4, V6, password_exchange, refusal_5

from pyss import errors
from pyss.address import Address
from pyss.errors import CredentialsRejected, ProtocolError, PyssError
from pyss.protocol import socks5
from pyss.protocol.credentials import Credentials
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.request import AssociateRequest, Request

CONNECT = b"\x05\x01\x00"


def dialogue(credentials: Credentials = EVERYBODY) -> Dialogue[Request]:
    return Dialogue(lambda io: socks5.socks5(io, credentials))


def request(data: bytes, credentials: Credentials = EVERYBODY) -> Request:
    io = dialogue(credentials)
    assert io.feed(data)
    assert io.result is not None
    return io.result


def refused(data: bytes, credentials: Credentials = EVERYBODY) -> tuple[PyssError, bytes]:
    io = dialogue(credentials)
    with pytest.raises(PyssError) as caught:
        io.feed(data)
    return caught.value, io.replies()


# --- methods -------------------------------------------------------------------------------------
@pytest.mark.parametrize("offered", [b"\x00", b"\x02\x00", b"\x01\x80\x00\xfe"])
def test_no_authentication_is_chosen_wherever_it_stands(offered: bytes) -> None:
    io = dialogue()
    assert not io.feed(bytes((5, len(offered))) + offered)
    assert io.replies() == b"\x05\x00"


@pytest.mark.parametrize("offered", [b"\x02", b"\x02\x00", b"\x00\x02"])
def test_a_password_is_asked_for_where_accounts_are_set(offered: bytes) -> None:
    io = dialogue(ACCOUNTS)
    assert not io.feed(bytes((5, len(offered))) + offered)
    assert io.replies() == b"\x05\x02"


@pytest.mark.parametrize("credentials", [EVERYBODY, ACCOUNTS], ids=["open", "accounts"])
@pytest.mark.parametrize("offered", [b"", b"\x01", b"\xff", b"\x01\x03\x80"])
def test_no_acceptable_method_is_ff(offered: bytes, credentials: Credentials) -> None:
    error, replies = refused(bytes((5, len(offered))) + offered, credentials)
    assert isinstance(error, CredentialsRejected)
    assert replies == b"\x05\xff"


def test_all_255_methods() -> None:
    assert request(b"\x05\xff" + bytes(range(1, 256))[::-1].replace(b"\x01", b"\x00") + CONNECT + V4.wire).target == V4


@pytest.mark.parametrize("version", [0, 1, 4, 6, 255])
def test_another_version_gets_no_answer(version: int) -> None:
    error, replies = refused(bytes((version, 1, 0)))
    assert (type(error), replies) == (ProtocolError, b"")


# --- user name and password (RFC 1929) -----------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "password", "allowed"),
    [
        ("user", "pässword", True),
        ("other", "", True),
        ("user", "", False),
        ("user", "password", False),
        ("", "", False),
        ("", "pässword", False),
        ("other", "pässword", False),
        ("USER", "pässword", False),
    ],
)
def test_passwords(name: str, password: str, allowed: bool) -> None:
    data = b"\x05\x01\x02" + password_exchange(name, password)
    if allowed:
        io = dialogue(ACCOUNTS)
        assert not io.feed(data)
        assert io.replies() == b"\x05\x02\x01\x00"
        assert io.feed(CONNECT + V4.wire)
    else:
        error, replies = refused(data, ACCOUNTS)
        assert error.status == "credentials"
        assert replies == b"\x05\x02\x01\x01"
        assert str(error) == "user name or password is wrong"  # and not which of the two, nor their text


def test_the_longest_name_and_password() -> None:
    name, password = "n" * 255, "p" * 255
    data = b"\x05\x01\x02" + password_exchange(name, password) + CONNECT + V4.wire
    assert request(data, Credentials([(name, password)])).target == V4


@pytest.mark.parametrize("version", [0, 2, 5])
def test_another_version_of_the_password_exchange_is_refused(version: int) -> None:
    for pieces in every_split(b"\x05\x01\x02" + password_exchange("user", "pässword", version)):
        io = dialogue(ACCOUNTS)
        with pytest.raises(ProtocolError, match=f"version {version}"):
            for piece in pieces:
                io.feed(piece)
        assert io.replies() == b"\x05\x02"


def test_without_the_password_no_request_is_read() -> None:
    io = dialogue(ACCOUNTS)
    with pytest.raises(PyssError):
        io.feed(b"\x05\x02\x00\x02" + CONNECT + V4.wire)
    assert io.result is None


# --- requests ------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [V4, NAME, V6, Address.of("a" * 255, 1), Address.of("x", 0)], ids=str)
def test_connect(target: Address) -> None:
    made = request(b"\x05\x01\x00" + CONNECT + target.wire + b"payload")
    assert made.target == target
    assert made.payload == b"payload"
    assert made.upstream is None and made.downstream is None


def test_a_name_that_is_an_address_is_that_address() -> None:
    made = request(b"\x05\x01\x00" + CONNECT + b"\x03\x09127.0.0.1\x00\x50")
    assert made.target.is_ip
    assert made.target == Address.of("127.0.0.1", 80)


@pytest.mark.parametrize("announced", [V4, Address.of("::", 0), Address.of("0.0.0.0", 0), Address.of("a.test", 7)])
@pytest.mark.parametrize("cut", range(1, 9))
def test_udp_associate(announced: Address, cut: int) -> None:
    io = dialogue()
    data = b"\x05\x01\x00" + b"\x05\x03\x00" + announced.wire
    assert not io.feed(data[:cut])
    assert io.feed(data[cut:])
    assert isinstance(io.result, AssociateRequest)
    assert io.result.announced == announced
    assert io.result.accepted(("127.0.0.1", 7)) == b"\x05\x00\x00\x01\x7f\0\0\x01\0\x07"
    assert io.result.refused(errors.UnsupportedCommand("no")) == refusal_5(7)
    assert io.replies() == b"\x05\x00"


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (b"\x05\x00\x00" + V4.wire, 7, "unsupported-command"),
        (b"\x05\x02\x00" + V4.wire, 7, "unsupported-command"),  # BIND
        (b"\x05\xff\x00" + V4.wire, 7, "unsupported-command"),
        (b"\x05\x01\x00\x00" + bytes(6), 8, "unsupported-address"),
        (b"\x05\x01\x00\x02" + bytes(6), 8, "unsupported-address"),
        (b"\x05\x01\x00\x10" + bytes(6), 8, "unsupported-address"),
        (b"\x05\x01\x00\xff", 8, "unsupported-address"),
        (b"\x05\x01\x00\x03\x00\x00\x50", 1, "bad-address"),
        (b"\x05\x01\x00\x03\x03a\0b\x00\x50", 1, "bad-address"),
        (b"\x05\x01\x00\x03\x02\xff\xfe\x00\x50", 1, "bad-address"),
    ],
)
def test_requests_that_are_refused(data: bytes, code: int, status: str) -> None:
    error, replies = refused(b"\x05\x01\x00" + data)
    assert error.status == status
    assert replies == b"\x05\x00" + refusal_5(code)


def test_a_command_is_judged_when_the_whole_request_is_here() -> None:
    """A client that still sends would not read the answer."""
    io = dialogue()
    assert not io.feed(b"\x05\x01\x00\x05\x02\x00" + V4.wire[:-1])
    with pytest.raises(errors.UnsupportedCommand):
        io.feed(V4.wire[-1:])


def test_another_version_of_the_request_is_refused() -> None:
    error, replies = refused(b"\x05\x01\x00\x04\x01\x00" + V4.wire)
    assert (type(error), replies) == (ProtocolError, b"\x05\x00")


# --- replies -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bound", "host"),
    [
        (BOUND, "192.0.2.9"),
        (("2001:db8::9", 4711, 0, 0), "2001:db8::9"),
        (("fe80::9%eth0", 4711, 0, 2), "fe80::9"),
        (("::", 4711, 0, 0), "::"),
    ],
)
def test_success_names_the_address_that_is_bound(bound: tuple[Any, ...], host: str) -> None:
    reply = request(b"\x05\x01\x00" + CONNECT + V4.wire).accepted(bound)
    packed = ipaddress.ip_address(host).packed
    assert reply == b"\x05\x00\x00" + (b"\x01" if len(packed) == 4 else b"\x04") + packed + b"\x12\x67"


EXPECTED = {  # RFC 1928 section 6
    errors.Forbidden: 2,
    errors.ProxyLoop: 2,
    errors.NetworkUnreachable: 3,
    errors.HostUnreachable: 4,
    errors.NameNotFound: 4,
    errors.ConnectionRefused: 5,
    errors.DialTimeout: 6,
    errors.UnsupportedCommand: 7,
    errors.UnsupportedAddressType: 8,
}


def every_class(root: type[PyssError] = PyssError) -> list[type[PyssError]]:
    below = [kind for child in root.__subclasses__() for kind in every_class(child)]
    return [root, *below] if root.__module__ == "pyss.errors" else below


@pytest.mark.parametrize("kind", every_class())
def test_every_error_has_its_code(kind: type[PyssError]) -> None:
    reply = request(b"\x05\x01\x00" + CONNECT + V4.wire).refused(kind("anything"))
    assert reply == refusal_5(EXPECTED.get(kind, 1))
