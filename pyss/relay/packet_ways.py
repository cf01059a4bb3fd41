"""The ways of datagrams to their targets: straight, or through a Shadowsocks server.

    DirectWay    a socket of its own for each family; whatever comes to it, from wherever, goes to the client
    ServerWay    a socket connected to one Shadowsocks server, which does that for us

Names are looked up without holding anything up.  What is for a name waits, a few packets, in the order it came; what
is for other targets passes.  An address is judged after the lookup and for each packet anew: the second packet to a
forbidden place is no less forbidden than the first.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Callable, Optional, Union

from ..address import Address
from ..errors import Congested, DialError, PyssError
from ..net.channel import Channel
from ..net.clock import monotonic
from ..net.dialer import Cancellable, Endpoint, Names, Permit
from ..net.loop import READ
from ..net.sockets import WOULD_BLOCK, Socket
from ..protocol.packet import client_packets
from .datagrams import Association, Buffer, MaximumTransmissionUnit, receive
from .outbounds import Shadowsocks, ShadowsocksServer

NewSocket = Callable[[int], Socket]  # of a family, non-blocking; raises OSError
Deliver = Callable[[Sequence[Endpoint], Buffer], None]  # raises OSError, PyssError

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)


def endpoint_of(address: Address) -> Endpoint:
    """Of an address that is an IP address."""
    if ":" in address.host:
        return _AF_INET6, (address.host, address.port, 0, 0)
    return _AF_INET, (address.host, address.port)


@lru_cache(maxsize=4096)
def source_of(host: str, port: int) -> Address:
    """A socket address as an address on the wire.  A zone says which link, and means nothing elsewhere."""
    return Address.of(host.partition("%")[0], port)


class Lookups:
    """Packets of one association that wait until names have become addresses.

    deliver  is called for each later, in their order for each place
    """

    __slots__ = ("_association", "_count", "_deliver", "_names", "_waiting")

    def __init__(self, names: Names, association: Association, deliver: Deliver) -> None:
        self._names = names
        self._association = association
        self._deliver = deliver
        self._waiting: dict[Address, tuple[deque[bytes], Cancellable]] = {}
        self._count = 0

    def send(self, place: Address, packet: Buffer) -> None:
        """Deliver a packet to the addresses of `place`; at once where they are known.

        Raises Congested, and what `deliver` raises.
        """
        entry = self._waiting.get(place)
        if entry is None:
            known = [endpoint_of(place)] if place.is_ip else self._names.known(place.host, place.port)
            if known is not None:
                self._deliver(known, packet)
                return
        if self._count >= self._association.port.table.limits.waiting:
            raise Congested(f"{self._count} packets wait for names already")
        self._count += 1
        if entry is None:
            flight = self._names.resolve(place.host, place.port, partial(self._resolved, place))
            entry = self._waiting[place] = deque(), flight
        entry[0].append(bytes(packet))

    def close(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for _, flight in waiting.values():
            flight.cancel()

    def _resolved(self, place: Address, endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        """The resolver's answer; a fault in it is this association's, not the resolver's."""
        packets, _ = self._waiting.pop(place)
        self._count -= len(packets)
        association = self._association
        try:
            for packet in packets:
                if association.way is None:  # it has ended meanwhile
                    return
                if error is not None:
                    association.dropped(error)
                    continue
                try:
                    self._deliver(endpoints, packet)
                except (PyssError, OSError) as refusal:
                    association.dropped(refusal)
        except Exception as fault:
            association.abort(fault)


# --- straight ------------------------------------------------------------------------------------
class Direct:
    """Makes the ways of a server.

    permit  raises Forbidden for an IP address that is not to be reached
    """

    def __init__(self, names: Names, permit: Optional[Permit], new_socket: NewSocket) -> None:
        self.names = names
        self.permit = permit
        self.new_socket = new_socket

    def way(self, association: Association) -> DirectWay:
        return DirectWay(self, association)


