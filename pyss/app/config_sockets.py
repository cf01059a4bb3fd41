"""What a configuration asks of sockets.

    keep_alive, fast_open, mptcp, dscp       both ends           shadowsocks-libev has the buffers, dscp and
    reuse_port, ipv6_only                    where it listens    local_ipv4_address, shadowsocks-rust the names
    outbound_*                               where it dials      that begin with outbound_

Whether the system can do it is found out by `net/socket_check.py`, before anything is opened.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Optional, Union

from ..net.socket_options import NOTHING, SocketOptions
from . import values
from .json_text import Node
from .settings import Settings

MAX_KEEP_ALIVE = 32767  # seconds; what Linux takes
MAX_BUFFER = 1 << 30  # bytes
MAX_INTERFACE = 255  # characters; Linux has 15, Windows more

# Names of code points: RFC 2474 section 4.2.2 (CS), RFC 2597 section 6 (AF), RFC 3246 (EF), RFC 8622 (LE).
CODE_POINTS = {
    **{f"cs{level}": level << 3 for level in range(8)},
    **{f"af{level}{drop}": level << 3 | drop << 1 for level in range(1, 5) for drop in range(1, 4)},
    "ef": 46,
    "le": 1,
}


def read_sockets(settings: Settings) -> SocketOptions:
    """NOTHING itself where nothing is asked.  Raises ConfigError or UsageError for what cannot be understood."""
    no_delay = settings.get("no_delay")
    if no_delay is not None and not values.flag(no_delay):
        settings.note(no_delay.says("small packets never wait here (TCP_NODELAY is always set); ignored"))
    bind_ipv4, bind_ipv6 = _own_addresses(settings)
    options = SocketOptions(
        fast_open=_flag(settings, "fast_open"),
        mptcp=_flag(settings, "mptcp"),
        keep_alive=_number(settings, "keep_alive", MAX_KEEP_ALIVE, "a number of seconds"),
        dscp=_code_point(settings.get("dscp")),
        ipv6_only=_flag(settings, "ipv6_only", True),
        reuse_port=_flag(settings, "reuse_port"),
        bind_ipv4=bind_ipv4,
        bind_ipv6=bind_ipv6,
        interface=_interface(settings.get("outbound_bind_interface")),
        mark=_mark(settings.get("outbound_fwmark")),
        incoming_send=_number(settings, "tcp_incoming_sndbuf", MAX_BUFFER, "a number of bytes"),
        incoming_receive=_number(settings, "tcp_incoming_rcvbuf", MAX_BUFFER, "a number of bytes"),
        outgoing_send=_number(settings, "tcp_outgoing_sndbuf", MAX_BUFFER, "a number of bytes"),
        outgoing_receive=_number(settings, "tcp_outgoing_rcvbuf", MAX_BUFFER, "a number of bytes"),
    )
    return NOTHING if options == NOTHING else options


def takes_ipv4(settings: Settings) -> bool:
    """Whether [::] takes IPv4 connections too."""
    return not _flag(settings, "ipv6_only", True)


def _flag(settings: Settings, name: str, default: bool = False) -> bool:
    node = settings.get(name)
    return default if node is None else values.flag(node)


def _number(settings: Settings, name: str, most: int, expected: str) -> int:
    node = settings.get(name)
    return 0 if node is None or node.value is False else values.whole(node, 0, most, expected)


def _own_addresses(settings: Settings) -> tuple[str, str]:
    """One of IPv4 and one of IPv6 at most; "" for none, and for one that stands for all."""
    found = {4: "", 6: ""}
    for name, version in (("local_ipv4_address", 4), ("local_ipv6_address", 6), ("outbound_bind_addr", 0)):
        node = settings.get(name)
        given: dict[int, str] = {}
        for item, text in [] if node is None else _listed(node):
            address = _address(item, text, version)
            if given.setdefault(address.version, str(address)) != str(address):
                raise item.error(f"a second IPv{address.version} address; outgoing connections come from one of each")
            found[address.version] = "" if address.is_unspecified else str(address)
    return found[4], found[6]


def _listed(node: Node) -> Iterator[tuple[Node, str]]:
    """The members of a list, or of a text with commas in it."""
    for item in values.items(node):
        if item.value not in ("", False):
            for part in values.text(item, "an IP address of this machine").split(","):
                yield item, part.strip()


def _address(node: Node, text: str, version: int) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or version not in (0, address.version):
        raise node.wrong(f"an IPv{version} address of this machine" if version else "an IP address of this machine")
    return address


def _interface(node: Optional[Node]) -> str:
    if node is None or node.value == "":
        return ""
    name = values.text(node, "the name of a network interface")
    if len(name) > MAX_INTERFACE or not name.isprintable():
        raise node.wrong("the name of a network interface")
    return name


def _mark(node: Optional[Node]) -> int:
    """A number, or one as `ip rule` and iptables show it (0x1)."""
    if node is None:
        return 0
    if isinstance(node.value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", node.value):
        return int(node.value, 16)
    return values.whole(node, 0, 0xFFFFFFFF, "a mark of packets")


def _code_point(node: Optional[Node]) -> Optional[int]:
    """A number from 0 to 63, in hexadecimal too, or a name."""
    if node is None:
        return None
    if isinstance(node.value, dict):
        raise node.refusal('a code point for each port is not available; give one for all, such as "EF"')
    if isinstance(node.value, str):
        if node.value.lower() in CODE_POINTS:
            return CODE_POINTS[node.value.lower()]
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,2}", node.value) and int(node.value, 16) < 64:
            return int(node.value, 16)
    return values.whole(node, 0, 63, "a code point such as EF, AF41, CS1 or a number")
