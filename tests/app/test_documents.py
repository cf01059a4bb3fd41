"""What the documents say can be typed and written can be typed and written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from helpers.processes import ROOT

from pyss.app import options
from pyss.app.config import Source, read_local, read_server
from pyss.app.config_keys import LOCAL, OBEY, TOP_LEVEL
from pyss.app.config_names import name_servers
from pyss.app.json_text import Node
from pyss.app.option_table import options_of
from pyss.app.options import RunLocal, RunServer
from pyss.limits import PACKET_LIMITS

UDP = (ROOT / "docs" / "udp.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", UDP, re.DOTALL | re.MULTILINE)
LINES = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line.startswith("pyss ")]
FILES = [block for kind, block in BLOCKS if kind == "json"]
CODE = [text for text in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", UDP, flags=re.DOTALL | re.MULTILINE))]


def nothing(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize("line", LINES)
def test_lines_are_understood(line: str) -> None:
    command: Any = options.parse(line.split()[1:], "pyss", {}, nothing)
    assert isinstance(command, (RunLocal, RunServer))
    assert command.config.notes == ()


def test_files_are_understood() -> None:
    assert FILES
    for text in FILES:
        source = Source({}, "f.json", {}, lambda name, text=text: text.encode())  # type: ignore[misc]
        for config in (read_local(source), read_server(source)):
            assert config.notes == ()  # type: ignore[attr-defined]
    local = read_local(source)
    assert (len(local.listen), len(local.tunnels)) == (1, 2)


def test_options_and_keys_exist() -> None:
    known = {name for command in ("local", "tunnel", "redir", "server") for name in options_of(command)}
    words = {word for text in CODE for word in re.findall(r"(?<!\S)--?[A-Za-z][\w-]*", text)}
    assert words - {"-d"} <= known and len(words) > 8
    keys = {text for text in CODE if "_" in text and re.fullmatch(r"[a-z_]+", text)}
    keys -= {"google_tls", "cloudflare_tls", "quad9_tls"}
    keys |= {key for text in CODE for key in re.findall(r'^"(\w+)": "?\w', text)}
    obeyed = {key for table in (TOP_LEVEL, LOCAL) for key, rule in table.items() if rule.action == OBEY}
    assert keys <= obeyed and {"mode", "tunnel_port", "udp_mtu", "tcp_tproxy"} <= keys


def test_name_servers_are_ones() -> None:
    (table,) = re.findall(r"\| written as \| asked by \|\n\|---\|---\|\n((?:\|.*\n)+)", UDP)
    texts = [text for row in table.splitlines() for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert len(texts) == 11
    for text in texts:
        assert bool(name_servers(Node(text, "dns"))) is (text != "system")
    assert [server.transport for server in name_servers(Node("tls://9.9.9.9,1.1.1.1", "dns"))] == ["tls", "tls"]
    assert "`tls://9.9.9.9,1.1.1.1` is TLS for\nboth" in UDP


def test_numbers_are_those_of_the_program() -> None:
    text = " ".join(UDP.split())
    assert f"default {PACKET_LIMITS.idle:.0f}, with a 2022 method at least 60" in text
    assert f"ends {PACKET_LIMITS.answered_dns:.0f} seconds after its last answer" in text
    assert f"at a time, default {PACKET_LIMITS.associations}, and a quarter of the descriptors at most" in text
    assert f"of one client address {PACKET_LIMITS.of_client}." in text
