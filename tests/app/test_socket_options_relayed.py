"""Requests through `pyss local` and `pyss server` whose sockets were asked something, and those sockets."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Union

import pytest
from helpers.apart import in_new_network, why_not
from helpers.commands import PYSS
from helpers.processes import Program, clean_environment, free_port
from helpers.relay import HOST, LoopThread
from helpers.traffic import echo, receive_all, receive_exactly, socks5_connect, target

from pyss.app import assembly
from pyss.app.assembly import Assembly
from pyss.app.config import LocalConfig, ServerConfig, Source, read_local, read_server
from pyss.net.loop import Loop
from pyss.net.socket_options import SocketOptions

LINUX = sys.platform == "linux"
linux = pytest.mark.skipif(not LINUX, reason="of Linux")
root = pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="of Linux, as root")
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none")
apart = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SECRET = "a password for both"
SOL, TCP, IP = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP
BASE = {"server": HOST, "server_port": 0, "local_port": 0, "password": SECRET, "method": "aes-256-gcm",
        "forbidden_ip": "", "mode": "tcp_and_udp"}  # fmt: skip


class Pair:
    """Both ends under one loop, as their configurations ask."""

    def __init__(self, **document: Any) -> None:
        self.thread = LoopThread()
        self._ends: list[Assembly] = []
        server = read_server(self._source(document))
        self.server = self._open(server, lambda end: end.server(server))
        (served,) = self.server.services
        port = served.listeners[0].address[1]
        local = read_local(self._source({**document, "server": "localhost", "server_port": port}))
        self.local = self._open(local, lambda end: end.local(local))

    def _source(self, document: dict[str, Any]) -> Source:
        return Source({}, "f.json", {}, lambda name: json.dumps({**BASE, **document}).encode())

    def _open(self, config: Union[LocalConfig, ServerConfig], start: Callable[[Assembly], Any]) -> Assembly:
        def make() -> Assembly:
            end = Assembly(self.thread.loop, verbosity=-2, socket_options=config.sockets)
            self._ends.append(end)
            start(end)
            return end

        return self.thread.call(make)

    @property
    def local_port(self) -> int:
        return int(self.local.services[0].listeners[0].address[1])

    def sockets(self) -> list[tuple[Any, Any]]:
        """Of the session at each end, the server first: accepted, dialed."""

        def found() -> list[tuple[Any, Any]]:
            sessions = [next(iter(end.services[0].sessions)) for end in self._ends]
            return [(session.client.sock, session.target.sock) for session in sessions if session.target is not None]

        return self.thread.call(found)

    def close(self) -> None:
        def stop() -> None:
            for end in self._ends:
                for service in end.services:
                    service.shut_down()
                for port in end.ports:
                    port.close()
                end.table.close()
                end.resolver.close()

        self.thread.call(stop)
        self.thread.end()
        self.thread.loop.close()
        assert not self.thread.faults


@contextmanager
def pair(**document: Any) -> Iterator[Pair]:
    made = Pair(**document)
    try:
        yield made
    finally:
        made.close()


def request(local_port: int, look: Callable[[], None] = lambda: None) -> None:
    """There and back, with a half-closed connection at the end."""
    with target(echo) as place, socks5_connect(local_port, place.port) as sock:
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"
        look()
        sock.sendall(b"good-bye")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"good-bye"


ASKED: list[tuple[dict[str, Any], Any]] = [
    ({"keep_alive": 33}, ()),
    ({"fast_open": True}, linux),
    ({"mptcp": True}, linux),
    ({"dscp": "AF41"}, not_windows),
    ({"no_delay": False}, ()),
    ({"ipv6_only": False, "server": "::", "local_address": "::"}, ()),
    ({"local_ipv4_address": HOST, "local_ipv6_address": "::1"}, ()),
    ({"outbound_bind_addr": HOST}, ()),
    ({"outbound_bind_interface": "lo"}, linux),
    ({"outbound_fwmark": 7}, root),
    ({"tcp_incoming_sndbuf": 40_000, "tcp_incoming_rcvbuf": 40_000}, ()),
    ({"tcp_outgoing_sndbuf": 40_000, "tcp_outgoing_rcvbuf": 40_000}, ()),
]


@pytest.mark.parametrize("document", [pytest.param(asked, marks=marks, id=next(iter(asked))) for asked, marks in ASKED])
def test_a_request_with_each_option(document: dict[str, Any]) -> None:
    with pair(**document) as ends:
        request(ends.local_port)


@root
def test_what_was_asked_is_on_every_socket() -> None:
    """Of those that are accepted, and of those that are dialed, at both ends."""
    document = {"keep_alive": 33, "dscp": "EF", "outbound_bind_addr": HOST, "outbound_bind_interface": "lo",
                "outbound_fwmark": 0x77, "tcp_incoming_sndbuf": 41_000, "tcp_outgoing_rcvbuf": 42_000}  # fmt: skip

    with pair(**document) as ends:

        def look() -> None:
            for accepted, dialed in ends.sockets():
                for sock in (accepted, dialed):
                    assert sock.getsockopt(SOL, socket.SO_KEEPALIVE)
                    assert sock.getsockopt(TCP, socket.TCP_KEEPIDLE) == 33
                    assert sock.getsockopt(IP, socket.IP_TOS) & 0xFC == 46 << 2
                    assert sock.getsockopt(TCP, socket.TCP_NODELAY)
                assert accepted.getsockopt(SOL, socket.SO_SNDBUF) == 82_000
                assert dialed.getsockopt(SOL, socket.SO_RCVBUF) == 84_000
                assert dialed.getsockopt(SOL, 25, 16) == b"lo\0"  # SO_BINDTODEVICE
                assert struct.unpack("@I", dialed.getsockopt(SOL, 36, 4)) == (0x77,)  # SO_MARK

        request(ends.local_port, look)


@linux
def test_multipath_from_end_to_end() -> None:
    with pair(mptcp=True) as ends:

        def look() -> None:
            (from_local, to_target), (_, to_server) = ends.sockets()
            for sock in (to_server, from_local, to_target):
                assert sock.getsockopt(SOL, socket.SO_PROTOCOL) == 262

        request(ends.local_port, look)


@linux
def test_datagrams_go_out_as_connections_do() -> None:
    with ExitStack() as stack:
        echoing = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        echoing.bind((HOST, 0))
        echoing.settimeout(20)
        tunnel = {"protocol": "tunnel", "local_port": 0, "mode": "udp_only", "forward_address": HOST,
                  "forward_port": echoing.getsockname()[1]}  # fmt: skip
        made = stack.enter_context(pair(outbound_bind_addr="127.0.0.9", dscp=46, locals=[{"local_port": 0}, tunnel]))
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.settimeout(20)
        (port,) = made.local.ports
        client.sendto(b"packet", port.address)
        data, source = echoing.recvfrom(100)
        assert data == b"packet" and source[0] == "127.0.0.9"
        echoing.sendto(b"answer", source)
        assert client.recvfrom(100) == (b"answer", port.address)
        (served,) = made.server.ports
        for sock in (served._channel.sock, port._channel.sock):
            assert sock.getsockopt(IP, socket.IP_TOS) == 46 << 2


@not_windows
def test_two_servers_on_one_port() -> None:
    port = free_port()
    with pair(server_port=port, reuse_port=True) as first, pair(server_port=port, reuse_port=True) as second:
        for ends in (first, second):
            request(ends.local_port)  # whichever server gets it


# --- as processes --------------------------------------------------------------------------------
@contextmanager
def processes(folder: Path, *words: str) -> Iterator[tuple[int, Program, Program]]:
    ports = free_port(), free_port()
    environment = clean_environment(SS_SERVER_PASSWORD=SECRET)
    common = ["-s", HOST, "-p", str(ports[1]), "-m", "aes-256-gcm", *words]
    with ExitStack() as ends:
        started = []
        for name, more in (("local", ["-l", str(ports[0])]), ("server", ["--forbidden-ip", ""])):
            program = Program([*PYSS, name, *common, *more], folder / f"{name}.log", environment)
            ends.callback(program.stop)
            started.append(program)
        for program in started:
            program.wait_for_line(r"INFO     (local proxy|server) on ")
        yield (ports[0], started[0], started[1])
    for program in started:
        assert "Traceback" not in program.text() and "WARNING" not in program.text()


@root
def test_two_processes_with_nearly_everything(tmp_path: Path) -> None:
    words = "--tcp-keep-alive 30 --reuse-port --outbound-bind-addr 127.0.0.1,::1 -i lo --outbound-fwmark 1 --no-delay"
    with processes(tmp_path, *words.split()) as (port, _, _):
        request(port)


@apart
def test_two_processes_with_fast_open(tmp_path: Path) -> None:
    """From the second request on, salt, address and payload are in the SYN."""

    def passive() -> int:
        with open("/proc/thread-self/net/netstat") as file:
            names, values = (line.split() for line in file if line.startswith("TcpExt:"))
        return int(values[names.index("TCPFastOpenPassive")])

    def test() -> None:
        with processes(tmp_path, "--fast-open") as (port, _, _):
            request(port)
            before = passive()
            for _ in range(3):
                request(port)
            assert passive() >= before + 3

    in_new_network(test)


def test_what_cannot_be_had_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    words = ["-s", HOST, "-p", "1", "-k", "pw", "-m", "aes-256-gcm", "--outbound-bind-addr", "192.0.2.1"]
    for command in ("local", "server"):
        environment = clean_environment()
        done = subprocess.run(
            [*PYSS, command, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("pyss: outgoing connections cannot come from 192.0.2.1 (outbound_bind_addr): ")


def test_a_note_of_the_system_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def noting(options: SocketOptions) -> list[str]:
        return ["fast_open: outgoing connections go without"] if options.fast_open else []

    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(assembly, "check", noting)
    monkeypatch.setattr(assembly, "report", lambda level, text: lines.append((level, text)))
    made = Assembly(Loop(), socket_options=SocketOptions(fast_open=True))
    try:
        assembly.announce(made, ["first"])
    finally:
        made.close()
    assert lines[:2] == [("warning", "first"), ("warning", "fast_open: outgoing connections go without")]
