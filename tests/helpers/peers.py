"""Command lines of every implementation that the interop tests put beside pyss.

Placeholders: {python} {method} {METHOD} {password} {server_port} {local_port} {folder}, and for tunnels {target}.
All of them relay UDP too.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Callable

import pytest

from helpers.processes import PYTHON, ROOT, Program, clean_environment, free_port
from pyss.crypto.methods import METHODS


def _load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


installed = _load_script("peers")

AEAD_2017 = ("aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "chacha20-ietf-poly1305")
LEGACY = (  # what shadowsocks-libev still knows of it
    "rc4-md5",
    *(f"aes-{bits}-{mode}" for mode in ("cfb", "ctr") for bits in (128, 192, 256)),
    *(f"camellia-{bits}-cfb" for bits in (128, 192, 256)),
    *("bf-cfb", "salsa20", "chacha20", "chacha20-ietf"),
)
AEAD_2022 = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")


@dataclass(frozen=True)
class Implementation:
    """A Shadowsocks client and server.

    name              as in scripts/peers.py; "pyss" is the one under test
    methods           that it knows
    client, server    command lines; the program's name in {braces} stands for its full path
    tunnel            that of a client with one target, () where there is none
    files             what they read from their folder
    loses_half_close  why an answer that comes after the client's EOF is lost by it, "" if it is not
    """

    name: str
    methods: tuple[str, ...]
    client: tuple[str, ...]
    server: tuple[str, ...]
    tunnel: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    loses_half_close: str = ""


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


# shadowsocks-go's, for both protocols at one port.
_LISTENERS = (
    '"tcpListeners": [{"network": "tcp", "address": "127.0.0.1:%s"}], '
    '"udpListeners": [{"network": "udp", "address": "127.0.0.1:%s"}], "mtu": 9000'
)
_BOTH = '"enableTCP": true, "enableUDP": true, "mtu": 9000'

PYSS = Implementation(
    "pyss",
    tuple(METHODS),
    client=_words(
        "{python} -m pyss local -s 127.0.0.1 -p {server_port} -b 127.0.0.1 -l {local_port} -k {password} -m {method}"
    ),
    server=(
        *_words("{python} -m pyss server -s 127.0.0.1 -p {server_port} -k {password} -m {method} --forbidden-ip"),
        "",
    ),
    tunnel=_words(
        "{python} -m pyss tunnel -s 127.0.0.1 -p {server_port} -b 127.0.0.1 -l {local_port} -k {password} -m {method} "
        "-L {target} -u"
    ),
)

LIBEV = Implementation(
    "shadowsocks-libev",
    (*AEAD_2017, "xchacha20-ietf-poly1305", *LEGACY),
    # Without --mtu it cuts datagrams at twice 1397 bytes; what is sealed is then lost.
    client=_words(
        "{ss-local} -u --mtu 9000 -s 127.0.0.1 -p {server_port} -b 127.0.0.1 -l {local_port} -m {method} -k {password}"
    ),
    server=_words("{ss-server} -u --mtu 9000 -s 127.0.0.1 -p {server_port} -m {method} -k {password}"),
    tunnel=_words(
        "{ss-tunnel} -u --mtu 9000 -s 127.0.0.1 -p {server_port} -b 127.0.0.1 -l {local_port} -m {method} "
        "-k {password} -L {target}"
    ),
    loses_half_close="3.3.5 closes both directions at the first EOF",
)

RUST = Implementation(
    "shadowsocks-rust",
    ("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", *AEAD_2022),  # it has no aes-192-gcm
    # Its -U is the -u of all others.
    client=_words("{sslocal} -U -s 127.0.0.1:{server_port} -b 127.0.0.1:{local_port} -m {method} -k {password}"),
    server=_words("{ssserver} -U -s 127.0.0.1:{server_port} -m {method} -k {password}"),
    tunnel=_words(
        "{sslocal} -U -s 127.0.0.1:{server_port} -b 127.0.0.1:{local_port} -m {method} -k {password} "
        "--protocol tunnel -f {target}"
    ),
)

GO_SHADOWSOCKS2 = Implementation(
    "go-shadowsocks2",
    ("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"),
    client=_words(
        "{go-shadowsocks2} -c ss://{METHOD}:{password}@127.0.0.1:{server_port} -socks 127.0.0.1:{local_port} -u"
    ),
    server=_words("{go-shadowsocks2} -s ss://{METHOD}:{password}@127.0.0.1:{server_port} -udp"),
    loses_half_close="it passes no EOF on and gives up five seconds after the first",
)

SHADOWSOCKS_GO = Implementation(
    "shadowsocks-go",
    ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"),
    client=_words("{shadowsocks-go} -confPath client.json -logLevel warn"),
    server=_words("{shadowsocks-go} -confPath server.json -logLevel warn"),
    files={
        "client.json": '{"servers": [{"name": "in", "protocol": "socks5", '
        + _LISTENERS % ("{local_port}", "{local_port}")
        + '}], "clients": [{"name": "out", "protocol": "{method}", "endpoint": "127.0.0.1:{server_port}", '
        + _BOTH
        + ', "psk": "{password}"}]}',
        "server.json": '{"servers": [{"name": "in", "protocol": "{method}", '
        + _LISTENERS % ("{server_port}", "{server_port}")
        + ', "psk": "{password}"}], "clients": [{"name": "out", "protocol": "direct", '
        + _BOTH
        + "}]}",
    },
)

OTHERS = (LIBEV, RUST, GO_SHADOWSOCKS2, SHADOWSOCKS_GO)


@dataclass(frozen=True)
class Pair:
    """A client of one implementation, a server of another, one method."""

    client: Implementation
    server: Implementation
    method: str

    def __str__(self) -> str:
        return f"{self.client.name}:{self.server.name}-{self.method}"

    @property
    def loses_half_close(self) -> str:
        return self.client.loses_half_close or self.server.loses_half_close

    def need(self) -> None:
        for side in (self.client, self.server):
            if side is not PYSS:
                need(side.name)


def pairs(*methods: str) -> list[Pair]:
    """pyss against each other implementation, both ways round, in all methods or those named."""
    return [
        pair
        for other in OTHERS
        for method in other.methods
        if not methods or method in methods
        for pair in (Pair(PYSS, other, method), Pair(other, PYSS, method))
    ]


def need(name: str) -> None:
    """Skip the test where a peer is missing; in CI, where everything is to be present, fail it."""
    peer = installed.PEERS[name]
    reason = peer.missing()
    if reason is not None:
        _lacking(reason, excused=peer.excused())


def need_package(name: str, *modules: str) -> None:
    """The same for a Python package.

    To be called by a test or a fixture: the quick suite looks at these files too, in environments without packages.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            _lacking(f"{module} is not here: pip install {name}", excused=False)


