"""Both ends of a relayed connection with plain blocking sockets: the SOCKS5 client and the targets.

Nothing here uses pyss: a fault of pyss cannot hide in its own mirror.  Every socket has a time limit.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional

LIMIT = 30.0  # seconds of silence that any socket here puts up with
BLOCK = 256 * 1024

_NOISE = os.urandom(BLOCK)


def socks5_connect(proxy: int, port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection to host:port through the SOCKS5 proxy on loopback port `proxy` (RFC 1928)."""
    sock = socket.create_connection(("127.0.0.1", proxy), LIMIT)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"\x05\x01\x00")
        assert receive_exactly(sock, 2) == b"\x05\x00"
        name = host.encode("ascii")
        sock.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
        version, code, _, kind = receive_exactly(sock, 4)
        assert (version, code) == (5, 0), f"SOCKS5 reply {code}"
        size = {1: 4, 4: 16}.get(kind) or receive_exactly(sock, 1)[0]
        receive_exactly(sock, size + 2)
    except BaseException:
        sock.close()
        raise
    return sock


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Raises EOFError when the stream ends first."""
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        if not part:
            raise EOFError(f"the stream ended after {len(parts)} of {size} bytes")
        parts += part
    return bytes(parts)


def receive_all(sock: socket.socket) -> bytes:
    """Until EOF."""
    parts = bytearray()
    while part := sock.recv(65536):
        parts += part
    return bytes(parts)


def blocks(size: int, name: bytes) -> Iterator[bytes]:
    """`size` bytes in blocks that all differ, so that a lost, doubled or swapped one shows."""
    number = 0
    while size > 0:
        block = (name + struct.pack(">Q", number)).ljust(16, b".") + _NOISE[16:]
        yield block[:size] if size < BLOCK else block
        size -= BLOCK
        number += 1


def send_blocks(sock: socket.socket, size: int, name: bytes) -> str:
    """Send them; returns their SHA-256."""
    digest = hashlib.sha256()
    for block in blocks(size, name):
        digest.update(block)
        sock.sendall(block)
    return digest.hexdigest()


def receive_digest(sock: socket.socket, size: int) -> str:
    """SHA-256 of the next `size` bytes.  Raises EOFError when the stream ends first."""
    digest = hashlib.sha256()
    room = memoryview(bytearray(BLOCK))
    left = size
    while left:
        count = sock.recv_into(room[: min(left, BLOCK)])
        if not count:
            raise EOFError(f"the stream ended {left} of {size} bytes too early")
        digest.update(room[:count])
        left -= count
    return digest.hexdigest()


class Background:
    """A call in a thread of its own; `result` waits, and raises what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._outcome: object = None
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._call()
        except BaseException as error:
            self._error = error

    def result(self, seconds: float = 120.0) -> object:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"not done within {seconds:.0f} s"
        if self._error is not None:
            raise self._error
        return self._outcome


class Target:
    """A server on loopback: `serve` handles each connection in a thread of its own.

    What `serve` returns is found in `results`, in the order in which connections ended; what it
    raised, in `errors`.
    """

    def __init__(self, serve: Callable[[socket.socket], object], host: str = "127.0.0.1") -> None:
        self._serve = serve
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.results: list[object] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(LIMIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._handle, args=(sock,), daemon=True)
            self._connections.append(sock)
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock: socket.socket) -> None:
        try:
            with sock:
                self.results.append(self._serve(sock))
        except BaseException as error:
            self.errors.append(error)

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept() on Linux, which close() does not
        except OSError:
            pass
        self._listener.close()
        self._accepting.join(LIMIT)
        for sock in self._connections:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(LIMIT)


@contextmanager
def target(serve: Callable[[socket.socket], object], host: str = "127.0.0.1") -> Iterator[Target]:
    server = Target(serve, host)
    try:
        yield server
    finally:
        server.close()


def echo(sock: socket.socket) -> None:
    """Each byte comes back; EOF is answered by EOF."""
    while part := sock.recv(65536):
        sock.sendall(part)


def answer_after_eof(sock: socket.socket) -> bytes:
    """Says nothing before the client has ended its direction; then how much came, and its digest."""
    came = receive_all(sock)
    sock.sendall(b"%d %s" % (len(came), hashlib.sha256(came).hexdigest().encode()))
    return came
