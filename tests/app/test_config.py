from __future__ import annotations

import dataclasses
import json
from typing import Any, Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyss.app.config import (
    LocalConfig,
    Server,
    ServerConfig,
    Source,
    Timeouts,
    read_local,
    read_server,
    read_uris,
)
from pyss.app.config_keys import LOCAL, SERVER, TOP_LEVEL
from pyss.app.json_text import Node
from pyss.app.settings import BOTH, TCP_ONLY, UDP_ONLY
from pyss.errors import ConfigError
from pyss.limits import LEAST_2022, PACKET_LIMITS
from pyss.net.names import NameServer
from pyss.protocol.uri import ServerUri

GCM = "aes-256-gcm"
BASE = {"server": "h", "password": "geheim", "method": GCM}
SERVERS = (Server("h", 8388, GCM, "geheim"),)


def source(document: Any, files: Optional[dict[str, Any]] = None, **options: Any) -> Source:
    """As if `document` stood in f.json and the options on the command line."""
    texts = {"f.json": document, **(files or {})}

    def read(name: str) -> bytes:
        if name not in texts:
            raise FileNotFoundError(2, "No such file or directory")
        return texts[name].encode() if isinstance(texts[name], str) else json.dumps(texts[name]).encode()

    nodes = {name: Node(value, f"--{name}") for name, value in options.items()}
    return Source(nodes, "f.json", {}, read)


def test_local_defaults() -> None:
    assert read_local(source(BASE)) == LocalConfig((("127.0.0.1", 1080),), SERVERS)
    assert Timeouts() == Timeouts(greeting=60.0, dial=10.0, idle=300.0, half_closed=60.0)


def test_server_defaults() -> None:
    assert read_server(source(BASE)) == ServerConfig(SERVERS)
    assert read_server(source(BASE)).forbidden_ip is None


def test_every_common_key() -> None:
    document = {
        **BASE,
        "timeout": "7.5",
        "ipv6_first": True,
        "crypto": "Pure",
        "verbose": -1,
        "log-file": "l.log",
        "local_address": "::1",
        "local_port": "1081",
        "forbidden_ip": ["10.0.0.0/8", "::1"],
        "allowed_ip": "10.1.0.0/16",
    }
    local = read_local(source(document))
    assert local.listen == (("::1", 1081),)
    server = read_server(source(document))
    assert server.forbidden_ip == ("10.0.0.0/8", "::1/128")
    assert server.allowed_ip == ("10.1.0.0/16",)
    for config in (local, server):
        assert config.timeouts == Timeouts(idle=7.5)
        assert (config.prefer_ipv6, config.crypto, config.verbosity, config.log_file) == (True, "pure", -1, "l.log")
        assert config.notes == ()


@pytest.mark.parametrize("value", ["", [], " , "])
def test_an_empty_list_forbids_nothing(value: Any) -> None:
    assert read_server(source({**BASE, "forbidden_ip": value})).forbidden_ip == ()
    assert read_server(source({**BASE, "forbidden_ip": "10.0.0.0/8"}, forbidden_ip="")).forbidden_ip == ()
    assert read_server(source({**BASE, "forbidden_ip": None})).forbidden_ip is None


def test_a_server_ignores_what_is_the_local_ends() -> None:
    document = {**BASE, "local_address": "not an address", "local_port": "x", "locals": 5, "protocol": "redir"}
    assert read_server(source(document)) == ServerConfig(SERVERS)


def test_locals() -> None:
    document = {
        **BASE,
        "locals": [
            {"local_port": 1},
            {"protocol": "HTTP", "local_address": "::1", "local_port": 2, "mode": "tcp_and_udp"},
            {"protocol": "socks", "local_address": "127.0.0.1:3"},
            {"protocol": "dns", "local_port": 4, "disabled": True},
        ],
    }
    local = read_local(source(document))
    assert local.listen == (("127.0.0.1", 1), ("::1", 2), ("127.0.0.1", 3))
    assert read_local(source({**document, "local_port": 9})).listen[-1] == ("127.0.0.1", 9)
    assert read_local(source(document, local_address="127.0.0.1", local_port="5")).listen == (("127.0.0.1", 5),)


ACCOUNTS = [{"user_name": "a", "password": "geheim"}]


