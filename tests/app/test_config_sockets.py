"""What a configuration asks of sockets, key by key; whether the system has it is asked elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyss.app.config import LocalConfig, ServerConfig, Source, read_local, read_server
from pyss.app.config_sockets import CODE_POINTS
from pyss.app.json_text import Node
from pyss.errors import ConfigError, UsageError
from pyss.net.socket_options import NOTHING, SocketOptions

BASE = {"server": "192.0.2.1", "password": "geheim", "method": "aes-256-gcm"}


def source(document: dict[str, Any], **options: Any) -> Source:
    """As if `document` stood in f.json and the options on the command line."""
    nodes = {name: Node(value, f"--{name}") for name, value in options.items()}
    return Source(nodes, "f.json", {}, lambda name: json.dumps({**BASE, **document}).encode())


def both(document: dict[str, Any], **options: Any) -> tuple[LocalConfig, ServerConfig]:
    return read_local(source(document, **options)), read_server(source(document, **options))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"fast_open": True}, SocketOptions(fast_open=True)),
        ({"mptcp": True}, SocketOptions(mptcp=True)),
        ({"reuse_port": 1}, SocketOptions(reuse_port=True)),
        ({"ipv6_only": False}, SocketOptions(ipv6_only=False)),
        ({"keep_alive": 15}, SocketOptions(keep_alive=15)),
        ({"keep_alive": "15"}, SocketOptions(keep_alive=15)),
        ({"outbound_bind_addr": "127.0.0.1"}, SocketOptions(bind_ipv4="127.0.0.1")),
        ({"outbound_bind_addr": "::1"}, SocketOptions(bind_ipv6="::1")),
        ({"outbound_bind_addr": ["127.0.0.1", "0:0::1"]}, SocketOptions(bind_ipv4="127.0.0.1", bind_ipv6="::1")),
        ({"outbound_bind_addr": "::1, 127.0.0.1"}, SocketOptions(bind_ipv4="127.0.0.1", bind_ipv6="::1")),
        ({"local_ipv4_address": "127.0.0.2"}, SocketOptions(bind_ipv4="127.0.0.2")),
        ({"local_ipv6_address": "::1"}, SocketOptions(bind_ipv6="::1")),
        (
            {"local_ipv4_address": "127.0.0.2", "local_ipv6_address": "::1", "outbound_bind_addr": "127.0.0.3"},
            SocketOptions(bind_ipv4="127.0.0.3", bind_ipv6="::1"),
        ),
        ({"outbound_bind_interface": "eth0"}, SocketOptions(interface="eth0")),
        ({"outbound_fwmark": 255}, SocketOptions(mark=255)),
        ({"outbound_fwmark": "0xFFffFFff"}, SocketOptions(mark=0xFFFFFFFF)),
        ({"outbound_fwmark": "77"}, SocketOptions(mark=77)),
        ({"dscp": 0}, SocketOptions(dscp=0)),
        ({"dscp": 63}, SocketOptions(dscp=63)),
        ({"dscp": "0x2e"}, SocketOptions(dscp=46)),
        ({"dscp": "EF"}, SocketOptions(dscp=46)),
        ({"dscp": "af41"}, SocketOptions(dscp=34)),
        (
            {"tcp_incoming_sndbuf": 1, "tcp_incoming_rcvbuf": 2, "tcp_outgoing_sndbuf": 3, "tcp_outgoing_rcvbuf": "4"},
            SocketOptions(incoming_send=1, incoming_receive=2, outgoing_send=3, outgoing_receive=4),
        ),
    ],
)
def test_what_is_asked(document: dict[str, Any], expected: SocketOptions) -> None:
    for config in both(document):
        assert config.sockets == expected
        assert config.notes == ()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"fast_open": False, "mptcp": False, "reuse_port": 0, "ipv6_only": True, "keep_alive": 0, "no_delay": True},
        {"keep_alive": False, "outbound_bind_addr": "", "outbound_bind_interface": "", "outbound_fwmark": 0},
        {"outbound_bind_addr": [], "local_ipv4_address": "0.0.0.0", "local_ipv6_address": "::", "dscp": None},
        {"tcp_incoming_sndbuf": 0, "outbound_user_cookie": 0},
    ],
)
def test_nothing_is_asked(document: dict[str, Any]) -> None:
    """And it is `NOTHING` itself, which sockets are compared with."""
    for config in both(document):
        assert config.sockets is NOTHING
        assert config.notes == ()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"fast_open": "yes"}, "fast_open: expected true or false"),
        ({"keep_alive": -1}, "keep_alive: expected a number of seconds (0 to 32767)"),
        ({"keep_alive": 32768}, "keep_alive: expected a number of seconds (0 to 32767)"),
        ({"keep_alive": 1.5}, "keep_alive: expected a number of seconds"),
        ({"keep_alive": True}, "keep_alive: expected a number of seconds"),
        ({"outbound_bind_addr": "eth0"}, 'outbound_bind_addr: expected an IP address of this machine, got "eth0"'),
        ({"outbound_bind_addr": "127.0.0.1:80"}, "outbound_bind_addr: expected an IP address of this machine"),
        ({"outbound_bind_addr": 7}, "outbound_bind_addr: expected an IP address of this machine"),
        ({"outbound_bind_addr": ["127.0.0.1", "127.0.0.2"]}, "outbound_bind_addr[1]: a second IPv4 address"),
        ({"local_ipv4_address": "::1"}, "local_ipv4_address: expected an IPv4 address of this machine"),
        ({"local_ipv6_address": "127.0.0.1"}, "local_ipv6_address: expected an IPv6 address of this machine"),
        ({"outbound_bind_interface": 3}, "outbound_bind_interface: expected the name of a network interface"),
        ({"outbound_bind_interface": "a\0b"}, "outbound_bind_interface: expected the name of a network interface"),
        ({"outbound_bind_interface": "e" * 256}, "outbound_bind_interface: expected the name of a network interface"),
        ({"outbound_fwmark": 1 << 32}, "outbound_fwmark: expected a mark of packets (0 to 4294967295)"),
        ({"outbound_fwmark": "0x100000000"}, "outbound_fwmark: expected a mark of packets"),
        ({"outbound_fwmark": -1}, "outbound_fwmark: expected a mark of packets"),
        ({"dscp": 64}, "dscp: expected a code point such as EF, AF41, CS1 or a number (0 to 63)"),
        ({"dscp": "0x40"}, "dscp: expected a code point"),
        ({"dscp": "AF44"}, "dscp: expected a code point"),
        ({"dscp": {"8388": "EF"}}, "dscp: a code point for each port is not available"),
        ({"tcp_outgoing_sndbuf": "much"}, "tcp_outgoing_sndbuf: expected a number of bytes"),
        ({"outbound_user_cookie": 1}, "outbound_user_cookie: is for FreeBSD"),
    ],
)
def test_what_cannot_be_understood(document: dict[str, Any], complaint: str) -> None:
    for read in (read_local, read_server):
        with pytest.raises(ConfigError) as found:
            read(source(document))
        assert str(found.value).startswith("f.json, line 1, column ")
        assert complaint in str(found.value)


def test_on_the_command_line_it_is_a_matter_of_usage() -> None:
    with pytest.raises(UsageError, match=r"^--outbound_bind_addr: expected an IP address"):
        read_local(source({}, outbound_bind_addr="here"))
    with pytest.raises(UsageError, match=r"^--keep_alive: expected a number of seconds"):
        read_server(source({}, keep_alive="soon"))


def test_the_command_line_comes_first() -> None:
    for config in both({"keep_alive": 5, "outbound_bind_addr": "127.0.0.1"}, keep_alive="7", outbound_bind_addr="::1"):
        assert config.sockets == SocketOptions(keep_alive=7, bind_ipv6="::1")


def test_no_delay_cannot_be_switched_off() -> None:
    for config in both({"no_delay": False}):
        (note,) = config.notes
        assert "no_delay: small packets never wait here (TCP_NODELAY is always set); ignored" in note
        assert config.sockets is NOTHING


@pytest.mark.parametrize("key", ["outbound_bind_addr", "outbound_bind_interface", "outbound_fwmark"])
def test_one_server_alone_cannot_have_its_own(key: str) -> None:
    """Going out by another address than asked for is worse than not starting."""
    document = {"servers": [{**BASE, "server_port": 1, key: "127.0.0.1"}]}
    for read in (read_local, read_server):
        with pytest.raises(ConfigError, match=f"{key}: is not available for one server alone; write it beside"):
            read(source(document))


def test_code_points_have_the_values_of_their_rfcs() -> None:
    # RFC 2597 section 6, RFC 2474 section 4.2.2.2, RFC 3246 section 2.7, RFC 8622 section 4
    expected = {"af11": 0b001010, "af23": 0b010110, "af31": 0b011010, "af43": 0b100110,
                "cs0": 0, "cs1": 0b001000, "cs7": 0b111000, "ef": 0b101110, "le": 0b000001}  # fmt: skip
    assert {name: CODE_POINTS[name] for name in expected} == expected
    assert len(CODE_POINTS) == 8 + 12 + 2


# --- [::] ----------------------------------------------------------------------------------------
def test_a_listener_on_all_ipv6_addresses_says_that_ipv4_is_not_among_them() -> None:
    for config in (read_local(source({"local_address": "::", "local_port": 7})), read_server(source({"server": "::"}))):
        assert any("takes IPv6 connections only; list 0.0.0.0 as well" in note for note in config.notes)


def test_unless_it_is() -> None:
    document = {"ipv6_only": False}
    for config in (
        read_local(source({**document, "local_address": "::", "local_port": 7})),
        read_server(source({**document, "server": "::"})),
    ):
        assert not any("IPv6 connections only" in note for note in config.notes)
        assert config.sockets == SocketOptions(ipv6_only=False)


def test_both_at_once_would_be_one_too_many() -> None:
    for read, document in (
        (read_server, {"server": ["::", "0.0.0.0"], "server_port": 7}),
        (read_local, {"local_address": ["0.0.0.0", "::"], "local_port": 7}),
    ):
        with pytest.raises(ConfigError, match=r"\[::\]:7 takes IPv4 connections too \(ipv6_only\); list it without"):
            read(source({**document, "ipv6_only": False}))
        read(source(document))
