"""What a relay is to do, as values that never change: everything below `app` is built from these.

A configuration comes from a file (JSON, see `json_text`), from the command line, which comes first, and
from defaults.  All that is wrong with it is found here, before anything is opened: a wrong value raises
ConfigError (UsageError when it stood on the command line), anything doubtful becomes a note, which the
caller logs as a warning.  `config_keys` says what becomes of each key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

from ..address import join_host_port
from ..crypto.backends import BACKENDS
from ..crypto.methods import Family, find_method
from ..errors import ConfigError
from ..limits import LEAST_2022, PACKET_LIMITS, PacketLimits
from ..net.names import NameServer
from ..net.socket_options import NOTHING, SocketOptions
from ..protocol.uri import ServerUri
from . import config_keys, values
from .config_accounts import accounts, read_credentials
from .config_locals import PROXY, Redirect, Tunnel, local_ends, proxies_of
from .config_names import name_servers
from .config_servers import Server, read_servers
from .config_sockets import read_sockets, takes_ipv4
from .json_text import Node
from .settings import BOTH, Mode, ReadFile, Settings, load, read_file

__all__ = ["LocalConfig", "Server", "ServerConfig", "Source", "Timeouts", "read_local", "read_server", "read_uris"]

DEFAULT_FILE = "config.json"
LEAST_MTU = 576  # bytes; RFC 791
PAC_LISTS = ("pac_direct", "pac_proxied")


@dataclass(frozen=True)
class Timeouts:
    """Time limits of a session, in seconds.

    greeting     from accept to a complete request
    dial         for the connection to the target, or to the Shadowsocks server
    idle         of silence while both directions are open; the key `timeout`
    half_closed  of silence after one direction has ended
    """

    greeting: float = 60.0
    dial: float = 10.0
    idle: float = 300.0
    half_closed: float = 60.0


@dataclass(frozen=True)
class LocalConfig:
    """Local proxies, tunnels and redirects.

    listen       addresses of proxies
    servers      Shadowsocks servers to go through, at least one
    credentials  user names and passwords of clients of proxies; empty: nobody is asked
    mode         what proxies relay
    packets      limits of UDP
    mtu          bytes; datagrams that are larger are complained about; 0 for none
    name_servers to ask for names; empty: the system's resolver is asked
    sockets      what is asked of them
    crypto       the backend to use, None for the best of each method
    verbosity    0 as usual, 1 and 2 more, -1 warnings only, -2 errors only
    notes        warnings to log, in order
    pac_direct   name of the file with domains that the PAC file leads past the proxy, None without one
    pac_proxied  the same for those that it leads through it, and then no others
    """

    listen: tuple[tuple[str, int], ...]
    servers: tuple[Server, ...]
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    mode: Mode = BOTH
    tunnels: tuple[Tunnel, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    timeouts: Timeouts = Timeouts()
    packets: PacketLimits = PACKET_LIMITS
    mtu: int = 0
    name_servers: tuple[NameServer, ...] = ()
    sockets: SocketOptions = NOTHING
    prefer_ipv6: bool = False
    crypto: Optional[str] = None
    verbosity: int = 0
    log_file: Optional[str] = None
    notes: tuple[str, ...] = ()
    pac_direct: Optional[str] = None
    pac_proxied: Optional[str] = None


@dataclass(frozen=True)
class ServerConfig:
    """Shadowsocks servers in one process.

    servers       addresses to listen on, with method and password of each
    forbidden_ip  networks that clients cannot reach; None for the built-in table, () for none
    allowed_ip    networks that they can reach nevertheless
    others        as in LocalConfig
    """

    servers: tuple[Server, ...]
    forbidden_ip: Optional[tuple[str, ...]] = None
    allowed_ip: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    packets: PacketLimits = PACKET_LIMITS
    mtu: int = 0
    name_servers: tuple[NameServer, ...] = ()
    sockets: SocketOptions = NOTHING
    prefer_ipv6: bool = False
    crypto: Optional[str] = None
    verbosity: int = 0
    log_file: Optional[str] = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a configuration comes from.

    options  what the command line says, by the names of `config_keys.OPTIONS`
    file     its name; None to look for ./config.json, as the original program does
    """

    options: Mapping[str, Node] = field(default_factory=dict)
    file: Optional[str] = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    read: ReadFile = read_file


def read_local(source: Source, protocol: str = PROXY) -> LocalConfig:
    """`protocol` is that of addresses for which none is given.  Raises ConfigError or UsageError."""
    settings = _settings(source, "local")
    listeners = _listeners(settings)
    ends = local_ends(settings, listeners, protocol)
    listen = ends.proxies
    credentials = read_credentials(settings, proxies_of(settings, listeners, protocol))
    if not credentials:
        for host, port in listen:
            if not _is_loopback(host):
                address = join_host_port(host, port)
                settings.note(f"whoever reaches {address} can use this proxy; --auth or --user-pass asks who it is")
    _note_ipv6_only(settings, ends.addresses())
    servers = tuple(entry.server for entry in read_servers(settings))
    for kind in Mode._fields:
        if ends.want(kind) and not any(getattr(server.mode, kind) for server in servers):
            raise settings.missing(f"no server relays {kind.upper()}", "look at the mode of each")
    common = _common(settings, servers)
    direct, proxied = (None if node is None else values.path(node) for node in map(settings.get, PAC_LISTS))
    return LocalConfig(
        *(listen, servers, credentials, ends.mode, ends.tunnels, ends.redirects, *common),
        pac_direct=direct,
        pac_proxied=proxied,
    )


