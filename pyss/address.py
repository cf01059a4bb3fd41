"""Where a session wants to go: a host and a port, with the form they have on the wire.

SOCKS5 (RFC 1928 section 5) and every Shadowsocks header share one encoding:

    +------+--------------------------------------+------+
    | ATYP | host                                 | port |
    +------+--------------------------------------+------+
    |  1   | 4 (IPv4) | 1 + 1..255 (domain) | 16  |  2   |   ATYP 1, 3, 4; port big-endian
    +------+--------------------------------------+------+

Imports nothing but `errors`: this is the ground floor.
"""

from __future__ import annotations

import ipaddress
from typing import Optional, Union

from .errors import BadAddress, UnsupportedAddressType

Buffer = Union[bytes, bytearray, memoryview]

ATYP_IPV4 = 1
ATYP_DOMAIN = 3
ATYP_IPV6 = 4

# What no host name holds; a resolver or a log line must never see these.
_ILLEGAL = frozenset(map(chr, [*range(0x21), 0x7F, *b'"%/:<>?@[\\]^`{|}']))


class Address:
    """One target.  Immutable; equal when the wire forms are equal.

    host     IP address in canonical text, or a domain name in IDNA A-labels
    port     0..65535
    is_ip    whether `host` is an IP address
    wire     ATYP || host || port
    """

    __slots__ = ("host", "is_ip", "port", "wire")

    def __init__(self, host: str, port: int, is_ip: bool, wire: bytes) -> None:
        self.host = host
        self.port = port
        self.is_ip = is_ip
        self.wire = wire

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """An address from text: IPv4, IPv6 (brackets allowed) or a name (any script, see IDNA).

        Raises BadAddress.
        """
        if not 0 <= port <= 65535:
            raise BadAddress(f"port {port} is not between 0 and 65535")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            if ":" not in host:
                raise BadAddress(f"{host!r} in brackets is not an IPv6 address")
        packed = _ip_literal(host)
        if packed is not None:
            return cls._from_ip(packed, port)
        name = _a_labels(host)
        if name != host:  # IDNA turns the digits and dots of other scripts into those of ASCII
            packed = _ip_literal(name)
            if packed is not None:
                return cls._from_ip(packed, port)
        return cls(name, port, False, bytes((ATYP_DOMAIN, len(name))) + name.encode() + port.to_bytes(2, "big"))

    @classmethod
    def _from_ip(cls, packed: bytes, port: int) -> Address:
        atyp = ATYP_IPV4 if len(packed) == 4 else ATYP_IPV6
        return cls(_ip_text(packed), port, True, bytes((atyp,)) + packed + port.to_bytes(2, "big"))

    @classmethod
    def parse(cls, data: Buffer, start: int = 0) -> Optional[tuple[Address, int]]:
        """Read one address at `start`; returns it and the offset behind it, or None while bytes miss.

        Raises UnsupportedAddressType as soon as ATYP is seen, BadAddress for an illegal name.
        """
        size = len(data)
        if size <= start:
            return None
        atyp = data[start]
        if atyp == ATYP_IPV4:
            end = start + 7
        elif atyp == ATYP_IPV6:
            end = start + 19
        elif atyp == ATYP_DOMAIN:
            if size < start + 2:
                return None
            if not data[start + 1]:
                raise BadAddress("the host name is empty")
            end = start + 4 + data[start + 1]
        else:
            raise UnsupportedAddressType(f"address type {atyp} is not 1 (IPv4), 3 (name) or 4 (IPv6)")
        if size < end:
            return None
        wire = bytes(data[start:end])
        port = wire[-2] << 8 | wire[-1]
        if atyp == ATYP_DOMAIN:
            return cls._from_name(wire[2:-2], port, wire), end
        return cls(_ip_text(wire[1:-2]), port, True, wire), end

    @classmethod
    def _from_name(cls, name: bytes, port: int, wire: bytes) -> Address:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise BadAddress("the host name is neither ASCII nor UTF-8") from None
        if not text.isascii() or _looks_like_ip(text):
            return cls.of(text, port)
        if not _ILLEGAL.isdisjoint(text):
            raise BadAddress(f"{text!r} is not a host name")
        return cls(text, port, False, wire)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other.wire == self.wire

    def __hash__(self) -> int:
        return hash(self.wire)

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)

    def __repr__(self) -> str:
        return f"Address({self})"


def join_host_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str, default_port: Optional[int] = None) -> tuple[str, int]:
    """The reverse of `join_host_port`.  A bare IPv6 address needs no brackets when no port follows.

    Raises BadAddress.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or host.count("[") != host.count("]"):
        host, port = text, ""
    if not port:
        if default_port is None:
            raise BadAddress(f"{text[:60]!r} has no port; write HOST:PORT")
        return _without_brackets(host), default_port
    # The length first: int() refuses thousands of digits with an exception of its own.
    if not (len(port) <= 5 and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise BadAddress(f"{port[:60]!r} is not a port number (0 to 65535)")
    if not host:
        raise BadAddress(f"{text!r} has no host; write HOST:PORT")
    return _without_brackets(host), int(port)


def _without_brackets(host: str) -> str:
    if not host.startswith("["):
        return host
    inside = host[1:-1]
    if not host.endswith("]") or ":" not in inside or "[" in inside or "]" in inside:
        raise BadAddress(f"{host[:60]!r} is not an IPv6 address in brackets")
    return inside


def _looks_like_ip(text: str) -> bool:
    return text[-1].isdigit() or ":" in text or text[0] == "["


def _ip_literal(host: str) -> Optional[bytes]:
    if not host or "%" in host:
        return None
    try:
        return ipaddress.ip_address(host).packed
    except ValueError:
        return None


def _ip_text(packed: bytes) -> str:
    if len(packed) == 4:
        return "%d.%d.%d.%d" % tuple(packed)  # noqa: UP031 (a tenth of the time of ipaddress)
    return str(ipaddress.IPv6Address(packed))


def _a_labels(host: str) -> str:
    # The codec takes long, and in old releases of Python the square of the length.
    if not host.isascii() and len(host) <= 255:
        try:
            host = host.encode("idna").decode()
        except UnicodeError as exc:
            raise BadAddress(f"{host[:60]!r} is not an international host name: {exc}") from None
    if not host:
        raise BadAddress("the host name is empty")
    if len(host) > 255 or not _ILLEGAL.isdisjoint(host):
        raise BadAddress(f"{host[:60]!r} is not a host name")
    return host
