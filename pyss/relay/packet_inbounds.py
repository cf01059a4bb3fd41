"""How clients send datagrams: sealed, behind the header of SOCKS5, or bare.

    ServedPackets   a Shadowsocks server's port       sealed: target, payload
    SocksPackets    one SOCKS5 association's port     00 00 | FRAG | ATYP host port | payload
    TunnelPackets   a tunnel's port                   payload; the target is the same for all
"""

from __future__ import annotations

import socket
from typing import Optional

from ..address import Address
from ..errors import BadAddress, Fragmented, UnknownSender
from ..net.sockets import Socket
from ..protocol.packet import ServerPackets
from .datagrams import Association, Buffer, Heard, MaximumTransmissionUnit

_AF_INET6 = int(socket.AF_INET6)
_HEADER = 3  # bytes in front of ATYP, RFC 1928 section 7
_UNFRAGMENTED = bytes(_HEADER)


class _OneSocket:
    """Answers leave from the port itself."""

    def close(self) -> None:
        pass


class ServedPackets(_OneSocket):
    """Of all clients that have the key."""

    def __init__(self, packets: ServerPackets, mtu: Optional[MaximumTransmissionUnit] = None) -> None:
        self._packets = packets
        self._mtu = mtu

    def read(self, sock: Socket, rx: memoryview) -> Heard:
        size, client = sock.recvfrom_into(rx)
        key, target, payload = self._packets.open(rx[:size], client)
        return key, client, target, payload

    def write(self, sock: Socket, association: Association, source: Address, payload: Buffer) -> None:
        sealed = self._packets.seal(association.key, source, payload)
        sock.sendto(sealed, association.client)
        if self._mtu is not None:
            self._mtu.check(len(sealed), sock.family == _AF_INET6, len(source.wire) + self._packets.overhead)


class SocksPackets(_OneSocket):
    """Of the one client whose TCP connection asked for the association, RFC 1928 section 7.

    host  its IP address, or the one that it has announced
    port  that it has announced; 0 where it has not, and then that of its first datagram
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = _unmapped(host)
        self._port = port

    def read(self, sock: Socket, rx: memoryview) -> Heard:
        size, client = sock.recvfrom_into(rx)
        if _unmapped(client[0]) != self._host or self._port not in (0, client[1]):
            raise UnknownSender(f"this association is not for {client[0]}, port {client[1]}")
        packet = rx[:size]
        if size > _HEADER and packet[2]:
            raise Fragmented("fragments are not put together here (FRAG is not 0)")
        parsed = Address.parse(packet, _HEADER)
        if parsed is None:
            raise BadAddress("the datagram ends inside its address")
        self._port = client[1]
        target, at = parsed
        return None, client, target, packet[at:]

    def write(self, sock: Socket, association: Association, source: Address, payload: Buffer) -> None:
        sock.sendto(b"".join((_UNFRAGMENTED, source.wire, payload)), association.client)


class TunnelPackets(_OneSocket):
    """Of anybody, for one target."""

    def __init__(self, target: Address) -> None:
        self._target = target

    def read(self, sock: Socket, rx: memoryview) -> Heard:
        size, client = sock.recvfrom_into(rx)
        return client, client, self._target, rx[:size]

    def write(self, sock: Socket, association: Association, source: Address, payload: Buffer) -> None:
        sock.sendto(payload, association.client)


def _unmapped(host: str) -> str:
    """A socket of both families names IPv4 addresses in the form of RFC 4291 section 2.5.5.2."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host.partition("%")[0]
