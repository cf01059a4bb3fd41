"""The PAC file: a program in JavaScript that tells a browser, for each URL, whether to ask the proxy.

    FindProxyForURL(url, host)
        host on a list, or below a name that is    what the longest such entry says
        host a private address, or without a dot   DIRECT
        all others                                 the proxy; or DIRECT, where there is a list of what goes through it

It is one program for all: what differs are four tables of data at its top, and they are JSON.  It asks for no names
(dnsResolve, isInNet): the browser would look each of them up, and show everyone who listens where it is going.  For the
same reason DIRECT never stands behind the proxy as a second choice: while the proxy is away, everything would go round
it without a word.  And the proxy is never called SOCKS, which is SOCKS4 to Firefox and Windows: they look names up
before they speak it.

The language is that of 1999 (ECMA-262, third edition): Windows has no other for PAC files.  An address is compared as
digits of a fixed number, 8 for IPv4 and 32 for IPv6, so that no way to write one (127.1, 0x7f000001) goes past a range.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from typing import Optional, Union

from ..address import Address, join_host_port
from ..errors import BadAddress, ConfigError

MOST_SCRIPT = 1 << 20  # bytes; a longer one is not taken by Chromium
MOST_LIST = 4 << 20  # bytes of a list, comments included
LONGEST_NAME = 253

# Reached without the proxy: a server could not reach them, or would reach its own.
NEARBY = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.168.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
    *("::/127", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)
NEARBY_NAMES = ("localhost", "local")  # RFC 6761 section 6.3, RFC 6762 section 3

_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+$)[a-z0-9_-]{1,63}")

# Behind the tables: proxy, other, nearby (pairs of first and last), listed (what goes through the proxy).
_PROGRAM = r"""
function FindProxyForURL(url, host) {
    var name = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
    var digits = address(name.replace(/%.*$/, ""));
    var through = digits ? onList("=" + digits) : byName(name);
    if (through === null) {
        through = other && !(digits ? isNearby(digits) : name.indexOf(".") < 0 && name.indexOf(":") < 0);
    }
    return through ? proxy : "DIRECT";
}

function onList(key) {
    var found = listed[key];
    return typeof found == "boolean" ? found : null;
}

function byName(name) {
    var found, dot = 0;
    while (dot >= 0) {
        found = onList("." + name);
        if (found !== null) {
            return found;
        }
        dot = name.indexOf(".");
        name = name.substring(dot + 1);
    }
    return null;
}

function isNearby(digits) {
    for (var i = 0; i < nearby.length; i++) {
        if (digits.length == nearby[i][0].length && digits >= nearby[i][0] && digits <= nearby[i][1]) {
            return true;
        }
    }
    return false;
}

function address(text) {
    var number, digits;
    if (text.indexOf(":") < 0) {
        number = ipv4(text);
        return number < 0 ? "" : hexadecimal(number, 8);
    }
    digits = ipv6(text);
    return digits.substring(0, 24) == "00000000000000000000ffff" ? digits.substring(24) : digits;
}

function ipv4(text) {
    var parts = text.split("."), last = parts.length - 1, total = 0, value, i;
    if (last > 3) {
        return -1;
    }
    for (i = 0; i <= last; i++) {
        if (/^0x[0-9a-f]*$/.test(parts[i])) {
            value = parts[i].length > 2 ? parseInt(parts[i], 16) : 0;
        } else if (/^0[0-7]*$/.test(parts[i])) {
            value = parseInt(parts[i], 8);
        } else if (/^[1-9][0-9]*$/.test(parts[i])) {
            value = parseInt(parts[i], 10);
        } else {
            return -1;
        }
        if (value >= (i < last ? 256 : Math.pow(256, 4 - last))) {
            return -1;
        }
        total += i < last ? value * Math.pow(256, 3 - i) : value;
    }
    return total;
}

