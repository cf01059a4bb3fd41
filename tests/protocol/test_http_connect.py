"""CONNECT (RFC 9110 section 9.3.6): targets, passwords, heads that are malformed, and a status for every error."""

from __future__ import annotations

import base64
from typing import Any, Optional

import pytest
from helpers.codecs import every_split
from helpers.dialogues import ACCOUNTS, BOUND, EVERYBODY, basic, connect

from pyss import errors
from pyss.address import Address
from pyss.errors import CredentialsRejected, PyssError
from pyss.protocol import http
from pyss.protocol.credentials import Credentials
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.request import Request


def dialogue(credentials: Credentials = EVERYBODY) -> Dialogue[Any]:
    return Dialogue(lambda io: http.http(io, credentials))


def request(data: bytes, credentials: Credentials = EVERYBODY) -> Request:
    io = dialogue(credentials)
    assert io.feed(data)
    assert isinstance(io.result, Request)
    assert io.replies() == b""
    return io.result


def refused(data: bytes, credentials: Credentials = EVERYBODY) -> tuple[PyssError, bytes]:
    io = dialogue(credentials)
    with pytest.raises(PyssError) as caught:
        io.feed(data)
    return caught.value, io.replies()


def parts(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status code, headers and body."""
    head, end, body = response.partition(b"\r\n\r\n")
    assert end
    status_line, *lines = head.decode().split("\r\n")
    version, code, reason = status_line.split(" ", 2)
    assert version == "HTTP/1.1" and reason
    return int(code), dict(line.split(": ", 1) for line in lines), body


# --- targets -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("example.org:443", "example.org", 443),
        ("198.51.100.7:80", "198.51.100.7", 80),
        ("[2001:db8::7]:8443", "2001:db8::7", 8443),
        ("[2001:DB8:0::7]:1", "2001:db8::7", 1),
        ("bücher.example:443", "xn--bcher-kva.example", 443),
        ("x:0", "x", 0),
        ("x:65535", "x", 65535),
    ],
)
def test_targets(authority: str, host: str, port: int) -> None:
    made = request(connect(authority, f"Host: {authority}") + b"payload")
    assert made.target == Address.of(host, port)
    assert made.target.host == host
    assert made.payload == b"payload"


@pytest.mark.parametrize(
    "authority",
    [
        *("example.org", "example.org:", ":443", "x:65536", "x:-1", "x:4a", "x:٤٤٣", "x:443:443"),
        *("2001:db8::7", "2001:db8::7:443", "[2001:db8::7]", "[2001:db8::7:443", "[example.org]:443", "[[::1]]:443"),
        *("[fe80::1%eth0]:443", "user@example.org:443", "http://example.org:80", "a/b:443", "a\tb:443", "\x7f:443"),
        *("x:" + "4" * 5000, "x" * 256 + ":443", "ü" * 20000 + ":443", "x" * 40000),
    ],
    ids=lambda text: text[:30].encode("ascii", "backslashreplace").decode(),
)
def test_targets_that_are_none(authority: str) -> None:
    error, response = refused(connect(authority))
    assert error.status == "bad-address"
    assert parts(response)[0] == 400
    assert len(response) < 500  # it does not send back what it was sent


def test_a_name_that_is_no_text() -> None:
    error, response = refused(connect("?:443").replace(b"?", b"\xff\xfe"))
    assert error.status == "bad-address"
    assert parts(response)[0] == 400


def test_success() -> None:
    response = request(connect("example.org:443")).accepted(BOUND)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.endswith(b"\r\n\r\n")
    assert b"ength" not in response  # RFC 9110 section 9.3.6: neither length nor encoding, what follows is the tunnel


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_both_versions(version: str) -> None:
    assert request(f"CONNECT x:1 {version}\r\n\r\n".encode()).target == Address.of("x", 1)


# --- heads ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "head",
    [
        b"CONNECT x:1\r\n\r\n",
        b"CONNECT  x:1 HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1 \r\n\r\n",
        b"CONNECT x:1  HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/2\r\n\r\n",
        b"CONNECT x:1 http/1.1\r\n\r\n",
        b"CONNECT \r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost : x\r\n\r\n",  # RFC 9112 section 5.1: space before the colon
        b"CONNECT x:1 HTTP/1.1\r\nHost\t: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nA: b\r\n c\r\n\r\n",  # section 5.2: folded lines
        b"CONNECT x:1 HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n Host: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
def test_malformed_heads(head: bytes) -> None:
    for pieces in every_split(head):
        io = dialogue()
        with pytest.raises(PyssError) as caught:
            for piece in pieces:
                io.feed(piece)
        assert caught.value.status == "bad-request"
        assert parts(io.replies())[0] == 400


def test_the_longest_head() -> None:
    fixed = len(connect("x:1", "A: "))
    assert request(connect("x:1", "A: " + "a" * (http.LONGEST_HEAD - fixed))).target == Address.of("x", 1)


@pytest.mark.parametrize("size", [1000, 16 * 1024])
@pytest.mark.parametrize("ended", [False, True])
def test_a_longer_head_is_refused(size: int, ended: bool) -> None:
    head = connect("x:1", "A: " + "a" * http.LONGEST_HEAD)
    io = dialogue()
    with pytest.raises(PyssError, match="no end"):
        for start in range(0, len(head), size):
            io.feed(head[start : start + size] if ended else b"CONNECT ".ljust(size, b"a"))
    assert parts(io.replies())[0] == 400


# --- passwords (RFC 7617) ------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["Proxy-Authorization", "proxy-authorization", "PROXY-AUTHORIZATION"])
@pytest.mark.parametrize(
    "value", [basic("user", "pässword"), basic("other", ""), "  bAsIc   " + basic("user", "pässword")[6:] + " "]
)
def test_a_right_password(name: str, value: str) -> None:
    assert request(connect("x:1", "A: b", f"{name}:{value}"), ACCOUNTS).target == Address.of("x", 1)


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "Basic", "Basic ", "Basic !!!!", "Basic =", "Basic dXNlcg", "Basic \xfc", "Digest abc"),
        "Bearer " + basic("user", "pässword")[6:],
        basic("user", "wrong"),
        basic("user", ""),
        basic("", ""),
        "Basic " + base64.b64encode(b"other").decode(),  # an account without password, and no colon
        "Basic " + base64.b64encode(b"user:p\xe4ssword").decode(),  # not UTF-8
    ],
)
def test_no_password_or_a_wrong_one_is_407(value: Optional[str]) -> None:
    headers = [] if value is None else [f"Proxy-Authorization: {value}"]
    error, response = refused(connect("x:1", *headers), ACCOUNTS)
    assert isinstance(error, CredentialsRejected)
    code, fields, body = parts(response)
    assert code == 407
    assert fields["Proxy-Authenticate"].startswith('Basic realm="')
    assert 'charset="UTF-8"' in fields["Proxy-Authenticate"]
    assert int(fields["Content-Length"]) == len(body)
    assert fields["Connection"] == "close"
    assert "wrong" not in (value or "") or value not in str(error)


def test_authorization_for_the_target_is_none_for_the_proxy() -> None:
    error, _ = refused(connect("x:1", "Authorization: " + basic("user", "pässword")), ACCOUNTS)
    assert error.status == "credentials"


def test_the_password_comes_before_the_target() -> None:
    """Who may not use the proxy learns nothing from it."""
    assert refused(connect("127.0.0.1:1080"), ACCOUNTS)[0].status == "credentials"
    assert refused(connect("no port"), EVERYBODY)[0].status == "bad-request"


# --- refusals ------------------------------------------------------------------------------------
EXPECTED = {
    errors.ProtocolError: 400,
    errors.BadAddress: 400,
    errors.UnsupportedAddressType: 400,
    errors.Forbidden: 403,
    errors.CredentialsRejected: 407,
    errors.UnsupportedCommand: 501,
    errors.DialTimeout: 504,
    errors.SilenceLimit: 504,
    errors.ProxyLoop: 508,
}
OTHERS = [
    *(errors.DialError, errors.NameNotFound, errors.ConnectionRefused, errors.NetworkUnreachable),
    *(errors.HostUnreachable, errors.PeerReset, errors.BadTag, errors.PyssError),
]


@pytest.mark.parametrize(("kind", "code"), [*EXPECTED.items(), *((kind, 502) for kind in OTHERS)])
def test_every_error_has_its_status(kind: type[PyssError], code: int) -> None:
    response = request(connect("x:1")).refused(kind("what went wröng"))
    found, fields, body = parts(response)
    assert found == code
    assert body == "pyss: what went wröng\n".encode()
    assert int(fields["Content-Length"]) == len(body)
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert ("Proxy-Authenticate" in fields) == (code == 407)


def test_an_error_cannot_write_headers() -> None:
    """Whatever a message quotes stands behind the empty line."""
    _, fields, body = parts(http.refused(errors.DialError("a\r\nSet-Cookie: b\r\n\r\nc")))
    assert "Set-Cookie" not in fields
    assert b"Set-Cookie" in body