class DirectWay:
    """To any target.  What reaches one of its sockets was sent to it, and goes to the client: a full cone."""

    __slots__ = ("_channels", "_lookups", "_outbound", "association", "table")

    def __init__(self, outbound: Direct, association: Association) -> None:
        self._outbound = outbound
        self.association = association
        self.table = association.port.table
        self._channels: dict[int, Channel] = {}
        self._lookups = Lookups(outbound.names, association, self._deliver)

    def send(self, target: Address, payload: Buffer) -> None:
        """Raises OSError, Forbidden, Congested."""
        if target.is_ip:
            self._deliver((endpoint_of(target),), payload)
        else:
            self._lookups.send(target, payload)

    def close(self) -> None:
        self._lookups.close()
        for channel in self._channels.values():
            self.table.loop.retire(channel)

    def abort(self, error: BaseException) -> None:
        self.association.abort(error)

    def receive(self, sock: Socket, rx: memoryview) -> None:
        size, where = sock.recvfrom_into(rx)
        self.association.answered(source_of(where[0], where[1]), rx[:size])

    def dropped(self, error: Union[PyssError, OSError]) -> None:
        self.association.dropped(error)

    def _deliver(self, endpoints: Sequence[Endpoint], payload: Buffer) -> None:
        """To the first address that may be reached and for which there is a way."""
        permit = self._outbound.permit
        refusal: Union[PyssError, OSError, None] = None
        for family, where in endpoints:
            try:
                if permit is not None:
                    permit(where[0])
                self._channel(family).sock.sendto(payload, where)
                return
            except WOULD_BLOCK as full:
                refusal = Congested(f"the system takes no more packets ({full.strerror})")
                break
            except (PyssError, OSError) as error:
                refusal = refusal or error.with_traceback(None)
        try:
            raise refusal or DialError("a name without addresses")
        finally:
            del refusal  # whose traceback holds this frame

    def _channel(self, family: int) -> Channel:
        channel = self._channels.get(family)
        if channel is None:
            channel = self._channels[family] = Channel(self._outbound.new_socket(family), receive, self)
            self.table.loop.watch(channel, READ)
        return channel


# --- through a server ----------------------------------------------------------------------------
class ThroughServers:
    """Makes the ways of a client: each association has one server, in turn."""

    def __init__(
        self, servers: Shadowsocks, names: Names, new_socket: NewSocket, mtu: Optional[MaximumTransmissionUnit] = None
    ) -> None:
        self.names = names
        self.new_socket = new_socket
        self.mtu = mtu
        self.servers = servers

    def way(self, association: Association) -> ServerWay:
        return ServerWay(self, association, self.servers.server())


class ServerWay:
    """Through one server.  Its socket is connected, so that nobody else's packets come in."""

    __slots__ = ("_channel", "_family", "_lookups", "_outbound", "_packets", "association", "server", "table")

    def __init__(self, outbound: ThroughServers, association: Association, server: ShadowsocksServer) -> None:
        self.association = association
        self.table = association.port.table
        self._outbound = outbound
        self.server = server
        self._packets = client_packets(server.keyring, monotonic)
        self._channel: Optional[Channel] = None
        self._family = 0
        self._lookups = Lookups(outbound.names, association, self._connect_and_send)

    def send(self, target: Address, payload: Buffer) -> None:
        """Raises OSError, Congested, DialError."""
        sealed = self._packets.seal(target, payload)
        if self._channel is None:
            self._lookups.send(self.server.address, sealed)
        else:
            self._send(self._channel.sock, sealed)
        mtu = self._outbound.mtu
        if mtu is not None:
            mtu.check(len(sealed), self._family == _AF_INET6, len(target.wire) + self._packets.overhead)

    def close(self) -> None:
        self._lookups.close()
        if self._channel is not None:
            self.table.loop.retire(self._channel)

    def abort(self, error: BaseException) -> None:
        self.association.abort(error)

    def receive(self, sock: Socket, rx: memoryview) -> None:
        source, payload = self._packets.open(rx[: sock.recv_into(rx)])
        self.association.answered(source, payload)

    def dropped(self, error: Union[PyssError, OSError]) -> None:
        self.association.dropped(error, self.server.address)

    def _connect_and_send(self, endpoints: Sequence[Endpoint], sealed: Buffer) -> None:
        """Through the first address that the system has a way to."""
        if self._channel is None:
            self._channel = self._connected(endpoints)
        self._send(self._channel.sock, sealed)

    def _send(self, sock: Socket, sealed: Buffer) -> None:
        try:
            sock.send(sealed)
        except WOULD_BLOCK as full:
            raise Congested(f"the system takes no more packets ({full.strerror})") from None

    def _connected(self, endpoints: Sequence[Endpoint]) -> Channel:
        refusal: Optional[OSError] = None
        for family, where in endpoints:
            try:
                sock = self._outbound.new_socket(family)
            except OSError as error:
                refusal = refusal or error.with_traceback(None)
                continue
            try:
                sock.connect(where)
            except OSError as error:
                sock.close()
                refusal = refusal or error.with_traceback(None)
                continue
            channel = Channel(sock, receive, self)
            self.table.loop.watch(channel, READ)
            self._family = family
            return channel
        try:
            raise refusal or DialError(f"{self.server.address}: a name without addresses")
        finally:
            del refusal  # whose traceback holds this frame
