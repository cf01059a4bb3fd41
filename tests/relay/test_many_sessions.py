"""Many short sessions one after the other leave nothing behind: no memory, no timers, no garbage, no descriptors."""

from __future__ import annotations

import gc
import os
import platform
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from helpers.processes import PYTHON, Program, free_port
from helpers.relay import HOST, METHOD, PASSWORD, PATIENT, SELECTORS, RunningRelay, SelectorFactory, relay
from helpers.streaming import HandMadeClient, reset
from helpers.traffic import Target, receive_exactly, socks5_connect

from pyss.relay.service import Limits

GREETED = b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01"


class OneThread(Target):
    """An echo of five bytes for one connection after the other; a thread for each would cost more than pyss."""

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(PATIENT)
                try:
                    sock.sendall(receive_exactly(sock, 5))
                    while sock.recv(64):
                        pass
                except (ConnectionError, EOFError):
                    pass


@pytest.fixture
def server() -> Iterator[Target]:
    made = OneThread(lambda sock: None)
    yield made
    made.close()


def session(proxy: int, port: int, ending: Callable[[socket.socket], None] = socket.socket.close) -> None:
    with socket.create_connection((HOST, proxy), PATIENT) as client:
        client.sendall(GREETED + port.to_bytes(2, "big") + b"hello")
        assert receive_exactly(client, 2 + 10 + 5)[-5:] == b"hello"
        ending(client)


@pytest.mark.parametrize(
    ("selector", "count"), [(SELECTORS[name], 1000 if name == "default" else 250) for name in SELECTORS], ids=SELECTORS
)
def test_many_sessions_leave_few_timers(selector: SelectorFactory, count: int, server: Target) -> None:
    """Each arms two; cancelled ones go when they are the majority."""
    with relay(selector, limits=Limits(greeting=600.0, dial=600.0, idle=600.0)) as running:
        most = 0
        for number in range(count):
            session(running.local_port, server.port, reset if number % 2 else socket.socket.close)
            if not number % 50:
                most = max(most, running.thread.call(lambda: len(running.thread.loop.timers)))
        running.until_idle()
        most = max(most, running.thread.call(lambda: len(running.thread.loop.timers)))
        assert most <= 200
        assert running.local is not None and running.server is not None
        assert sum(running.local.statistics.by_status.values()) == count
        assert sum(running.server.statistics.by_status.values()) == count
        assert running.local.statistics.upstream == running.local.statistics.downstream == 5 * count


# --- garbage -------------------------------------------------------------------------------------
def ends_well(running: RunningRelay, port: int) -> None:
    session(running.local_port, port)


def is_reset(running: RunningRelay, port: int) -> None:
    session(running.local_port, port, reset)


def says_nothing(running: RunningRelay, port: int) -> None:
    with socks5_connect(running.local_port, port):
        pass


def goes_in_mid_greeting(running: RunningRelay, port: int) -> None:
    with socket.create_connection((HOST, running.local_port), PATIENT) as client:
        client.sendall(b"\x05\x01")


def speaks_something_else(running: RunningRelay, port: int) -> None:
    with socket.create_connection((HOST, running.local_port), PATIENT) as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(64) == b""


def finds_nobody(running: RunningRelay, port: int) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with HandMadeClient(METHOD, running.server_port, unused.getsockname()[1]) as client:
            client.send(b"hello")
            with pytest.raises(ConnectionError):
                client.sock.recv(1)


def probes(running: RunningRelay, port: int) -> None:
    with socket.create_connection((HOST, running.server_port), PATIENT) as client:
        client.sendall(bytes(100))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def is_tampered_with(running: RunningRelay, port: int) -> None:
    with HandMadeClient(METHOD, running.server_port, port) as client:
        client.send(b"hello")
        client.receive(5)
        client.sock.sendall(bytes(100))
        with pytest.raises(ConnectionError):
            client.sock.recv(1)


