"""Names before anybody is asked: how they are written, the hosts file, and where the name servers are.

    "Example.COM."  ──canonical──► "example.com"          or NameNotFound: no server could know it
    hosts file      ──Hosts──────► name: addresses        read anew when it has changed
    "tls://9.9.9.9" ──parse_name_server──► NameServer     or ConfigError

A name has one form, so that the cache, the hosts file and the questions agree on which one is meant.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from ..address import join_host_port, split_host_port
from ..errors import BadAddress, ConfigError, NameNotFound
from .clock import monotonic
from .nameanswer import Endpoint

MOST_NAME = 253  # characters; RFC 1035 section 2.3.4 counts 255 bytes on the wire, two of them for the ends

# What a label may hold: no spaces, no delimiters of URLs and logs.  DNS itself would take any byte.
_LABEL = r"""[!#$&-\-0-9;=A-Z_a-z~]{1,63}"""
_is_name = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch

LOOK_EVERY = 5.0  # seconds between two looks at the hosts file
MOST_HOSTS = 4 << 20  # bytes of it that are read
MOST_OF_ONE = 64  # addresses of one name in it

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
_LOOPBACK: tuple[Endpoint, ...] = ((_AF_INET, ("127.0.0.1", 0)), (_AF_INET6, ("::1", 0, 0, 0)))
_MOST_ZONE = 0xFFFFFFFF


# --- names and addresses -------------------------------------------------------------------------
def canonical(host: str) -> str:
    """A name as it is asked for and kept: A-labels in lower case, without the last dot.

    Raises NameNotFound for what cannot be a name: a label that is empty or over 63 bytes, over 253 in all,
    or characters that no host name has.
    """
    name = host
    if len(name) <= MOST_NAME and not name.isascii():  # the codec takes the square of the length in old releases
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise _not_a_name(host) from None
    name = name[:-1].lower() if name.endswith(".") else name.lower()
    if len(name) > MOST_NAME or _is_name(name) is None:
        raise _not_a_name(host)
    return name


def _not_a_name(host: str) -> NameNotFound:
    return NameNotFound(f"{host[:80]!r} is not a host name: a part of it is empty, too long, or illegal")


def is_localhost(name: str) -> bool:
    """Names that mean this machine wherever they are asked (RFC 6761 section 6.3)."""
    return name == "localhost" or name.endswith(".localhost")


def literal(text: str, port: int = 0) -> Optional[Endpoint]:
    """The endpoint of an IP address in text, with or without a zone; None for anything else."""
    if not text[-1:].isdigit() and ":" not in text:  # as most names, which need not be tried
        return None
    try:
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address):
            return _AF_INET, (str(address), port)
        zone = address.scope_id
        return _AF_INET6, (str(address).partition("%")[0], port, 0, _zone_index(zone) if zone else 0)
    except (ValueError, OSError):
        return None


def _zone_index(zone: str) -> int:
    """The number of a link, given as number or name of an interface.  Raises OSError for one that is not here."""
    if zone.isdecimal() and len(zone) <= 10 and int(zone) <= _MOST_ZONE:
        return int(zone)
    find: Optional[Callable[[str], int]] = getattr(socket, "if_nametoindex", None)
    if find is None:  # PyPy
        raise OSError(f"link {zone[:20]!r} has to be given by its number")
    return find(zone)


