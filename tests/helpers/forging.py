"""A Shadowsocks client for tests that must break rules: requests put together piece by piece.

Keys and ciphers are those of pyss, which vectors prove; the framing is written out here again (SIP004, SIP022),
so that a fault of pyss cannot hide in its own mirror.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Optional

from helpers.relay import HOST, KEY_2022, PASSWORD
from helpers.traffic import LIMIT, receive_exactly
from pyss.address import Address
from pyss.protocol.keyring import Keyring

METHOD_2017 = "chacha20-ietf-poly1305"
METHOD_2022 = "2022-blake3-chacha20-poly1305"
METHODS = (METHOD_2017, METHOD_2022)  # fast on every backend

SALT = 32
TAG = 16
FIXED_2022 = SALT + 1 + 8 + 2 + TAG  # bytes that must come in the first read
NOWHERE = Address.of(HOST, 9)


def secret_of(method: str) -> str:
    """The password that `helpers.relay` gives a server of this method."""
    return KEY_2022 if method.startswith("2022-") else PASSWORD


class Sealing:
    """One direction of one connection, from its salt on."""

    def __init__(self, method: str, password: str = "", salt: Optional[bytes] = None) -> None:
        self.keyring = Keyring.of(method, password or secret_of(method), time.time)
        self.salt = salt or os.urandom(SALT)
        self._aead = self.keyring.session(self.salt)
        self._count = 0

    def _nonce(self) -> bytes:
        self._count += 1
        return (self._count - 1).to_bytes(12, "little")

    def seal(self, plain: bytes) -> bytes:
        return bytes(self._aead.encrypt(self._nonce(), plain, None))

    def open(self, sealed: bytes) -> bytes:
        return bytes(self._aead.decrypt(self._nonce(), sealed, None))

    def chunk(self, payload: bytes) -> bytes:
        return self.seal(len(payload).to_bytes(2, "big")) + self.seal(payload)


class Request(Sealing):
    """What a client sends: `start` first, then any number of `chunk`s."""

    def __init__(self, method: str, password: str = "", salt: Optional[bytes] = None) -> None:
        super().__init__(method, password, salt)
        self.method = method

    def start(self, target: Address = NOWHERE, payload: bytes = b"ping") -> bytes:
        """A faultless beginning."""
        return self.start_with(target.wire, payload)

    def start_with(self, wire: bytes, payload: bytes = b"ping") -> bytes:
        """The same with an address that is written out."""
        if self.method.startswith("2022-"):
            return self.headers_2022(wire + b"\0\0" + payload)
        return self.salt + self.chunk(wire + payload)

    def headers_2022(
        self, variable: bytes, *, kind: int = 0, stamp: Optional[int] = None, length: Optional[int] = None
    ) -> bytes:
        """Salt, fixed and variable header (SIP022 section 3.1.3)."""
        seconds = int(time.time()) if stamp is None else stamp
        size = len(variable) if length is None else length
        fixed = bytes([kind]) + seconds.to_bytes(8, "big") + size.to_bytes(2, "big")
        return self.salt + self.seal(fixed) + self.seal(variable)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), LIMIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_answer(sock: socket.socket, request: Request) -> tuple[bytes, bytes]:
    """The first chunk of an answer: what it says, and the very bytes that came."""
    raw = receive_exactly(sock, SALT)
    answer = Sealing(request.method, salt=raw)
    head = receive_exactly(sock, (1 + 8 + SALT + 2 if request.method.startswith("2022-") else 2) + TAG)
    plain = answer.open(head)
    if request.method.startswith("2022-"):
        assert plain[0] == 1
        assert plain[9:-2] == request.salt
    sealed = receive_exactly(sock, int.from_bytes(plain[-2:], "big") + TAG)
    return answer.open(sealed), raw + head + sealed


def exchange(port: int, method: str, target: int, words: bytes = b"are you well?") -> None:
    """A whole good session with an echoing target: the server still serves."""
    request = Request(method)
    with connect(port) as sock:
        sock.sendall(request.start(Address.of(HOST, target), words))
        assert read_answer(sock, request)[0] == words


def said(sock: socket.socket) -> Optional[bytes]:
    """What has come: None for nothing yet, b"" for EOF.  Raises ConnectionResetError."""
    before = sock.gettimeout()
    sock.setblocking(False)
    try:
        return sock.recv(4096)
    except BlockingIOError:
        return None
    finally:
        sock.settimeout(before)


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])
