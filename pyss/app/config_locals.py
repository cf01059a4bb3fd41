"""The local ends that a configuration names: proxies, tunnels and redirects, each with its addresses.

    "local_address" + "local_port" + ...    one end; the address may be a list
    "locals"                                a list of objects, each an end with a protocol of its own

An end that names no protocol has that of the command: `pyss tunnel` makes it a tunnel.  A tunnel's target is written
in one of four ways, as the programs do that people come from; the first one counts:

    -L HOST:PORT
    "tunnel_address": "HOST:PORT"
    "forward_address" + "forward_port"
    "tunnel_remote" + "tunnel_remote_port"      with "tunnel_port" in place of "local_port"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Optional, Union

from ..address import join_host_port
from . import values
from .json_text import Node
from .settings import BOTH, TCP_ONLY, Mode, Settings, mode_of

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 1080
DEFAULT_TARGET_PORT = 53  # behind `tunnel_remote`

PROXY, TUNNEL, REDIRECT = "mixed", "tunnel", "redir"
_PROXIES = ("socks", "socks4", "socks5", "http", PROXY)
_NOT_SERVED = ("dns", "fake-dns", "tun", "online-config")
_REDIRECT, _TPROXY = "redirect", "tproxy"

_REPLACED = ("local_address", "local_port", "protocol", "mode", "tunnel_target", "tcp_redir", "udp_redir")


@dataclass(frozen=True)
class Tunnel:
    """An address whose clients all reach one target."""

    host: str
    port: int
    target: tuple[str, int]
    mode: Mode = BOTH


@dataclass(frozen=True)
class Redirect:
    """An address that the system sends connections to which were meant for others.

    tproxy  whether TCP comes by TPROXY; else by REDIRECT.  UDP always comes by TPROXY.
    """

    host: str
    port: int
    mode: Mode = TCP_ONLY
    tproxy: bool = False


@dataclass(frozen=True)
class _Proxy:
    """Clients of SOCKS get a UDP port of their own when they ask for it, so a proxy listens for TCP alone."""

    host: str
    port: int
    mode: Mode


_End = Union[_Proxy, Tunnel, Redirect]


class LocalEnds(NamedTuple):
    """mode  of the proxies"""

    proxies: tuple[tuple[str, int], ...]
    mode: Mode
    tunnels: tuple[Tunnel, ...]
    redirects: tuple[Redirect, ...]

    def want(self, kind: str) -> bool:
        """Whether any of them relays this kind: "tcp" or "udp"."""
        modes = [end.mode for end in self.tunnels] + [end.mode for end in self.redirects]
        return any(getattr(mode, kind) for mode in ([self.mode] if self.proxies else []) + modes)

    def addresses(self) -> list[tuple[str, int]]:
        tunnels = [(end.host, end.port) for end in self.tunnels]
        return [*self.proxies, *tunnels, *((end.host, end.port) for end in self.redirects)]


def local_ends(settings: Settings, listeners: list[dict[str, Node]], protocol: str) -> LocalEnds:
    """All ends, at least one.  `protocol` is that of ends for which none is given.  Raises ConfigError, UsageError."""
    found: list[_End] = []
    for listener in listeners:
        fields = settings.with_options(listener, _REPLACED)
        kind = _kind(fields.get("protocol"), protocol)
        _check_udp_address(settings, fields, kind)
        for host, port in _addresses(settings, fields, kind):
            end = _end(settings, fields, kind, host, port)
            if not port or end not in found:
                found.append(end)
    if not found:
        raise settings.missing("no address to listen on", "local_address is an empty list")
    proxies = [end for end in found if isinstance(end, _Proxy)]
    modes = {end.mode for end in proxies}
    if len(modes) > 1:
        raise settings.missing("the proxies in locals have different modes", "give all the same, or run two processes")
    _check_distinct(settings, found)
    ends = LocalEnds(
        tuple((end.host, end.port) for end in proxies),
        modes.pop() if modes else settings.mode,
        tuple(end for end in found if isinstance(end, Tunnel)),
        tuple(end for end in found if isinstance(end, Redirect)),
    )
    _check_options(settings, ends)
    return ends


def proxies_of(settings: Settings, listeners: list[dict[str, Node]], protocol: str) -> list[dict[str, Node]]:
    """Those that are proxies."""
    given = settings.options.get("protocol")
    return [fields for fields in listeners if _kind(given or fields.get("protocol"), protocol) == PROXY]


def _end(settings: Settings, fields: Mapping[str, Node], kind: str, host: str, port: int) -> _End:
    if kind == PROXY:
        return _Proxy(host, port, mode_of(fields.get("mode"), settings.mode))
    if kind == TUNNEL:
        return Tunnel(host, port, _target(settings, fields), mode_of(fields.get("mode"), settings.mode))
    return _redirect(settings, fields, host, port)


def _kind(node: Optional[Node], default: str) -> str:
    """Every proxy's address serves SOCKS and HTTP; asking for one of them is fine."""
    if node is None:
        return default
    protocol = values.one_of(node, *_PROXIES, TUNNEL, REDIRECT, *_NOT_SERVED)
    if protocol in _NOT_SERVED:
        raise node.refusal("this protocol is not available; socks, http, mixed, tunnel and redir are")
    return PROXY if protocol in _PROXIES else protocol