def test_accounts_by_every_way() -> None:
    files = {"a.json": {"password": {"users": ACCOUNTS}}, "b.json": [{"user_name": "b", "password": "x"}]}
    assert read_local(source({**BASE, "auth": ACCOUNTS})).credentials == (("a", "geheim"),)
    assert read_local(source(BASE, files, auth_file="a.json")).credentials == (("a", "geheim"),)
    assert read_local(source({**BASE, "socks5_auth_config_path": "a.json"}, files)).credentials == (("a", "geheim"),)
    entry = {"local_port": 1, "socks5_auth_config_path": "a.json"}
    assert read_local(source({**BASE, "locals": [entry, {**entry, "local_port": 2}]}, files)).credentials == (
        ("a", "geheim"),
    )
    tunnel = {"protocol": "tunnel", "local_port": 3, "tunnel_address": "t:1"}  # which has no accounts
    mixed = {**BASE, "locals": [tunnel, entry]}
    assert read_local(source(mixed, files)).credentials == (("a", "geheim"),)
    assert read_local(source({**BASE, "locals": [tunnel]})).credentials == ()
    both = read_local(source({**BASE, "auth": ACCOUNTS}, files, auth_file="b.json", user_pass="c:d:e"))
    assert both.credentials == (("b", "x"), ("c", "d:e"))  # what the file says is overridden
    assert "geheim" not in repr(both)


