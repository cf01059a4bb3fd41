"""A name server on loopback, under the loop of the test, that can lie.

    udp, tcp, tls ──► FakeServer.script(query, over) ──► messages, as bytes, whatever they are

Needs dnspython.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple, Optional

import pytest

from helpers.looping import HOST
from pyss.net.channel import Channel
from pyss.net.loop import READ, Loop
from pyss.net.names import NameServer

pytest.importorskip("dns.message", reason="name servers of one's choice are asked with the package dnspython")

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = "example. {} SOA ns.example. admin.example. 1 3600 600 86400 {}"

Script = Callable[[dns.message.Message, str], Iterable[bytes]]


class Asked(NamedTuple):
    name: str
    kind: str
    over: str
    identity: int
    payload: int  # 0 without EDNS
    port: int  # where it came from


def reply(
    query: dns.message.Message, *records: str, code: str = "NOERROR", authority: Sequence[str] = (), flags: int = 0
) -> dns.message.Message:
    """An answer to a query; records as `owner ttl type data`."""
    answer = dns.message.make_response(query)
    answer.flags |= flags
    answer.set_rcode(dns.rcode.from_text(code))
    for section, lines in ((answer.answer, records), (answer.authority, authority)):
        for line in lines:
            owner, ttl, kind, data = line.split(maxsplit=3)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
    return answer


def kind_of(query: dns.message.Message) -> str:
    return dns.rdatatype.to_text(query.question[0].rdtype)


def name_of(query: dns.message.Message) -> str:
    return query.question[0].name.to_text().rstrip(".")


class FakeServer:
    """UDP and TCP at one port; TLS alone with a context.

    zone    name to the records of its answers: those of the type that is asked for, aliases, and what follows them
    script  makes the messages that answer one query; a test puts its lies here
    piece   bytes that go out at a time over a connection, one piece in each turn of the loop; 0 for all at once
    """

    def __init__(self, loop: Loop, context: Optional[ssl.SSLContext] = None) -> None:
        self._loop = loop
        self._context = context
        self.zone: dict[str, Sequence[str]] = {}
        self.script: Script = self.honest
        self.asked: list[Asked] = []
        self.piece = 0
        self.connections: list[Connection] = []
        self.faults: list[BaseException] = []
        self._tcp, self._udp = both_ports()
        self.port: int = self._tcp.getsockname()[1]
        self._channels = [Channel(self._tcp, self._accept, self), Channel(self._udp, self._packet, self)]
        for channel in self._channels:
            loop.watch(channel, READ)

    def abort(self, error: BaseException) -> None:
        self.faults.append(error)

    def address(self, transport: str = "udp", name: str = "") -> NameServer:
        return NameServer(transport, HOST, self.port, name)

    def names(self, kind: str = "A") -> list[str]:
        return [asked.name for asked in self.asked if asked.kind == kind]

    def close(self) -> None:
        for channel in self._channels:
            self._loop.retire(channel)
        for connection in self.connections:
            connection.close()

    # --- answers ---------------------------------------------------------------------------------
    def honest(self, query: dns.message.Message, over: str) -> Iterable[bytes]:
        name, kind = name_of(query).lower(), kind_of(query)
        if name not in self.zone:
            return [reply(query, code="NXDOMAIN", authority=[SOA.format(30, 20)]).to_wire()]
        records = [line for line in self.zone[name] if line.split()[2] in (kind, "CNAME")]
        return [reply(query, *records, authority=() if records else [SOA.format(30, 20)]).to_wire(max_size=65535)]

    def answers(self, data: bytes, over: str, port: int) -> Iterable[bytes]:
        query = dns.message.from_wire(data)
        payload = int(query.payload) if query.edns >= 0 else 0
        self.asked.append(Asked(name_of(query), kind_of(query), over, query.id, payload, port))
        return self.script(query, over)

    # --- ways ------------------------------------------------------------------------------------
    def _packet(self, channel: Channel, mask: int) -> None:
        data, where = self._udp.recvfrom(65536)
        for message in self.answers(data, "udp", where[1]):
            self._udp.sendto(message, where)

    def _accept(self, channel: Channel, mask: int) -> None:
        sock, peer = self._tcp.accept()
        self.connections.append(Connection(self, self._loop, sock, peer[1], self._context))


class Connection:
    """One that was accepted."""

    def __init__(
        self, server: FakeServer, loop: Loop, sock: socket.socket, port: int, context: Optional[ssl.SSLContext]
    ) -> None:
        sock.setblocking(False)
        self._server, self._loop, self._port = server, loop, port
        self._sock = sock
        self._received, self._unsent = bytearray(), bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True) if context else None
        self._shaken = context is None
        self.closed = False
        self._channel = Channel(sock, self._readable, self)  # type: ignore[arg-type]
        loop.watch(self._channel, READ)

    def abort(self, error: BaseException) -> None:
        self._server.abort(error)

    def close(self) -> None:
        self.closed = True
        self._loop.retire(self._channel)

    def send(self, plain: bytes) -> None:
        """Through TLS if there is one, piece by piece."""
        if self._tls is not None and plain:
            self._tls.write(plain)
        self._unsent += plain if self._tls is None else self._outgoing.read()
        self._push()

    def _push(self) -> None:
        if self.closed or not self._unsent:
            return
        piece = self._server.piece or len(self._unsent)
        try:
            del self._unsent[: self._sock.send(self._unsent[:piece])]
        except OSError:  # the client has gone
            self.close()
            return
        if self._unsent:
            self._loop.call_soon(self._push, self)

    def _readable(self, channel: Channel, mask: int) -> None:
        try:
            data = self._sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data if self._tls is None else self._opened(self._tls, data)
        while len(self._received) >= 2 and not self.closed:
            size = int.from_bytes(self._received[:2], "big")
            if len(self._received) < 2 + size:
                break
            message = bytes(self._received[2 : 2 + size])
            del self._received[: 2 + size]
            for answer in self._server.answers(message, "tls" if self._tls else "tcp", self._port):
                self.send(len(answer).to_bytes(2, "big") + answer)

    def _opened(self, tls: ssl.SSLObject, data: bytes) -> bytes:
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self._shaken:
                tls.do_handshake()
                self._shaken = True
            while True:
                plain += tls.read(16384)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # the client does not like the certificate
            self.close()
        self.send(b"")
        return bytes(plain)


def both_ports() -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket at the same port of loopback."""
    while True:
        tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp.bind((HOST, 0))
        try:
            udp.bind((HOST, tcp.getsockname()[1]))
        except OSError:  # somebody has that one
            tcp.close()
            udp.close()
            continue
        tcp.listen(64)
        tcp.setblocking(False)
        udp.setblocking(False)
        return tcp, udp
