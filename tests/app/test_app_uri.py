from __future__ import annotations

import io
import json
from typing import Optional

import pytest

from pyss.app import uri
from pyss.app.options import Url
from pyss.errors import ConfigError
from pyss.protocol.uri import ServerUri

FIRST = ServerUri("aes-128-gcm", "test", "192.168.100.1", 8888, tag="Example1")
SECOND = ServerUri("aes-256-gcm", "\u00e4 b", "::1", 1, "obfs", "a=b", "x\x1b[2J")
FIRST_URL = "ss://YWVzLTEyOC1nY206dGVzdA@192.168.100.1:8888#Example1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(command: Url, stdin: str = "", stdout: Optional[io.StringIO] = None, **environ: str) -> str:
    stdout = io.StringIO() if stdout is None else stdout
    assert uri.run(command, io.StringIO(stdin), stdout, environ) == 0
    return stdout.getvalue()


def test_encode() -> None:
    assert run(Url((FIRST, SECOND))) == f"{FIRST_URL}\n{SECOND.encode()}\n"


def test_decode_for_people() -> None:
    text = run(Url((FIRST, SECOND), decode=True))
    assert text.split("\n") == [
        "server       192.168.100.1",
        "server_port  8888",
        "method       aes-128-gcm",
        "password     test",
        "remarks      Example1",
        "",
        "server       ::1",
        "server_port  1",
        "method       aes-256-gcm",
        "password     \u00e4 b",
        "plugin       obfs",
        "plugin_opts  a=b",
        "remarks      x\\x1b[2J",  # a URL from somewhere must not clear the screen
        "",
    ]


def test_decode_for_programs() -> None:
    lines = run(Url((FIRST, SECOND), decode=True, json=True)).splitlines()
    assert all(line.isascii() for line in lines)
    assert [json.loads(line) for line in lines] == [
        {
            "server": "192.168.100.1",
            "server_port": 8888,
            "method": "aes-128-gcm",
            "password": "test",
            "remarks": "Example1",
        },
        {
            "server": "::1",
            "server_port": 1,
            "method": "aes-256-gcm",
            "password": "\u00e4 b",
            "plugin": "obfs",
            "plugin_opts": "a=b",
            "remarks": "x\x1b[2J",
        },
    ]


def test_from_standard_input() -> None:
    text = run(Url((SECOND,), read_input=True, decode=True, json=True), f"\n{FIRST_URL}\n\n{FIRST_URL}\r\n")
    assert [json.loads(line)["server_port"] for line in text.splitlines()] == [1, 8888, 8888]
    assert run(Url((), read_input=True, decode=True), "") == ""


def test_a_bad_line_on_standard_input() -> None:
    with pytest.raises(ConfigError, match="standard input, line 2: "):
        run(Url((), read_input=True, decode=True), f"{FIRST_URL}\nss://\n")


def test_a_qr_code_follows_its_url() -> None:
    pytest.importorskip("segno", reason="it computes the code")
    lines = run(Url((FIRST,), qr=True)).splitlines()
    assert lines[0] == FIRST_URL
    assert len(lines) > 15 and set("".join(lines[1:])) == set("█▀▄ ")


@pytest.mark.parametrize(
    "terminal, environ, coloured",
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"WT_SESSION": "1"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colours_only_where_they_work(terminal: bool, environ: dict[str, str], coloured: bool) -> None:
    pytest.importorskip("segno", reason="it computes the code")
    text = run(Url((FIRST,), qr=True), "", Terminal() if terminal else io.StringIO(), **environ)
    assert ("\x1b[" in text) == coloured


def test_an_output_that_cannot_show_it() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with pytest.raises(ConfigError, match="PYTHONIOENCODING"):
        uri.run(Url((SECOND,), decode=True), io.StringIO(), out, {})