def read_server(source: Source) -> ServerConfig:
    """Raises ConfigError or UsageError."""
    settings = _settings(source, "server")
    auth = settings.get("auth")
    if auth is not None and isinstance(auth.value, bool):
        accounts(auth)
    servers = tuple(entry.server for entry in read_servers(settings))
    _note_ipv6_only(settings, [(server.host, server.port) for server in servers])
    forbidden, allowed = settings.get("forbidden_ip"), settings.get("allowed_ip")
    return ServerConfig(
        servers,
        None if forbidden is None else values.networks(forbidden),
        () if allowed is None else values.networks(allowed),
        *_common(settings, servers),
    )


def read_uris(source: Source) -> tuple[tuple[ServerUri, ...], tuple[str, ...]]:
    """The servers of a configuration for either end as URIs, and notes.  Raises ConfigError or UsageError."""
    settings = _settings(source, "url")
    uris = []
    for server, plugin, plugin_options in read_servers(settings):
        if server.host in ("0.0.0.0", "::"):
            raise ConfigError(
                f"{server.host} is where a server listens, and nobody can connect to it; "
                "give the name or address that clients use: -s HOST"
            )
        uris.append(
            ServerUri(server.method, server.password, server.host, server.port, plugin, plugin_options, server.tag)
        )
    return tuple(uris), tuple(settings.notes)


def _settings(source: Source, role: str) -> Settings:
    root: Optional[Node] = None
    notes: list[str] = []
    name = source.file or ""
    if source.file is not None:
        root, notes = load(source.file, source.read)
    elif _exists(DEFAULT_FILE, source.read):
        name = f"./{DEFAULT_FILE}"
        root, notes = load(name, source.read)
        notes.insert(0, f"configuration from {name}, as no -c FILE was given")
    return Settings(role, source.options, root, name, notes, source.environ, source.read)


def _exists(name: str, read: ReadFile) -> bool:
    try:
        read(name)
    except FileNotFoundError:
        return False
    except OSError:
        pass  # whoever reads it says why it cannot be read
    return True


class _Common(NamedTuple):
    """The last fields of both configurations, in their order."""

    timeouts: Timeouts
    packets: PacketLimits
    mtu: int
    name_servers: tuple[NameServer, ...]
    sockets: SocketOptions
    prefer_ipv6: bool
    crypto: Optional[str]
    verbosity: int
    log_file: Optional[str]
    notes: tuple[str, ...]


def _common(settings: Settings, servers: Sequence[Server]) -> _Common:
    timeout, prefer_ipv6 = settings.get("timeout"), settings.get("prefer_ipv6")
    mtu, dns = settings.get("mtu"), settings.get("dns")
    crypto, log_file, verbose = settings.get("crypto"), settings.get("log_file"), settings.get("verbose")
    return _Common(
        Timeouts() if timeout is None else Timeouts(idle=values.seconds(timeout)),
        _packets(settings, servers),
        0 if mtu is None or mtu.value in (0, "0") else values.whole(mtu, LEAST_MTU, 65535, "a number of bytes"),
        () if dns is None else name_servers(dns),
        read_sockets(settings),
        prefer_ipv6 is not None and values.flag(prefer_ipv6),
        None if crypto is None else _crypto(crypto),
        0 if verbose is None else values.verbosity(verbose),
        None if log_file is None else values.path(log_file),
        tuple(settings.notes),
    )


def _packets(settings: Settings, servers: Sequence[Server]) -> PacketLimits:
    limits = PACKET_LIMITS
    timeout, most = settings.get("udp_timeout"), settings.get("udp_max_associations")
    if timeout is not None:
        idle = values.seconds(timeout)
        if idle < LEAST_2022 and any(find_method(server.method).family is Family.AEAD_2022 for server in servers):
            settings.note(timeout.says(f"{LEAST_2022:.0f} s is the least that AEAD-2022 allows, and is taken"))
            idle = LEAST_2022
        limits = replace(limits, idle=idle)
    if most is not None:
        limits = replace(limits, associations=values.whole(most, 1, 1_000_000, "a number of associations"))
    return limits


def _crypto(node: Node) -> str:
    name = values.text(node, "the name of a crypto backend").lower()
    if name not in BACKENDS:
        raise node.refusal(f"there is no crypto backend {name[:40]!r}; there are {', '.join(BACKENDS)}")
    return name


# --- the local end ----------------------------------------------------------------------------------
def _listeners(settings: Settings) -> list[dict[str, Node]]:
    """The members of each of `locals` that is not disabled, and those at the top level."""
    listing = settings.file.get("locals")
    found = []
    for item in [] if listing is None else values.items(listing):
        members = values.members(item, 'an address such as {"local_address": ..., "local_port": ...}')
        fields = config_keys.read(members, config_keys.LOCAL, settings.role, settings.notes)
        if "disabled" not in fields or not values.flag(fields["disabled"]):
            found.append(fields)
    if listing is None or not listing.value or "local_port" in settings.file:
        found.append(settings.file)
    if not found:
        raise settings.missing("all locals are disabled", "enable one of them")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _note_ipv6_only(settings: Settings, addresses: Sequence[tuple[str, int]]) -> None:
    known, both = set(addresses), takes_ipv4(settings)
    for host, port in addresses:
        if host == "::" and both and port and ("0.0.0.0", port) in known:
            raise settings.missing(f"[::]:{port} takes IPv4 connections too (ipv6_only)", "list it without 0.0.0.0")
        if host == "::" and not both and ("0.0.0.0", port) not in known:
            settings.note(f"[::]:{port} takes IPv6 connections only; list 0.0.0.0 as well for IPv4")
