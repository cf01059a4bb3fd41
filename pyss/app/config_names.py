"""The name servers of a configuration.

    "9.9.9.9, tls://1.1.1.1#one.one.one.one"    texts with commas in them, or a list of such texts
    "quad9_tls"                                 a name from the table below
    "system"                                    those that the system asks, as if nothing were said

A scheme holds for the servers behind it in the same text, too, as in shadowsocks-rust: whoever asks for TLS must not
get plain UDP because he wrote it only once.
"""

from __future__ import annotations

from ..errors import ConfigError
from ..net.names import PORTS, NameServer, parse_name_server
from . import values
from .json_text import Node

SYSTEM = "system"

# Public ones, by the names that shadowsocks-rust gives them: the name in their certificates, and their addresses.
_PUBLIC = {
    "google": ("dns.google", "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844"),
    "cloudflare": ("cloudflare-dns.com", "1.1.1.1 1.0.0.1 2606:4700:4700::1111 2606:4700:4700::1001"),
    "quad9": ("dns.quad9.net", "9.9.9.9 149.112.112.112 2620:fe::fe 2620:fe::9"),
}
_TLS = "_tls"
_NOT_OFFERED = tuple(name + ending for name in _PUBLIC for ending in ("_https", "_h3"))

_EXPECTED = "a name server such as 9.9.9.9, tls://9.9.9.9 or quad9_tls"


def name_servers(node: Node) -> tuple[NameServer, ...]:
    """In their order, each once; empty for those of the system.  Raises ConfigError, UsageError."""
    found: list[NameServer] = []
    words: list[str] = []
    for item in values.items(node):
        if isinstance(item.value, dict):
            raise item.refusal(f"a resolver in detail is not available; write {_EXPECTED}")
        text = "" if item.value == "" else values.text(item, _EXPECTED)
        scheme = ""
        for part in filter(None, map(str.strip, text.split(","))):
            if "@" in part or part.lower().startswith("ss://"):  # a password may be in it
                raise item.error(f"expected {_EXPECTED}")
            words.append(part.lower())
            if "://" in part:
                scheme = part.partition("://")[0] + "://"
                part = part[len(scheme) :]
            found += _servers(item, part, scheme)
    if SYSTEM in words and len(words) > 1:
        raise node.error(f"{SYSTEM} stands alone: either the system is asked, or servers of your choice")
    return tuple(dict.fromkeys(found))


def _servers(item: Node, word: str, scheme: str) -> list[NameServer]:
    name = scheme + word.lower()
    if name == SYSTEM:
        return []
    if name in _NOT_OFFERED:
        raise item.refusal(f"DNS over HTTPS is not available; {name.partition('_')[0]}{_TLS} encrypts as well")
    provider, separator, transport = name.partition("_")
    if provider in _PUBLIC and transport == ("tls" if separator else ""):
        certified, addresses = _PUBLIC[provider]
        if transport:
            return [NameServer("tls", address, PORTS["tls"], certified) for address in addresses.split()]
        return [NameServer("udp", address, PORTS["udp"]) for address in addresses.split()]
    try:
        return [parse_name_server(scheme + word)]
    except ConfigError as error:
        raise item.error(str(error)) from None
