from __future__ import annotations

import re
from typing import Any

import pytest

from pyss.app import config_keys
from pyss.app.config_keys import LOCAL, NOTE, OBEY, OPTIONS, SERVER, SKIP, STOP, TOP_LEVEL, Rule, Table
from pyss.app.json_text import Node
from pyss.errors import ConfigError

# Every key that the programs pyss follows know, by program.
ORIGINAL_KEYS = """server server_port local_address local_port password port_password method timeout fast_open workers
    user forbidden_ip manager_address dns_server prefer_ipv6 libopenssl libmbedtls libsodium one_time_auth verbose
    pid-file log-file pid_file log_file tunnel_remote tunnel_remote_port tunnel_port"""
LIBEV_KEYS = """mode nameserver local_ipv4_address local_ipv6_address reuse_port no_delay plugin plugin_opts nofile acl
    ipv6_first tunnel_address key mtu mptcp tcp_tproxy workdir dscp use_syslog tcp_incoming_sndbuf tcp_incoming_rcvbuf
    tcp_outgoing_sndbuf tcp_outgoing_rcvbuf auth"""
RUST_KEYS = """servers locals keep_alive ipv6_only outbound_bind_addr outbound_bind_interface outbound_fwmark balancer
    online_config udp_timeout udp_max_associations udp_mtu dns manager_port protocol"""
RUST_SERVER = """address server port server_port method password users disabled plugin plugin_opts plugin_mode timeout
    mode tcp_weight udp_weight acl"""
RUST_LOCAL = "protocol local_address local_port mode forward_address forward_port"


@pytest.mark.parametrize(
    "table, keys",
    [
        (TOP_LEVEL, ORIGINAL_KEYS),
        (TOP_LEVEL, LIBEV_KEYS),
        (TOP_LEVEL, RUST_KEYS),
        (SERVER, RUST_SERVER),
        (LOCAL, RUST_LOCAL),
    ],
)
def test_no_key_of_the_other_programs_is_unknown(table: Table, keys: str) -> None:
    notes: list[str] = []
    config_keys.read({key: Node(None, key, "f") for key in keys.split()}, table, "local", notes)
    assert notes == []


def stops(value: Any, key: str, role: str = "local", table: Table = TOP_LEVEL) -> bool:
    try:
        config_keys.read({key: Node(value, key, "f")}, table, role, [])
    except ConfigError as error:
        assert str(error).startswith(f"f, {key}: ")
        return True
    return False


SAFETY = "acl plugin user manager_address outbound_user_cookie one_time_auth key workdir"


@pytest.mark.parametrize("key", SAFETY.split())
def test_what_somebody_relies_on_stops_the_start(key: str) -> None:
    assert stops("x", key, "server")
    assert stops(True, key.replace("_", "-"), "server")


@pytest.mark.parametrize("value", [None, False, 0, "", [Node(1, "x")][:0], {}])
def test_what_asks_for_nothing_does_not(value: Any) -> None:
    for table in (OPTIONS, SERVER, LOCAL):
        for key, rule in table.items():
            if rule.action in (STOP, NOTE):
                notes: list[str] = []
                for role in ("local", "server"):
                    config_keys.read({key: Node(value, key, "f")}, table, role, notes)
                assert notes == []


def test_harmless_values() -> None:
    assert not stops(1, "workers", "server") and stops(2, "workers", "server") and stops("4", "workers", "server")
    assert not stops(1.0, "tcp_weight", table=SERVER) and stops(0.5, "tcp_weight", table=SERVER)


def test_a_file_for_both_ends_stops_only_whom_it_concerns() -> None:
    assert not stops("127.0.0.1:6001", "manager_address", "local")
    assert not stops(4, "workers", "local")
    assert not stops([Node(1, "x")], "users", "local", SERVER) and stops([Node(1, "x")], "users", "server", SERVER)
    assert not stops({"a": Node(1, "x")}, "balancer", "server") and stops({"a": Node(1, "x")}, "balancer")