@pytest.mark.parametrize(
    "document, words",
    [
        ({"auth": True}, "auth: one-time auth is gone"),
        ({"auth": []}, "auth: expected a list of"),
        ({"auth": "geheim:x"}, "auth: expected a list of"),
        (
            {"auth": [{"user_name": "a", "password": ["geheim"]}]},
            "auth[0].password: expected a text of 1 to 255 bytes, got a list",
        ),
        ({"auth": [{"user_name": "a", "pass": "geheim"}]}, "auth[0]: expected a list of"),
        ({"socks5_auth_config_path": "missing"}, "cannot read missing"),
        ({"locals": [{"local_port": 1, "socks5_auth_config_path": "a"}, {"local_port": 2}]}, "one list of accounts"),
        ({"locals": [{"disabled": True}]}, "f.json: all locals are disabled"),
        ({"locals": [5]}, "locals[0]: expected an address such as"),
        ({"locals": [{"protocol": "dns"}]}, "locals[0].protocol: this protocol is not available; socks, http, mixed,"),
        ({"protocol": "tun"}, "protocol: this protocol is not available; socks, http, mixed, tunnel and redir are"),
        ({"protocol": "sock"}, "protocol: expected one of socks, "),
        ({"locals": [{"mode": "udp"}]}, "locals[0].mode: expected one of tcp_and_udp, tcp_only, udp_only"),
        ({"servers": [{"server": "s", "mode": "udp"}]}, "servers[0].mode: expected one of tcp_and_udp, tcp_only"),
        ({"mtu": 575}, "mtu: expected a number of bytes (576 to 65535), got 575"),
        ({"udp_mtu": 65536}, "udp_mtu: expected a number of bytes (576 to 65535), got 65536"),
        ({"mtu": True}, "mtu: expected a number of bytes (576 to 65535), got true"),
        ({"udp_timeout": 0}, "udp_timeout: expected a number of seconds, more than 0"),
        ({"udp_timeout": "soon"}, "udp_timeout: expected a number of seconds"),
        ({"udp_max_associations": 0}, "udp_max_associations: expected a number of associations (1 to 1000000), got 0"),
        ({"dns": "resolver.example"}, "dns: 'resolver.example' is not a name server"),
        ({"nameserver": ["9.9.9.9", 5]}, "nameserver[1]: expected a name server such as 9.9.9.9"),
        ({"dns_server": {"domain": "x"}}, "dns_server: a resolver in detail is not available"),
        ({"locals": [{"acl": "x"}]}, "locals[0].acl: access lists"),
        ({"local_port": 65536}, "local_port: expected a port (0 to 65535), got 65536"),
        ({"local_address": []}, "f.json: no address to listen on"),
        ({"local_address": "a b"}, "local_address: expected a host name or an IP address"),
        ({"timeout": 0}, "timeout: expected a number of seconds, more than 0"),
        ({"prefer_ipv6": "yes"}, "prefer_ipv6: expected true or false"),
        ({"verbose": "yes"}, "verbose: expected true, false or a whole number"),
        ({"crypto": 5}, "crypto: expected the name of a crypto backend, got 5"),
        ({"log_file": ""}, "log_file: expected a file name"),
        ({"fast_open": True, "acl": "/etc/acl"}, "acl: access lists are not available yet"),
    ],
)
def test_what_is_wrong_in_a_local_configuration(document: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_local(source({**BASE, **document}, {"a": ACCOUNTS}))
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "document, words",
    [
        ({"auth": True}, "auth: one-time auth is gone"),
        (
            {"forbidden_ip": "10.0.0.0/8,here"},
            'forbidden_ip: expected an IP address or a network such as 10.0.0.0/8, got "here"',
        ),
        ({"forbidden_ip": 5}, "forbidden_ip: expected IP addresses or networks"),
        ({"allowed_ip": ["10.0.0.0/33"]}, "allowed_ip[0]: expected an IP address"),
        ({"workers": 4}, "workers: more than one worker"),
        ({"manager_address": "127.0.0.1:6001"}, "manager_address: the manager is not available yet"),
        ({"user": "nobody"}, "user: changing the user"),
    ],
)
def test_what_is_wrong_in_a_server_configuration(document: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_server(source({**BASE, **document}))
    assert words in str(caught.value)


KEY_16 = "AAAAAAAAAAAAAAAAAAAAAA=="
MODERN = {"server": "h", "password": KEY_16, "method": "2022-blake3-aes-128-gcm"}


def test_limits_of_udp() -> None:
    said = {"udp_timeout": "59.5", "udp_max_associations": "100", "mtu": "1492"}
    for read in (read_local, read_server):
        config = read(source({**BASE, **said}))
        assert config.packets == dataclasses.replace(PACKET_LIMITS, idle=59.5, associations=100)
        assert (config.mtu, config.notes) == (1492, ())
        assert read(source({**BASE, **said}, mtu="576", udp_timeout="7")).mtu == 576
        assert read(source({**BASE, **said}, udp_timeout="7")).packets.idle == 7.0
        for nothing in (0, "0", None):
            assert read(source({**BASE, "mtu": nothing})).mtu == 0
        for bound in (576, 65535):
            assert read(source({**BASE, "udp_mtu": bound})).mtu == bound


@pytest.mark.parametrize("short", [0.5, 59.9])
def test_a_session_of_2022_is_kept_for_a_minute(short: float) -> None:
    """SIP022 section 3.2; the user is told."""
    both = {"servers": [BASE, MODERN]}
    for read in (read_local, read_server):
        for document in (MODERN, {"servers": [{**BASE, "server_port": 1}, MODERN]}):
            config = read(source({**document, "udp_timeout": short}))
            assert config.packets.idle == LEAST_2022 == 60.0
            (note,) = config.notes
            assert note.startswith("f.json, line 1, column ")
            assert note.endswith("udp_timeout: 60 s is the least that AEAD-2022 allows, and is taken")
        assert read(source({**MODERN, "udp_timeout": 60})).packets.idle == 60.0
        assert read(source({**MODERN, "udp_timeout": 61})).notes == ()
        assert read(source({**BASE, "udp_timeout": short})).packets.idle == short
    assert read_local(source({**both, "udp_timeout": short})).notes


def test_name_servers() -> None:
    secure = NameServer("tls", "9.9.9.9", 853, "dns.quad9.net")
    for key in ("dns", "dns_server", "nameserver"):
        for read in (read_local, read_server):
            assert read(source({**BASE, key: str(secure)})).name_servers == (secure,)
            assert read(source({**BASE, key: ["192.0.2.1"]}, dns=str(secure))).name_servers == (secure,)
            assert read(source({**BASE, key: "192.0.2.1"}, dns="system")).name_servers == ()
            assert read(source({**BASE, key: "system"})).name_servers == ()


FIRST, SECOND = {**BASE, "server_port": 1}, {**BASE, "server_port": 2}


def test_modes_of_a_server() -> None:
    """Those of the file, of one server, of the command line: the later one counts."""
    listed = {"servers": [{**FIRST, "mode": "tcp_only"}, SECOND]}
    modes = [server.mode for server in read_server(source(listed)).servers]
    assert modes == [TCP_ONLY, BOTH]
    modes = [server.mode for server in read_server(source({**listed, "mode": "udp_only"})).servers]
    assert modes == [TCP_ONLY, UDP_ONLY]
    modes = [server.mode for server in read_server(source(listed, mode="udp_only")).servers]
    assert modes == [UDP_ONLY, UDP_ONLY]
    assert read_server(source({**BASE, "mode": "tcp_only"})).servers[0].mode == TCP_ONLY
    many = {"port_password": {"1": "a", "2": "b"}, "method": GCM, "mode": "udp_only"}
    assert [server.mode for server in read_server(source(many)).servers] == [UDP_ONLY, UDP_ONLY]


def test_modes_of_a_client_and_of_its_servers_are_two_things() -> None:
    """The one is what it takes from its clients, the other what it may be sent."""
    local = read_local(source({"servers": [{**FIRST, "mode": "tcp_only"}, SECOND], "mode": "tcp_only"}))
    assert local.mode == TCP_ONLY
    assert [server.mode for server in local.servers] == [TCP_ONLY, BOTH]
    local = read_local(source({"servers": [{**FIRST, "mode": "tcp_only"}, SECOND]}, mode="udp_only"))
    assert local.mode == UDP_ONLY
    assert [server.mode for server in local.servers] == [TCP_ONLY, BOTH]


@pytest.mark.parametrize(
    ("of_server", "of_client", "missing"),
    [
        ("tcp_only", "tcp_and_udp", "UDP"),
        ("tcp_only", "udp_only", "UDP"),
        ("udp_only", "tcp_and_udp", "TCP"),
        ("udp_only", "tcp_only", "TCP"),
        ("tcp_only", "tcp_only", ""),
        ("udp_only", "udp_only", ""),
        ("tcp_and_udp", "udp_only", ""),
    ],
)
def test_somebody_has_to_relay_what_is_taken(of_server: str, of_client: str, missing: str) -> None:
    document = {"servers": [{**FIRST, "mode": of_server}, {**SECOND, "mode": of_server}], "mode": of_client}
    if missing:
        with pytest.raises(ConfigError, match=rf"^f\.json: no server relays {missing}; look at the mode of each$"):
            read_local(source(document))
    else:
        assert len(read_local(source(document)).servers) == 2


def test_one_server_of_several_may_be_enough() -> None:
    document = {"servers": [{**FIRST, "mode": "tcp_only"}, {**SECOND, "mode": "udp_only"}]}
    assert len(read_local(source(document)).servers) == 2
    tunnel = {"protocol": "tunnel", "local_port": 1, "forward_address": "t", "forward_port": 1, "mode": "udp_only"}
    assert read_local(source({"servers": [{**FIRST, "mode": "udp_only"}], "locals": [tunnel]})).listen == ()


def test_an_open_proxy_and_ipv6_alone_are_noted() -> None:
    notes = read_local(source({**BASE, "local_address": ["127.0.0.2", "::1", "localhost", "0.0.0.0"]})).notes
    assert len(notes) == 1 and notes[0].startswith("whoever reaches 0.0.0.0:1080 can use this proxy")
    assert read_local(source({**BASE, "local_address": "0.0.0.0", "auth": ACCOUNTS})).notes == ()
    open_tunnel = {"protocol": "tunnel", "local_address": "0.0.0.0", "tunnel_address": "t:1"}
    assert read_local(source({**BASE, **open_tunnel})).notes == ()  # all that it can be used for is its target
    assert "[::]:8388 takes IPv6 connections only" in read_server(source({**BASE, "server": "::"})).notes[0]
    assert read_server(source({**BASE, "server": ["::", "0.0.0.0"]})).notes == ()


def test_the_default_file() -> None:
    texts = {"config.json": json.dumps(BASE).encode(), "./config.json": json.dumps(BASE).encode()}

    def read(name: str) -> bytes:
        if name in texts:
            return texts[name]
        raise FileNotFoundError(2, "No such file or directory")

    local = read_local(Source(read=read))
    assert local.servers == SERVERS
    assert local.notes == ("configuration from ./config.json, as no -c FILE was given",)
    texts["config.json"] = texts["./config.json"] = b"[]"
    with pytest.raises(ConfigError, match=r"^\./config\.json, line 1"):
        read_local(Source(read=read))

    def denied(name: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ConfigError, match=r"^cannot read \./config\.json: Permission denied"):
        read_local(Source(read=denied))


def test_urls_of_a_configuration() -> None:
    document = {**BASE, "plugin": "obfs", "plugin_opts": "a=b", "remarks": "x", "acl": "no matter", "mode": "udp_only"}
    uris, notes = read_uris(source(document))
    assert uris == (ServerUri(GCM, "geheim", "h", 8388, "obfs", "a=b", "x"),)
    assert notes == ()
    many, _ = read_uris(source({"port_password": {"1": "a", "2": "b"}, "method": GCM}, server="example.org"))
    assert [uri.port for uri in many] == [1, 2]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]:8388"])
