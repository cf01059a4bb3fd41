"""From a configuration to services: which inbound meets which outbound.

    proxy      mixed         x  shadowsocks
    tunnel     tunnel        x  shadowsocks
    redirect   transparent   x  shadowsocks
    server     shadowsocks   x  direct

Connections are relayed by a `Service`, datagrams by a `PacketPort` (of a proxy: by one for each client that asks for
it).  All share one loop, one resolver and one table of associations.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Optional, Union

from ..address import Address, join_host_port
from ..crypto import backends
from ..crypto.methods import Family
from ..errors import ConfigError
from ..limits import PACKET_LIMITS, PacketLimits
from ..net.clock import monotonic, wall
from ..net.dialer import Dialer
from ..net.loop import Loop
from ..net.names import Hosts, NameServer
from ..net.resolver import Resolver
from ..net.socket_check import check
from ..net.socket_options import NOTHING, SocketOptions
from ..net.sockets import (
    Socket,
    datagram_socket,
    hosts_file,
    listening_socket,
    new_datagram,
    raise_descriptor_limit,
)
from ..protocol.credentials import Credentials
from ..protocol.keyring import Keyring
from ..protocol.packet import server_packets
from ..protocol.replay import SaltFilter2017, SaltMemory2022
from ..protocol.shadowsocks import SaltMemory
from ..relay import packet_ways, transparent
from ..relay.associate import Associating
from ..relay.datagrams import Associations, MaximumTransmissionUnit, PacketInbound, PacketOutbound, PacketPort
from ..relay.inbounds import Inbound, Mixed, PlainHttpForward, ShadowsocksServed, Tunnel, refuse_association
from ..relay.outbounds import Direct, Outbound, Shadowsocks, ShadowsocksServer
from ..relay.pac import PacServer
from ..relay.packet_inbounds import ServedPackets, TunnelPackets
from ..relay.policy import DestinationPolicy
from ..relay.service import Limits, Service
from . import config_locals
from .config import LocalConfig, Server, ServerConfig, Timeouts
from .journal import report
from .pac_lists import PacLists
from .ports import Options, Ports, open_ports
from .settings import TCP_ONLY, Mode, read_file

if TYPE_CHECKING:
    from ..net.nameclient import NameClient

_LOCAL: Options = ("-b HOST", "-l PORT")
_SERVER: Options = ("-s HOST", "-p PORT")


class Assembly:
    """What one process runs.

    services  that take connections
    ports     that take datagrams
    table     of the associations that these have
    notes     warnings about what the system cannot do

    Every method that opens a port raises ConfigError when it cannot be had.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        prefer_ipv6: bool = False,
        verbosity: int = 0,
        packets: PacketLimits = PACKET_LIMITS,
        name_servers: Sequence[NameServer] = (),
        socket_options: SocketOptions = NOTHING,
    ) -> None:
        self.notes = check(socket_options)
        self.loop = loop
        self.services: list[Service] = []
        self.ports: list[PacketPort] = []
        self.resolver = resolver(loop, name_servers, prefer_ipv6, socket_options)
        self._socket_options = socket_options
        self._new_datagram = partial(new_datagram, options=socket_options)
        self._bind_stream = partial(listening_socket, options=socket_options)
        self._bind_datagrams = partial(datagram_socket, options=socket_options)
        self._verbosity = verbosity
        sockets = raise_descriptor_limit()
        # Associations get a quarter of the descriptors at most; sessions have the others.
        asked, most = packets.associations, max(1, sockets // 4)
        if most < asked != PACKET_LIMITS.associations:
            self.notes.append(f"the system gives {sockets} descriptors: {most} UDP associations at most, not {asked}")
        packets = replace(packets, associations=min(asked, most))
        self._sockets = sockets - packets.associations
        self.table = Associations(loop, report, packets)
        self._backends: dict[str, str] = {}

    @classmethod
    def of(cls, config: Union[LocalConfig, ServerConfig]) -> Assembly:
        """Under a loop of its own, as the configuration has it; no port is open yet.  Raises ConfigError."""
        loop = Loop()
        try:
            return cls(
                loop,
                prefer_ipv6=config.prefer_ipv6,
                verbosity=config.verbosity,
                packets=config.packets,
                name_servers=config.name_servers,
                socket_options=config.sockets,
            )
        except BaseException:
            loop.close()
            raise

    def local(self, config: LocalConfig) -> list[Service]:
        """Proxies, tunnels and redirects; returns what takes connections."""
        before = len(self.services)
        dialer = Dialer(self.loop, self.resolver, None, self._socket_options)
        servers = []
        for server in config.servers:
            keyring = self._keyring(server, config.crypto)
            servers.append((server, ShadowsocksServer(dialer, Address.of(*_bare(server)), keyring, report)))
        way = Shadowsocks([made for server, made in servers if server.mode.tcp])
        through = packet_ways.ThroughServers(
            Shadowsocks([made for server, made in servers if server.mode.udp]),
            self.resolver,
            self._new_datagram,
            self._mtu(config.mtu),
        )
        if config.listen:
            self._proxies(config, way, through)
        for tunnel in config.tunnels:
            self._tunnel(tunnel, way, through, config.timeouts)
        for redirect in config.redirects:
            self._redirect(redirect, way, through, config.timeouts)
        return self.services[before:]

    def server(self, config: ServerConfig) -> list[Service]:
        """A service and a port for each address and key; returns the services."""
        before = len(self.services)
        policy = DestinationPolicy(config.forbidden_ip, config.allowed_ip)
        way = Direct(Dialer(self.loop, self.resolver, policy.check, self._socket_options))
        straight = packet_ways.Direct(self.resolver, policy.check, self._new_datagram)
        for server in config.servers:
            keyring = self._keyring(server, config.crypto)
            ports = self._open(server.host, server.port, server.mode, _SERVER)
            if ports.connections is not None:
                inbound = ShadowsocksServed(keyring, salt_memory(keyring.method.family), monotonic)
                self._listen(self._service("server", inbound, way, config.timeouts), ports.connections)
            if ports.datagrams is not None:
                packets = ServedPackets(server_packets(keyring, SaltFilter2017(), monotonic), self._mtu(config.mtu))
                self._take_packets("server", ports.datagrams, packets, straight)
        return self.services[before:]

    def _proxies(self, config: LocalConfig, way: Outbound, through: PacketOutbound) -> None:
        mode = config.mode
        associate = Associating(self.table, through, self._bind_datagrams) if mode.udp else refuse_association
        forward = plain_http_forward()
        pac = PacServer(PacLists(config.pac_direct, config.pac_proxied, report), bool(config.credentials))
        inbound = Mixed(Credentials(config.credentials), forward, associate, connects=mode.tcp, serve_pac=pac)
        what = "local proxy" if mode.tcp else "local proxy for UDP"
        service = self._service(what, inbound, way, config.timeouts)
        for host, port in config.listen:
            # Each client of UDP gets a port of its own.
            ports = self._open(host, port, TCP_ONLY, _LOCAL)
            assert ports.connections is not None
            self._listen(service, ports.connections)

    def _tunnel(self, tunnel: config_locals.Tunnel, way: Outbound, through: PacketOutbound, timeouts: Timeouts) -> None:
        target = Address.of(*tunnel.target)
        what = f"tunnel to {target}"
        ports = self._open(tunnel.host, tunnel.port, tunnel.mode, _LOCAL)
        if ports.connections is not None:
            self._listen(self._service(what, Tunnel(target), way, timeouts), ports.connections)
        if ports.datagrams is not None:
            self._take_packets(what, ports.datagrams, TunnelPackets(target), through)

    def _redirect(
        self, redirect: config_locals.Redirect, way: Outbound, through: PacketOutbound, timeouts: Timeouts
    ) -> None:
        problem = transparent.available()
        if problem is not None:
            raise ConfigError(problem)
        options = self._socket_options
        listening = partial(transparent.transparent_listener, options=options) if redirect.tproxy else self._bind_stream
        datagrams = partial(transparent.transparent_datagrams, options=options)
        tcp, udp = redirect.mode
        ports = open_ports(redirect.host, redirect.port, listening if tcp else None, datagrams if udp else None, _LOCAL)
        if ports.connections is not None:
            inbound = transparent.Intercepted() if redirect.tproxy else transparent.Redirected()
            what = "redirect by TPROXY" if redirect.tproxy else "redirect"
            self._listen(self._service(what, inbound, way, timeouts), ports.connections)
        if ports.datagrams is not None:
            packets = transparent.InterceptedPackets(ports.datagrams.getsockname()[1])
            self._take_packets("redirect by TPROXY", ports.datagrams, packets, through)

    def backends(self) -> str:
        """Names of the crypto backends in use, "" for none."""
        return ", ".join(self._backends)

    def slow_algorithm(self) -> Optional[str]:
        """What is done in pure Python, if anything is."""
        return self._backends.get("pure")

    def close(self) -> None:
        """End all: sessions at once."""
        for service in self.services:
            service.shut_down()
        for port in self.ports:
            port.close()
        self.table.close()
        self.resolver.close()
        self.loop.close()

    def _service(self, what: str, inbound: Inbound, outbound: Outbound, timeouts: Timeouts) -> Service:
        limits = Limits(timeouts.greeting, timeouts.dial, timeouts.idle, timeouts.half_closed)
        service = Service(
            self.loop,
            inbound,
            outbound,
            report,
            limits,
            name=what,
            verbose=self._verbosity > 0,
            quiet=self._verbosity < 0,
            sockets=self._sockets,
        )
        self.services.append(service)
        return service

    def _keyring(self, server: Server, crypto: Optional[str]) -> Keyring:
        keyring = Keyring.of(server.method, server.password, wall, crypto)
        if keyring.backend:
            self._backends.setdefault(keyring.backend, keyring.method.algorithm)
        return keyring

    def _mtu(self, mtu: int) -> Optional[MaximumTransmissionUnit]:
        return MaximumTransmissionUnit(mtu, self.table) if mtu else None

    def _open(self, host: str, port: int, mode: Mode, options: Options) -> Ports:
        return open_ports(
            host, port, self._bind_stream if mode.tcp else None, self._bind_datagrams if mode.udp else None, options
        )

    def _listen(self, service: Service, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        service.listen(host, port, lambda *_: sock)

    def _take_packets(self, what: str, sock: Socket, inbound: PacketInbound, outbound: PacketOutbound) -> None:
        self.ports.append(PacketPort(self.table, sock, inbound, outbound, what, self._connecting))

    def _connecting(self, target: Address, client: str) -> None:
        if self._verbosity > 0:
            report("debug", f"connecting {target} from {client}")


def resolver(
    loop: Loop, name_servers: Sequence[NameServer], prefer_ipv6: bool, options: SocketOptions = NOTHING
) -> Union[Resolver, NameClient]:
    """The system's, or one that asks servers of the user's choice.  Raises ConfigError."""
    if not name_servers:
        return Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic, prefer_ipv6=prefer_ipv6)
    try:
        from ..net.nameclient import NameClient
    except ImportError:
        raise ConfigError("to ask name servers needs the package dnspython: pip install dnspython") from None
    hosts = Hosts(hosts_file(), read_file)
    return NameClient(loop, name_servers, hosts=hosts, prefer_ipv6=prefer_ipv6, options=options, report=report)


def salt_memory(family: Family) -> SaltMemory:
    """The replay memory of one key."""
    return SaltMemory2022() if family is Family.AEAD_2022 else SaltFilter2017()


def plain_http_forward() -> Optional[PlainHttpForward]:
    """What forwards plain HTTP, or None where the package h11 is missing."""
    try:
        from ..relay.http_forward import forward
    except ImportError:
        return None
    return forward


def announce(assembly: Assembly, notes: Sequence[str]) -> None:
    """The first lines of the log."""
    for text in (*notes, *assembly.notes, *backends.faults()):
        report("warning", text)
    crypto = assembly.backends()
    by = f", crypto by {crypto}" if crypto else ""
    for service in assembly.services:
        for listener in service.listeners:
            report("info", f"{service.name} on {join_host_port(*listener.address[:2])}{by}")
    for port in assembly.ports:
        report("info", f"{port.name} on {join_host_port(*port.address[:2])} (UDP){by}")
    slow = assembly.slow_algorithm()
    if slow is not None:
        from .ciphers import megabytes_per_second

        report(
            "info",
            f"crypto in pure Python: {slow} carries about {megabytes_per_second(slow, 'pure'):.0f} MB/s on this "
            "machine; pip install cryptography makes that many times as much",
        )


def _bare(server: Server) -> tuple[str, int]:
    return server.host, server.port
