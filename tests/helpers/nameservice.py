"""A name server on loopback for programs that ask one: UDP and TCP at the same port, in threads.

Needs dnspython.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"
TTL = 60
PATIENCE = 30.0  # seconds until a connection is given up


class NameService:
    """Knows the records of one type of some names.

    records    name and type to the data of its records
    truncated  names whose answers over UDP are cut, and say so (RFC 1035 section 4.2.1, TC)
    asked      protocol and name of each question, in order
    """

    def __init__(self, records: Mapping[tuple[str, str], list[str]], truncated: tuple[str, ...]) -> None:
        self._records = records
        self._truncated = truncated
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    def answer(self, protocol: str, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text().rstrip(".")
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((protocol, name))
        reply = dns.message.make_response(query)
        found = self._records.get((name, kind))
        if found is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif protocol == "udp" and name in self._truncated:
            reply.flags |= dns.flags.TC
        else:
            reply.answer.append(dns.rrset.from_text(question.name, TTL, "IN", kind, *found))
        return reply.to_wire(max_size=65535)


class _Server:
    daemon_threads = True
    service: NameService


class _TcpServer(_Server, socketserver.ThreadingTCPServer):
    allow_reuse_address = True


class _UdpServer(_Server, socketserver.ThreadingUDPServer):
    max_packet_size = 65535


class _Packet(socketserver.DatagramRequestHandler):
    server: Any

    def handle(self) -> None:
        self.wfile.write(self.server.service.answer("udp", self.rfile.read()))


class _Connection(socketserver.StreamRequestHandler):
    server: Any
    timeout = PATIENCE

    def handle(self) -> None:
        while head := self.rfile.read(2):
            message = self.server.service.answer("tcp", self.rfile.read(*struct.unpack(">H", head)))
            self.wfile.write(struct.pack(">H", len(message)) + message)


@contextmanager
def name_service(
    records: Mapping[tuple[str, str], list[str]], truncated: tuple[str, ...] = ()
) -> Iterator[NameService]:
    """Running, at `port`."""
    service = NameService(records, truncated)
    tcp, udp = _both(service)
    service.port = tcp.socket.getsockname()[1]
    servers: tuple[socketserver.BaseServer, ...] = (tcp, udp)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield service
    finally:
        for server, thread in zip(servers, threads):
            server.shutdown()
            thread.join(PATIENCE)
            server.server_close()


def _both(service: NameService) -> tuple[_TcpServer, _UdpServer]:
    while True:
        tcp = _TcpServer((HOST, 0), _Connection)
        try:
            udp = _UdpServer((HOST, tcp.socket.getsockname()[1]), _Packet)
        except OSError:  # somebody has that one
            tcp.server_close()
            continue
        tcp.service = udp.service = service
        return tcp, udp
