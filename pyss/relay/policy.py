"""Where clients may not go: the networks that a server must not open a door to.

Judged are addresses, after names were looked up.  So no name that points inwards and no odd way to write
an address (127.1, 0x7f.1, 2130706433) goes around it.  The table is our own: what `ipaddress` calls
private leaves out carrier-grade NAT and NAT64 and varies from release to release.

Some IPv6 addresses carry an IPv4 address that something on the way takes out again:

    ::ffff:0:0/96   RFC 4291 section 2.5.5.2   IPv4-mapped: it is IPv4, and judged as nothing else
    64:ff9b::/96    RFC 6052 section 2.1       NAT64   | ... 96 bits ... | IPv4 32 |
    2002::/16       RFC 3056 section 2         6to4    | 2002 | IPv4 32 | ... 80 bits ... |

Of the latter two both forms must pass, the address as written and the IPv4 address inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Callable, Optional, Union

from ..errors import ConfigError, Forbidden
from ..net.ownaddress import OwnAddresses

DEFAULT_FORBIDDEN = (
    "0.0.0.0/8",  # this host
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, and the metadata services of clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "::/128",  # unspecified
    "::1/128",  # loopback
    "::/96",  # IPv4-compatible, given up by RFC 4291: a tunnel may still take the IPv4 address out
    "64:ff9b:1::/48",  # NAT64 of one's own network, RFC 8215: where the IPv4 address stands is local custom
    "fc00::/7",  # private
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local, the private addresses before fc00::/7
    "ff00::/8",  # multicast
)

MOST_KNOWN = 4096  # verdicts held

_MAPPED = 0xFFFF  # the upper 96 bits
_NAT64 = 0x0064_FF9B << 64
_SIX_TO_FOUR = 0x2002  # the upper 16 bits
_IPV4 = 0xFFFF_FFFF

Form = tuple[int, int]  # bits of the family, the address as a number

# Why an address is refused; or the forms of it that must not be this machine's own.
Verdict = Union[str, tuple[str, ...]]


class DestinationPolicy:
    """Which addresses a server's clients may reach.

    forbidden  networks that replace the default table; None for the table and this machine's own
               addresses, an empty sequence to forbid nothing
    allowed    networks that are open nevertheless, own addresses included
    is_own     whether an address is this machine's own; may raise OSError

    Raises ConfigError for what is not a network.
    """

    __slots__ = ("_allowed", "_forbidden", "_is_own", "_known", "_own_too")

    def __init__(
        self,
        forbidden: Optional[Sequence[str]] = None,
        allowed: Sequence[str] = (),
        is_own: Optional[Callable[[str], bool]] = None,
    ) -> None:
        self._own_too = forbidden is None
        self._forbidden = _Networks(DEFAULT_FORBIDDEN if forbidden is None else forbidden, "forbidden")
        self._allowed = _Networks(allowed, "allowed")
        self._is_own = is_own or OwnAddresses()
        self._known: dict[str, Verdict] = {}

    def check(self, ip: str) -> None:
        """Raises Forbidden for an address that must not be reached, and for what is no IP address."""
        verdict = self._known.get(ip)
        if verdict is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            verdict = self._known[ip] = self._judge(ip)
        if isinstance(verdict, str):
            raise Forbidden(verdict)
        for form in verdict:
            self._refuse_own(ip, form)

    def _judge(self, ip: str) -> Verdict:
        text = ip.partition("%")[0]  # a zone says which link, not which address
        try:
            if "\0" in text:  # where PyPy's inet_pton would stop reading
                raise ValueError(text)
            packed = inet_pton(AF_INET6 if ":" in text else AF_INET, text)
        except (OSError, ValueError):
            return f"{ip[:60]!r} is not an IP address"
        passed = []
        for bits, number in _forms(packed):
            if self._allowed.find(bits, number) is not None:
                continue
            form = _text(bits, number)
            network = self._forbidden.find(bits, number)
            if network is not None:
                return f"{_named(text, form)} is in {network}, which is forbidden here (--allowed-ip opens it)"
            passed.append(form)
        return tuple(passed) if self._own_too else ()

    def _refuse_own(self, ip: str, form: str) -> None:
        try:
            own = self._is_own(form)
        except OSError as error:
            raise Forbidden(f"{form} may be this machine's own address, which cannot be told now: {error}") from None
        if own:
            named = _named(ip.partition("%")[0], form)
            raise Forbidden(f"{named} is this machine's own address, forbidden here (--allowed-ip opens it)")


class _Networks:
    """Networks by family and length: one look for each length that occurs, however many there are."""

    __slots__ = ("_tables",)

    def __init__(self, entries: Iterable[str], listed_as: str) -> None:
        tables: dict[int, dict[int, dict[int, str]]] = {32: {}, 128: {}}
        for entry in entries:
            bits, number, shift, name = _parse_network(entry, listed_as)
            tables[bits].setdefault(shift, {})[number >> shift] = name
        # The narrowest first: it says most.
        self._tables = {bits: sorted(table.items()) for bits, table in tables.items()}

    def find(self, bits: int, number: int) -> Optional[str]:
        """The network that holds the address, or None."""
        for shift, names in self._tables[bits]:
            name = names.get(number >> shift)
            if name is not None:
                return name
        return None


def _parse_network(entry: str, listed_as: str) -> tuple[int, int, int, str]:
    """Bits of the family, number, bits that do not matter, canonical text."""
    try:
        if "%" in entry:  # ip_network drops the zone, which would make the network wider than it reads
            raise ValueError(entry)
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        raise ConfigError(
            f"{entry!r} among the {listed_as} addresses is neither an IP address nor a network; "
            "write such as 192.0.2.1, 10.0.0.0/8 or fc00::/7"
        ) from None
    bits, number = network.max_prefixlen, int(network.network_address)
    shift = bits - network.prefixlen
    if bits == 128 and shift <= 32 and number >> 32 == _MAPPED:
        bits, number = 32, number & _IPV4
        return bits, number, shift, f"{_text(bits, number)}/{bits - shift}"
    return bits, number, shift, str(network)


def _forms(packed: bytes) -> Iterator[Form]:
    """The address as it is judged, and the IPv4 address inside, if there is one."""
    number = int.from_bytes(packed, "big")
    if len(packed) == 4:
        yield 32, number
        return
    upper = number >> 32
    if upper == _MAPPED:
        yield 32, number & _IPV4
        return
    yield 128, number
    if upper == _NAT64:
        yield 32, number & _IPV4
    elif number >> 112 == _SIX_TO_FOUR:
        yield 32, number >> 80 & _IPV4


def _text(bits: int, number: int) -> str:
    return inet_ntop(AF_INET if bits == 32 else AF_INET6, number.to_bytes(bits // 8, "big"))


def _named(text: str, form: str) -> str:
    """The address as the client wrote it, and as it was judged when that differs."""
    return form if ":" in form or ":" not in text else f"{form} (inside {text})"
