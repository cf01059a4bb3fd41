"""UDP, tunnels and name servers from the command line to the answer, with a process for each end."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.commands import BARE_PYSS, PYSS
from helpers.datagrams import SocksAssociation, packet_target
from helpers.double_target import double_target
from helpers.processes import Program, clean_environment
from helpers.relay import HOST, KEY_2022, PATIENT
from helpers.traffic import receive_exactly, socks5_connect

from pyss.address import Address

METHOD = "2022-blake3-aes-256-gcm"


class Ends(NamedTuple):
    """Processes, and the ports that they listen on."""

    server: Program
    local: Program
    server_port: int
    local_port: int


class Started:
    """Programs that end with the test, each in a log of its own."""

    def __init__(self, folder: Path, stack: ExitStack, pyss: tuple[str, ...] = PYSS) -> None:
        self._folder = folder
        self._stack = stack
        self._pyss = pyss
        self._environment = clean_environment(SS_SERVER_PASSWORD=KEY_2022)
        self._count = 0

    def start(self, line: str, ready: str) -> tuple[Program, int]:
        """Returns it and the port in the line of its log that matches `ready`."""
        self._count += 1
        argv = [*self._pyss, *line.split(), "-m", METHOD]
        program = Program(argv, self._folder / f"{self._count}.log", self._environment)
        self._stack.callback(self.check, program)
        return program, int(program.wait_for_line(ready + rf" on {re.escape(HOST)}:(\d+)")[1])

    def ends(self, server: str = "", local: str = "") -> Ends:
        remote, at = self.start(f"server -s {HOST} -p 0 --forbidden-ip= {server}", "INFO     server")
        near, listens = self.start(f"local -s {HOST}:{at} -l 0 {local}", "INFO     local proxy(?: for UDP)?")
        return Ends(remote, near, at, listens)

    @staticmethod
    def check(program: Program) -> None:
        code = program.stop()
        assert "Traceback" not in program.text() and KEY_2022 not in program.text()
        assert code == 0 or os.name != "posix"


@contextmanager
def programs(folder: Path, pyss: tuple[str, ...] = PYSS) -> Iterator[Started]:
    with ExitStack() as stack:
        yield Started(folder, stack, pyss)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    with programs(tmp_path) as found:
        yield found


def test_datagrams_there_and_back(started: Started) -> None:
    ends = started.ends("-v", "-v")
    with packet_target() as first, packet_target() as second, SocksAssociation(ends.local_port) as client:
        assert client.code == 0
        for payload in (b"hello", b"", bytes(1400), bytes(range(256)) * 128):
            for answering in (first, second):
                assert client.ask(Address.of(HOST, answering.port), payload) == payload
        # Both come from one socket of the server, so each target may answer the other's packets: a full cone.
        assert first.heard[0][1] == second.heard[0][1]
        # One line for the association, though it had two targets.
        source = client.udp.getsockname()
        ends.local.wait_for_line(rf"DEBUG    connecting {HOST}:{first.port} from {HOST}:{source[1]}$")
        ends.server.wait_for_line(rf"DEBUG    connecting {HOST}:{first.port} from {HOST}:\d+$")
        assert f"connecting {HOST}:{second.port}" not in ends.local.text() + ends.server.text()
    size = 2 * (5 + 1400 + 256 * 128)
    ends.local.wait_for_line(rf"INFO     {HOST}:\d+ -> - ok up {size} down {size} bytes")
    ends.server.wait_for_line(rf"INFO     server on {HOST}:{ends.server_port} \(UDP\), crypto by ")


def test_whatever_strangers_send_costs_nobody_else_anything(started: Started) -> None:
    ends = started.ends()
    with packet_target() as answering, SocksAssociation(ends.local_port) as client:
        target = Address.of(HOST, answering.port)
        assert client.ask(target, b"before") == b"before"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for packet in (b"", b"\x00", bytes(100), bytes(range(256)) * 8) * 5:
                stranger.sendto(packet, (HOST, ends.server_port))  # without the key
                stranger.sendto(packet, client.where)  # from a port that is not the client's
            stranger.sendto(bytes(3) + target.wire + b"stolen", client.where)
            assert client.ask(target, b"after") == b"after"
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(1)  # it is told nothing
        assert answering.wait_for(2) == [b"before", b"after"]
    for program in (ends.server, ends.local):
        reasons = re.findall(r"a UDP packet was dropped .*: (.*)", program.text())
        assert len(set(reasons)) == len(reasons) <= 3  # nor is the log filled


@pytest.mark.parametrize("pyss", [PYSS, BARE_PYSS], ids=["as installed", "without any package"])
def test_a_tunnel_for_both(tmp_path: Path, pyss: tuple[str, ...]) -> None:
    with programs(tmp_path, pyss) as started, double_target() as (stream, packets):
        where = f"{HOST}:{stream.port}"
        ends = started.ends()
        line = f"tunnel -s {HOST}:{ends.server_port} -L {where} -l 0"
        tunnel, port = started.start(line, f"INFO     tunnel to {where}")
        tunnel.wait_for_line(rf"INFO     tunnel to {where} on {HOST}:{port} \(UDP\), crypto by ")
        with socket.create_connection((HOST, port), PATIENT) as sock:
            sock.sendall(b"by TCP")
            assert receive_exactly(sock, 6) == b"by TCP"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENT)
            for payload in (b"by UDP", b"", bytes(1400)):
                sock.sendto(payload, (HOST, port))
                assert sock.recvfrom(65536) == (payload, (HOST, port))
        assert len(packets.heard) == 3


@pytest.mark.parametrize("side", ["server", "local"])
def test_tcp_only_at_either_end(started: Started, side: str) -> None:
    ends = started.ends(**{side: "--tcp-only"})
    with double_target() as (stream, packets):
        with socks5_connect(ends.local_port, stream.port) as sock:
            sock.sendall(b"hello")
            assert receive_exactly(sock, 5) == b"hello"
        with SocksAssociation(ends.local_port) as client:
            if side == "local":
                assert client.code == 7  # command not supported, RFC 1928 section 6
            else:  # nobody there tells us
                client.send(Address.of(HOST, packets.port), b"hello")
                assert "(UDP)" not in ends.server.text()
        assert not packets.heard


def test_udp_only_at_both_ends(started: Started) -> None:
    remote, at = started.start(f"server -s {HOST} -p 0 --forbidden-ip= -U", "INFO     server")
    local, port = started.start(f"local -s {HOST}:{at} -l 0 -U", "INFO     local proxy for UDP")
    remote.wait_for_line(rf"INFO     server on {HOST}:{at} \(UDP\), crypto by ")
    assert remote.text().count("INFO     server on ") == 1
    with packet_target() as answering, SocksAssociation(port) as client:
        assert client.ask(Address.of(HOST, answering.port), b"hello") == b"hello"
        with pytest.raises(AssertionError, match="SOCKS5 reply 7"):
            socks5_connect(port, answering.port).close()
        local.wait_for_line("unsupported-command .*: only UDP is relayed here")


def test_names_are_asked_of_the_server_of_ones_choice(started: Started) -> None:
    """By the end that connects, for TCP and for UDP."""
    message = pytest.importorskip("dns.message", reason="name servers are asked with the package dnspython")
    rrset = pytest.importorskip("dns.rrset")

    def knows_one_name(packet: bytes) -> bytes:
        query = message.from_wire(packet)
        answer = message.make_response(query)
        if query.question[0].to_text() == "echo.example. IN A":
            answer.answer.append(rrset.from_text("echo.example.", 60, "IN", "A", HOST))
        return bytes(answer.to_wire())

    with packet_target(knows_one_name) as names, double_target() as (stream, _):
        ends = started.ends(server=f"--dns {HOST}:{names.port}")
        with SocksAssociation(ends.local_port) as client:
            assert client.ask(Address.of("echo.example", stream.port), b"hello") == b"hello"
        with socks5_connect(ends.local_port, stream.port, "echo.example") as sock:
            sock.sendall(b"hello")
            assert receive_exactly(sock, 5) == b"hello"
        assert {message.from_wire(packet).question[0].to_text() for packet, _ in names.heard} == {
            "echo.example. IN A",
            "echo.example. IN AAAA",
        }
