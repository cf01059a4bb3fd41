"""Datagrams: ports, the associations of their clients, and when those end.

    PacketPort                     Association                       Way
    one socket for clients,        one client of it                  out to its targets:
    read and written as its    ──► counts, and knows when it     ──► straight, or through a
    PacketInbound says         ◄── was used last                 ◄── Shadowsocks server

UDP has no end that could be seen.  So an association ends when no packet has moved in either direction for a while,
when its client has opened too many others, or when there are too many in all: then the one goes that has been idle
longest.  Associations stand in queues, one for each limit of idleness, in the order of their latest packet.  A packet
moves its association to the end of its queue, and one timer looks at the fronts.

Whatever is wrong with one datagram costs this datagram: it is dropped and counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Callable, Optional, Protocol, Union

from ..address import Address, join_host_port
from ..errors import ProtocolError, PyssError
from ..limits import PACKET_LIMITS, PacketLimits
from ..net.channel import Channel
from ..net.loop import READ, Loop
from ..net.sockets import WOULD_BLOCK, Socket, SocketAddress
from ..net.timers import Timer
from .accounting import Report

Buffer = Union[bytes, bytearray, memoryview]

DNS_PORT = 53
COMPLAIN_EVERY = 60.0  # seconds between two complaints of one kind
_IPV4_HEADER, _IPV6_HEADER, _UDP_HEADER = 20, 40, 8  # bytes; RFC 791, RFC 8200, RFC 768
SYSTEM = "system"  # under which what the socket layer refuses is counted

# By what the port tells its associations apart, the client's socket address, target, payload.
Heard = tuple[Hashable, SocketAddress, Address, Buffer]


class PacketInbound(Protocol):
    """How the datagrams of a port are read and written."""

    def read(self, sock: Socket, rx: memoryview) -> Heard:
        """Receive one datagram.  Raises OSError, and PyssError for one that is to be dropped."""

    def write(self, sock: Socket, association: Association, source: Address, payload: Buffer) -> None:
        """Send to its client what came from `source`.  Raises the same."""

    def close(self) -> None:
        """What it has opened besides the port's own socket."""


class Way(Protocol):
    """Out of one association."""

    def send(self, target: Address, payload: Buffer) -> None:
        """Raises OSError, and PyssError for a datagram that is to be dropped."""

    def close(self) -> None: ...


class PacketOutbound(Protocol):
    def way(self, association: Association) -> Way:
        """Raises OSError where the system has no socket for it, PyssError."""


class MaximumTransmissionUnit:
    """Says so when datagrams do not fit into packets of `mtu` bytes; they are sent all the same, in fragments."""

    def __init__(self, mtu: int, table: Associations) -> None:
        self.mtu = mtu
        self._table = table

    def check(self, size: int, is_ipv6: bool, overhead: int) -> None:
        """Of a sealed datagram; `overhead` is what it has besides the payload."""
        headers = (_IPV6_HEADER if is_ipv6 else _IPV4_HEADER) + _UDP_HEADER
        if size + headers > self.mtu:
            self._table.complain(
                "mtu",
                f"a datagram of {size + headers} bytes does not fit into the MTU of {self.mtu}: "
                f"payloads of up to {max(0, self.mtu - headers - overhead)} bytes do",
            )


class Receiver(Protocol):
    """Who owns a channel of datagrams, in the state `receive`."""

    table: Associations

    def receive(self, sock: Socket, rx: memoryview) -> None:
        """One datagram.  Raises OSError, and PyssError for one that is to be dropped."""

    def dropped(self, error: Union[PyssError, OSError]) -> None: ...


def receive(channel: Channel, mask: int) -> None:
    """Several datagrams in one event, and not all of a flood: others are to have their turn."""
    receiver: Receiver = channel.owner  # type: ignore[assignment]
    table = receiver.table
    rx = table.loop.rx
    for _ in range(table.limits.batch):
        try:
            receiver.receive(channel.sock, rx)
        except WOULD_BLOCK:
            return
        except (PyssError, OSError) as error:  # OSError: what was sent before was refused (ICMP; Windows: 10054)
            receiver.dropped(error)
        if channel.on_ready is not receive:  # closed meanwhile
            return


class PacketStatistics:
    """Totals of the process.

    dropped  datagrams, by the `status` of the error
    """

    def __init__(self) -> None:
        self.associations = 0
        self.upstream = 0
        self.downstream = 0
        self.dropped: Counter[str] = Counter()


