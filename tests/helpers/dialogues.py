"""One table of every inbound dialogue, and one driver that feeds it as a session does.

ACCEPTED  handshakes that name a target, each with pipelined data behind it
SEALED    those of them that a cipher protects
REFUSED   handshakes that end with an error, and what the client is told
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple, Optional

from pyss.address import Address
from pyss.errors import PyssError
from pyss.protocol import shadowsocks
from pyss.protocol.credentials import Credentials
from pyss.protocol.dialogue import Dialogue, Script
from pyss.protocol.http import PlainHttp
from pyss.protocol.mixed import mixed
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.protocol.request import Request

from . import reference_codec as reference
from .codecs import FEW_2017, FEW_2022, METHODS_2022, NOW, bytes_of, flipped, keyring_of, password_of, run

ACCOUNTS = Credentials([("user", "pässword"), ("other", "")])
EVERYBODY = Credentials()
MONOTONIC = 1000.0
BOUND = ("192.0.2.9", 4711)
PAYLOAD = b"\x05\x01\x00 GET / HTTP/1.1\r\n\r\n" + bytes(range(40))

V4 = Address.of("198.51.100.7", 443)
NAME = Address.of("example.org", 80)
V6 = Address.of("2001:db8::7", 65535)

Factory = Callable[["Memory"], Callable[[Dialogue[Any]], Script[Any]]]


class Memory:
    """Both kinds of salts that a server has seen, so that one name does for every script."""

    def __init__(self, known: Sequence[bytes] = ()) -> None:
        self.filter = SaltFilter2017()
        self.exact = SaltMemory2022()
        for salt in known:
            self.filter.remember(salt, MONOTONIC)
            self.exact.remember(salt, MONOTONIC)

    def __len__(self) -> int:
        return len(self.filter) + len(self.exact)


class Case(NamedTuple):
    """One handshake.

    wire     its bytes
    behind   what the client pipelines
    target   None for plain HTTP
    payload  what arrives in plaintext of all of it
    replies  what the client is told before the target is dialed
    status   of the error that ends it
    first    the size that the first read must have at least
    known    salts that the server has seen before
    """

    name: str
    script: Factory
    wire: bytes
    behind: bytes = b""
    target: Optional[Address] = None
    payload: bytes = b""
    replies: bytes = b""
    status: str = "ok"
    first: int = 1
    known: Sequence[bytes] = ()

    def run(self, pieces: Iterable[bytes]) -> Outcome:
        return drive(self.script, pieces, Memory(self.known))


class Outcome(NamedTuple):
    """What came of a handshake, whatever pieces it was fed in.

    status      "ok", "waiting" for more, or that of the error
    target      wire form
    delivered   plaintext
    replies     what the client was told, without the answer to its request
    accepted    what it would be told when the target is reached
    fault       status of what the stream behind the handshake broke on
    remembered  how many salts the server has stored
    """

    status: str
    target: bytes
    delivered: bytes
    replies: bytes
    accepted: bytes
    fault: Optional[str]
    remembered: int


def drive(factory: Factory, pieces: Iterable[bytes], memory: Memory) -> Outcome:
    """Feed a fresh dialogue, then its opener.  Anything but a PyssError goes through to the test."""
    io: Dialogue[Any] = Dialogue(factory(memory))
    replies = b""
    remaining = iter(pieces)
    for piece in remaining:
        try:
            done = io.feed(piece)
        except PyssError as error:
            return Outcome(error.status, b"", b"", replies + io.replies(), b"", None, len(memory))
        replies += io.replies()
        if done:
            return _stream(io.result, list(remaining), replies, memory)
    return Outcome("waiting", b"", b"", replies, b"", None, len(memory))


def _stream(result: Any, pieces: list[bytes], replies: bytes, memory: Memory) -> Outcome:
    if isinstance(result, PlainHttp):
        return Outcome("ok", b"", result.data + b"".join(pieces), replies, b"", None, len(memory))
    assert isinstance(result, Request)
    fault = None
    delivered = result.payload
    if result.upstream is None:
        delivered += b"".join(pieces)
    elif result.upstream.fault is not None:  # the handshake's last read held more than the handshake
        fault = result.upstream.fault.status
    else:
        passed = run(result.upstream, pieces)
        delivered += passed.data
        fault = passed.status
    return Outcome(
        "ok", result.target.wire, delivered, replies, result.accepted(BOUND), fault, len(memory)
    )


# --- scripts -------------------------------------------------------------------------------------
def proxy(credentials: Credentials = EVERYBODY) -> Factory:
    return lambda memory: lambda io: mixed(io, credentials)


def server(name: str) -> Factory:
    keyring = keyring_of(name)

    def factory(memory: Memory) -> Callable[[Dialogue[Any]], Script[Any]]:
        salts = memory.exact if name in METHODS_2022 else memory.filter
        return shadowsocks.server_script(keyring, salts, lambda: MONOTONIC)

    return factory


# --- what clients say ----------------------------------------------------------------------------
def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def connect(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"CONNECT {target} HTTP/1.1", *headers, "", ""]).encode()


def password_exchange(name: str, password: str, version: int = 1) -> bytes:
    return b"".join(
        (bytes((version, len(name.encode()))), name.encode(), bytes((len(password.encode()),)), password.encode())
    )


def refusal_5(code: int) -> bytes:
    return bytes((5, code, 0, 1)) + bytes(6)


SOCKS4_REFUSED = b"\x00\x5b" + bytes(6)
GREETED = b"\x05\x01\x00"


def stream_2017(name: str, chunks: Sequence[bytes], seed: object = "client") -> tuple[bytes, bytes]:
    """Salt and first chunk, and the chunks behind them."""
    salt = bytes_of(seed, reference.SIZES[name])
    way = reference.Direction(name, reference.key_of(name, password_of(name)), salt)
    return salt + way.chunk(chunks[0]), way.chunks(chunks[1:])


def stream_2022(
    name: str,
    target: Address,
    initial: bytes,
    padding: bytes,
    chunks: Sequence[bytes] = (),
    time: int = NOW,
    **more: Any,
) -> tuple[bytes, bytes]:
    """Salt and headers, and the chunks behind them."""
    salt = bytes_of("client", reference.SIZES[name])
    key = reference.key_of(name, password_of(name))
    parts = {"initial": initial, "padding": padding, **more}
    whole = reference.write_request_2022(name, key, salt, time, target.wire, **parts)
    both = reference.write_request_2022(name, key, salt, time, target.wire, chunks=chunks, **parts)
    return whole, both[len(whole) :]


def first_read(name: str) -> int:
    """SIP022 section 3.1.3: salt and fixed header come in one read."""
    return reference.SIZES[name] + 11 + reference.TAG if name in METHODS_2022 else 1


HALVES = (PAYLOAD[:17], PAYLOAD[17:18], PAYLOAD[18:])
GET = b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n"


def _accepted() -> Iterable[Case]:
    for target in (V4, NAME, V6):
        wire = b"\x05\x01\x00\x05\x01\x00" + target.wire
        yield Case(f"socks5-{target.host}", proxy(), wire, PAYLOAD, target, PAYLOAD, b"\x05\x00")
    for name, password in (("user", "pässword"), ("other", "")):
        wire = b"\x05\x02\x00\x02" + password_exchange(name, password) + b"\x05\x01\x00" + NAME.wire
        yield Case(f"socks5-password-{name}", proxy(ACCOUNTS), wire, PAYLOAD, NAME, PAYLOAD, b"\x05\x02\x01\x00")
    wire = b"\x04\x01\x01\xbb\xc6\x33\x64\x07somebody\0"
    yield Case("socks4", proxy(), wire, PAYLOAD, V4, PAYLOAD)
    wire = b"\x04\x01\x00\x50\x00\x00\x00\x01\0example.org\0"
    yield Case("socks4a", proxy(), wire, PAYLOAD, NAME, PAYLOAD)
    wire = connect("[2001:db8::7]:65535", "Host: x", "User-Agent: anything")
    yield Case("http-connect", proxy(), wire, PAYLOAD, V6, PAYLOAD)
    wire = connect("example.org:80", "proxy-authorization: " + basic("user", "pässword"))
    yield Case("http-connect-password", proxy(ACCOUNTS), wire, PAYLOAD, NAME, PAYLOAD)
    yield Case("plain-http", proxy(ACCOUNTS), GET[:8], GET[8:], None, GET)
    yield Case("none", server("none"), NAME.wire, PAYLOAD, NAME, PAYLOAD)
    for name in FEW_2017:
        wire, behind = stream_2017(name, [NAME.wire + HALVES[0], *HALVES[1:]])
        yield Case(f"{name}", server(name), wire, behind, NAME, PAYLOAD)
        alone, behind = stream_2017(name, [V6.wire, PAYLOAD])
        yield Case(f"{name}-address-alone", server(name), alone, behind, V6, PAYLOAD)
        salt_and_half, rest = stream_2017(name, [NAME.wire[:5], NAME.wire[5:], PAYLOAD])
        end = len(NAME.wire) - 5 + 34
        yield Case(
            f"{name}-address-in-two-chunks", server(name), salt_and_half + rest[:end], rest[end:], NAME, PAYLOAD
        )
    for name in FEW_2022:
        for label, initial, padding in (
            ("payload", HALVES[0], b""),
            ("padding", b"", bytes(3)),
            ("both", HALVES[0], b"padding"),
        ):
            chunks = HALVES[1:] if initial else HALVES
            wire, behind = stream_2022(name, V4, initial, padding, chunks)
            yield Case(f"{name}-{label}", server(name), wire, behind, V4, PAYLOAD, first=first_read(name))


def _refused() -> Iterable[Case]:
    yield Case("socks5-no-method", proxy(), b"\x05\x01\x02", replies=b"\x05\xff", status="credentials")
    yield Case("socks5-no-methods-at-all", proxy(), b"\x05\x00", replies=b"\x05\xff", status="credentials")
    yield Case("socks5-needs-password", proxy(ACCOUNTS), b"\x05\x01\x00", replies=b"\x05\xff", status="credentials")
    wire = b"\x05\x01\x02" + password_exchange("user", "wrong")
    yield Case("socks5-wrong-password", proxy(ACCOUNTS), wire, replies=b"\x05\x02\x01\x01", status="credentials")
    wire = b"\x05\x01\x02" + password_exchange("user", "pässword", version=5)
    yield Case("socks5-password-version", proxy(ACCOUNTS), wire, replies=b"\x05\x02", status="bad-request")
    for name, request, code, status in (
        ("bind", b"\x05\x02\x00" + V4.wire, 7, "unsupported-command"),
        ("address-type", b"\x05\x01\x00\x02", 8, "unsupported-address"),
        ("empty-name", b"\x05\x01\x00\x03\x00", 1, "bad-address"),
        ("name-with-space", b"\x05\x01\x00\x03\x03a b\x00\x50", 1, "bad-address"),
    ):
        yield Case(
            f"socks5-{name}", proxy(), GREETED + request, replies=b"\x05\x00" + refusal_5(code), status=status
        )
    yield Case("socks5-version-2", proxy(), GREETED + b"\x04\x01\x00", replies=b"\x05\x00", status="bad-request")
    ask = b"\x04\x01\x01\xbb\xc6\x33\x64\x07me\0"
    yield Case("socks4-needs-password", proxy(ACCOUNTS), ask, replies=SOCKS4_REFUSED, status="credentials")
    wire = b"\x04\x02" + ask[2:]
    yield Case("socks4-bind", proxy(), wire, replies=SOCKS4_REFUSED, status="unsupported-command")
    wire = b"\x04\x01\x00\x50\x00\x00\x00\x01\0a b\0"
    yield Case("socks4a-name", proxy(), wire, replies=SOCKS4_REFUSED, status="bad-address")
    yield Case("neither", proxy(), b"\x16\x03\x01", status="bad-request")
    for name in FEW_2017:
        salt = bytes_of("client", reference.SIZES[name])
        wire, _ = stream_2017(name, [NAME.wire + PAYLOAD])
        yield Case(f"{name}-replayed", server(name), wire, status="replay", known=[salt])
        yield Case(f"{name}-length", server(name), flipped(wire, len(salt)), status="bad-tag")
        yield Case(f"{name}-first-chunk", server(name), flipped(wire, len(wire) - 1), status="bad-tag")
        yield Case(
            f"{name}-replayed-first-chunk", server(name), flipped(wire, len(wire) - 1), status="replay", known=[salt]
        )
        wire, _ = stream_2017(name, [b""])
        yield Case(f"{name}-empty-chunk", server(name), wire, status="bad-header")
        wire, _ = stream_2017(name, [b"\x10" + PAYLOAD])
        yield Case(f"{name}-address-type", server(name), wire, status="unsupported-address")
    for name in FEW_2022:
        first = first_read(name)
        wire, _ = stream_2022(name, NAME, PAYLOAD, b"")
        known = [bytes_of("client", reference.SIZES[name])]
        yield Case(f"{name}-replayed", server(name), wire, status="replay", first=first, known=known)
        yield Case(f"{name}-tag", server(name), flipped(wire, first - 1), status="bad-tag", first=first)
        yield Case(f"{name}-variable", server(name), flipped(wire, len(wire) - 1), status="bad-tag", first=first)
        wire, _ = stream_2022(name, NAME, PAYLOAD, b"", time=NOW - 31)
        yield Case(f"{name}-time", server(name), wire, status="bad-time", first=first)
        wire, _ = stream_2022(name, NAME, PAYLOAD, b"", kind=1)
        yield Case(f"{name}-type", server(name), wire, status="bad-header", first=first)
        wire, _ = stream_2022(name, NAME, b"", b"")
        yield Case(f"{name}-nothing", server(name), wire, status="bad-header", first=first)


ACCEPTED = list(_accepted())
REFUSED = list(_refused())
SEALED = [case for case in ACCEPTED if case.name.startswith((*FEW_2017, *FEW_2022))]


def named(cases: Iterable[Case]) -> dict[str, Any]:
    """Arguments of pytest.mark.parametrize."""
    cases = list(cases)
    return {"argnames": "case", "argvalues": cases, "ids": [case.name for case in cases]}
