"""From what a configuration or an option says to values of the right type.

Each function takes a node and returns a value, or raises the node's own complaint: what was expected,
what came, and where.  Secrets are never quoted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Optional

from ..address import Address, split_host_port
from ..errors import BadAddress
from .json_text import Node

MAX_SECONDS = 7 * 86400
MAX_HOST = 300  # characters; a name has 253, and a port may follow
MAX_CREDENTIAL = 255  # bytes; RFC 1929 section 2

# Brackets around the whole host or nowhere, and no colon that promises a port and brings none.
_HOST_PORT = re.compile(r"(\[[^]\[]*]|[^]\[:]*)(:[0-9]+)?|[^]\[:]*:[^]\[]*:[^]\[]*")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def text(node: Node, expected: str = "a text in double quotes") -> str:
    """Any text but an empty one."""
    if not isinstance(node.value, str) or not node.value:
        raise node.wrong(expected)
    return node.value


def flag(node: Node) -> bool:
    """true or false; 1 and 0 are taken too."""
    if isinstance(node.value, bool) or node.value in (0, 1):
        return bool(node.value)
    raise node.wrong("true or false")


def verbosity(node: Node) -> int:
    """true, false, or how much to log, of which -2 to 2 make a difference."""
    if not isinstance(node.value, int):  # true and false are 1 and 0
        raise node.wrong("true, false or a whole number")
    return max(-2, min(2, int(node.value)))


def path(node: Node) -> str:
    """The name of a file."""
    name = text(node, "a file name in double quotes")
    if "\0" in name:
        raise node.wrong("a file name")
    return name


def whole(node: Node, low: int, high: int, expected: str) -> int:
    """A whole number from low to high, written as a number or as a text."""
    value = node.value
    digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    if digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)  # type: ignore[arg-type]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise node.wrong(f"{expected} ({low} to {high})")
    return value


def port(node: Node, low: int = 1) -> int:
    """A port number.  `low` is 0 where the system may choose one."""
    return whole(node, low, 65535, "a port")


def seconds(node: Node) -> float:
    """A time limit: more than zero, at most a week."""
    value = node.value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise node.wrong("a number of seconds") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise node.wrong("a number of seconds")
    if not 0 < value <= MAX_SECONDS:
        raise node.wrong(f"a number of seconds, more than 0 and at most {MAX_SECONDS}")
    return float(value)


def one_of(node: Node, *choices: str) -> str:
    """One of a few words, in any case."""
    value = node.value.lower() if isinstance(node.value, str) else None
    if value not in choices:
        raise node.wrong("one of " + ", ".join(choices))
    return value


def items(node: Node) -> list[Node]:
    """The members of a list; anything else is a list of one."""
    return node.value if isinstance(node.value, list) else [node]


def members(node: Node, expected: str) -> dict[str, Node]:
    """The members of an object."""
    if not isinstance(node.value, dict):
        raise node.wrong(expected, secret=True)
    return node.value


def host_port(node: Node) -> tuple[str, Optional[int]]:
    """HOST or HOST:PORT; an IPv6 address with a port is written in brackets."""
    expected = "a host name or an IP address"
    given = text(node, expected)
    if given.lower().startswith("ss://") or "@" in given:  # a password may be in it
        raise node.error(f"expected {expected}; a URL is given with --server-url")
    if len(given) > MAX_HOST or not _HOST_PORT.fullmatch(given):
        raise node.wrong(expected)
    try:
        host, number = split_host_port(given, -1)
        # A zone ("fe80::1%eth0") means something on this machine only, never in a request.
        address, percent, zone = host.partition("%")
        checked = Address.of(address, 0)
        if percent and (":" not in checked.host or not _ZONE.fullmatch(zone)):
            raise BadAddress("a zone belongs to an IPv6 address")
    except BadAddress as error:
        raise node.error(f"expected {expected}: {error}") from None
    return checked.host + percent + zone, None if number == -1 else number


def networks(node: Node) -> tuple[str, ...]:
    """IP addresses and networks, as a list or as a text with commas; empty for none."""
    found: list[str] = []
    for item in items(node):
        if not isinstance(item.value, str):
            raise item.wrong("IP addresses or networks, such as 10.0.0.0/8, with commas between them")
        for part in filter(None, (piece.strip() for piece in item.value.split(","))):
            try:
                found.append(str(ipaddress.ip_network(part, strict=False)))
            except ValueError:
                raise Node(part, item.path, item.where).wrong("an IP address or a network such as 10.0.0.0/8") from None
    return tuple(found)


def password(node: Node, environ: Mapping[str, str]) -> str:
    """A password or key.  `${NAME}` in a file stands for the environment variable of that name."""
    value = node.value
    if not isinstance(value, str) or not value:
        raise node.wrong("a password in double quotes" if node.where else "a password", secret=True)
    if not node.where or not (value.startswith("${") and value.endswith("}")):
        return value
    name = value[2:-1]
    if not environ.get(name):
        shown = name if name.isidentifier() else "of that name"
        raise node.error(f"the environment variable {shown} is not set, or empty")
    return checked_secret(environ[name], node)


def checked_secret(value: str, node: Node) -> str:
    """A secret that came from outside of a file: it must be text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise node.error("this is not text in UTF-8") from None
    return value


def accounts(node: Node) -> tuple[tuple[str, str], ...]:
    """User names and passwords of the local proxy.

    [{"user_name": "...", "password": "..."}, ...]      or the same list as
    {"users": [...]}  {"password": {"users": [...]}}    (SOCKS5) or
    {"basic": {"users": [...]}}                         (HTTP)
    """
    shape = 'a list of {"user_name": ..., "password": ...}'
    for key in ("password", "basic", "users"):
        if isinstance(node.value, dict) and key in node.value:
            node = node.value[key]
    if not isinstance(node.value, list) or not node.value:
        raise node.wrong(f"{shape}, with one account at least", secret=True)
    found = []
    for item in node.value:
        fields = members(item, shape) if isinstance(item.value, dict) else {}
        if set(fields) != {"user_name", "password"}:
            raise item.error(f"expected {shape}, and no other keys")
        found.append((_credential(fields["user_name"]), _credential(fields["password"])))
    return tuple(found)


def _credential(node: Node) -> str:
    value = node.value
    if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_CREDENTIAL:
        raise node.wrong(f"a text of 1 to {MAX_CREDENTIAL} bytes", secret=True)
    return value


def name_and_password(node: Node) -> tuple[tuple[str, str], ...]:
    """NAME:PASSWORD; the name ends at the first colon."""
    name, colon, secret = node.value.partition(":") if isinstance(node.value, str) else ("", "", "")
    if not colon:
        raise node.error("expected NAME:PASSWORD")
    return ((_credential(Node(name, node.path, node.where)), _credential(Node(secret, node.path, node.where))),)
