"""`pyss server` and `pyss local` as two processes, from the configuration file to the line for each session."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.commands import BARE_PYSS, PYSS, WITHOUT_PACKAGES
from helpers.processes import PYTHON, Program, clean_environment, free_port
from helpers.traffic import echo, receive_all, receive_exactly, socks5_connect, target

from pyss.crypto.backends import BACKENDS

HOST = "127.0.0.1"
SECRET = "a password of the environment"


class Pair(NamedTuple):
    local: Program
    server: Program
    local_port: int
    server_port: int


@contextmanager
def running(folder: Path, pyss: tuple[str, ...] = PYSS, **document: object) -> Iterator[Pair]:
    """Both find what they need in ./config.json and the environment."""
    ports = free_port(), free_port()
    config = {"server": HOST, "server_port": ports[1], "local_port": ports[0], "forbidden_ip": "", **document}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    environment = clean_environment(SS_SERVER_PASSWORD=SECRET)
    with ExitStack() as ends:
        started = []
        for name, words in (("local", ["-v"]), ("server", [])):
            program = Program([*pyss, name, *words], folder / f"{name}.log", environment)
            ends.callback(program.stop)
            started.append(program)
        for program in started:
            program.wait_for_line(r"INFO     (local proxy|server) on ")
        yield Pair(*started, *ports)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("pair")) as found:
        yield found
    for program in found[:2]:
        assert "Traceback" not in program.text() and SECRET not in program.text()


def test_the_first_lines_of_both_logs(pair: Pair) -> None:
    ends = ((pair.local, "local proxy", pair.local_port), (pair.server, "server", pair.server_port))
    for program, what, port in ends:
        first = [line[20:] for line in program.text().splitlines()[:3]]
        assert first[:2] == [
            "WARNING  configuration from ./config.json, as no -c FILE was given",
            "WARNING  no method given: chacha20-ietf-poly1305 it is; both ends must use the same",
        ]
        assert re.fullmatch(rf"INFO     {what} on {HOST}:{port}, crypto by ({'|'.join(BACKENDS)})", first[2])


def test_a_request_and_a_line_at_each_end(pair: Pair) -> None:
    with target(echo) as place:
        with socks5_connect(pair.local_port, place.port) as sock:
            client = sock.getsockname()[1]
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"hello"
        done = rf"-> {HOST}:{place.port} ok up 5 down 5 bytes \d+\.\d{{3}} s$"
        for program in (pair.local, pair.server):
            program.wait_for_line(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d INFO     {HOST}:\d+ {done}")
            assert len(re.findall(f"-> {HOST}:{place.port} ", program.text())) == 1
        assert f" INFO     {HOST}:{client} -> " in pair.local.text()
        # What -v adds, where it was given.
        assert f" DEBUG    connecting {HOST}:{place.port} from {HOST}:{client}\n" in pair.local.text()
        assert " DEBUG " not in pair.server.text()


def test_a_stranger_leaves_a_line_for_fail2ban(pair: Pair) -> None:
    with socket.create_connection((HOST, pair.server_port), 30) as sock:
        client = sock.getsockname()[1]
        sock.sendall(b"G" * 500)
        words = rf"can not parse header when handling connection from {HOST}:{client}$"
        # fail2ban cuts the date out of the line before it tries its regular expression.
        pair.server.wait_for_line(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\s+ERROR\s+{words}")
        pair.server.wait_for_line(rf"WARNING  draining {HOST}:{client}: ")
        assert f"{HOST}:{client} -> -" not in pair.server.text()  # it is not told, and not closed
    pair.server.wait_for_line(rf"INFO     {HOST}:{client} -> - bad-tag up 0 down 0 bytes")


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_a_quiet_log(tmp_path: Path, quiet: str) -> None:
    port = free_port()
    argv = [*PYSS, "server", "-s", HOST, "-p", str(port), "-m", "none", "--forbidden-ip", "", quiet]
    program = Program(argv, tmp_path / "log")
    try:
        program.wait_listening(port)
        with target(echo) as place, socket.create_connection((HOST, port), 30) as sock:
            sock.sendall(b"\x01" + socket.inet_aton(HOST) + struct.pack(">H", place.port) + b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"hello"
    finally:
        program.stop()
    lines = program.text().splitlines()
    assert len(lines) == (1 if quiet == "-q" else 0)
    assert all(" WARNING  -m: this method neither encrypts nor authenticates" in line for line in lines)


def test_a_log_file(tmp_path: Path) -> None:
    port = free_port()
    argv = [*PYSS, "server", "-s", HOST, "-p", str(port), "-m", "none", "--log-file", "relay.log"]
    program = Program(argv, tmp_path / "streams")
    try:
        program.wait_listening(port)
        with socket.create_connection((HOST, port), 30) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b""  # the loop turns, and has ended a session
    finally:
        program.stop()
    assert program.text() == ""
    text = (tmp_path / "relay.log").read_text("utf-8")
    assert f" INFO     server on {HOST}:{port}\n" in text and " -> - disconnected up 0 down 0 bytes" in text


def test_without_any_package(tmp_path: Path) -> None:
    """Neither cryptography, pycryptodome nor h11: it relays all the same, but for plain HTTP."""
    with running(tmp_path, BARE_PYSS) as bare:
        for program in bare[:2]:
            assert re.search(r" on 127\.0\.0\.1:\d+, crypto by (libcrypto|pure)\n", program.text()), program.text()
        with target(echo) as place:
            with socks5_connect(bare.local_port, place.port) as sock:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
            with socket.create_connection((HOST, bare.local_port), 30) as sock:
                sock.sendall(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (HOST.encode(), place.port))
                assert receive_exactly(sock, 12) == b"HTTP/1.1 200"
            with socket.create_connection((HOST, bare.local_port), 30) as sock:
                sock.sendall(b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), place.port))
                assert receive_all(sock).startswith(b"HTTP/1.1 501 ")
        bare.local.wait_for_line(r"plain HTTP needs the package h11 \(pip install h11\)")


def test_what_is_blocked_is_blocked() -> None:
    """Or the test above would say nothing."""
    code = WITHOUT_PACKAGES.partition("from pyss")[0] + "import h11"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 1 and b"No module named 'h11'" in done.stderr