class Association:
    """One client of one port.

    key     by what the port knows it
    client  where its datagrams come from now; a session of AEAD-2022 may move
    """

    __slots__ = (
        "_unanswered", "client", "downstream", "host", "idle", "key", "named", "port", "seen", "started", "upstream",
        "way",
    )  # fmt: skip

    def __init__(self, port: PacketPort, key: Hashable, client: SocketAddress, now: float) -> None:
        self.port = port
        self.key = key
        self.client = client
        self.host: str = client[0]  # whose share of associations this one is counted in
        self.started = self.seen = now
        self.idle = 0.0  # its limit, seconds; which queue it stands in
        self.named: Optional[Address] = None  # its first target
        self.upstream = self.downstream = 0
        self.way: Optional[Way] = None
        self._unanswered: Optional[int] = 0  # questions to port 53; None once it is for other ports too

    def send(self, target: Address, payload: Buffer) -> None:
        """From the client.  Raises as `Way.send`."""
        way = self.way
        assert way is not None
        if target.port != DNS_PORT:
            self._unanswered = None
        elif self._unanswered is not None:
            self._unanswered += 1
        self.upstream += len(payload)
        table = self.port.table
        table.used(self, table.limits.idle)
        way.send(target, payload)

    def answered(self, source: Address, payload: Buffer) -> None:
        """From a target; the way calls this."""
        port = self.port
        self.downstream += len(payload)
        limits = port.table.limits
        idle = limits.idle
        if self._unanswered is not None and source.port == DNS_PORT:
            self._unanswered -= 1
            if self._unanswered <= 0:
                idle = min(idle, limits.answered_dns)
        port.table.used(self, idle)
        port.answer(self, source, payload)

    def dropped(self, error: Union[PyssError, OSError], place: object = "") -> None:
        """A datagram of this association was dropped; `place` is where that was, if the error does not say it."""
        self.port.table.dropped(error, self.port.name, self.client, place)

    def abort(self, error: BaseException) -> None:
        """A fault in its way ends this association alone."""
        self.port.table.loop.on_fault(error)
        self.close()

    def close(self) -> None:
        """Once or more often."""
        way, self.way = self.way, None
        if way is not None:
            self.port.forget(self)
            way.close()


