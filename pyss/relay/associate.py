"""UDP ASSOCIATE of SOCKS5 (RFC 1928 sections 4 and 7): a port for one client, as long as its connection stands.

    TCP    client ──05 03 00 ADDR──► inbound ──05 00 00 the port's address──► client, and stays open
    UDP    client ──00 00 00 ADDR payload──► port ──► association ──► server

The port is this client's alone: datagrams from another address are dropped.  It has the address that the connection
came to, which is one that the client can reach.
"""

from __future__ import annotations

from socket import SO_KEEPALIVE, SOL_SOCKET
from typing import TYPE_CHECKING, Callable

from ..address import join_host_port
from ..errors import DialError
from ..net.sockets import Socket
from ..protocol.request import AssociateRequest
from .datagrams import Associations, PacketOutbound, PacketPort
from .packet_inbounds import SocksPackets

if TYPE_CHECKING:
    from .session import Session

BindPort = Callable[[str, int], Socket]  # host and port; raises OSError

_ANYWHERE = ("0.0.0.0", "::")


class Associating:
    """Opens a port for each session that asks for one."""

    def __init__(self, table: Associations, outbound: PacketOutbound, bind: BindPort) -> None:
        self._table = table
        self._outbound = outbound
        self._bind = bind

    def __call__(self, session: Session, request: AssociateRequest) -> None:
        announced = request.announced
        # A name cannot be compared with an address; who announces one is taken at the address he has.
        is_told = announced.is_ip and announced.host not in _ANYWHERE
        host = announced.host if is_told else session.peer[0]
        try:
            sock = self._bind(session.client.sock.getsockname()[0], 0)
        except OSError as error:
            refusal = DialError(f"no port for datagrams: {error.strerror}")
            session.refuse(refusal, request.refused(refusal))
            return
        name = f"UDP of {join_host_port(*session.peer[:2])}"
        port = PacketPort(
            self._table, sock, SocksPackets(host, announced.port), self._outbound, name, session.service.connecting
        )
        # Nothing need ever be said on the connection, so who is gone would not be missed.
        session.client.sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        session.associate(port, request.accepted(port.address))