def test_nobody_connects_to_a_wildcard(host: str) -> None:
    with pytest.raises(ConfigError, match="-s HOST"):
        read_uris(source({**BASE, "server": host}))


def test_configurations_do_not_change_and_do_not_tell() -> None:
    local = read_local(source({**BASE, "auth": ACCOUNTS}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        local.verbosity = 2  # type: ignore[misc]
    assert "geheim" not in repr(local) + repr(read_server(source(BASE)))


# --- whatever the file says ------------------------------------------------------------------------
KEYS = st.sampled_from(sorted({*TOP_LEVEL, *SERVER, *LOCAL, "pid-file", "users", "1", "8388"})) | st.text(max_size=5)
WORDS = st.sampled_from(
    [
        "h",
        "h:1",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        GCM,
        "2022-blake3-aes-128-gcm",
        "none",
        "tcp_only",
        "tcp_and_udp",
        "${X}",
        "socks",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "8388",
        "10.0.0.0/8,::1",
        "a.json",
        "system",
        "tls://9.9.9.9,quad9",
        "tunnel",
        "redir",
        "tproxy",
        "udp_only",
        "",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers(-1, 70000) | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
ACCOUNT = st.fixed_dictionaries({}, optional={"user_name": WORDS, "password": WORDS | VALUES})
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "server": WORDS | VALUES,
        "server_port": st.integers(1, 9) | VALUES,
        "password": WORDS | VALUES,
        "method": WORDS | VALUES,
        "disabled": st.booleans() | VALUES,
        "mode": WORDS,
        "timeout": LEAVES,
    },
)
LOCAL_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        **{name: LEAVES for name in ("local_port", "forward_port", "local_udp_port")},
        **{name: WORDS for name in ("local_address", "protocol", "socks5_auth_config_path", "forward_address", "mode")},
        **{name: WORDS for name in ("tcp_redir", "udp_redir")},
    },
)
DOCUMENTS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "server": WORDS | st.lists(WORDS, max_size=3) | VALUES,
        "server_port": st.integers(0, 9) | st.lists(st.integers(1, 9), max_size=3) | VALUES,
        "password": WORDS | VALUES,
        "port_password": st.dictionaries(st.sampled_from(["1", "2", "8388", "x"]), WORDS | VALUES, max_size=3) | VALUES,
        "method": st.just(GCM) | WORDS | VALUES,
        "servers": st.lists(ENTRY, max_size=3) | VALUES,
        "locals": st.lists(LOCAL_ENTRY, max_size=3) | VALUES,
        "auth": st.lists(ACCOUNT, max_size=2) | VALUES,
        "timeout": LEAVES,
        "verbose": LEAVES,
        "forbidden_ip": WORDS | VALUES,
        "mode": WORDS,
        "protocol": WORDS,
        "tunnel_address": WORDS,
        "dns": WORDS | VALUES,
        "mtu": LEAVES,
        "udp_timeout": LEAVES,
        "udp_max_associations": LEAVES,
    },
)
MARK = "Ge-he1m"