class Associations:
    """All associations of a process, whatever port they are of.

    report  called with a level and a line
    """

    def __init__(self, loop: Loop, report: Report, limits: PacketLimits = PACKET_LIMITS) -> None:
        self.loop = loop
        self.limits = limits
        self.statistics = PacketStatistics()
        self._report = report
        self._queues: dict[float, OrderedDict[Association, None]] = {}
        self._of_host: dict[str, OrderedDict[Association, None]] = {}  # in the order of their beginning
        self._count = 0
        self._timer: Optional[Timer] = None
        self._complained: dict[str, float] = {}

    def __len__(self) -> int:
        return self._count

    def admit(self, association: Association) -> None:
        """One more; another may have to end for it."""
        limits = self.limits
        of_host = self._of_host.get(association.host)
        if of_host is None:
            of_host = self._of_host[association.host] = OrderedDict()
        if len(of_host) >= limits.of_client:
            min(of_host, key=_seen).close()
            self.complain("client", f"{association.host} has {limits.of_client} UDP associations; its oldest ones end")
        elif self._count >= limits.associations:
            min((next(iter(queue)) for queue in self._queues.values() if queue), key=_seen).close()
            self.complain("all", f"there are {limits.associations} UDP associations; the longest idle ones end")
        # Where that was this host's last one, its table is no longer in the tables.
        self._of_host.setdefault(association.host, of_host)[association] = None
        self._count += 1
        self.statistics.associations += 1
        association.idle = limits.idle
        self._queue(limits.idle)[association] = None
        self._arm()

    def used(self, association: Association, idle: float) -> None:
        """A packet has moved: from now on it may be idle so long."""
        association.seen = self.loop.now
        if association.idle == idle:
            self._queues[idle].move_to_end(association)
            return
        del self._queues[association.idle][association]
        association.idle = idle
        self._queue(idle)[association] = None
        self._arm()

    def remove(self, association: Association) -> None:
        """It has ended."""
        statistics = self.statistics
        statistics.upstream += association.upstream
        statistics.downstream += association.downstream
        del self._queues[association.idle][association]
        of_host = self._of_host[association.host]
        del of_host[association]
        if not of_host:
            del self._of_host[association.host]
        self._count -= 1

    def dropped(
        self,
        error: Union[PyssError, OSError],
        port_name: str,
        client: Optional[SocketAddress] = None,
        place: object = "",
    ) -> None:
        """Count a datagram that went nowhere.  Noise is for those who listen closely; the rest a user can mend."""
        if isinstance(error, PyssError):
            status, text = error.status, str(error)
        else:
            status, text = SYSTEM, error.strerror or str(error)
        self.statistics.dropped[status] += 1
        where = port_name if client is None else f"{port_name}, {join_host_port(client[0], client[1])}"
        level = "debug" if isinstance(error, ProtocolError) else "warning"
        self.complain(f"dropped {status}", f"a UDP packet was dropped ({where}): {place}{place and ': '}{text}", level)

    def complain(self, about: str, text: str, level: str = "warning") -> None:
        """Say so, once a minute for each kind."""
        now = self.loop.now
        if now - self._complained.get(about, -COMPLAIN_EVERY) >= COMPLAIN_EVERY:
            self._complained[about] = now
            self._report(level, text)

    def close(self) -> None:
        for queue in list(self._queues.values()):
            for association in list(queue):
                association.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- time ------------------------------------------------------------------------------------
    def _queue(self, idle: float) -> OrderedDict[Association, None]:
        queue = self._queues.get(idle)
        if queue is None:  # there are as many as there are limits
            queue = self._queues[idle] = OrderedDict()
        return queue

    def _due(self) -> Optional[float]:
        """When the first of all associations may have been idle too long."""
        return min((next(iter(queue)).seen + idle for idle, queue in self._queues.items() if queue), default=None)

    def _arm(self) -> None:
        due = self._due()
        if due is None or (self._timer is not None and self._timer.deadline <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(due - self.loop.now, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        now = self.loop.now
        for idle, queue in list(self._queues.items()):
            while queue and next(iter(queue)).seen + idle <= now:
                next(iter(queue)).close()
        self._arm()


def _seen(association: Association) -> float:
    return association.seen


class PacketPort:
    """One socket that clients send to.

    name        for the log
    connecting  is told the first target of each association, and its client
    """

    def __init__(
        self,
        table: Associations,
        sock: Socket,
        inbound: PacketInbound,
        outbound: PacketOutbound,
        name: str,
        connecting: Callable[[Address, str], None] = lambda target, client: None,
    ) -> None:
        self.table = table
        self.name = name
        self.inbound = inbound
        self.outbound = outbound
        self.associations: dict[Hashable, Association] = {}
        self.upstream = self.downstream = 0  # bytes, of associations that have ended
        self._connecting = connecting
        self._channel = Channel(sock, receive, self)
        self.address: SocketAddress = sock.getsockname()
        table.loop.watch(self._channel, READ)

    def abort(self, error: BaseException) -> None:
        """A fault while one datagram was looked at costs that datagram; the port stays open."""
        self.table.loop.on_fault(error)

    def close(self) -> None:
        """Its associations end with it."""
        for association in list(self.associations.values()):
            association.close()
        self.inbound.close()
        self.table.loop.retire(self._channel)

    def receive(self, sock: Socket, rx: memoryview) -> None:
        key, client, target, payload = self.inbound.read(sock, rx)
        try:
            self.heard(key, client, target, payload)
        except (PyssError, OSError) as error:
            self.table.dropped(error, self.name, client)

    def dropped(self, error: Union[PyssError, OSError]) -> None:
        self.table.dropped(error, self.name)

    def heard(self, key: Hashable, client: SocketAddress, target: Address, payload: Buffer) -> None:
        """A datagram from a client.  Raises OSError and PyssError for what is to be dropped."""
        association = self.associations.get(key)
        if association is None:
            association = self._begin(key, client)
        else:
            association.client = client
        if association.named is None:
            association.named = target
            self._connecting(target, join_host_port(client[0], client[1]))
        association.send(target, payload)

    def answer(self, association: Association, source: Address, payload: Buffer) -> None:
        """To a client; a way calls this, by its association."""
        try:
            self.inbound.write(self._channel.sock, association, source, payload)
        except (PyssError, OSError) as error:
            association.dropped(error)

    def forget(self, association: Association) -> None:
        """It has ended."""
        self.upstream += association.upstream
        self.downstream += association.downstream
        del self.associations[association.key]
        self.table.remove(association)

    def _begin(self, key: Hashable, client: SocketAddress) -> Association:
        association = Association(self, key, client, self.table.loop.now)
        association.way = self.outbound.way(association)
        self.associations[key] = association
        self.table.admit(association)
        return association
