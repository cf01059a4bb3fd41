"""pyss on CPython for Windows, under Wine, against a server of pyss on this machine.

    client ──► pyss local (Windows, Wine) ──► pyss server (here) ──► target

`scripts/platforms/wine.py 3.13 --bring` brings what is needed.
"""

from __future__ import annotations

import os
import resource
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.datagrams import SocksAssociation, packet_target
from helpers.processes import PYTHON, Program, clean_environment, free_port
from helpers.traffic import (
    Background,
    echo,
    receive_all,
    receive_digest,
    receive_exactly,
    send_blocks,
    socks5_connect,
    target,
)
from helpers.windows import WindowsProgram, need_wine

from pyss.address import Address

HOST = "127.0.0.1"
PASSWORD = "a password of this test"
METHOD = "aes-256-gcm"
WHOLE = 64 << 20
AT_ONCE = 100
MANY = 3000
PATIENT = 60.0

# pyss as it is where WSAPoll cannot be trusted.
WITH_SELECT = """
import sys
from pyss.net import wsapoll
wsapoll.usable = lambda: False
from pyss.app.cli import main
sys.exit(main())
"""


@dataclass
class Ends:
    """port is that of the proxy."""

    local: WindowsProgram
    server: Program
    server_port: int
    port: int


@pytest.fixture(params=["3.9", "3.13"], scope="module")
def python(request: pytest.FixtureRequest) -> Any:
    return need_wine(request.param)


@pytest.fixture(scope="module")
def newest() -> Any:
    return need_wine("3.13")


def arguments(server_port: int, port: int, password: str = PASSWORD) -> list[str]:
    line = f"local -s {HOST} -p {server_port} -b {HOST} -l {port} -m {METHOD} -k"
    return [*line.split(), password]


@contextmanager
def ends(python: Any, folder: Path, *how: str, password: str = PASSWORD) -> Iterator[Ends]:
    """Both, listening."""
    server_port, port = free_port(), free_port()
    line = f"-m pyss server -s {HOST} -p {server_port} -m {METHOD} -k"
    server = Program(
        [PYTHON, *line.split(), PASSWORD, "--forbidden-ip", ""], folder / "server.log", clean_environment()
    )
    pyss = [*(how or ("-m", "pyss")), *arguments(server_port, port, password)]
    local = WindowsProgram(python, folder / "local.log", *pyss)
    try:
        server.wait_listening(server_port)
        local.wait_for_line(r"local proxy on ", PATIENT)
        yield Ends(local, server, server_port, port)
        for program in (local, server):
            assert program.exit_code is None and "Traceback" not in program.text(), program.text()
            assert "internal error" not in program.text(), program.text()
    finally:
        local.stop()
        server.stop()