def is_cut_off(running: RunningRelay, port: int) -> None:
    with HandMadeClient(METHOD, running.server_port, port) as client:
        client.send(b"hello")
        client.receive(5)
        client.sock.sendall(client.sealed(b"cut off")[:-1])
        client.sock.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError):
            client.sock.recv(1)


def asks_for_what_is_forbidden(running: RunningRelay, port: int) -> None:
    with HandMadeClient(METHOD, running.server_port, port, "127.0.0.9") as client:
        client.send(b"hello")
        with pytest.raises(ConnectionError):
            client.sock.recv(1)


LIVES = (
    ends_well, is_reset, says_nothing, goes_in_mid_greeting, speaks_something_else, finds_nobody, probes,
    is_tampered_with, is_cut_off, asks_for_what_is_forbidden,
)  # fmt: skip
FORBIDDEN = ("127.0.0.9",)


@pytest.mark.skipif(platform.python_implementation() != "CPython", reason="only CPython counts references")
@pytest.mark.parametrize("live", LIVES)
def test_no_session_is_left_to_the_garbage_collector(
    live: Callable[[RunningRelay, int], None], server: Target
) -> None:
    with relay(forbidden=FORBIDDEN) as running:

        def lives(count: int) -> None:
            for _ in range(count):
                live(running, server.port)
            running.until_idle()
            running.thread.call(lambda: None)  # the frames of the last callback are gone

        lives(2)
        gc.collect()
        gc.disable()
        try:
            lives(20)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = [thing for thing in gc.garbage if is_of_pyss(thing)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not found


def is_of_pyss(thing: Any) -> bool:
    function = getattr(thing, "__func__", thing)
    module = getattr(function, "__module__", None) or type(thing).__module__
    return str(module).startswith("pyss")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("live", LIVES)
def test_no_descriptor_is_left_open(live: Callable[[RunningRelay, int], None], server: Target) -> None:
    with relay(forbidden=FORBIDDEN) as running:

        def descriptors() -> int:
            running.until_idle()
            running.thread.call(lambda: None)  # sockets are closed after their batch
            return len(os.listdir("/proc/self/fd"))

        live(running, server.port)
        before = descriptors()
        for _ in range(10):
            live(running, server.port)
        running.thread.until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
        descriptors()


# --- load ----------------------------------------------------------------------------------------
COUNT = 50_000
WARM_UP = 5_000
MOST_GROWTH = 3 * 1024 * 1024
A_SALT = 160  # bytes in the server's memory of salts: the one thing that is meant to grow, up to its bound


def resident(program: Program) -> int:
    for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.load
@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of a process from /proc")
def test_50000_short_sessions_leave_the_processes_as_small_as_they_were(tmp_path: Path) -> None:
    server_port, local_port = free_port(), free_port()
    common = ("-m", METHOD, "-k", PASSWORD, "-p", str(server_port), "-s", HOST)
    programs: list[Program] = []
    targets = [OneThread(lambda sock: None) for _ in range(4)]
    try:
        for role, port, more in (
            ("server", server_port, ("--forbidden-ip", "")),
            ("local", local_port, ("-b", HOST, "-l", str(local_port))),
        ):
            programs.append(Program([PYTHON, "-m", "pyss", role, *common, *more], tmp_path / f"{role}.log"))
            programs[-1].wait_listening(port)

        def run(count: int) -> list[int]:
            def share(target: OneThread) -> None:
                for _ in range(count // len(targets)):
                    session(local_port, target.port, reset)  # leaves no connection in TIME_WAIT

            with ThreadPoolExecutor(len(targets)) as pool:
                list(pool.map(share, targets))
            return [resident(program) for program in programs]

        before = run(WARM_UP)
        after = run(COUNT)
        assert after[1] - before[1] < MOST_GROWTH, (before, after)
        assert after[0] - before[0] < MOST_GROWTH + 2 * COUNT * A_SALT, (before, after)
        assert all(program.exit_code is None for program in programs)
        assert all("Traceback" not in program.text() for program in programs)
    finally:
        for program in programs:
            program.stop()
        for target in targets:
            target.close()