@pytest.mark.parametrize("key", ["pid-file", "use_syslog", "log", "runtime"])
def test_what_changes_comfort_only_is_noted(key: str) -> None:
    notes: list[str] = []
    config_keys.read({key: Node(15, key, "f, line 2, column 3")}, TOP_LEVEL, "local", notes)
    assert len(notes) == 1
    assert notes[0].startswith(f"f, line 2, column 3, {key}: ")


def test_unknown_keys_are_noted_with_the_nearest_one() -> None:
    notes: list[str] = []
    members = {key: Node(1, key, "f") for key in ("sever_port", "xyzzyx", "Password" * 1000)}
    assert config_keys.read(members, TOP_LEVEL, "server", notes) == {}
    assert notes[0] == "f, sever_port: unknown key, ignored (did you mean server_port?)"
    assert notes[1] == "f, xyzzyx: unknown key, ignored"
    assert len(notes) == 3


def test_aliases_have_one_name() -> None:
    node = Node(True, "ipv6_first", "f")
    assert config_keys.read({"ipv6_first": node}, TOP_LEVEL, "local", []) == {"prefer_ipv6": node}
    assert config_keys.read({"address": node, "port": node}, SERVER, "local", []) == {
        "server": node,
        "server_port": node,
    }
    assert config_keys.read({"log-file": node}, TOP_LEVEL, "local", []) == {"log_file": node}
    for key in ("dns", "dns_server", "dns-server", "nameserver"):
        assert config_keys.read({key: node}, TOP_LEVEL, "server", []) == {"dns": node}
    assert config_keys.read({"udp_mtu": node}, TOP_LEVEL, "server", []) == {"mtu": node}


SOCKETS = """fast_open mptcp keep_alive no_delay dscp ipv6_only reuse_port local_ipv4_address local_ipv6_address
    outbound_bind_addr outbound_bind_interface outbound_fwmark
    tcp_incoming_sndbuf tcp_incoming_rcvbuf tcp_outgoing_sndbuf tcp_outgoing_rcvbuf"""


@pytest.mark.parametrize("key", SOCKETS.split())
def test_what_concerns_sockets_is_obeyed(key: str) -> None:
    node = Node("x", key, "f")
    for table, role in ((TOP_LEVEL, "local"), (OPTIONS, "server")):
        notes: list[str] = []
        assert config_keys.read({key: node}, table, role, notes) == {key: node}
        assert notes == []


UDP = """mode mtu udp_mtu udp_timeout udp_max_associations dns dns_server nameserver tunnel_remote tunnel_remote_port
    tunnel_port tunnel_address forward_address forward_port tcp_tproxy tcp_redir udp_redir"""


@pytest.mark.parametrize("key", UDP.split())
def test_what_concerns_udp_tunnels_redirects_and_names_is_obeyed(key: str) -> None:
    node = Node("x", key, "f")
    for table in (TOP_LEVEL, OPTIONS):
        notes: list[str] = []
        assert list(config_keys.read({key: node}, table, "local", notes).values()) == [node]
        assert notes == []


def test_what_a_local_says_of_itself_is_obeyed() -> None:
    keys = f"{RUST_LOCAL} tunnel_address tcp_redir udp_redir local_udp_address local_udp_port disabled"
    nodes = {key: Node("x", key, "f") for key in keys.split()}
    assert config_keys.read(nodes, LOCAL, "local", []) == nodes


def test_for_urls_a_plugin_is_part_of_the_address_and_nothing_else_matters() -> None:
    members = {key: Node("x", key, "f") for key in ("plugin", "plugin_opts", "acl", "user", "use_syslog")}
    notes: list[str] = []
    assert set(config_keys.read(members, TOP_LEVEL, "url", notes)) == {"plugin", "plugin_opts"}
    assert notes == []


def test_tables_refuse_duplicates_and_every_rule_speaks() -> None:
    with pytest.raises(ValueError, match="two rules"):
        config_keys._table(("a b", Rule(SKIP)), ("b", Rule(SKIP)))
    for rule in {*OPTIONS.values(), *SERVER.values(), *LOCAL.values()}:
        assert bool(rule.sentence) == (rule.action in (NOTE, STOP))
        assert rule.action in (OBEY, SKIP, NOTE, STOP)
        assert re.fullmatch(r"[^\n]*[^.\s]|", rule.sentence)