# --- hosts file ----------------------------------------------------------------------------------
class Hosts:
    """What the hosts file says; a file that is not there or cannot be read says nothing.

    path   see `sockets.hosts_file`
    read   gives the bytes of a file; raises OSError
    clock  monotonic seconds
    """

    def __init__(self, path: str, read: Callable[[str], bytes], clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._read = read
        self._clock = clock
        self._look_at = clock()  # when to look whether the file has changed
        self._version: Optional[tuple[int, int, int]] = None
        self._names: dict[str, tuple[Endpoint, ...]] = {}

    def find(self, name: str) -> tuple[Endpoint, ...]:
        """Endpoints without a port, in the file's order, for a canonical name; empty when it is not there.

        `localhost` and all below it are loopback if the file does not say otherwise.
        """
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._refresh()
        return self._names.get(name) or (_LOOPBACK if is_localhost(name) else ())

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            version = status.st_mtime_ns, status.st_size, status.st_ino
            if version != self._version:
                self._version = version
                self._names = parse_hosts(self._read(self._path))
        except (OSError, ValueError):  # ValueError: a path that no system has
            self._version = None
            self._names = {}


def parse_hosts(data: bytes) -> dict[str, tuple[Endpoint, ...]]:
    """`ADDRESS NAME [NAME ...] [# comment]`; lines and names that cannot be read are passed over."""
    found: dict[str, dict[Endpoint, None]] = {}
    literals: dict[str, Optional[Endpoint]] = {}  # a list of thousands of blocked names has one address for all
    for line in data[:MOST_HOSTS].decode("utf-8-sig", "replace").splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        if words[0] not in literals:
            literals[words[0]] = literal(words[0])
        endpoint = literals[words[0]]
        if endpoint is None:
            continue
        for name in _readable(words[1:]):
            of_name = found.setdefault(name, {})
            if len(of_name) < MOST_OF_ONE:
                of_name[endpoint] = None
    return {name: tuple(endpoints) for name, endpoints in found.items()}


def _readable(words: list[str]) -> Iterator[str]:
    for word in words:
        try:
            yield canonical(word)
        except NameNotFound:
            pass


# --- name servers --------------------------------------------------------------------------------
PORTS = {"udp": 53, "tcp": 53, "tls": 853}  # RFC 1035 section 4.2, RFC 7858 section 3.1

_EXAMPLES = "9.9.9.9, [2620:fe::fe]:53, tcp://9.9.9.9:53 or tls://9.9.9.9:853#dns.quad9.net"


class NameServer(NamedTuple):
    """Where questions go.

    transport  udp (and TCP for what does not fit), tcp, or tls
    host       IP address; an IPv6 address may have a zone
    port       1..65535
    name       tls: whom the certificate has to be for; "" for the address itself
    """

    transport: str
    host: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        scheme = "" if self.transport == "udp" else f"{self.transport}://"
        return scheme + join_host_port(self.host, self.port) + (f"#{self.name}" if self.name else "")

    def endpoint(self) -> Endpoint:
        """Raises OSError when the zone of its address is not here, which may change."""
        found = literal(self.host, self.port)
        if found is None:
            raise OSError(f"{self.host} is on no link of this machine")
        return found


def parse_name_server(text: str) -> NameServer:
    """`[udp://|tcp://]IP[:PORT]` or `tls://IP[:PORT][#NAME]`; IPv6 in brackets where a port follows.

    Raises ConfigError.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    transport = scheme.lower() if separator else "udp"
    if transport not in PORTS:
        raise _bad_server(text, f"questions go by udp://, tcp:// or tls://, not by {scheme[:20]!r}")
    where, mark, name = rest.partition("#")
    if mark and transport != "tls":
        raise _bad_server(text, "a name after # is for the certificate of a tls:// server; a port follows a colon")
    try:
        host, port = split_host_port(where, PORTS[transport])
    except BadAddress as error:
        raise _bad_server(text, str(error)) from None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise _bad_server(text, "it must be an IP address: there is nobody to ask for its name") from None
    if not port:
        raise _bad_server(text, "there is no port 0")
    return NameServer(transport, str(address), port, _certificate_name(text, name) if mark else "")


def _certificate_name(text: str, name: str) -> str:
    if literal(name) is not None:
        return name
    try:
        return canonical(name)
    except NameNotFound as error:
        raise _bad_server(text, str(error)) from None


def _bad_server(text: str, why: str) -> ConfigError:
    return ConfigError(f"{text[:80]!r} is not a name server: {why}; expected is an address such as {_EXAMPLES}")
