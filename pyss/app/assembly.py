"""From a configuration to services: which inbound meets which outbound.

    local    mixed        x  shadowsocks
    server   shadowsocks  x  direct
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ..address import Address, join_host_port
from ..crypto import backends
from ..crypto.methods import Family
from ..errors import ConfigError
from ..net.clock import monotonic, wall
from ..net.dialer import Dialer
from ..net.loop import Loop
from ..net.resolver import Resolver
from ..net.sockets import raise_descriptor_limit
from ..protocol.credentials import Credentials
from ..protocol.keyring import Keyring
from ..protocol.replay import SaltFilter2017, SaltMemory2022
from ..protocol.shadowsocks import SaltMemory
from ..relay.inbounds import Inbound, Mixed, PlainHttpForward, ShadowsocksServed
from ..relay.outbounds import Direct, Outbound, Shadowsocks, ShadowsocksServer
from ..relay.policy import DestinationPolicy
from ..relay.service import Limits, Service
from .config import LocalConfig, Server, ServerConfig, Timeouts
from .journal import report


class Assembly:
    """What one process runs: services under one loop, with one resolver.

    Every method that opens a port raises ConfigError when it cannot be had.
    """

    def __init__(self, loop: Loop, *, prefer_ipv6: bool = False, verbosity: int = 0) -> None:
        self.loop = loop
        self.services: list[Service] = []
        self.resolver = Resolver(
            loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic, prefer_ipv6=prefer_ipv6
        )
        self._verbosity = verbosity
        self._sockets = raise_descriptor_limit()
        self._backends: dict[str, str] = {}

    def local(self, config: LocalConfig) -> Service:
        """A local proxy that listens where the configuration says."""
        dialer = Dialer(self.loop, self.resolver)
        servers = [
            ShadowsocksServer(dialer, Address.of(*_bare(server)), self._keyring(server, config.crypto), report)
            for server in config.servers
        ]
        service = self._service(
            Mixed(Credentials(config.credentials), plain_http_forward()), Shadowsocks(servers), config.timeouts
        )
        for host, port in config.listen:
            self._listen(service, host, port, ("-b HOST", "-l PORT"))
        return service

    def server(self, config: ServerConfig) -> list[Service]:
        """One service for each address and key."""
        policy = DestinationPolicy(config.forbidden_ip, config.allowed_ip)
        dialer = Dialer(self.loop, self.resolver, policy.check)
        services = []
        for server in config.servers:
            keyring = self._keyring(server, config.crypto)
            inbound = ShadowsocksServed(keyring, salt_memory(keyring.method.family), monotonic)
            service = self._service(inbound, Direct(dialer), config.timeouts)
            self._listen(service, server.host, server.port, ("-s HOST", "-p PORT"))
            services.append(service)
        return services

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
        self.resolver.close()
        self.loop.close()

    def _service(self, inbound: Inbound, outbound: Outbound, timeouts: Timeouts) -> Service:
        limits = Limits(timeouts.greeting, timeouts.dial, timeouts.idle, timeouts.half_closed)
        service = Service(
            self.loop,
            inbound,
            outbound,
            report,
            limits,
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

    def _listen(self, service: Service, host: str, port: int, options: tuple[str, str]) -> None:
        try:
            service.listen(host, port)
        except OSError as error:
            reason, name = error.strerror or str(error), _name_of(error.errno)
        except UnicodeError:  # a label of more than 63 characters
            reason, name = "this is not a host name", ""
        else:
            return
        remedy = _remedy(name, port, *options)
        problem = f"cannot listen on {join_host_port(host, port)}: {reason}"
        raise ConfigError(f"{problem}; {remedy}" if remedy else problem)


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
    for text in (*notes, *backends.faults()):
        report("warning", text)
    crypto = assembly.backends()
    for service in assembly.services:
        what = "server" if isinstance(service.inbound, ShadowsocksServed) else "local proxy"
        for listener in service.listeners:
            where = join_host_port(*listener.address[:2])
            report("info", f"{what} on {where}" + (f", crypto by {crypto}" if crypto else ""))
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


def _remedy(name: str, port: int, host_option: str, port_option: str) -> str:
    """What to do about the error `name` when a port is opened; a resolver's errors have none (and are "")."""
    if name == "EADDRINUSE":
        return f"another program has this port; end it, or choose another one ({port_option})"
    if name == "EACCES" and port < 1024:
        return f"ports below 1024 want more rights; choose another one ({port_option})"
    if name == "EACCES":
        return f"the system keeps this port for something else; choose another one ({port_option})"
    if name in ("EADDRNOTAVAIL", "EAFNOSUPPORT", ""):
        return f"give an address that this machine has ({host_option}), or 0.0.0.0 for all that it has"
    return ""


def _name_of(number: Optional[int]) -> str:
    import errno

    name = errno.errorcode.get(number or 0, "")
    return name[3:] if name.startswith("WSA") else name