def _lacking(reason: str, *, excused: bool) -> None:
    if os.environ.get("CI", "false") != "false" and not excused:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def password_for(method: str) -> str:
    """A fresh one: for 2022 methods, base64 of exactly the key's length."""
    if not method.startswith("2022-"):
        return os.urandom(12).hex()
    return base64.b64encode(os.urandom(16 if "aes-128" in method else 32)).decode("ascii")


@dataclass
class RunningPair:
    """port is where the client takes SOCKS5, or what is for its tunnel; server_port where the server listens."""

    pair: Pair
    port: int
    server_port: int
    client: Program
    server: Program
    start_server: Callable[[], Program]

    def restart_server(self) -> None:
        """It forgets all that it knew."""
        self.server.stop()
        self.server = self.start_server()

    def check(self) -> None:
        """Both still run, and pyss met no error of its own."""
        for side, program in ((self.pair.client, self.client), (self.pair.server, self.server)):
            assert program.exit_code is None, f"{side.name} ended with {program.exit_code}:\n{program.text()}"
            if side is PYSS:
                assert "Traceback" not in program.text() and "internal error" not in program.text(), program.text()


@contextmanager
def running(pair: Pair, folder: Path, tunnel_to: str = "") -> Iterator[RunningPair]:
    """Server and client of the pair, listening for TCP; both ended afterwards.

    tunnel_to  HOST:PORT; the client is a tunnel to there
    """
    values = {
        "python": PYTHON,
        "method": pair.method,
        "METHOD": pair.method.upper(),
        "password": password_for(pair.method),
        "server_port": str(free_port()),
        "local_port": str(free_port()),
        "folder": str(folder),
        "target": tunnel_to,
    }
    started: list[Program] = []

    def start(side: Implementation, role: str, port: str) -> Program:
        program = _start(side, role, values, folder)
        started.append(program)
        program.wait_listening(int(values[port]))
        return program

    start_server = partial(start, pair.server, "server", "server_port")
    try:
        server = start_server()
        client = start(pair.client, "tunnel" if tunnel_to else "client", "local_port")
        yield RunningPair(pair, int(values["local_port"]), int(values["server_port"]), client, server, start_server)
    finally:
        for program in reversed(started):
            program.stop()


def _start(side: Implementation, role: str, values: Mapping[str, str], folder: Path) -> Program:
    known = dict(values)
    if side is not PYSS:
        peer = installed.PEERS[side.name]
        known.update((program, str(peer.find(program))) for program in peer.programs)
    for name, text in side.files.items():
        (folder / name).write_text(_fill(text, known), "utf-8")
    lines = {"client": side.client, "server": side.server, "tunnel": side.tunnel}
    argv = [_fill(word, known) for word in lines[role]]
    return Program(argv, folder / f"{role}-{side.name}.log", clean_environment())


def _fill(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
