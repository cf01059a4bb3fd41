"""What a relay is to do, as values that never change: everything below `app` is built from these.

A configuration comes from a file (JSON, see `json_text`), from the command line, which comes first, and
from defaults.  All that is wrong with it is found here, before anything is opened: a wrong value raises
ConfigError (UsageError when it stood on the command line), anything doubtful becomes a note, which the
caller logs as a warning.  `config_keys` says what becomes of each key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from ..address import join_host_port
from ..crypto.backends import BACKENDS
from ..errors import ConfigError
from ..protocol.uri import ServerUri
from . import config_keys, values
from .config_servers import Server, read_servers
from .json_text import Node
from .settings import ReadFile, Settings, load, read_file

__all__ = ["LocalConfig", "Server", "ServerConfig", "Source", "Timeouts", "read_local", "read_server", "read_uris"]

DEFAULT_FILE = "config.json"
DEFAULT_LOCAL_HOST = "127.0.0.1"
DEFAULT_LOCAL_PORT = 1080

_SERVED = ("socks", "socks5", "http", "mixed")
_NOT_SERVED = ("tunnel", "redir", "dns", "fake-dns", "tun", "online-config")


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
    """A local proxy.

    listen       addresses to accept clients on
    servers      Shadowsocks servers to go through, at least one
    credentials  user names and passwords of clients; empty: nobody is asked
    crypto       the backend to use, None for the best of each method
    verbosity    0 as usual, 1 and 2 more, -1 warnings only, -2 errors only
    notes        warnings to log, in order
    """

    listen: tuple[tuple[str, int], ...]
    servers: tuple[Server, ...]
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeouts: Timeouts = Timeouts()
    prefer_ipv6: bool = False
    crypto: Optional[str] = None
    verbosity: int = 0
    log_file: Optional[str] = None
    notes: tuple[str, ...] = ()


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


def read_local(source: Source) -> LocalConfig:
    """Raises ConfigError or UsageError."""
    settings = _settings(source, "local")
    listeners = _listeners(settings)
    listen = _listen(settings, listeners)
    credentials = _credentials(settings, listeners)
    if not credentials:
        for host, port in listen:
            if not _is_loopback(host):
                address = join_host_port(host, port)
                settings.note(f"whoever reaches {address} can use this proxy; --auth or --user-pass asks who it is")
    _note_ipv6_only(settings, listen)
    servers = tuple(entry.server for entry in read_servers(settings))
    return LocalConfig(listen, servers, credentials, *_common(settings))


def read_server(source: Source) -> ServerConfig:
    """Raises ConfigError or UsageError."""
    settings = _settings(source, "server")
    auth = settings.get("auth")
    if auth is not None and isinstance(auth.value, bool):
        _accounts(auth)
    servers = tuple(entry.server for entry in read_servers(settings))
    _note_ipv6_only(settings, [(server.host, server.port) for server in servers])
    forbidden, allowed = settings.get("forbidden_ip"), settings.get("allowed_ip")
    return ServerConfig(
        servers,
        None if forbidden is None else values.networks(forbidden),
        () if allowed is None else values.networks(allowed),
        *_common(settings),
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
    prefer_ipv6: bool
    crypto: Optional[str]
    verbosity: int
    log_file: Optional[str]
    notes: tuple[str, ...]


def _common(settings: Settings) -> _Common:
    timeout, prefer_ipv6 = settings.get("timeout"), settings.get("prefer_ipv6")
    crypto, log_file, verbose = settings.get("crypto"), settings.get("log_file"), settings.get("verbose")
    return _Common(
        Timeouts() if timeout is None else Timeouts(idle=values.seconds(timeout)),
        prefer_ipv6 is not None and values.flag(prefer_ipv6),
        None if crypto is None else _crypto(crypto),
        0 if verbose is None else values.verbosity(verbose),
        None if log_file is None else values.path(log_file),
        tuple(settings.notes),
    )


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


def _listen(settings: Settings, listeners: list[dict[str, Node]]) -> tuple[tuple[str, int], ...]:
    addresses: dict[tuple[str, int], None] = {}
    for listener in listeners:
        fields = settings.with_options(listener, ("local_address", "local_port", "protocol", "mode"))
        settings.check_mode(fields.get("mode"))
        _check_protocol(fields.get("protocol"))
        host_node, port_node = fields.get("local_address"), fields.get("local_port")
        port = DEFAULT_LOCAL_PORT if port_node is None else values.port(port_node, 0)
        for item in [None] if host_node is None else values.items(host_node):
            host, own = (DEFAULT_LOCAL_HOST, None) if item is None else values.host_port(item)
            addresses[host, port if own is None else own] = None
    if not addresses:
        raise settings.missing("no address to listen on", "local_address is an empty list")
    return tuple(addresses)


def _check_protocol(node: Optional[Node]) -> None:
    """Every listening address serves SOCKS and HTTP; asking for one of them is fine."""
    if node is None or values.one_of(node, *_SERVED, *_NOT_SERVED) in _SERVED:
        return
    raise node.refusal("this protocol is not available yet; socks, http and mixed are")


def _credentials(settings: Settings, listeners: list[dict[str, Node]]) -> tuple[tuple[str, str], ...]:
    options = settings.options
    if "auth_file" in options or "user_pass" in options:
        given = () if "auth_file" not in options else _accounts_of_file(settings, options["auth_file"])
        for item in values.items(options["user_pass"]) if "user_pass" in options else ():
            given += values.name_and_password(item)
        return given
    auth = settings.file.get("auth")
    found = () if auth is None else _accounts(auth)
    files = [_auth_files(fields) for fields in listeners]
    if any(each.keys() != files[0].keys() for each in files):
        raise ConfigError("one list of accounts serves all locals: name the same file in each, or use the key auth")
    for node in {**_auth_files(settings.file), **files[0]}.values():
        found += _accounts_of_file(settings, node)
    return found


def _auth_files(fields: Mapping[str, Node]) -> dict[str, Node]:
    nodes = (fields.get("socks5_auth_config_path"), fields.get("http_auth_config_path"))
    return {values.path(node): node for node in nodes if node is not None}


def _accounts_of_file(settings: Settings, node: Node) -> tuple[tuple[str, str], ...]:
    root, notes = load(values.path(node), settings.read)
    for text in notes:
        settings.note(text)
    return values.accounts(root)


def _accounts(node: Node) -> tuple[tuple[str, str], ...]:
    """The key `auth`: a list of accounts here, a switch in shadowsocks-libev."""
    if isinstance(node.value, bool):
        if node.value:
            raise node.refusal(config_keys.ONE_TIME_AUTH)
        return ()
    return values.accounts(node)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _note_ipv6_only(settings: Settings, addresses: Sequence[tuple[str, int]]) -> None:
    known = set(addresses)
    for host, port in addresses:
        if host == "::" and ("0.0.0.0", port) not in known:
            settings.note(f"[::]:{port} takes IPv6 connections only; list 0.0.0.0 as well for IPv4")
