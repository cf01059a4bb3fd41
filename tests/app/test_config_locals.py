"""Proxies, tunnels and redirects, however a file or a command line names them."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from pyss.app.config import LocalConfig, Source, read_local
from pyss.app.config_locals import PROXY, REDIRECT, TUNNEL, Redirect, Tunnel
from pyss.app.json_text import Node
from pyss.app.settings import BOTH, TCP_ONLY, UDP_ONLY
from pyss.errors import ConfigError, UsageError

BASE = {"server": "h", "password": "geheim", "method": "aes-256-gcm"}
TARGET = ("192.0.2.53", 53)
TO = {"forward_address": "192.0.2.53", "forward_port": 53}


def read(document: Optional[dict[str, Any]], command: str = PROXY, **options: Any) -> LocalConfig:
    """Of `pyss local`, `pyss tunnel` or `pyss redir`, as if `document` stood in f.json; None for no file."""

    def content(name: str) -> bytes:
        if document is None:
            raise FileNotFoundError(2, "No such file or directory")
        return json.dumps({**BASE, **document}).encode()

    given = {} if document is not None else BASE
    nodes = {name: Node(value, f"--{name}") for name, value in {**given, **options}.items()}
    return read_local(Source(nodes, None if document is None else "f.json", {}, content), command)


def tunnels(document: dict[str, Any], **options: Any) -> tuple[Tunnel, ...]:
    """Of `pyss tunnel`, which then has nothing else."""
    config = read(document, TUNNEL, **options)
    assert (config.listen, config.redirects) == ((), ())
    return config.tunnels


# --- where a tunnel leads to ----------------------------------------------------------------------
REMOTE = {"tunnel_remote": "d.example", "tunnel_remote_port": 4}
FORWARD = {"forward_address": "c.example", "forward_port": "3"}
ADDRESS = {"tunnel_address": "b.example:2"}


@pytest.mark.parametrize(
    ("document", "options", "target"),
    [
        ({}, {"tunnel_target": "a.example:1"}, ("a.example", 1)),
        (ADDRESS, {}, ("b.example", 2)),
        (FORWARD, {}, ("c.example", 3)),
        (REMOTE, {}, ("d.example", 4)),
        # The first of these that is there counts.
        ({**REMOTE, **FORWARD, **ADDRESS}, {"tunnel_target": "a.example:1"}, ("a.example", 1)),
        ({**REMOTE, **FORWARD, **ADDRESS}, {}, ("b.example", 2)),
        ({**REMOTE, **FORWARD}, {}, ("c.example", 3)),
        # Forms of each.
        ({"tunnel_address": "[2001:db8::1]:53"}, {}, ("2001:db8::1", 53)),
        ({"forward_address": "2001:db8::1", "forward_port": 53}, {}, ("2001:db8::1", 53)),
        ({"forward_address": "c.example:3"}, {}, ("c.example", 3)),
        ({"tunnel_remote": "8.8.8.8"}, {}, ("8.8.8.8", 53)),  # the original's default
        ({"tunnel_remote": "8.8.8.8:5"}, {}, ("8.8.8.8", 5)),
        ({"tunnel-remote": "8.8.8.8", "tunnel-remote-port": "7"}, {}, ("8.8.8.8", 7)),
    ],
)
def test_the_target_of_a_tunnel(document: Any, options: Any, target: tuple[str, int]) -> None:
    assert tunnels(document, **options) == (Tunnel("127.0.0.1", 1080, target),)


NOWHERE: list[tuple[dict[str, Any], str]] = [
    ({}, 'f.json: a tunnel leads nowhere; give -L HOST:PORT, or write "tunnel_address": "HOST:PORT" into'),
    ({"tunnel_remote_port": 53}, "f.json: a tunnel leads nowhere"),
    ({"forward_port": 53}, "f.json: a tunnel leads nowhere"),
    (
        {"tunnel_address": "b.example"},
        'tunnel_address: expected where the tunnel leads to, with a port: HOST:PORT, got "b.',
    ),
    ({"tunnel_address": "b.example:0"}, "tunnel_address: expected where the tunnel leads to, with a port: HOST:PORT"),
    ({"tunnel_address": 53}, "tunnel_address: expected a host name or an IP address, got 53"),
    ({"tunnel_address": "fe80::1%eth0"}, "tunnel_address: expected where the tunnel leads to, with a port"),
    ({"tunnel_address": "[fe80::1%eth0]:53"}, "tunnel_address: the zone behind % means something on this machine only"),
    ({"forward_address": "c.example"}, "forward_address: expected where the tunnel leads to, with a port"),
    ({"forward_address": "c.example:0", "forward_port": 3}, "forward_address: expected where the tunnel leads to"),
    ({"forward_address": "c.example", "forward_port": 0}, "forward_port: expected a port (1 to 65535), got 0"),
    ({"forward_address": ""}, "forward_address: expected a host name or an IP address"),
    ({"tunnel_remote": "d.example", "tunnel_remote_port": "x"}, "tunnel_remote_port: expected a port (1 to 65535)"),
    ({"tunnel_remote": "8.8.8.8", "tunnel_port": 65536}, "tunnel_port: expected a port (0 to 65535), got 65536"),
]


@pytest.mark.parametrize(("document", "words"), NOWHERE, ids=lambda value: str(value)[:40])
def test_a_tunnel_that_leads_nowhere(document: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tunnels(document)
    assert words in str(caught.value) and str(caught.value).startswith("f.json")
    assert "\n" not in str(caught.value) and "geheim" not in str(caught.value)


def test_a_target_that_nobody_gave_on_the_command_line_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^a tunnel leads nowhere; give -L HOST:PORT"):
        read(None, TUNNEL)


# --- where it listens -----------------------------------------------------------------------------
def test_the_port_of_a_tunnel_in_files_of_the_original() -> None:
    """There one file serves the proxy and the tunnel, each with a port of its own."""
    document = {**REMOTE, "local_address": "127.0.0.2", "local_port": 1081, "tunnel_port": 53}
    target = ("d.example", 4)
    assert tunnels(document) == (Tunnel("127.0.0.2", 53, target),)
    assert tunnels(document, local_port="54") == (Tunnel("127.0.0.2", 54, target),)
    assert tunnels(document, local_address="::1") == (Tunnel("::1", 53, target),)
    proxy = read(document)
    assert (proxy.listen, proxy.tunnels) == ((("127.0.0.2", 1081),), ())
    assert tunnels({**ADDRESS, "local_port": 1081}) == (Tunnel("127.0.0.1", 1081, ("b.example", 2)),)


def test_a_tunnel_may_have_several_addresses() -> None:
    document = {**TO, "local_address": ["127.0.0.1", "[::1]:5353"], "local_port": 53}
    assert tunnels(document) == (Tunnel("127.0.0.1", 53, TARGET), Tunnel("::1", 5353, TARGET))


# --- locals ---------------------------------------------------------------------------------------
def test_locals_of_every_kind() -> None:
    """As in shadowsocks-rust."""
    config = read(
        {
            "mode": "tcp_only",
            "locals": [
                {"local_port": 1},
                {"protocol": "http", "local_port": 2},
                {"protocol": "tunnel", "local_port": 3, **TO},
                {"protocol": "Tunnel", "local_port": 4, "tunnel_address": "t:5", "mode": "udp_only"},
                {"protocol": "redir", "local_port": 6, "local_address": "::", "tcp_redir": "tproxy"},
                {"protocol": "redir", "local_port": 7, "mode": "tcp_and_udp", "udp_redir": "tproxy"},
                {"protocol": "tunnel", "local_port": 8, "disabled": True},
            ],
        }
    )
    assert (config.listen, config.mode) == ((("127.0.0.1", 1), ("127.0.0.1", 2)), TCP_ONLY)
    assert config.tunnels == (
        Tunnel("127.0.0.1", 3, TARGET, TCP_ONLY),
        Tunnel("127.0.0.1", 4, ("t", 5), UDP_ONLY),
    )
    assert config.redirects == (Redirect("::", 6, TCP_ONLY, True), Redirect("127.0.0.1", 7, BOTH, False))


def test_the_top_level_is_a_local_too_if_it_has_a_port() -> None:
    config = read({"locals": [{"protocol": "tunnel", "local_port": 3, **TO}], "local_port": 1080})
    assert config.listen == (("127.0.0.1", 1080),)
    assert config.tunnels == (Tunnel("127.0.0.1", 3, TARGET),)
    config = read({"locals": [{"local_port": 1}], "local_port": 53, "protocol": "tunnel", **ADDRESS})
    assert (config.listen, config.tunnels) == ((("127.0.0.1", 1),), (Tunnel("127.0.0.1", 53, ("b.example", 2)),))


def test_the_command_is_the_protocol_of_ends_that_name_none() -> None:
    document = {"locals": [{"local_port": 1, **TO}, {"local_port": 2, "protocol": "socks"}]}
    config = read(document, TUNNEL)
    assert (config.listen, config.tunnels) == ((("127.0.0.1", 2),), (Tunnel("127.0.0.1", 1, TARGET),))
    assert read({"protocol": "tunnel", **TO}).tunnels == (Tunnel("127.0.0.1", 1080, TARGET),)
    assert read({"protocol": "tunnel", **TO}, protocol="socks").listen == (("127.0.0.1", 1080),)


def test_the_command_line_replaces_a_member_of_every_local() -> None:
    document = {"locals": [{"protocol": "tunnel", "local_port": at, "mode": "tcp_only", **TO} for at in (1, 2)]}
    config = read(document, tunnel_target="t:9", mode="udp_only", local_address="::1")
    assert config.tunnels == tuple(Tunnel("::1", at, ("t", 9), UDP_ONLY) for at in (1, 2))
    assert read(document, local_port="7").tunnels == (Tunnel("127.0.0.1", 7, TARGET, TCP_ONLY),)  # now both are one


TWO = "f.json: two locals listen on 127.0.0.1:7; give each a port of its own"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"protocol": "tunnel", **TO}, {"protocol": "tunnel", "tunnel_address": "t:1"}, TWO),
        ({"protocol": "tunnel", **TO}, {"protocol": "socks"}, TWO),
        ({"protocol": "redir"}, {"protocol": "socks"}, TWO),
        ({"protocol": "redir"}, {"protocol": "redir", "tcp_redir": "tproxy"}, TWO),
        ({"protocol": "tunnel", **TO, "mode": "tcp_only"}, {"protocol": "tunnel", **TO}, TWO),
        # One number for TCP and UDP is enough for two.
        ({"protocol": "tunnel", **TO, "mode": "udp_only"}, {"protocol": "socks"}, ""),
        ({"protocol": "tunnel", **TO, "mode": "tcp_only"}, {"protocol": "tunnel", **TO, "mode": "udp_only"}, ""),
        # The same twice is once.
        ({"protocol": "tunnel", **TO}, {"protocol": "tunnel", **TO}, ""),
        ({"protocol": "http"}, {"protocol": "socks"}, ""),
    ],
)
def test_two_cannot_listen_on_one_address(first: Any, second: Any, words: str) -> None:
    document = {"locals": [{"local_port": 7, **first}, {"local_port": 7, **second}]}
    if words:
        with pytest.raises(ConfigError) as caught:
            read(document)
        assert str(caught.value) == words
    else:
        config = read(document)
        assert len(config.listen + config.tunnels) in (1, 2)
    for entry in document["locals"]:
        entry["local_port"] = 0  # any free one, as often as somebody asks
    config = read(document)
    assert len(config.listen) + len(config.tunnels) + len(config.redirects) == 2


def test_proxies_have_one_mode() -> None:
    document = {"locals": [{"local_port": 1, "mode": "tcp_only"}, {"local_port": 2}]}
    with pytest.raises(ConfigError, match=r"^f\.json: the proxies in locals have different modes; give all the same"):
        read(document)
    assert read(document, mode="tcp_and_udp").mode == BOTH
    assert read({**document, "mode": "tcp_only"}).mode == TCP_ONLY
    # Whatever the others are: they are asked one by one.
    assert read({"locals": [{"local_port": 1}, {"local_port": 2, "protocol": "redir"}]}).mode == BOTH


def test_a_udp_address_of_its_own() -> None:
    for key, value in (("local_udp_address", "127.0.0.2"), ("local_udp_port", 54)):
        config = read({"locals": [{"local_port": 1, key: value}]})
        (note,) = config.notes
        assert note.startswith("f.json, line 1") and f"locals[0].{key}: clients that ask for UDP get a port of" in note
        for protocol in (TUNNEL, REDIRECT):
            with pytest.raises(ConfigError, match=rf"locals\[0\]\.{key}: datagrams are taken where connections are"):
                read({"locals": [{"protocol": protocol, **TO, key: value}]})
    assert read({"locals": [{"protocol": TUNNEL, **TO, "local_udp_port": 0, "local_udp_address": ""}]}).notes == ()


# --- redirects ------------------------------------------------------------------------------------
def redirect(document: dict[str, Any], **options: Any) -> Redirect:
    """Of `pyss redir`, which then has nothing else."""
    config = read(document, REDIRECT, **options)
    assert (config.listen, config.tunnels) == ((), ())
    (found,) = config.redirects
    return found


@pytest.mark.parametrize(
    ("document", "options", "mode"),
    [
        ({}, {}, TCP_ONLY),  # who has no rights for TPROXY gets what works without
        ({"tcp_tproxy": True}, {}, TCP_ONLY),
        ({"mode": "tcp_and_udp"}, {}, BOTH),
        ({"mode": "udp_only"}, {}, UDP_ONLY),
        ({"mode": "tcp_only"}, {"mode": "tcp_and_udp"}, BOTH),
        ({}, {"mode": "udp_only"}, UDP_ONLY),
        ({"udp_redir": "tproxy"}, {}, BOTH),
        ({"udp_redir": "tproxy", "mode": "tcp_only"}, {}, TCP_ONLY),
        ({"udp_redir": "TProxy", "mode": "udp_only"}, {}, UDP_ONLY),
        ({"mode": "udp_only", "locals": [{"protocol": "redir"}]}, {}, UDP_ONLY),
        ({"mode": "udp_only", "locals": [{"protocol": "redir", "mode": "tcp_only"}]}, {}, TCP_ONLY),
        ({"locals": [{"protocol": "redir", "udp_redir": "tproxy"}]}, {}, BOTH),
    ],
)
def test_what_is_redirected(document: Any, options: Any, mode: Any) -> None:
    assert redirect(document, **options).mode == mode


@pytest.mark.parametrize(
    ("document", "options", "tproxy"),
    [
        ({}, {}, False),
        ({"tcp_tproxy": True}, {}, True),
        ({"tcp_tproxy": False}, {}, False),
        ({"tcp_tproxy": False}, {"tcp_tproxy": True}, True),
        ({"tcp_redir": "tproxy"}, {}, True),
        ({"tcp_redir": "Redirect"}, {}, False),
        ({"tcp_redir": "redirect", "tcp_tproxy": True}, {}, False),
        ({"tcp_redir": "redirect"}, {"tcp_tproxy": True}, True),
        ({"tcp_redir": "redirect"}, {"tcp_redir": "tproxy"}, True),
        ({"udp_redir": "tproxy"}, {}, False),
        ({"locals": [{"protocol": "redir"}], "tcp_tproxy": True}, {}, True),
        ({"locals": [{"protocol": "redir", "tcp_redir": "redirect"}], "tcp_tproxy": True}, {}, False),
    ],
)
def test_how_connections_are_redirected(document: Any, options: Any, tproxy: bool) -> None:
    assert redirect(document, **options).tproxy is tproxy


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {"udp_redir": "redirect"},
            "udp_redir: the system does not tell where a redirected datagram was going; UDP comes",
        ),
        ({"udp_redir": "pf"}, 'udp_redir: expected one of redirect, tproxy, got "pf"'),
        ({"tcp_redir": "ipfw"}, 'tcp_redir: expected one of redirect, tproxy, got "ipfw"'),
        ({"tcp_tproxy": "yes"}, "tcp_tproxy: expected true or false"),
        ({"locals": [{"protocol": "redir", "udp_redir": "redirect"}]}, "locals[0].udp_redir: the system does not tell"),
    ],
)
def test_ways_that_there_are_not(document: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        redirect(document)
    assert words in str(caught.value) and str(caught.value).startswith("f.json")


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("tunnel_target", "t:1", "tunnel"),
        ("tcp_tproxy", True, "redir"),
        ("tcp_redir", "tproxy", "redir"),
        ("udp_redir", "tproxy", "redir"),
    ],
)
def test_who_asks_for_something_else_does_not_get_a_proxy(option: str, value: Any, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        read({}, **{option: value})
    assert str(caught.value) == f"--{option}: is for pyss {what}, or a local with the protocol {what}"
    # A file may serve all three.
    assert read({"tunnel_address": "t:1", "tcp_tproxy": True, "udp_redir": "tproxy"}).listen == (("127.0.0.1", 1080),)
