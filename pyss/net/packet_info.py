"""A UDP port on all addresses of a machine that answers from the one it was asked at (Linux; RFC 3542 section 6).

    datagram to 192.0.2.7 ──recvmsg──► data, client, IP_PKTINFO: 192.0.2.7
    answer               ◄──sendmsg──  data, client, IP_PKTINFO: 192.0.2.7

Bound to 0.0.0.0 or ::, a socket would answer from the address that the system prefers for the way back.  A client that
is connected to another one never sees that, and a firewall in between takes it for a stranger's.

One of the few files that may look at `sys.platform`.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, Optional

_AF_INET6 = int(socket.AF_INET6)
_IP, _IP_PKTINFO = 0, 8  # level, type
_IPV6, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 41, 49, 50
_ROOM = socket.CMSG_SPACE(20) if hasattr(socket, "CMSG_SPACE") else 0  # in6_pktinfo is the larger one

Control = list[tuple[int, int, bytes]]


class Client(tuple[Any, ...]):
    """The socket address of a client, equal to the same without this.

    control  what makes an answer leave from where the client sent to
    """

    control: Control


class AnsweringSocket(socket.socket):
    """`recvfrom_into` gives a Client, `sendto` takes one."""

    if sys.platform != "win32":  # whose sockets cannot do this in Python

        def recvfrom_into(self, room: Any) -> Any:  # type: ignore[override]
            size, ancillary, _, address = self.recvmsg_into([room], _ROOM)
            client = Client(address)
            replies = (_reply(*message) for message in ancillary)
            client.control = [reply for reply in replies if reply is not None]
            return size, client

        def sendto(self, data: Any, client: Any) -> int:  # type: ignore[override]
            if type(client) is Client:
                return self.sendmsg((data,), client.control, 0, client)
            return super().sendto(data, client)


def ask_for_packet_info(sock: AnsweringSocket, family: int) -> None:
    """Raises OSError."""
    if family == _AF_INET6:
        sock.setsockopt(_IPV6, _IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(_IP, _IP_PKTINFO, 1)


def _reply(level: int, kind: int, data: bytes) -> Optional[tuple[int, int, bytes]]:
    """The control message that sends to where this one came from; None for another kind.

    in_pktinfo   | interface 4 | own address 4 | destination 4 |
    in6_pktinfo  | own address 16 | interface 4 |
    The interface is left to the routes, but for link-local addresses, which mean nothing without.
    """
    if (level, kind) == (_IP, _IP_PKTINFO) and len(data) >= 12:
        return level, kind, bytes(4) + data[4:8] + bytes(4)
    if (level, kind) == (_IPV6, _IPV6_PKTINFO) and len(data) >= 20:
        is_link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
        return level, kind, data[:20] if is_link_local else data[:16] + bytes(4)
    return None