@pytest.fixture(scope="module")
def both(python: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    with ends(python, tmp_path_factory.mktemp("windows")) as started:
        yield started


# --- relaying ------------------------------------------------------------------------------------
def test_64_mib_both_ways_at_once(both: Ends) -> None:
    def serve(sock: socket.socket) -> tuple[object, object]:
        sending = Background(lambda: send_blocks(sock, WHOLE, b"down"))
        return receive_digest(sock, WHOLE), sending.result()

    with target(serve) as place, socks5_connect(both.port, place.port) as client:
        sending = Background(lambda: send_blocks(client, WHOLE, b"up"))
        received_down = receive_digest(client, WHOLE)
        sent_up = sending.result()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert not place.errors
    assert place.results == [(sent_up, received_down)]


def test_100_connections_at_once(both: Ends) -> None:
    with ExitStack() as stack:
        place = stack.enter_context(target(echo))
        pool = stack.enter_context(ThreadPoolExecutor(10))
        clients = list(pool.map(lambda _: socks5_connect(both.port, place.port), range(AT_ONCE)))
        for client in clients:
            stack.enter_context(client)
        messages = [os.urandom(1 + number * 97) for number in range(AT_ONCE)]
        for client, message in zip(clients, messages):
            client.sendall(message)
        for client, message in zip(clients, messages):
            assert receive_exactly(client, len(message)) == message
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""


def test_datagrams(both: Ends) -> None:
    with packet_target() as place, SocksAssociation(both.port) as client:
        for size in (1, 512, 1400, 8000):
            message = os.urandom(size)
            assert client.ask(Address.of(HOST, place.port), message) == message


def test_a_refused_target_is_told(both: Ends) -> None:
    with socket.socket() as unused, socket.create_connection((HOST, both.port), PATIENT) as client:
        unused.bind((HOST, 0))
        client.sendall(b"\x05\x01\x00\x05\x01\x00\x01" + socket.inet_aton(HOST))
        client.sendall(struct.pack(">H", unused.getsockname()[1]) + b"hello")
        assert receive_exactly(client, 2 + 10)[:4] == b"\x05\x00\x05\x00"
        with pytest.raises((ConnectionError, EOFError)):  # the server cannot say why
            receive_exactly(client, 1)


def test_a_server_that_refuses_is_told_in_words(python: Any, tmp_path: Path) -> None:
    port = free_port()
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        server_port = unused.getsockname()[1]
        local = WindowsProgram(python, tmp_path / "log", "-m", "pyss", *arguments(server_port, port))
        try:
            local.wait_for_line(r"local proxy on ", PATIENT)
            with socket.create_connection((HOST, port), PATIENT) as client:
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x01" + socket.inet_aton(HOST) + b"\x00\x50")
                assert receive_exactly(client, 2 + 4)[:4] == b"\x05\x00\x05\x05"  # connection refused (RFC 1928)
            local.wait_for_line(rf" connection-refused .*: {HOST}:{server_port}: Connection refused$")
        finally:
            local.stop()


def test_a_wrong_password_is_a_likely_cause(newest: Any, tmp_path: Path) -> None:
    with ends(newest, tmp_path, password="another one") as started:
        with socks5_connect(started.port, 9) as client:
            client.sendall(b"hello?")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        started.local.wait_for_line(rf"WARNING .*{started.server_port} .*wrong password")
        assert "another one" not in started.local.text()


# --- starting and ending ---------------------------------------------------------------------------
def test_a_port_in_use_is_one_sentence(both: Ends, python: Any, tmp_path: Path) -> None:
    second = WindowsProgram(python, tmp_path / "log", "-m", "pyss", *arguments(both.server_port, both.port))
    try:
        assert second.wait(PATIENT) == 1
    finally:
        second.stop()
    (line,) = second.text().splitlines()
    assert line.startswith(f"pyss: cannot listen on {HOST}:{both.port}: ")
    assert line.endswith("; another program has this port; end it, or choose another one (-l PORT)")


# Starts pythonw.exe as a desktop does, without standard streams, and looks at what it leaves.
FROM_THE_DESKTOP = """
import os, socket, subprocess, sys, time
folder, port, *words = sys.argv[1:]
os.environ["LOCALAPPDATA"] = folder
kept = os.path.join(folder, "pyss", "pyss.log")
pythonw = os.path.join(os.path.dirname(sys.executable), "pythonw.exe")

def start(*words):
    return subprocess.Popen([pythonw, "-m", "pyss", *words], creationflags=subprocess.DETACHED_PROCESS)

assert start("local", "--no-such-option").wait(60) == 2
relay = start(*words)
try:
    while "local proxy on" not in open(kept, encoding="utf-8").read():
        assert relay.poll() is None
        time.sleep(0.02)
    socket.create_connection(("127.0.0.1", int(port)), 20).close()
finally:
    relay.kill()
    relay.wait()
"""


def test_without_a_console_words_go_to_a_file_of_the_user(newest: Any, tmp_path: Path) -> None:
    port = free_port()
    words = [FROM_THE_DESKTOP, "Z:" + str(tmp_path).replace("/", "\\"), str(port), *arguments(free_port(), port)]
    program = WindowsProgram(newest, tmp_path / "log", "-c", *words)
    try:
        assert program.wait(PATIENT) == 0, program.text()
    finally:
        program.stop()
    assert program.text() == ""
    complaint, *log = (tmp_path / "pyss" / "pyss.log").read_text("utf-8").splitlines()
    assert "--no-such-option" in complaint and PASSWORD not in "".join(log)
    assert f"INFO     local proxy on {HOST}:{port}" in log[0]


@pytest.mark.parametrize("key", [b"\x03"], ids=["Ctrl-C"])
def test_keys_end_it(python: Any, key: bytes) -> None:
    """On a terminal, in good order: exit code 0, a word for each session, no traceback."""
    import pty

    pid, terminal = pty.fork()
    if not pid:  # the child: nothing of this process may run on in it
        try:
            command = python.command("-m", "pyss", *arguments(free_port(), free_port()))
            os.execvpe(command[0], command, python.environment(TERM="xterm"))
        finally:
            os._exit(127)
    try:
        text = read_until(terminal, b"local proxy on")
        os.write(terminal, key)
        text += read_until(terminal, b"")
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert b"Traceback" not in text


def read_until(terminal: int, words: bytes) -> bytes:
    """What the terminal shows until it shows these words; without words, until its program has ended."""
    text = b""
    deadline = time.monotonic() + PATIENT
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while not words or words not in text:
            assert time.monotonic() < deadline and selector.select(PATIENT), text
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # EIO: nobody has the other side any more
                piece = b""
            if not piece:
                assert not words, text
                break
            text += piece
    return text


# --- many ----------------------------------------------------------------------------------------
class Crowd:
    """So many clients of the proxy and their targets, all of them in one selector.

    Each client asks for an echo of eight bytes that are its own; `answered` of them got theirs.
    """

    def __init__(self, port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((HOST, 0), backlog=4096)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._port = port
        self.clients: list[socket.socket] = []
        self.targets: list[socket.socket] = []
        self.answered: set[int] = set()
        self._heard: dict[int, bytes] = {}

    def join(self) -> None:
        number = len(self.clients)
        sock = socket.socket()
        self.clients.append(sock)
        sock.connect((HOST, self._port))
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._hear(number))
        target_port = struct.pack(">H", self._listener.getsockname()[1])
        sock.sendall(b"\x05\x01\x00\x05\x01\x00\x01" + socket.inet_aton(HOST) + target_port)
        self.say(number)

    def say(self, number: int) -> None:
        self._heard.setdefault(number, b"")
        self.clients[number].sendall(struct.pack(">Q", number))

    def ask_again(self) -> None:
        self.answered.clear()
        self._heard = {number: bytes(12) for number in self._heard}
        for number, sock in enumerate(self.clients):
            if sock.fileno() != -1:
                self.say(number)

    def leave(self, number: int) -> None:
        self._selector.unregister(self.clients[number])
        self.clients[number].close()

    def turn(self, count: int, program: Program) -> None:
        """Until so many have their answer."""
        deadline = time.monotonic() + 120
        while len(self.answered) < count:
            assert time.monotonic() < deadline, f"{len(self.answered)} of {count} answered:\n{program.text()[-3000:]}"
            for key, _ in self._selector.select(1):
                key.data()

    def _hear(self, number: int) -> None:
        data = self.clients[number].recv(4096)
        assert data, f"client {number} was closed"
        self._heard[number] += data
        if len(self._heard[number]) == 2 + 10 + 8:
            assert self._heard[number][-8:] == struct.pack(">Q", number)
            self.answered.add(number)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        self.targets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._echo(sock))

    def _echo(self, sock: socket.socket) -> None:
        data = sock.recv(4096)
        if data:
            sock.sendall(data)
        else:
            self._selector.unregister(sock)
            sock.close()

    def close(self) -> None:
        self._selector.close()
        for sock in (self._listener, *self.clients, *self.targets):
            sock.close()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as this test needs itself: a client and a target for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MANY + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may have {hard} open files, and the test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_with_select_it_stops_accepting_at_the_limit_and_goes_on(newest: Any, tmp_path: Path) -> None:
    clients = 250
    with ends(newest, tmp_path, "-c", WITH_SELECT) as started:
        crowd = Crowd(started.port)
        try:
            for _ in range(clients):
                crowd.join()
            started.local.wait_for_line("accepting pauses until sessions end: .*Windows lets one process wait")
            fit = (512 - 128 - 24) // 2
            crowd.turn(fit, started.local)
            assert len(crowd.answered) == fit
            for number in range(clients - fit):
                crowd.leave(number)
            crowd.turn(clients, started.local)
        finally:
            crowd.close()
        assert started.local.text().count("accepting pauses") == 1


def test_3000_connections_at_once(
    newest: Any, tmp_path: Path, descriptors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with ends(newest, tmp_path) as started:
        crowd = Crowd(started.port)
        memory, seconds = started.local.usage()
        try:
            for number in range(MANY):
                crowd.join()
                if number % 250 == 249:
                    crowd.turn(number + 1 - 250, started.local)
            crowd.turn(MANY, started.local)
            standing, opened = started.local.usage()
            crowd.ask_again()
            crowd.turn(MANY, started.local)
            _, asked = started.local.usage()
        finally:
            crowd.close()
        assert "accepting pauses" not in started.local.text()
    with capsys.disabled():
        print(
            f"\n{MANY} connections on Windows' CPython under Wine: {(standing - memory) / MANY / 1024:.1f} KiB each, "
            f"{standing >> 20} MiB in all; CPU {1000 * (opened - seconds) / MANY:.2f} ms to open one, "
            f"{1000 * (asked - opened) / MANY:.2f} ms for a message and its echo"
        )
