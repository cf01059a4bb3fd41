"""QUIC over an association: a server that echoes streams, and a client whose packets go through SOCKS5.

    aioquic ──sendto──► Association ──00 00 00 ADDR packet──► proxy ──► ... ──► EchoServer (aioquic, no pyss)

Needs aioquic and cryptography.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from helpers.datagrams import SocksAssociation, Where
from helpers.relay import HOST
from pyss.address import Address

NAME = "quic.example"
PROTOCOL = "echo"
PATIENCE = 20.0  # seconds


class Certificate(NamedTuple):
    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """For NAME, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


# --- server --------------------------------------------------------------------------------------
class _Echoing(QuicConnectionProtocol):
    """Each stream comes back; how the connection ended is told."""

    ended: asyncio.Future[ConnectionTerminated]

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)
            self.transmit()
        elif isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event)


class EchoServer(NamedTuple):
    """ended  the result is how the first connection came to its end."""

    port: int
    ended: asyncio.Future[ConnectionTerminated]


@asynccontextmanager
async def echo_server(certificate: Certificate) -> AsyncIterator[EchoServer]:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[PROTOCOL])
    configuration.load_cert_chain(certificate.certificate, certificate.key)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[ConnectionTerminated] = loop.create_future()

    def connection(*arguments: Any, **options: Any) -> _Echoing:
        made = _Echoing(*arguments, **options)
        made.ended = ended
        return made

    transport, server = await loop.create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, create_protocol=connection), local_addr=(HOST, 0)
    )
    try:
        yield EchoServer(transport.get_extra_info("sockname")[1], ended)
    finally:
        server.close()
        transport.close()


# --- client --------------------------------------------------------------------------------------
class Association(asyncio.DatagramProtocol, asyncio.DatagramTransport):
    """For the socket a protocol, for QUIC a transport.

    packets  how many have come
    """

    def __init__(self) -> None:
        super().__init__()
        self.packets = 0
        self._below: Any = None
        self._above: Any = None

    def carry(self, above: asyncio.DatagramProtocol) -> None:
        self._above = above
        above.connection_made(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert data[:3] == bytes(3)
        parsed = Address.parse(data, 3)
        assert parsed is not None
        source, end = parsed
        self.packets += 1
        self._above.datagram_received(data[end:], (source.host, source.port))

    def sendto(self, data: Any, addr: Any = None) -> None:
        self._below.sendto(bytes(3) + Address.of(addr[0], addr[1]).wire + data)

    def close(self) -> None:
        self._below.close()

    def is_closing(self) -> bool:
        return bool(self._below.is_closing())


async def echoed(client: SocksAssociation, target: Where, certificate: Certificate, data: bytes) -> tuple[bytes, int]:
    """What comes back of `data` on one stream, and in how many packets.

    The connection is closed, and has reached its end, when this returns.
    """
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=[PROTOCOL],
        server_name=NAME,
        verify_mode=ssl.CERT_REQUIRED,
        idle_timeout=PATIENCE,
    )
    configuration.load_verify_locations(str(certificate.certificate))
    loop = asyncio.get_running_loop()
    client.udp.connect(client.where)
    client.udp.setblocking(False)
    _, association = await loop.create_datagram_endpoint(Association, sock=client.udp)
    connection = QuicConnectionProtocol(QuicConnection(configuration=configuration))
    association.carry(connection)
    try:
        connection.connect(target)
        await connection.wait_connected()
        reader, writer = await connection.create_stream()
        writer.write(data)
        writer.write_eof()
        back = await reader.read()
    finally:
        connection.close()
        await connection.wait_closed()
        association.close()
    return back, association.packets
