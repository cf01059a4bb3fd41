"""Proxy protocols and HTTP/1.1 by hand over blocking sockets, for clients and origins alike.

Nothing here parses or writes with pyss: a fault of pyss cannot hide in its own mirror.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Callable, NamedTuple, Optional

import pytest

from helpers.relay import HOST, SELECTORS, RunningRelay, SelectorFactory, plain_http, relay
from helpers.traffic import LIMIT
from helpers.windows import needs_resets

every_selector = pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
every_way = pytest.mark.parametrize("direct", [True, False], ids=["direct", "shadowsocks"])


class Head(NamedTuple):
    """Start line, and headers with their names in lower case."""

    line: bytes
    headers: list[tuple[bytes, bytes]]

    def all(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.headers if found == name]

    def get(self, name: bytes) -> Optional[bytes]:
        """The only value; None without one."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def status(self) -> int:
        return int(self.line.split()[1])


class Wire:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.name = "{}:{}".format(*sock.getsockname())  # as in the log
        self.heard = self.said = 0
        self._buffer = bytearray()

    def send(self, *parts: bytes) -> None:
        data = b"".join(parts)
        self.said += len(data)
        self.sock.sendall(data)

    def end(self) -> None:
        """Send FIN."""
        self.sock.shutdown(socket.SHUT_WR)

    def _more(self) -> None:
        part = self.sock.recv(65536)
        if not part:
            raise EOFError(f"the stream ended behind {bytes(self._buffer[:200])!r}")
        self.heard += len(part)
        self._buffer += part

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def until(self, mark: bytes) -> bytes:
        """Through the first `mark`."""
        while (at := self._buffer.find(mark)) < 0:
            self._more()
        return self.exactly(at + len(mark))

    def rest(self) -> bytes:
        """Until FIN."""
        while part := self.sock.recv(65536):
            self._buffer += part
        return self.exactly(len(self._buffer))

    def head(self) -> Head:
        line, *lines = self.until(b"\r\n\r\n")[:-4].split(b"\r\n")
        fields = (text.partition(b":") for text in lines)
        return Head(line, [(name.lower(), value.strip()) for name, _, value in fields])

    def chunked(self) -> bytes:
        """A body in chunks, through its end."""
        body = bytearray()
        while size := int(self.until(b"\r\n"), 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.until(b"\r\n") == b"\r\n"
        return bytes(body)

    def message(self) -> tuple[Head, bytes]:
        """A head and its body, which must say how long it is."""
        head = self.head()
        if head.get(b"transfer-encoding") == b"chunked":
            return head, self.chunked()
        return head, self.exactly(int(head.get(b"content-length") or 0))

    def silent(self) -> bool:
        """Whether nothing has come; waits for nothing."""
        return not self._buffer and not select.select([self.sock], [], [], 0)[0]


@contextmanager
def talk(running: RunningRelay) -> Iterator[Wire]:
    """A connection to the local proxy."""
    with socket.create_connection((HOST, running.local_port), LIMIT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Wire(sock)


def through(selector: SelectorFactory, direct: bool, **options: Any) -> AbstractContextManager[RunningRelay]:
    """A relay that forwards plain HTTP."""
    return relay(selector, forward=plain_http(), direct=direct, **options)


def refused(wire: Wire, status: int, words: str) -> None:
    """One complete answer, then FIN."""
    head, body = wire.message()
    assert head.status == status, (head, body)
    assert words in body.decode()
    assert head.get(b"connection") == b"close"
    assert wire.rest() == b""


# --- origins -------------------------------------------------------------------------------------
class Origin:
    """Serves connections of a `target` by a script.

    connections  how many there were
    requests     head and body of each
    heard, said  bytes, of all connections that have ended
    """

    def __init__(self, script: Callable[[Wire, Head, bytes], object]) -> None:
        self.script = script
        self.connections = self.heard = self.said = 0
        self.requests: list[tuple[Head, bytes]] = []
        self._lock = threading.Lock()

    def __call__(self, sock: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        wire = Wire(sock)
        try:
            while True:
                head, body = wire.message()
                with self._lock:
                    self.requests.append((head, body))
                self.script(wire, head, body)
        except (EOFError, ConnectionError):
            pass
        with self._lock:
            self.heard += wire.heard
            self.said += wire.said

    @property
    def lines(self) -> list[bytes]:
        return [head.line for head, _ in self.requests]


def answering(body: bytes = b"hello", *headers: bytes) -> Origin:
    """An origin that has the same answer for everything."""
    return Origin(lambda wire, head, came: wire.send(response(body, *headers)))


def response(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def request(port: int, path: bytes = b"/", *headers: bytes, method: bytes = b"GET") -> bytes:
    """In absolute form, as proxies get it."""
    authority = b"127.0.0.1:%d" % port
    lines = [method + b" http://" + authority + path + b" HTTP/1.1", b"Host: " + authority, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def sends(data: bytes) -> Callable[[socket.socket], None]:
    """A target that says this to the first head, and FIN."""

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(data)
        wire.end()
        wire.rest()  # until the proxy hangs up

    return serve


# --- places where nobody answers -----------------------------------------------------------------
@contextmanager
def refusing_port() -> Iterator[int]:
    """Bound, but nobody listens: connections are refused, and nobody else gets the port meanwhile."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield sock.getsockname()[1]


@contextmanager
def hanging_port() -> Iterator[int]:
    """A listener whose queue is full: connections to it neither stand nor fail."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting: list[socket.socket] = []
        try:
            for _ in range(300):
                sock = socket.socket()
                waiting.append(sock)
                sock.setblocking(False)
                sock.connect_ex((HOST, port))
                writable, failed = select.select([], [sock], [sock], 0.1)[1:]
                if failed or (writable and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    pytest.skip("a full queue refuses connections on this system")
                if not writable:
                    break
            else:
                pytest.skip("the queue of a listener cannot be filled on this system")
            yield port
        finally:
            for sock in waiting:
                sock.close()


# --- what clients of a proxy say, and what they make of the reply ---------------------------------
def socks5_request(host: str, port: int, command: int = 1) -> bytes:
    name = host.encode("ascii")
    return bytes((5, command, 0, 3, len(name))) + name + struct.pack(">H", port)


def socks5_reply(wire: Wire) -> tuple[int, str, int]:
    """Code and bound address."""
    version, code, reserved, kind = wire.exactly(4)
    assert (version, reserved) == (5, 0)
    family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
    host = socket.inet_ntop(family, wire.exactly(size))
    return code, host, int.from_bytes(wire.exactly(2), "big")


def ask_socks5(wire: Wire, host: str, port: int) -> int:
    wire.send(b"\x05\x01\x00", socks5_request(host, port))
    assert wire.exactly(2) == b"\x05\x00"
    return socks5_reply(wire)[0]


def socks4a_request(host: str, port: int, command: int = 1) -> bytes:
    return bytes((4, command)) + struct.pack(">H", port) + b"\0\0\0\x01user\0" + host.encode("ascii") + b"\0"


def ask_socks4a(wire: Wire, host: str, port: int) -> int:
    wire.send(socks4a_request(host, port))
    zero, code = wire.exactly(8)[:2]
    assert zero == 0
    return code


def ask_socks4(wire: Wire, host: str, port: int) -> int:
    wire.send(b"\x04\x01", struct.pack(">H", port), socket.inet_aton(host), b"\0")
    zero, code = wire.exactly(8)[:2]
    assert zero == 0
    return code


def ask_connect(wire: Wire, host: str, port: int) -> int:
    wire.send(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head, body = wire.message()
    if head.status != 200:
        assert body.startswith(b"pyss: "), body
    return head.status


# How each protocol asks, and the word it has for each outcome.
ASK: dict[str, Callable[[Wire, str, int], int]] = {
    "socks5": ask_socks5,
    "socks4a": ask_socks4a,
    "connect": ask_connect,
}
GRANTED = {"socks5": 0, "socks4a": 0x5A, "connect": 200}


_RESET_ON_CLOSE = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    needs_resets()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
