"""What a proxy changes in a message of plain HTTP: target, Host and the headers of one connection only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address
from pyss.errors import BadAddress, ProtocolError
from pyss.protocol.http_forward import authorization, end_to_end, forwarded_request, has_body

Pairs = list[tuple[bytes, bytes]]


# --- absolute form -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "host", "port", "path", "written"),
    [
        (b"http://example.org/page?a=b", "example.org", 80, b"/page?a=b", b"example.org"),
        (b"http://example.org", "example.org", 80, b"/", b"example.org"),
        (b"http://example.org?a=b", "example.org", 80, b"/?a=b", b"example.org"),
        (b"HTTP://Example.org:8080/", "Example.org", 8080, b"/", b"Example.org:8080"),
        (b"http://example.org:/", "example.org", 80, b"/", b"example.org:"),
        (b"http://198.51.100.7/", "198.51.100.7", 80, b"/", b"198.51.100.7"),
        (b"http://[2001:db8::7]/x", "2001:db8::7", 80, b"/x", b"[2001:db8::7]"),
        (b"http://[2001:db8::7]:81/x", "2001:db8::7", 81, b"/x", b"[2001:db8::7]:81"),
        (b"http://a/http://b/", "a", 80, b"/http://b/", b"a"),
        (b"http://a/?q=http://user@b/", "a", 80, b"/?q=http://user@b/", b"a"),
        (b"http://a//b", "a", 80, b"//b", b"a"),
    ],
)
def test_a_target_in_absolute_form(target: bytes, host: str, port: int, path: bytes, written: bytes) -> None:
    address, sent_path, headers = forwarded_request(target, [])
    assert address == Address.of(host, port)
    assert sent_path == path
    assert headers == [(b"Host", written)]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (b"/page", "takes http://"),
        (b"*", "takes http://"),
        (b"", "takes http://"),
        (b"example.org:80", "takes http://"),
        (b"//example.org/", "takes http://"),
        (b"ftp://example.org/", "takes http://"),
        (b"http:/example.org/", "takes http://"),
        (b" http://example.org/", "takes http://"),
        (b"http://example.org/#part", "takes http://"),
        (b"https://example.org/", "CONNECT"),
        (b"HTTPS://example.org/", "CONNECT"),
        (b"http://user@example.org/", "user name"),
        (b"http://user:secret@example.org/", "user name"),
        (b"http://\xff\xfe/", "neither ASCII nor UTF-8"),
    ],
)
def test_other_targets_are_refused(target: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words) as caught:
        forwarded_request(target, [])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "authority",
    [b"", b":80", b"a:65536", b"a:x", b"a:" + b"8" * 5000, b"a b", b"a\r\nX: y", b"[::1", b"::1]", b"[fe80::1%25eth0]",
     b"[a]", b"[::1]x:80", b"a:80:80"],
    ids=lambda text: text[:20].decode().encode("unicode_escape").decode(),
)  # fmt: skip
def test_an_authority_that_is_none(authority: bytes) -> None:
    with pytest.raises(BadAddress):
        forwarded_request(b"http://" + authority + b"/", [])


@given(st.binary(max_size=60))
def test_any_target_gives_a_request_or_an_error_of_ours(noise: bytes) -> None:
    for target in (noise, b"http://" + noise, b"http://a" + noise):
        try:
            address, path, headers = forwarded_request(target, [])
        except ProtocolError:
            continue
        assert path.startswith(b"/")
        ((name, written),) = headers
        assert name == b"Host"
        assert b"\r" not in written and b"\n" not in written and b" " not in written
        assert address.host


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        (b"OPTIONS", b"http://a", b"*"),
        (b"OPTIONS", b"http://a/", b"/"),
        (b"OPTIONS", b"http://a?b", b"/?b"),
        (b"GET", b"http://a", b"/"),
    ],
)
def test_options_of_the_server_as_a_whole(method: bytes, target: bytes, path: bytes) -> None:
    """RFC 9112 section 3.2.4."""
    assert forwarded_request(target, [], method)[1] == path


# --- headers -------------------------------------------------------------------------------------
def test_host_is_that_of_the_target_and_stands_once() -> None:
    """RFC 9112 section 3.2.2: what the client wrote is ignored."""
    headers = [(b"Accept", b"*/*"), (b"host", b"elsewhere"), (b"HOST", b"twice")]
    assert forwarded_request(b"http://example.org:81/", headers)[2] == [
        (b"Host", b"example.org:81"),
        (b"Accept", b"*/*"),
    ]


ONE_CONNECTION = [
    *(b"Connection", b"Proxy-Connection", b"Keep-Alive", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"),
    *(b"Proxy-Authenticate", b"Proxy-Authorization", b"Proxy-Authentication-Info"),
]


@pytest.mark.parametrize("name", ONE_CONNECTION)
@pytest.mark.parametrize("form", [bytes, bytes.lower, bytes.upper])
def test_headers_of_one_connection_stay_behind(name: bytes, form: type) -> None:
    """RFC 9110 section 7.6.1."""
    kept: Pairs = [(b"Accept", b"a"), (b"Cookie", b"b")]
    assert end_to_end([kept[0], (form(name), b"anything"), kept[1]]) == kept


@pytest.mark.parametrize("values", [[b"close, X-One ,x-two"], [b"X-ONE", b"x-Two"], [b",, x-one,", b"\tx-two "]])
def test_headers_that_connection_names_stay_behind(values: list[bytes]) -> None:
    headers: Pairs = [(b"X-One", b"1"), (b"x-two", b"2"), (b"X-Three", b"3")]
    assert end_to_end([*((b"Connection", value) for value in values), *headers]) == [(b"X-Three", b"3")]


def test_connection_cannot_take_away_length_and_host() -> None:
    """Without its length the message behind would be read as another."""
    headers: Pairs = [(b"Content-Length", b"5"), (b"Host", b"x")]
    assert end_to_end([(b"Connection", b"Content-Length, Host"), *headers]) == headers
    _, _, sent = forwarded_request(b"http://a/", [(b"Connection", b"Host, content-length"), *headers])
    assert sent == [(b"Host", b"a"), (b"Content-Length", b"5")]


def test_order_case_and_repetition_are_kept() -> None:
    headers: Pairs = [(b"Cookie", b"a"), (b"ACCEPT", b"b"), (b"cookie", b"c"), (b"Cookie", b"a")]
    assert end_to_end(headers) == headers
    assert end_to_end(iter(headers)) == headers


def test_a_body_without_length_is_chunked_again() -> None:
    headers: Pairs = [(b"Transfer-Encoding", b"chunked"), (b"Connection", b"transfer-encoding"), (b"A", b"b")]
    assert forwarded_request(b"http://a/", headers)[2] == [
        (b"Host", b"a"),
        (b"A", b"b"),
        (b"Transfer-Encoding", b"chunked"),
    ]


def test_length_and_chunks_never_go_on_together() -> None:
    """RFC 9112 section 6.3: whoever reads one where the next reads the other can smuggle a request."""
    headers: Pairs = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    assert end_to_end(headers) == end_to_end(headers[::-1]) == []
    assert forwarded_request(b"http://a/", headers)[2] == [(b"Host", b"a"), (b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], False),
        ([(b"Content-Type", b"text/plain")], False),
        ([(b"CONTENT-LENGTH", b"0")], True),
        ([(b"A", b"b"), (b"Transfer-encoding", b"chunked")], True),
    ],
)
def test_what_announces_a_body(headers: Pairs, body: bool) -> None:
    assert has_body(headers) == body


def test_no_via_is_added() -> None:
    names = {name.lower() for name, _ in forwarded_request(b"http://a/", [(b"X", b"y")])[2]}
    assert names == {b"host", b"x"}


def test_the_password_is_found_and_goes_no_further() -> None:
    headers: Pairs = [(b"A", b"b"), (b"pRoxy-Authorization", b"Basic abc"), (b"Authorization", b"for the target")]
    assert authorization(headers) == b"Basic abc"
    assert authorization(headers[:1]) is None
    sent = forwarded_request(b"http://a/", headers)[2]
    assert (b"Authorization", b"for the target") in sent
    assert all(name.lower() != b"proxy-authorization" for name, _ in sent)