function ipv6(text) {
    var tail = text.substring(text.lastIndexOf(":") + 1), halves, front, back, missing, number, i, digits = "";
    if (tail.indexOf(".") >= 0) {
        number = ipv4(tail);
        if (number < 0) {
            return "";
        }
        tail = Math.floor(number / 65536).toString(16) + ":" + (number % 65536).toString(16);
        text = text.substring(0, text.lastIndexOf(":") + 1) + tail;
    }
    halves = text.split("::");
    front = halves[0] ? halves[0].split(":") : [];
    back = halves[1] ? halves[1].split(":") : [];
    missing = 8 - front.length - back.length;
    if (halves.length > 2 || (halves.length == 2 ? missing < 1 : missing)) {
        return "";
    }
    while (missing-- > 0) {
        front.push("0");
    }
    front = front.concat(back);
    for (i = 0; i < 8; i++) {
        if (!/^[0-9a-f]{1,4}$/.test(front[i])) {
            return "";
        }
        digits += hexadecimal(parseInt(front[i], 16), 4);
    }
    return digits;
}

function hexadecimal(number, length) {
    var digits = number.toString(16);
    while (digits.length < length) {
        digits = "0" + digits;
    }
    return digits;
}
"""

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


# --- lists of domains ----------------------------------------------------------------------------
def parse_domains(data: bytes, source: str) -> tuple[str, ...]:
    """Names and IP addresses, one to a line, as keys of `listed`.

    `# comments` and empty lines are passed over; "*.example.org" and ".example.org" are "example.org".
    Raises ConfigError with `source` and the line.
    """
    if len(data) > MOST_LIST:
        raise ConfigError(f"{source} is longer than {MOST_LIST >> 20} MiB, which no browser would take as a PAC file")
    found: dict[str, None] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").partition("#")[0].strip()
        except UnicodeDecodeError:
            raise ConfigError(f"{source}, line {number}: this is not text in UTF-8; save the file as UTF-8") from None
        if text:
            key = _key(text)
            if key is None:
                raise ConfigError(
                    f"{source}, line {number}: expected a domain such as example.org or an IP address, one to a line, "
                    f"got {text[:60]!r}"
                )
            found[key] = None
    return tuple(found)


def _key(text: str) -> Optional[str]:
    for prefix in ("*.", "."):
        if text.startswith(prefix):
            text = text[len(prefix) :]
            break
    try:
        address = Address.of(text.rstrip(".") or text, 0)
    except BadAddress:
        return None
    if address.is_ip:
        return "=" + _digits(ipaddress.ip_address(address.host))
    name = address.host.lower()
    return f".{name}" if len(name) <= LONGEST_NAME and _NAME.fullmatch(name) else None


def _digits(address: IPAddress) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed.hex()
        address = address.ipv4_mapped
    return address.packed.hex()


# --- the program ---------------------------------------------------------------------------------
def _nearby() -> list[list[str]]:
    networks = map(ipaddress.ip_network, NEARBY)
    return [[network[0].packed.hex(), network[-1].packed.hex()] for network in networks]


def pac_tables(direct: Iterable[str] = (), proxied: Optional[Iterable[str]] = None) -> bytes:
    """All but the proxy's address: the tables and the program, for `pac_script`.

    direct   keys of what never goes through the proxy
    proxied  keys of what does, and then nothing else; None for everything that is not in `direct`.
             A key that is in both is direct.
    Raises ConfigError for what is too long.
    """
    listed = {f".{name}": False for name in NEARBY_NAMES}
    listed.update(dict.fromkeys(proxied or (), True))
    listed.update(dict.fromkeys(direct, False))
    tables: Mapping[str, object] = {"other": proxied is None, "nearby": _nearby(), "listed": listed}
    lines = [f"var {name} = {_json(table)};\n" for name, table in tables.items()]
    script = ("".join(lines) + _PROGRAM).encode("ascii")
    if len(script) > MOST_SCRIPT - 1024:  # what `pac_script` puts before it
        raise ConfigError(
            f"the PAC file would have {len(script)} bytes, and browsers take no more than {MOST_SCRIPT >> 20} MiB: "
            "shorten the lists"
        )
    return script


def pac_script(host: str, port: int, tables: bytes, *, credentials: bool = False) -> bytes:
    """The PAC file of a proxy at host:port, which takes SOCKS5 and HTTP.

    credentials  whether it asks who is there: browsers can answer that in HTTP only
    """
    address = join_host_port(host, port)
    ways = [f"PROXY {address}"] if credentials else [f"SOCKS5 {address}", f"PROXY {address}"]
    return f"var proxy = {_json('; '.join(ways))};\n".encode("ascii") + tables


def _json(table: object) -> str:
    """One entry to a line where there may be many; all that is not ASCII as escapes."""
    return json.dumps(table, indent=0 if isinstance(table, dict) else None, separators=(",", ":"))
