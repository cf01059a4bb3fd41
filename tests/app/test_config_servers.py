from __future__ import annotations

import json
from typing import Any

import pytest

from pyss.app.config_servers import Server, read_servers
from pyss.app.json_text import Node
from pyss.app.settings import BOTH, TCP_ONLY, UDP_ONLY, Mode, Settings, load
from pyss.crypto.methods import DEFAULT_METHOD
from pyss.errors import ConfigError, PyssError, UsageError

GCM = "aes-256-gcm"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="  # 16 bytes


def settings_of(document: Any, role: str = "local", environ: Any = None, **options: Any) -> Settings:
    root, notes = load("f.json", lambda name: json.dumps(document).encode())
    given = {name: Node(value, f"--{name}") for name, value in options.items()}
    return Settings(role, given, root, "f.json", notes, environ or {}, lambda name: b"")


def servers(document: Any, role: str = "local", environ: Any = None, **options: Any) -> list[tuple[str, int, str, str]]:
    found = [entry.server for entry in read_servers(settings_of(document, role, environ, **options))]
    return [(server.host, server.port, server.method, server.password) for server in found]


def test_one_server() -> None:
    document = {"server": "h", "server_port": 1, "password": "p", "method": "AES-256-GCM"}
    assert servers(document) == [("h", 1, GCM, "p")]


def test_every_host_with_every_port() -> None:
    document = {"server": ["a", "[::1]:7", "b"], "server_port": [1, "2"], "password": "p", "method": GCM}
    assert [found[:2] for found in servers(document)] == [("a", 1), ("a", 2), ("::1", 7), ("b", 1), ("b", 2)]


def test_defaults() -> None:
    settings = settings_of({"password": "p"}, "server")
    (entry,) = read_servers(settings)
    assert entry.server == Server("0.0.0.0", 8388, DEFAULT_METHOD, "p")
    assert len(settings.notes) == 1 and DEFAULT_METHOD in settings.notes[0]


def test_port_password_wins() -> None:
    document = {"port_password": {"1": "a", "2": "b"}, "server_port": 3, "password": "c", "method": GCM}
    settings = settings_of(document, "server")
    assert [entry.server for entry in read_servers(settings)] == [
        Server("0.0.0.0", 1, GCM, "a"),
        Server("0.0.0.0", 2, GCM, "b"),
    ]
    assert settings.notes == ["f.json, line 1, column 19, port_password: wins over server_port and password"]


def test_a_host_with_a_port_takes_its_password_from_the_table() -> None:
    document = {"server": "h:2", "port_password": {"1": "a", "2": "b"}, "method": GCM}
    assert servers(document) == [("h", 2, GCM, "b")]
    with pytest.raises(ConfigError, match="port_password: holds no password for port 3"):
        servers({**document, "server": "h:3"})


@pytest.mark.parametrize("option", [{"server_port": "9"}, {"password": "z"}])
def test_the_command_line_sets_port_password_aside(option: Any) -> None:
    document = {"port_password": {"1": "a"}, "server_port": 3, "password": "c", "method": GCM}
    settings = settings_of(document, "server", **option)
    (entry,) = read_servers(settings)
    assert (entry.server.port, entry.server.password) == (
        int(option.get("server_port", 3)),
        option.get("password", "c"),
    )
    assert "set aside" in settings.notes[0]


def test_lists_of_servers() -> None:
    document = {
        "method": GCM,
        "servers": [
            {"address": "a", "port": 1, "password": "p", "method": "aes-128-gcm", "tcp_weight": 1.0},
            {"server": "b", "server_port": "2", "password": "q", "disabled": False, "remarks": "second"},
            {"server": "c", "disabled": True, "plugin": "never started"},
        ],
    }
    assert servers(document) == [("a", 1, "aes-128-gcm", "p"), ("b", 2, GCM, "q")]
    assert read_servers(settings_of(document))[1].server.tag == "second"
    assert servers({**document, "server": "d", "password": "r"})[2:] == [("d", 8388, GCM, "r")]


def test_the_command_line_replaces_a_member_in_every_entry() -> None:
    entries = [{"server": "a", "server_port": 1, "password": "p"}, {"server": "b", "server_port": 2, "password": "q"}]
    document = {"method": GCM, "servers": entries}
    assert servers(document, password="z") == [("a", 1, GCM, "z"), ("b", 2, GCM, "z")]
    assert servers(document, server="x", server_port="3", password="z", method="aes-128-gcm") == [
        ("x", 3, "aes-128-gcm", "z")
    ]


