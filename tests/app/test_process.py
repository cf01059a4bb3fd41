"""How a relay ends: by which signal, at once or in good order, with exit code 0 and a line for each session."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.commands import PYSS, as_users_have_it
from helpers.datagrams import packet_target
from helpers.processes import Program, free_port
from helpers.traffic import Background, Target, echo, receive_exactly, target

from pyss.app import process
from pyss.app.assembly import Assembly
from pyss.app.config import Server, ServerConfig
from pyss.app.journal import open_journal
from pyss.app.process import Process
from pyss.net.loop import Loop
from pyss.net.sockets import datagram_socket

HOST = "127.0.0.1"
# Without a cipher a session is an address and then its bytes: one process and a bare socket are enough.
PLAIN = ("server", "-s", HOST, "-m", "none", "--forbidden-ip", "")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals between processes are POSIX")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")


@contextmanager
def session(server: int, place: Target) -> Iterator[socket.socket]:
    """A connection to the target that has carried something already."""
    with socket.create_connection((HOST, server), 30) as sock:
        sock.sendall(b"\x01" + socket.inet_aton(HOST) + struct.pack(">H", place.port) + b"hello")
        assert receive_exactly(sock, 5) == b"hello"
        yield sock


@contextmanager
def started(folder: Path, *words: str) -> Iterator[tuple[Program, int]]:
    program = Program([*PYSS, *PLAIN, "-p", "0", *words], folder / "log")
    try:
        yield program, int(program.wait_for_line(r"server on 127\.0\.0\.1:(\d+)")[1])
    finally:
        program.stop()


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), 5).close()
        except ConnectionRefusedError:
            return
        except OSError:  # reset: the listener went while this connection waited
            pass
    raise AssertionError(f"port {port} still accepts")


def has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


# --- from outside --------------------------------------------------------------------------------
@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_without_sessions_any_signal_ends_it(tmp_path: Path, name: str) -> None:
    with started(tmp_path) as (program, port):
        os.kill(program.pid, getattr(signal, name))
        assert program.wait() == 0
        wait_until_refused(port)
        assert "ending" not in program.text() and "Traceback" not in program.text()


@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_datagrams_hold_up_no_end(tmp_path: Path, name: str) -> None:
    """UDP has no end to wait for: an association ends with the process."""
    with packet_target() as answering, started(tmp_path) as (program, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            target = b"\x01" + socket.inet_aton(HOST) + struct.pack(">H", answering.port)
            sock.sendto(target + b"hello", (HOST, port))
            assert sock.recv(100) == target + b"hello"
            os.kill(program.pid, getattr(signal, name))
            assert program.wait() == 0
        assert "ending" not in program.text() and "Traceback" not in program.text()
        datagram_socket(HOST, port).close()  # it is free again


@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT"])
def test_sessions_may_finish(tmp_path: Path, name: str) -> None:
    """Far within the grace period, which is longer than this test waits."""
    with started(tmp_path) as (program, port), target(echo) as place:
        with session(port, place) as sock:
            os.kill(program.pid, getattr(signal, name))
            program.wait_for_line(r"INFO     ending: 1 session may go on for 30 s; a second signal ends them now$")
            wait_until_refused(port)
            sock.sendall(b" and more")
            assert receive_exactly(sock, 9) == b" and more"
            assert program.exit_code is None
        assert program.wait() == 0
        assert len(re.findall(rf"-> {HOST}:{place.port} ok up 14 down 14 bytes", program.text())) == 1


@POSIX
@pytest.mark.parametrize(("first", "second"), [("SIGTERM", "SIGTERM"), ("SIGTERM", "SIGINT"), ("SIGQUIT", "SIGTERM")])
def test_a_second_signal_ends_it_now(tmp_path: Path, first: str, second: str) -> None:
    with started(tmp_path) as (program, port), target(echo) as place, session(port, place) as sock:
        os.kill(program.pid, getattr(signal, first))
        program.wait_for_line("ending: 1 session ")
        os.kill(program.pid, getattr(signal, second))
        assert program.wait() == 0
        assert has_ended(sock)
        assert len(re.findall(rf"-> {HOST}:{place.port} shutdown up 5 down 5 bytes", program.text())) == 1


@POSIX
def test_ctrl_c_ends_sessions_at_once_and_they_get_their_lines(tmp_path: Path) -> None:
    with started(tmp_path) as (program, port), target(echo) as place:
        with session(port, place) as first, session(port, place) as second:
            os.kill(program.pid, signal.SIGINT)
            assert program.wait() == 0
            assert has_ended(first) and has_ended(second)
        assert len(re.findall(" shutdown up 5 down 5 bytes .*: the process is ending$", program.text(), re.M)) == 2
        assert "ending: " not in program.text() and "Traceback" not in program.text()


@LINUX
@pytest.mark.parametrize("way", ["2>/dev/full", "2>&-", "--log-file"])
def test_a_log_that_takes_nothing_ends_nothing(tmp_path: Path, way: str) -> None:
    port = free_port()
    argv = [*PYSS, *PLAIN, "-v", "-p", str(port)]
    argv += ["--log-file", "/dev/full"] if way == "--log-file" else []
    redirection = way if way != "--log-file" else ""
    program = Program(["sh", "-c", f'exec "$0" "$@" {redirection}', *argv], tmp_path / "log", as_users_have_it())
    try:
        program.wait_listening(port)
        with target(echo) as place:
            for _ in range(3):
                with session(port, place) as sock:
                    sock.shutdown(socket.SHUT_WR)
                    assert has_ended(sock)
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait() == 0
        assert program.text() == ""
    finally:
        program.stop()


# --- in this process -----------------------------------------------------------------------------
NUMBERS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGQUIT", None) or getattr(signal, "SIGBREAK")]  # noqa: B009


def raise_soon(loop: Loop, error: BaseException) -> None:
    def fail() -> None:
        raise error

    loop.call_soon(fail)


@pytest.mark.parametrize("end", ["a signal", "an exception"])
def test_signal_handlers_are_put_back(end: str) -> None:
    loop = Loop()
    before = [signal.getsignal(number) for number in NUMBERS]
    during: list[object] = []
    loop.call_soon(lambda: during.extend(signal.getsignal(number) for number in NUMBERS))
    try:
        if end == "a signal":
            loop.call_soon(lambda: signal.raise_signal(signal.SIGTERM))
            assert Process(loop, []).run() == 0
        else:
            raise_soon(loop, SystemExit())
            with pytest.raises(SystemExit):
                Process(loop, []).run()
        assert [signal.getsignal(number) for number in NUMBERS] == before
        assert signal.set_wakeup_fd(-1) == -1
        assert not set(during) & set(before) and len(during) == 3
    finally:
        loop.close()


@pytest.mark.parametrize("number", NUMBERS)
def test_each_signal_is_taken(number: int) -> None:
    loop = Loop()
    loop.call_soon(lambda: signal.raise_signal(number))
    assert Process(loop, []).run() == 0
    loop.close()


def test_the_grace_period_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.2)
    open_journal(0, str(tmp_path / "log"))
    loop = Loop()
    assembly = Assembly(loop)
    (service,) = assembly.server(ServerConfig((Server(HOST, 0, "none", ""),), forbidden_ip=()))
    port = service.listeners[0].address[1]
    running = Process(loop, assembly.services)

    def visit() -> None:
        with session(port, place) as first, session(port, place) as second:
            loop.call_threadsafe(running.end)
            assert has_ended(first) and has_ended(second)

    try:
        with target(echo) as place:
            visitor = Background(visit)
            assert running.run() == 0
            assert len(service.sessions) == 2 and not service.listeners
            assembly.close()
            visitor.result(30)
    finally:
        assembly.close()
    text = (tmp_path / "log").read_text("utf-8")
    assert "ending: 2 sessions may go on for 0 s" in text
    assert len(re.findall(" shutdown up 5 down 5 bytes", text)) == 2
