"""The Shadowsocks servers that a configuration names, whichever way it names them.

    "server" + "server_port" + "password"   hosts and ports may be lists: every host with every port
    "server" + "port_password"              {"8381": "password", ...}
    "servers"                               a list of objects, each in one of the above forms

`port_password` wins over the first form; `servers` adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

from ..address import join_host_port
from ..crypto.keys import decode_psk
from ..crypto.methods import BEST_METHOD, DEFAULT_METHOD, Family, Method, Status, find_method
from ..errors import ConfigError
from . import config_keys, values
from .json_text import Node
from .settings import BOTH, PASSWORD_VARIABLE, Mode, Settings, mode_of

DEFAULT_PORT = 8388

# Members of one server that the command line can replace in every entry.
_REPLACED = ("server", "server_port", "method", "password", "tag", "plugin", "plugin_opts")
_INHERITED = ("method", "password")
_OWN = (*_REPLACED, "port_password")


@dataclass(frozen=True)
class Server:
    """A Shadowsocks server: one to connect to, or an address to be one at.

    method  canonical name
    tag     what people call it; "" for nothing
    mode    what it relays
    """

    host: str
    port: int
    method: str
    password: str = field(repr=False)
    tag: str = ""
    mode: Mode = BOTH


class Entry(NamedTuple):
    """A server, and the plugin in front of it."""

    server: Server
    plugin: str
    plugin_options: str


def read_servers(settings: Settings) -> tuple[Entry, ...]:
    """All servers, at least one, each once.  Raises ConfigError or UsageError."""
    listing = settings.file.get("servers")
    listed = [] if listing is None else values.items(listing)
    found: list[Entry] = []
    for item in listed:
        fields = _listed(settings, item)
        if fields is not None:
            found += _expand(settings, fields)
    alone = ("server",) if settings.role == "local" else ("server", "server_port", "port_password")
    if not listed or any(name in settings.file for name in alone):
        fields = {name: settings.file[name] for name in _OWN if name in settings.file}
        found += _expand(settings, settings.with_options(fields, _REPLACED))
    if not found:
        raise settings.missing("all servers are disabled", "enable one of them")
    return _distinct(settings, found)


def _listed(settings: Settings, item: Node) -> Optional[dict[str, Node]]:
    """The members of an entry of `servers`, or None when it is disabled."""
    members = values.members(item, 'a server such as {"server": ..., "server_port": ..., "password": ...}')
    if "disabled" in members and members["disabled"].value is not None and values.flag(members["disabled"]):
        return None
    fields = config_keys.read(members, config_keys.SERVER, settings.role, settings.notes)
    timeout = fields.get("timeout")
    if timeout is not None:
        common = settings.get("timeout")
        if common is None or values.seconds(timeout) != values.seconds(common):
            settings.note(timeout.says("one time limit serves all servers: the timeout at the top level; ignored"))
    for name in _INHERITED:
        if name in settings.file:
            fields.setdefault(name, settings.file[name])
    replaced = _REPLACED if settings.role == "local" else (*_REPLACED, "mode")
    return settings.with_options(fields, replaced)


def _expand(settings: Settings, fields: Mapping[str, Node]) -> list[Entry]:
    """Every host with every port."""
    method = _method(settings, fields.get("method"))
    tag = fields.get("tag")
    name = tag.value if tag is not None and isinstance(tag.value, str) else ""
    plugin, options = (
        values.text(fields[key]) if key in fields and fields[key].value else "" for key in ("plugin", "plugin_opts")
    )
    # A client's own mode says what it listens for, and its server may do more.
    mode = mode_of(fields.get("mode"), settings.mode if settings.role == "server" else BOTH)
    entries = []
    for host, own in _hosts(settings, fields.get("server")):
        for port, secret in _ports(settings, fields, own):
            password = _password(settings, secret, method)
            entries.append(Entry(Server(host, port, method.name, password, name, mode), plugin, options))
    return entries


def _hosts(settings: Settings, node: Optional[Node]) -> list[tuple[str, Optional[int]]]:
    """Hosts, with the port where one stands behind the host."""
    if node is None:
        if settings.role == "server":
            return [("0.0.0.0", None)]
        remedy = 'give -s HOST, or write "server" into the configuration file'
        raise settings.missing("no server to connect to", remedy)
    hosts = []
    for item in values.items(node):
        host, port = values.host_port(item)
        if port == 0 and settings.role != "server":
            raise item.wrong("a port from 1 to 65535 behind the host")
        hosts.append((host, port))
    if not hosts:
        raise node.wrong("a host, or a list with one host at least")
    return hosts


def _ports(settings: Settings, fields: Mapping[str, Node], own: Optional[int]) -> list[tuple[int, Optional[Node]]]:
    """Ports of one host, each with where its password stands."""
    low = 0 if settings.role == "server" else 1
    table = fields.get("port_password")
    # What is said on the command line about port or password replaces the table.
    if table is not None and table.value and ("server_port" in settings.options or "password" in settings.options):
        settings.note(table.says("set aside: the command line names a port or a password"))
        table = None
    if table is not None and table.value:
        members = values.members(table, 'an object such as {"8381": "password"}')
        found = [(values.port(Node(key, node.path, node.where), low), node) for key, node in members.items()]
        chosen = [(port, node) for port, node in found if own in (None, port)]
        if not chosen:
            raise table.error(f"holds no password for port {own}, which stands behind the host")
        if "server_port" in fields or "password" in fields:
            settings.note(table.says("wins over server_port and password"))
        return list(chosen)
    password = fields.get("password")
    if own is not None:
        return [(own, password)]
    node = fields.get("server_port")
    if node is None:
        return [(DEFAULT_PORT, password)]
    ports = [values.port(item, low) for item in values.items(node)]
    if not ports:
        raise node.wrong("a port, or a list with one port at least")
    return [(port, password) for port in ports]


def _method(settings: Settings, node: Optional[Node]) -> Method:
    if node is None:
        settings.note(f"no method given: {DEFAULT_METHOD} it is; both ends must use the same")
        return find_method(DEFAULT_METHOD)
    name = values.text(node, "the name of a method")
    try:
        method = find_method(name)
    except ConfigError as error:
        raise node.refusal(str(error)) from None
    if method.family is Family.NONE:
        settings.note(node.says("this method neither encrypts nor authenticates: anybody can read along and connect"))
    elif method.status is Status.INSECURE:
        settings.note(
            node.says(f"{method.name} does not protect what it carries from being changed, and is easy to detect; "
            f"use {DEFAULT_METHOD} or {BEST_METHOD} at both ends")
        )
    return method


def _password(settings: Settings, node: Optional[Node], method: Method) -> str:
    if node is None:
        node = settings.password()
    if method.family is Family.NONE and (node is None or not node.value):
        return ""
    if node is None:
        remedy = f'set {PASSWORD_VARIABLE}, write "password" into the configuration file, or give -k PASSWORD'
        raise settings.missing("no password", remedy)
    password = values.password(node, settings.environ)
    if method.family is Family.AEAD_2022:
        try:
            decode_psk(password, method)
        except ConfigError as error:
            raise node.refusal(str(error)) from None
    return password


def _distinct(settings: Settings, entries: list[Entry]) -> tuple[Entry, ...]:
    """Each server once, with all that it relays.  Two that listen on one address would be one too many."""
    seen: dict[object, Entry] = {}
    for entry in entries:
        server = entry.server
        if not server.port:  # any free one, however often
            seen[len(seen)] = entry
            continue
        what = (server.host, server.port, server.method, server.password, entry.plugin, entry.plugin_options)
        other = seen.setdefault(what, entry).server
        both = Mode(server.mode.tcp or other.mode.tcp, server.mode.udp or other.mode.udp)
        seen[what] = seen[what]._replace(server=replace(other, mode=both))
    if settings.role == "server":
        _check_addresses(settings, [entry.server for entry in seen.values()])
    return tuple(seen.values())


def _check_addresses(settings: Settings, servers: list[Server]) -> None:
    """One may relay TCP and another UDP."""
    taken = set()
    for server in servers:
        kinds = [kind for kind in Mode._fields if getattr(server.mode, kind)]
        for where in [(server.host, server.port, kind) for kind in kinds if server.port]:
            if where in taken:
                address = join_host_port(server.host, server.port)
                problem = f"two servers with different methods or passwords listen on {address}"
                raise settings.missing(problem, "give each a port of its own")
            taken.add(where)