def test_passwords_by_precedence() -> None:
    environ = {"SS_SERVER_PASSWORD": "environment", "OTHER": "other"}
    base = {"server": "h", "method": GCM}
    assert servers({**base, "password": "file"}, environ=environ, password="option")[0][3] == "option"
    assert servers({**base, "password": "file"}, environ=environ)[0][3] == "file"
    assert servers({**base, "password": "${OTHER}"}, environ=environ)[0][3] == "other"
    assert servers(base, environ=environ)[0][3] == "environment"


def test_methods_without_encryption_need_no_password_and_are_told() -> None:
    settings = settings_of({"server": "h", "method": "none"})
    assert read_servers(settings)[0].server.password == ""
    assert "neither encrypts nor authenticates" in settings.notes[0]


WRONG: dict[str, tuple[Any, str]] = {
    "no server": ({"password": "geheim"}, "f.json: no server to connect to; give -s HOST"),
    "no password": ({"server": "h"}, "f.json: no password; set SS_SERVER_PASSWORD"),
    "empty password": (
        {"server": "h", "password": ""},
        "password: expected a password in double quotes, got an empty text",
    ),
    "password as a number": (
        {"server": "h", "password": 123456},
        "password: expected a password in double quotes, got a number",
    ),
    "unset variable": ({"server": "h", "password": "${NO}"}, "password: the environment variable NO is not set"),
    "unknown method": ({"server": "h", "password": "geheim", "method": "aes-256-gcn"}, "method: "),
    "method no text": (
        {"server": "h", "password": "geheim", "method": 5},
        "method: expected the name of a method, got 5",
    ),
    "port": (
        {"server": "h", "server_port": 65536, "password": "geheim"},
        "server_port: expected a port (1 to 65535), got 65536",
    ),
    "port zero": (
        {"server": "h", "server_port": 0, "password": "geheim"},
        "server_port: expected a port (1 to 65535), got 0",
    ),
    "port zero behind the host": ({"server": "h:0", "password": "geheim"}, "server: expected a port from 1 to 65535"),
    "port in a list": (
        {"server": "h", "server_port": [1, "x"], "password": "geheim"},
        'server_port[1]: expected a port (1 to 65535), got "x"',
    ),
    "no ports": ({"server": "h", "server_port": [], "password": "geheim"}, "server_port: expected a port, or a list"),
    "no hosts": ({"server": [], "password": "geheim"}, "server: expected a host, or a list"),
    "host": ({"server": ["h", 5], "password": "geheim"}, "server[1]: expected a host name or an IP address, got 5"),
    "table of ports": ({"server": "h", "port_password": ["geheim"]}, "port_password: expected an object"),
    "port in the table": (
        {"server": "h", "port_password": {"x": "geheim"}},
        'port_password.x: expected a port (1 to 65535), got "x"',
    ),
    "password in the table": (
        {"server": "h", "port_password": {"1": ["geheim"]}},
        "port_password.1: expected a password in double quotes, got a list",
    ),
    "all disabled": ({"servers": [{"disabled": True}]}, "f.json: all servers are disabled"),
    "servers no object": ({"servers": ["ss://geheim"]}, "servers[0]: expected a server such as"),
    "mode of a server": (
        {"servers": [{"server": "h", "mode": "udp", "password": "geheim"}]},
        'servers[0].mode: expected one of tcp_and_udp, tcp_only, udp_only, got "udp"',
    ),
    "plugin": ({"server": "h", "password": "geheim", "plugin": "obfs"}, "plugin: plugins are not available yet"),
    "plugin of a server": (
        {"servers": [{"server": "h", "password": "geheim", "plugin": "obfs"}]},
        "servers[0].plugin: plugins are",
    ),
    "acl of a server": (
        {"servers": [{"server": "h", "password": "geheim", "acl": "x"}]},
        "servers[0].acl: access lists",
    ),
    "2022 key": ({"server": "h", "password": "geheim", "method": "2022-blake3-aes-128-gcm"}, "password: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place_and_without_secrets(name: str) -> None:
    document, words = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        servers(document)
    assert words in str(caught.value)
    assert str(caught.value).startswith("f.json")
    assert "geheim" not in str(caught.value) and "123456" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("password", ["c2hvcnQ=", "not base64!", KEY + "x", KEY * 2])
def test_2022_keys_are_checked_and_the_remedy_is_told(password: str) -> None:
    document = {"server": "h", "password": password, "method": "2022-blake3-aes-128-gcm"}
    with pytest.raises(ConfigError, match="pyss genkey -m 2022-blake3-aes-128-gcm") as caught:
        servers(document)
    assert password not in str(caught.value)
    assert servers({**document, "password": KEY})[0][3] == KEY


def test_two_servers_cannot_share_an_address() -> None:
    entries = [{"server_port": 1, "password": "geheim"}, {"server_port": 1, "password": "other"}]
    document = {"method": GCM, "servers": entries}
    with pytest.raises(ConfigError, match=r"different methods or passwords listen on 0\.0\.0\.0:1") as caught:
        servers(document, "server")
    assert "geheim" not in str(caught.value)
    assert len(servers({"method": GCM, "servers": entries[:1] * 2}, "server")) == 1
    free = [{"server_port": 0, "password": "a"}, {"server_port": 0, "password": "a"}]
    assert len(servers({"method": GCM, "servers": free}, "server")) == 2  # any free port, twice


def modes(document: Any, role: str, **options: Any) -> list[tuple[str, int, Mode]]:
    found = [entry.server for entry in read_servers(settings_of(document, role, **options))]
    return [(server.password, server.port, server.mode) for server in found]


ONE = {"server": "h", "server_port": 1, "password": "p", "method": GCM}


@pytest.mark.parametrize("role", ["local", "server"])
@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("tcp_only", "udp_only", BOTH),
        ("udp_only", "tcp_and_udp", BOTH),
        ("tcp_and_udp", "tcp_only", BOTH),
        ("tcp_only", "tcp_only", TCP_ONLY),
    ],
)
def test_a_server_that_is_named_twice_relays_what_either_says(role: str, first: str, second: str, both: Mode) -> None:
    document = {"servers": [{**ONE, "mode": first}, {**ONE, "mode": second}]}
    assert modes(document, role) == [("p", 1, both)]


