from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from pyss.app.config_names import name_servers
from pyss.app.json_text import Node
from pyss.errors import ConfigError, UsageError
from pyss.net.names import NameServer

QUAD9 = NameServer("udp", "9.9.9.9", 53)
OTHER = NameServer("tcp", "192.0.2.1", 5353)
SECURE = NameServer("tls", "9.9.9.9", 853, "dns.quad9.net")


def node(value: Any) -> Node:
    """Of a file."""
    if isinstance(value, list):
        return Node([Node(item, f"dns[{at}]", "f.json, line 1") for at, item in enumerate(value)], "dns", "f.json")
    return Node(value, "dns", "f.json, line 1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9.9.9.9", [QUAD9]),
        (" 9.9.9.9 , tcp://192.0.2.1:5353 ", [QUAD9, OTHER]),
        (["9.9.9.9", "tcp://192.0.2.1:5353"], [QUAD9, OTHER]),
        (["9.9.9.9,tcp://192.0.2.1:5353", "tls://9.9.9.9#dns.quad9.net"], [QUAD9, OTHER, SECURE]),
        ("9.9.9.9,udp://9.9.9.9:53,9.9.9.9", [QUAD9]),
        ("2620:fe::fe,[::1]:5353", [NameServer("udp", "2620:fe::fe", 53), NameServer("udp", "::1", 5353)]),
        # A scheme holds until the next one, in its text.
        ("tcp://9.9.9.9,192.0.2.1:5353", [QUAD9._replace(transport="tcp"), OTHER]),
        ("tls://9.9.9.9#dns.quad9.net,1.1.1.1", [SECURE, NameServer("tls", "1.1.1.1", 853)]),
        ("TCP://192.0.2.1:5353,udp://9.9.9.9", [OTHER, QUAD9]),
        (["tcp://192.0.2.1:5353", "9.9.9.9"], [OTHER, QUAD9]),
    ],
)
def test_servers_in_their_order_each_once(value: Any, expected: list[NameServer]) -> None:
    assert name_servers(node(value)) == tuple(expected)


@pytest.mark.parametrize("value", ["system", "System", "", [], [""], ",", "system,"])
def test_nothing_said_is_the_system(value: Any) -> None:
    assert name_servers(node(value)) == ()


@pytest.mark.parametrize(
    ("name", "first", "certified"),
    [
        ("google", "8.8.8.8", "dns.google"),
        ("cloudflare", "1.1.1.1", "cloudflare-dns.com"),
        ("quad9", "9.9.9.9", "dns.quad9.net"),
    ],
)
def test_public_servers_by_name(name: str, first: str, certified: str) -> None:
    plain, secure = name_servers(node(name)), name_servers(node(f"{name.upper()}_TLS"))
    assert plain[0] == NameServer("udp", first, 53)
    assert [server.host for server in plain] == [server.host for server in secure]
    assert {server[:1] + server[2:] for server in plain} == {("udp", 53, "")}
    assert {server[:1] + server[2:] for server in secure} == {("tls", 853, certified)}
    # Two of each family, in the form in which they are compared; the one that everybody has comes first.
    versions = [ipaddress.ip_address(server.host).version for server in plain]
    assert versions == [4, 4, 6, 6]
    assert [str(ipaddress.ip_address(server.host)) for server in plain] == [server.host for server in plain]
    assert name_servers(node(f"{name},192.0.2.1")) == (*plain, NameServer("udp", "192.0.2.1", 53))


WRONG: list[tuple[Any, str]] = [
    ("8.8.8", "f.json, line 1, dns: '8.8.8' is not a name server: it must be an IP address"),
    (["9.9.9.9", "x"], "f.json, line 1, dns[1]: 'x' is not a name server"),
    ("9.9.9.9,dns.google", "'dns.google' is not a name server: it must be an IP address"),
    ("tls://quad9", "'tls://quad9' is not a name server: it must be an IP address"),
    ("tls://9.9.9.9,google", "'tls://google' is not a name server"),
    ("9.9.9.9:0", "there is no port 0"),
    ("https://9.9.9.9/dns-query", "questions go by udp://, tcp:// or tls://, not by 'https'"),
    ("unix:///run/dns", "questions go by udp://, tcp:// or tls://, not by 'unix'"),
    ("quad9_tcp", "'quad9_tcp' is not a name server"),
    ("quad9_", "'quad9_' is not a name server"),
    ("google_https", "dns: DNS over HTTPS is not available; google_tls encrypts as well"),
    ("google_h3", "dns: DNS over HTTPS is not available; google_tls encrypts as well"),
    ("system,9.9.9.9", "dns: system stands alone"),
    (["system", "quad9"], "dns: system stands alone"),
    (5, "dns: expected a name server such as 9.9.9.9, tls://9.9.9.9 or quad9_tls, got 5"),
    ([["9.9.9.9"]], "dns[0]: expected a name server such as"),
    ("ss://geheim@h:1", "dns: expected a name server such as"),
    ("x:geheim@9.9.9.9", "dns: expected a name server such as"),
    (
        {"name_servers": Node([], "dns.name_servers", "f.json")},
        "dns: a resolver in detail is not available; write a name server such as 9.9.9.9",
    ),
]


@pytest.mark.parametrize(("value", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_what_is_no_name_server_is_told_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        name_servers(node(value))
    assert words in str(caught.value) and str(caught.value).startswith("f.json")
    assert "\n" not in str(caught.value) and "geheim" not in str(caught.value)


def test_on_the_command_line_a_wrong_one_is_a_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"^--dns: 'x' is not a name server"):
        name_servers(Node("x", "--dns"))
    with pytest.raises(ConfigError, match=r"^--dns: DNS over HTTPS is not available"):
        name_servers(Node("quad9_https", "--dns"))