@given(DOCUMENTS)
@example({"timeout": float("inf"), **BASE})
@example({"timeout": 10**99, **BASE})
@example({"server": "h:" + "9" * 200, "password": "x"})
def test_any_document_is_a_configuration_or_a_complaint(document: Any) -> None:
    text = json.dumps(document).replace("NaN", "null").replace("Infinity", "1e999")
    files = {"a.json": '{"users": [{"user_name": "a", "password": "b"}]}'}
    for read in (read_local, read_server, read_uris):
        try:
            read(source(text, files))
        except ConfigError as error:
            assert "\n" not in str(error) and str(error)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_configuration_or_a_complaint(text: str) -> None:
    with pytest.raises(ConfigError):  # nobody hits a configuration by chance
        read_local(Source({}, "f.json", {}, lambda name: text.encode("utf-8", "surrogatepass")))


@given(st.dictionaries(st.sampled_from(sorted(TOP_LEVEL)), VALUES, max_size=3), st.integers(0, 8))
def test_no_secret_is_ever_told(extra: Any, shape: int) -> None:
    shapes: list[Any] = [
        {"password": MARK},
        {"password": [MARK]},
        {"password": {MARK: 1}},
        {"port_password": {"1": MARK}},
        {"port_password": {"1": [MARK]}},
        {"port_password": [MARK]},
        {"auth": [{"user_name": "a", "password": MARK}]},
        {"auth": [{"user_name": "a", "password": {"x": MARK}}]},
        {"servers": [{"server": "h", "password": MARK, "method": "2022-blake3-aes-128-gcm"}]},
    ]
    document = {"server": "h", "password": "x", "method": GCM, **extra, **shapes[shape]}
    text = json.dumps(document).replace("NaN", "null").replace("Infinity", "1e999")
    for read in (read_local, read_server):
        try:
            config = read(source(text))
        except ConfigError as error:
            assert MARK not in str(error)
        else:
            assert MARK not in repr(config)
