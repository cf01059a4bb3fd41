"""Whole files in the manner of each program whose files people have, and what becomes of them at either end."""

from __future__ import annotations

import pytest

from pyss.app.config import Source, read_local, read_server
from pyss.errors import ConfigError

# name: file, addresses and ports that `server` listens on (or why it stops), those that `local` connects
# to (or why it stops), number of notes at each end
CORPUS: dict[str, tuple[str, str, str, int, int]] = {
    "original, both ends": (
        """{
            "server": "198.51.100.7", "server_port": 8388,
            "local_address": "127.0.0.1", "local_port": 1080,
            "password": "pw", "timeout": 300, "method": "aes-256-gcm",
            "fast_open": false, "workers": 1, "prefer_ipv6": false
        }""",
        "198.51.100.7:8388",
        "198.51.100.7:8388",
        0,
        0,
    ),
    "original, many ports": (
        """{
            "server": "0.0.0.0",
            "port_password": {"8381": "a", "8382": "b"},
            "timeout": 300, "method": "aes-256-gcm",
            "pid-file": "/run/x.pid", "log-file": "x.log", "forbidden_ip": "127.0.0.0/8,::1/128"
        }""",
        "0.0.0.0:8381 0.0.0.0:8382",
        "0.0.0.0:8381 0.0.0.0:8382",
        1,
        1,
    ),
    "original, with a manager": (
        '{"manager_address": "127.0.0.1:6001", "port_password": {"8381": "a"}, "method": "aes-256-gcm"}',
        "manager_address: the manager is not available yet",
        "no server to connect to",
        0,
        0,
    ),
    "libev, both families": (
        """{
            "server": ["::0", "0.0.0.0"], "mode": "tcp_and_udp", "server_port": 8388, "local_port": 1080,
            "password": "pw", "timeout": 86400, "method": "chacha20-ietf-poly1305", "no_delay": true, "nofile": 51200
        }""",
        ":::8388 0.0.0.0:8388",
        ":::8388 0.0.0.0:8388",
        0,
        0,
    ),
    "libev, UDP with all that concerns it": (
        """{"server": "h", "server_port": 1, "local_port": 1080, "password": "pw", "method": "aes-256-gcm",
            "mode": "udp_only", "mtu": 1492, "nameserver": "9.9.9.9,[2620:fe::fe]:53",
            "tunnel_address": "192.0.2.53:53", "tcp_tproxy": true}""",
        "h:1",
        "h:1",
        0,
        0,
    ),
    "original, with a tunnel and a name server": (
        """{"server": "h", "server_port": 1, "local_port": 1080, "password": "pw", "method": "aes-256-gcm",
            "tunnel_remote": "8.8.8.8", "tunnel_remote_port": 53, "tunnel_port": 53,
            "dns_server": ["9.9.9.9", "149.112.112.112"]}""",
        "h:1",
        "h:1",
        0,
        0,
    ),
    "libev, with a plugin": (
        """{"server": "h", "server_port": 443, "password": "pw", "method": "aes-256-gcm",
            "plugin": "obfs-server", "plugin_opts": "obfs=tls"}""",
        "plugin: plugins are not available yet",
        "plugin: plugins are not available yet",
        0,
        0,
    ),
    "libev, with an access list and a name server": (
        """{"server": "h", "password": "pw", "method": "aes-256-gcm", "acl": "/etc/x.acl", "nameserver": "8.8.8.8"}""",
        "acl: access lists are not available yet",
        "acl: access lists are not available yet",
        0,
        0,
    ),
    "rust, lists of both": (
        """{
            // two ways in
            "locals": [
                {"protocol": "socks", "local_address": "127.0.0.1", "local_port": 1080},
                {"protocol": "http", "local_address": "127.0.0.1", "local_port": 3128}, /* plain */
            ],
            "servers": [
                {"address": "192.0.2.1", "port": 8389, "method": "aes-128-gcm", "password": "pw", "timeout": 7200},
                {"server": "192.0.2.2", "server_port": 8388, "method": "2022-blake3-aes-128-gcm",
                 "password": "${KEY}", "tcp_weight": 1.0, "udp_weight": 0.5, "disabled": false},
                {"disabled": true, "server": "192.0.2.3"},
            ],
            "mode": "tcp_only", "no_delay": false, "keep_alive": 15, "ipv6_first": false, "udp_timeout": 300,
        }""",
        "192.0.2.1:8389 192.0.2.2:8388",
        "192.0.2.1:8389 192.0.2.2:8388",
        2,
        2,
    ),
    "rust, users on a port": (
        """{"servers": [{"server": "h", "server_port": 1, "method": "2022-blake3-aes-128-gcm", "password": "${KEY}",
            "users": [{"name": "u", "password": "AAAAAAAAAAAAAAAAAAAAAA=="}]}]}""",
        "servers[0].users: several users on one port are not available yet",
        "h:1",
        0,
        0,
    ),
    "rust, a tunnel": (
        """{"server": "h", "password": "pw", "method": "aes-256-gcm", "locals":
            [{"protocol": "tunnel", "local_port": 5353, "forward_address": "192.0.2.53", "forward_port": 53}]}""",
        "h:8388",
        "h:8388",
        0,
        0,
    ),
    "rust, a router": (
        """{"server": "h", "server_port": 1, "password": "pw", "method": "aes-256-gcm", "mode": "tcp_and_udp",
            "dns": "quad9_tls", "udp_timeout": 120, "udp_max_associations": 512, "locals": [
                {"protocol": "redir", "local_address": "0.0.0.0", "local_port": 60080,
                 "tcp_redir": "redirect", "udp_redir": "tproxy"},
                {"local_address": "127.0.0.1", "local_port": 1080, "mode": "tcp_and_udp"},
                {"protocol": "tunnel", "local_port": 5353, "forward_address": "192.0.2.53", "forward_port": 53,
                 "mode": "udp_only"}]}""",
        "h:1",
        "h:1",
        0,
        0,
    ),
    "rust, its own name server": (
        """{"server": "h", "password": "pw", "method": "aes-256-gcm", "locals": [
            {"protocol": "dns", "local_port": 53, "local_dns_address": "192.0.2.53", "remote_dns_address": "8.8.8.8"}
            ]}""",
        "h:8388",
        "locals[0].protocol: this protocol is not available; socks, http, mixed, tunnel and redir are",
        0,
        0,
    ),
    "a subscription": (
        """{"version": 1, "bytes_used": 1, "bytes_remaining": 2, "servers": [
            {"id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79", "remarks": "first", "server": "h", "server_port": 1,
             "password": "pw", "method": "aes-256-gcm", "plugin": "", "plugin_opts": ""}]}""",
        "h:1",
        "h:1",
        0,
        0,
    ),
}


@pytest.mark.parametrize("end", ["server", "local"])
@pytest.mark.parametrize("name", CORPUS)
def test_files_of_other_programs(name: str, end: str) -> None:
    text, *expected = CORPUS[name]
    outcome, notes = (expected[0], expected[2]) if end == "server" else (expected[1], expected[3])
    source = Source({}, "f.json", {"KEY": "AAAAAAAAAAAAAAAAAAAAAA=="}, lambda name: text.encode())
    try:
        config = read_server(source) if end == "server" else read_local(source)
    except ConfigError as error:
        assert str(outcome) in str(error)
        assert str(error).startswith("f.json")
    else:
        assert " ".join(f"{server.host}:{server.port}" for server in config.servers) == outcome
        assert len(config.notes) == notes
