"""Every key that a configuration file may hold, and what becomes of it.

OBEY  `config` reads it.
SKIP  means nothing here, and nothing is lost: another program's business, or done anyway.
NOTE  is not obeyed, which changes speed or comfort at most: a warning, and on we go.
STOP  is not obeyed and somebody relies on it, for safety or to be reached: no start without it.

The same file often serves both ends, so a rule may concern only one of them.  Keys come from the
original Python program, shadowsocks-libev and shadowsocks-rust; hyphens count as underscores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .json_text import Node

OBEY, SKIP, NOTE, STOP = "obey", "skip", "note", "stop"

_ONE_SERVER = "is not available for one server alone; write it beside the servers, for all of them, to start"
_PLUGIN = "plugins are not available yet, and without it the other end would not understand; remove it to start"
_ACL = "access lists are not available yet, and starting without one would open what it closes; remove it to start"
_WEIGHT = "servers take turns, weights are not available yet; remove it to start"
ONE_TIME_AUTH = "one-time auth is gone from the protocol; an AEAD method does what it was for; remove it to start"
_MANAGER = "the manager is not available yet; remove it to start"


class Rule(NamedTuple):
    """What becomes of a key.

    action    OBEY, SKIP, NOTE or STOP
    sentence  what is said about it
    name      the key that `config` knows it by
    role      "local" or "server" where it concerns only one of them
    harmless  values that ask for nothing, besides the empty ones
    """

    action: str
    sentence: str = ""
    name: str = ""
    role: str = ""
    harmless: tuple[Any, ...] = ()


Table = Mapping[str, Rule]

_IN_URL = frozenset({"plugin", "plugin_opts"})


def _table(*groups: tuple[str, Rule]) -> Table:
    rules: dict[str, Rule] = {}
    for names, rule in groups:
        for name in names.split():
            if name in rules:
                raise ValueError(f"the key {name} has two rules")
            rules[name] = rule._replace(name=rule.name or name)
    return rules


_EVERYWHERE = (
    ("mode", Rule(OBEY)),
    ("acl", Rule(STOP, _ACL)),
    # Options of a plugin that is not named do nothing, and one that is named stops the start.
    ("plugin", Rule(STOP, _PLUGIN)),
    ("plugin_opts plugin_args plugin_mode", Rule(SKIP)),
)

TOP_LEVEL = _table(
    *_EVERYWHERE,
    ("server server_port port_password password method timeout servers", Rule(OBEY)),
    ("local_address local_port locals protocol auth socks5_auth_config_path http_auth_config_path", Rule(OBEY)),
    ("forbidden_ip allowed_ip prefer_ipv6 crypto verbose log_file", Rule(OBEY)),
    ("ipv6_first", Rule(OBEY, name="prefer_ipv6")),
    ("remarks tag id name", Rule(OBEY, name="tag")),
    ("libopenssl libmbedtls libsodium", Rule(SKIP)),
    ("fast_open mptcp keep_alive no_delay dscp ipv6_only reuse_port", Rule(OBEY)),
    ("local_ipv4_address local_ipv6_address", Rule(OBEY)),
    ("outbound_bind_addr outbound_bind_interface outbound_fwmark", Rule(OBEY)),
    ("tcp_incoming_sndbuf tcp_incoming_rcvbuf tcp_outgoing_sndbuf tcp_outgoing_rcvbuf", Rule(OBEY)),
    ("nofile", Rule(SKIP)),  # the limit is raised as far as it goes
    ("version bytes_used bytes_remaining", Rule(SKIP)),  # SIP008
    ("tunnel_remote tunnel_remote_port tunnel_port tunnel_address forward_address forward_port", Rule(OBEY)),
    ("manager_port", Rule(SKIP)),  # nothing without `manager_address`
    ("mtu udp_timeout udp_max_associations", Rule(OBEY)),
    ("pac_direct pac_proxied", Rule(OBEY)),
    ("udp_mtu", Rule(OBEY, name="mtu")),
    ("pid_file", Rule(NOTE, "a pid file belongs to running in the background, which is not available yet; ignored")),
    ("use_syslog", Rule(NOTE, "the log goes to standard error or to log_file; ignored")),
    ("log runtime dns_cache_size", Rule(NOTE, "is not available here; ignored")),
    ("one_time_auth", Rule(STOP, ONE_TIME_AUTH)),
    ("key", Rule(STOP, "a raw key instead of a password is not available yet; give a password")),
    ("user", Rule(STOP, "changing the user is not available yet; start it as the user it shall run as")),
    ("workers", Rule(STOP, "more than one worker is not available yet; ask for 1", role="server", harmless=(1, "1"))),
    ("manager_address", Rule(STOP, _MANAGER, role="server")),
    ("dns_server nameserver dns", Rule(OBEY, name="dns")),
    ("tcp_tproxy tcp_redir udp_redir", Rule(OBEY)),
    ("balancer", Rule(STOP, _WEIGHT, role="local")),
    ("online_config", Rule(STOP, "subscriptions are not available yet; list the servers", role="local")),
    ("outbound_user_cookie", Rule(STOP, "is for FreeBSD, and not available; remove it to start")),
    ("workdir", Rule(STOP, "changing the folder is not available yet; start it in that folder")),
    ("security", Rule(STOP, "is not available here; remove it to start")),
)

# What only the command line can ask for.
OPTIONS = {
    **TOP_LEVEL,
    **_table(
        ("server_url auth_file user_pass", Rule(OBEY)),
        ("daemon", Rule(STOP, "running in the background is not available yet; start it from a service manager")),
        ("tunnel_target", Rule(OBEY)),
    ),
}

SERVER = _table(
    *_EVERYWHERE,
    ("server server_port method password disabled timeout", Rule(OBEY)),
    ("address", Rule(OBEY, name="server")),
    ("port", Rule(OBEY, name="server_port")),
    ("remarks tag id name", Rule(OBEY, name="tag")),
    ("group", Rule(SKIP)),
    ("users", Rule(STOP, "several users on one port are not available yet; remove it to start", role="server")),
    ("tcp_weight", Rule(STOP, _WEIGHT, role="local", harmless=(1,))),
    ("udp_weight", Rule(SKIP)),
    ("outbound_bind_addr outbound_bind_interface outbound_fwmark outbound_user_cookie", Rule(STOP, _ONE_SERVER)),
)

LOCAL = _table(
    ("local_address local_port protocol mode disabled", Rule(OBEY)),
    ("socks5_auth_config_path http_auth_config_path", Rule(OBEY)),
    ("acl", Rule(STOP, _ACL)),
    ("local_udp_address local_udp_port", Rule(OBEY)),
    ("tcp_redir udp_redir tunnel_address forward_address forward_port", Rule(OBEY)),
    ("launchd_tcp_socket_name launchd_udp_socket_name", Rule(STOP, "sockets from launchd are not available yet")),
)


def read(members: Mapping[str, Node], table: Table, role: str, notes: list[str]) -> dict[str, Node]:
    """The members that are to be obeyed, by the names `config` knows; null stands for an absent one.

    role  "local", "server", or "url" for one who starts nothing: what would stop or be noted means
          nothing then, and a plugin is a part of the address
    Raises ConfigError for what stops a start; appends to `notes`.
    """
    obeyed: dict[str, Node] = {}
    for key, node in members.items():
        rule = table.get(key.replace("-", "_"))
        if rule is None:
            notes.append(node.says("unknown key, ignored" + nearest(key, table)))
        elif node.value is None:
            continue
        elif rule.action == OBEY or (role == "url" and key in _IN_URL):
            obeyed[rule.name] = node
        elif role != "url" and rule.role in ("", role) and _asks(node, rule):
            if rule.action == STOP:
                raise node.refusal(rule.sentence)
            if rule.action == NOTE:
                notes.append(node.says(rule.sentence))
    return obeyed


def _asks(node: Node, rule: Rule) -> bool:
    return bool(node.value) and node.value not in rule.harmless


def nearest(word: str, known: Iterable[str]) -> str:
    """A question to put behind a complaint about an unknown word, or nothing."""
    import difflib  # only for people who mistype

    found = difflib.get_close_matches(word[:60].lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]}?)" if found else ""