def test_one_address_may_have_a_server_for_tcp_and_another_for_udp() -> None:
    document = {"servers": [{**ONE, "mode": "tcp_only"}, {**ONE, "password": "q", "mode": "udp_only"}]}
    expected = [("p", 1, TCP_ONLY), ("q", 1, UDP_ONLY)]
    assert modes(document, "server") == modes(document, "local") == expected
    for mode in ("tcp_only", "tcp_and_udp"):
        clash = {"servers": [{**ONE, "mode": mode}, {**ONE, "password": "q", "mode": "tcp_only"}]}
        with pytest.raises(ConfigError, match="two servers with different methods or passwords listen on h:1"):
            modes(clash, "server")
        assert len(modes(clash, "local")) == 2


def test_what_is_missing_without_a_file_is_a_usage_error() -> None:
    bare = Settings("local", {}, None, "", [], {}, lambda name: b"")
    with pytest.raises(UsageError, match=r"^no server to connect to"):
        read_servers(bare)


def test_a_time_limit_of_one_server_is_noted() -> None:
    entry = {"server": "h", "password": "p", "timeout": 7}
    settings = settings_of({"method": GCM, "servers": [entry]})
    read_servers(settings)
    assert "one time limit serves all servers" in settings.notes[0]
    settings = settings_of({"method": GCM, "timeout": "7", "servers": [entry]})
    read_servers(settings)
    assert settings.notes == []


def test_passwords_stay_out_of_representations() -> None:
    assert "geheim" not in repr(Server("h", 1, GCM, "geheim"))
    assert "geheim" not in repr(read_servers(settings_of({"server": "h", "password": "geheim"})))


def test_urls_keep_their_plugin() -> None:
    document = {"server": "h", "password": "p", "method": GCM, "plugin": "obfs", "plugin_opts": "a=b"}
    (entry,) = read_servers(settings_of(document, "url"))
    assert (entry.plugin, entry.plugin_options) == ("obfs", "a=b")


def test_all_errors_are_ours() -> None:
    for document in ({"servers": {}}, {"servers": 5}, {"servers": "x"}, {"servers": [[]]}, {"port_password": {}}):
        with pytest.raises(PyssError):
            servers(document)