def _addresses(settings: Settings, fields: Mapping[str, Node], kind: str) -> list[tuple[str, int]]:
    host_node, port_node = fields.get("local_address"), fields.get("local_port")
    if kind == TUNNEL and "tunnel_port" in fields and "local_port" not in settings.options:
        port_node = fields["tunnel_port"]
    port = DEFAULT_PORT if port_node is None else values.port(port_node, 0)
    found = []
    for item in [None] if host_node is None else values.items(host_node):
        host, own = (DEFAULT_HOST, None) if item is None else values.host_port(item)
        found.append((host, port if own is None else own))
    return found


# --- tunnels -----------------------------------------------------------------------------------------
def _target(settings: Settings, fields: Mapping[str, Node]) -> tuple[str, int]:
    """Of a tunnel."""
    for name, port_name, default in (
        ("tunnel_target", "", 0),
        ("tunnel_address", "", 0),
        ("forward_address", "forward_port", 0),
        ("tunnel_remote", "tunnel_remote_port", DEFAULT_TARGET_PORT),
    ):
        if name in fields:
            return _host_and_port(fields[name], fields.get(port_name), default)
    remedy = 'give -L HOST:PORT, or write "tunnel_address": "HOST:PORT" into the configuration file'
    raise settings.missing("a tunnel leads nowhere", remedy)


def _host_and_port(node: Node, port_node: Optional[Node], default: int) -> tuple[str, int]:
    """A port behind the host comes first."""
    host, port = values.host_port(node)
    if port is None:
        port = default if port_node is None else values.port(port_node)
    if not port:
        raise node.wrong("where the tunnel leads to, with a port: HOST:PORT")
    if "%" in host:
        raise node.error("the zone behind % means something on this machine only, and the server connects to this")
    return host, port


# --- redirects ---------------------------------------------------------------------------------------
def _redirect(settings: Settings, fields: Mapping[str, Node], host: str, port: int) -> Redirect:
    udp = fields.get("udp_redir")
    if udp is not None and values.one_of(udp, _REDIRECT, _TPROXY) == _REDIRECT:
        raise udp.refusal("the system does not tell where a redirected datagram was going; UDP comes by tproxy")
    # TPROXY wants rights that not everybody has, so UDP is for those who ask for it.
    default = TCP_ONLY if udp is None else BOTH
    return Redirect(
        host, port, mode_of(fields.get("mode") or settings.get("mode"), default), _by_tproxy(settings, fields)
    )


def _by_tproxy(settings: Settings, fields: Mapping[str, Node]) -> bool:
    """Whether connections come by TPROXY."""
    if "tcp_tproxy" in settings.options:
        return values.flag(settings.options["tcp_tproxy"])
    way, tproxy = fields.get("tcp_redir"), settings.get("tcp_tproxy")
    if way is not None:
        return values.one_of(way, _REDIRECT, _TPROXY) == _TPROXY
    return tproxy is not None and values.flag(tproxy)


# --- what does not go together -----------------------------------------------------------------------
def _check_udp_address(settings: Settings, fields: Mapping[str, Node], kind: str) -> None:
    for node in (fields.get("local_udp_address"), fields.get("local_udp_port")):
        if node is not None and node.value:
            if kind != PROXY:
                raise node.refusal("datagrams are taken where connections are; make it two locals with a mode each")
            settings.note(node.says("clients that ask for UDP get a port of their own; ignored"))


def _check_distinct(settings: Settings, ends: list[_End]) -> None:
    """Two that listen on one address would be one too many."""
    taken: set[tuple[str, int, str]] = set()
    for end in ends:
        kinds = ["tcp"] if isinstance(end, _Proxy) else [kind for kind in Mode._fields if getattr(end.mode, kind)]
        for where in [(end.host, end.port, kind) for kind in kinds if end.port]:
            if where in taken:
                address = join_host_port(end.host, end.port)
                raise settings.missing(f"two locals listen on {address}", "give each a port of its own")
            taken.add(where)


def _check_options(settings: Settings, ends: LocalEnds) -> None:
    """Who asks for a tunnel must not get a proxy."""
    for name, what, found in (
        ("tunnel_target", TUNNEL, bool(ends.tunnels)),
        ("tcp_tproxy", REDIRECT, bool(ends.redirects)),
        ("tcp_redir", REDIRECT, bool(ends.redirects)),
        ("udp_redir", REDIRECT, bool(ends.redirects)),
    ):
        if name in settings.options and not found:
            raise settings.options[name].error(f"is for pyss {what}, or a local with the protocol {what}")
