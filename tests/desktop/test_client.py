"""The relay in its own process: started, counted, switched, ended, crashed, and left behind by a killed tray."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.datagrams import packet_target
from helpers.processes import PYTHON, ROOT, clean_environment, free_port
from helpers.traffic import echo, receive_exactly, socks5_connect, target
from helpers.trays import HOST, KILLED, SECRET, Watcher, files_in, kill, two_servers, write_config

from pyss.desktop import client as client_module
from pyss.desktop.client import Client
from pyss.desktop.tray_files import Files
from pyss.desktop.tray_model import State

pytestmark = pytest.mark.load  # each starts processes of its own

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals between processes are POSIX")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    with two_servers(tmp_path_factory.mktemp("server")) as ports:
        yield ports


class Started(NamedTuple):
    client: Client
    files: Files
    changed: Watcher
    port: int

    def until(self, state: State) -> None:
        self.changed.until(lambda: self.client.state is state)


@pytest.fixture
def made(tmp_path: Path, servers: tuple[int, int]) -> Iterator[Started]:
    """A client that is off; servers "one" and "two" lead to the same place."""
    files, changed, port = files_in(tmp_path), Watcher(), free_port()
    write_config(files, {"one": servers[0], "two": servers[1]}, port)
    client = Client(files, changed, every=0.02)
    try:
        yield Started(client, files, changed, port)
    finally:
        client.close()


def exchange(port: int, data: bytes = b"hello") -> None:
    with target(echo) as place, socks5_connect(port, place.port) as sock:
        sock.sendall(data)
        assert receive_exactly(sock, len(data)) == data


def is_refused(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 5).close()
    except OSError:
        return True
    return False


def test_it_relays_and_counts(made: Started) -> None:
    client = made.client
    assert (client.state, client.address, client.pid) == (State.OFF, "", None)
    client.start("one")
    made.until(State.ON)
    assert client.address == f"{HOST}:{made.port}" and client.problem == ""
    with target(echo) as place, socks5_connect(made.port, place.port) as sock:
        sock.sendall(b"x" * 5000)
        receive_exactly(sock, 5000)
        # While the session goes on.
        made.changed.until(lambda: client.traffic[2:] == (5000, 5000))
        sock.sendall(b"y" * 300)
        receive_exactly(sock, 300)
        made.changed.until(lambda: client.traffic[2:] == (5300, 5300))
        made.changed.until(lambda: client.traffic[:2] == (0.0, 0.0))


def test_the_rate_is_bytes_by_seconds(made: Started) -> None:
    rates: list[float] = []
    client = made.client
    client.start("one")
    made.until(State.ON)

    def seen() -> bool:
        rates.append(client.traffic.up)
        return any(rates)

    with target(echo) as place, socks5_connect(made.port, place.port) as sock:
        made.changed.until(lambda: client.traffic.sent == 0)
        sock.sendall(b"x" * 1000)
        receive_exactly(sock, 1000)
        made.changed.until(seen)
    assert max(rates) > 1000  # within far less than a second


def test_datagrams_are_counted_while_they_flow(made: Started) -> None:
    made.client.start("one")
    made.until(State.ON)
    with packet_target() as answering, socket.create_connection((HOST, made.port), 30) as control:
        control.sendall(b"\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00")
        assert receive_exactly(control, 2) == b"\x05\x00"
        reply = receive_exactly(control, 10)
        relay = (HOST, int.from_bytes(reply[8:], "big"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            header = b"\x00\x00\x00\x01" + socket.inet_aton(HOST) + answering.port.to_bytes(2, "big")
            sock.sendto(header + b"question", relay)
            answer = sock.recv(2000)[10:]
            made.changed.until(lambda: made.client.traffic[2:] == (8, len(answer)))


def test_nothing_is_lost_from_the_total_at_the_end(made: Started) -> None:
    made.client._closed.set()  # nobody asks
    made.client.start("one")
    made.until(State.ON)
    exchange(made.port, b"z" * 4321)
    made.client.stop()
    assert made.client.traffic == (0.0, 0.0, 4321, 4321)


def test_switching_servers_is_another_process(made: Started) -> None:
    client = made.client
    client.start("one")
    made.until(State.ON)
    first = client.pid
    exchange(made.port)
    client.start("two")
    made.until(State.ON)
    assert client.pid not in (None, first)
    exchange(made.port)
    client.stop()
    assert client.traffic[2:] == (10, 10)  # of both


def test_stop_ends_it_and_frees_the_port(made: Started) -> None:
    made.client.start("one")
    made.until(State.ON)
    made.client.stop()
    assert (made.client.state, made.client.address, made.client.pid) == (State.OFF, "", None)
    assert is_refused(made.port)
    made.client.stop()
    assert made.client.state is State.OFF


def test_stop_while_it_starts(made: Started) -> None:
    made.client.start("one")
    made.client.stop()
    assert made.client.state is State.OFF and is_refused(made.port)


def test_one_that_does_not_end_is_killed(made: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PATIENCE", 0.05)
    made.client.start("one")
    made.until(State.ON)
    if hasattr(signal, "SIGSTOP"):
        assert made.client.pid is not None
        os.kill(made.client.pid, signal.SIGSTOP)
    made.client.stop()
    assert is_refused(made.port)


def test_the_log_is_the_relays(made: Started) -> None:
    made.client.start("one")
    made.until(State.ON)
    exchange(made.port)

    def text() -> str:
        return made.files.log.read_text("utf-8")

    made.changed.until(lambda: " ok up 5 down 5 bytes" in text())
    made.client.stop()
    assert f" INFO     local proxy on {HOST}:{made.port}" in text() and SECRET not in text()


def test_it_serves_its_pac_file(made: Started) -> None:
    """With the lists of the configuration, whose names are meant from its folder."""
    write_config(made.files, {"one": 1}, made.port, pac_direct="direct.txt")
    (made.files.config.parent / "direct.txt").write_text("direct.example\n", "utf-8")
    made.client.start("one")
    made.until(State.ON)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://{made.client.address}/proxy.pac", timeout=30
    ) as answer:
        text = answer.read().decode()
    assert "FindProxyForURL" in text and "direct.example" in text and f"{HOST}:{made.port}" in text


@pytest.mark.parametrize(("listen", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_the_address_is_one_that_programs_can_connect_to(made: Started, listen: str, reached: str) -> None:
    write_config(made.files, {"one": 1}, made.port, local_address=listen)
    made.client.start("one")
    made.until(State.ON)
    assert made.client.address == f"{reached}:{made.port}"


def test_tunnels_alone_have_no_address(made: Started) -> None:
    write_config(made.files, {"one": 1}, made.port, protocol="tunnel", tunnel_address="192.0.2.1:53")
    made.client.start("one")
    made.until(State.ON)
    assert made.client.address == ""


# --- what goes wrong -----------------------------------------------------------------------------
def test_a_crash_is_an_error_and_a_new_start_mends_it(made: Started) -> None:
    client = made.client
    client.start("one")
    made.until(State.ON)
    kill(client.pid)
    made.until(State.ERROR)
    assert client.problem == f"the relay ended by itself (exit code {KILLED}); the log may say why"
    assert (client.address, client.pid) == ("", None)
    assert made.files.log.read_text("utf-8").endswith(f"the relay ended by itself with exit code {KILLED}\n")
    client.start("one")
    made.until(State.ON)
    assert client.problem == ""
    exchange(made.port)


def test_a_port_that_is_taken(made: Started) -> None:
    with socket.socket() as other:
        other.bind((HOST, made.port))
        other.listen()
        made.client.start("one")
        made.until(State.ERROR)
    assert str(made.port) in made.client.problem and "ended by itself" not in made.client.problem


def test_a_server_that_has_gone(made: Started) -> None:
    made.client.start("three")
    made.until(State.ERROR)
    assert made.client.problem.startswith("the server that was chosen is no longer in the configuration")


def test_a_configuration_that_is_wrong(made: Started) -> None:
    made.files.config.write_text('{\n"server": }', "utf-8")
    made.client.start("one")
    made.until(State.ERROR)
    assert "line 2" in made.client.problem


def test_a_python_that_cannot_start(made: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(made.files.log.parent / "no python"))
    made.client.start("one")
    assert made.client.state is State.ERROR and made.client.problem.startswith("cannot start the relay: ")


def test_the_last_words_of_a_fault_are_in_the_log(made: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BOOT", "print('[1]'); print('{'); raise RuntimeError('as tests want it')")
    made.client.start("one")
    made.until(State.ERROR)
    assert made.client.problem.startswith("the relay ended by itself (exit code 1)")
    # Of what it said on either stream, no order is kept; our own line comes behind both, and after the new state.
    last = "the relay ended by itself with exit code 1\n"
    text = made.changed.until(lambda: (text := made.files.log.read_text("utf-8")).endswith(last) and text)
    assert {"[1]", "{", "RuntimeError: as tests want it"} < set(text.splitlines())


def test_a_label_of_any_script_arrives(made: Started, servers: tuple[int, int]) -> None:
    write_config(made.files, {"日本 \U0001f5fe 'a\"": servers[0]}, made.port)
    made.client.start("日本 \U0001f5fe 'a\"")
    made.until(State.ON)


def test_modules_of_the_working_folder_are_not_taken_for_pythons(made: Started) -> None:
    (made.files.config.parent / "json.py").write_text("raise SystemExit('the wrong json')", "utf-8")
    made.client.start("one")
    made.until(State.ON)


def test_the_environment_may_hold_the_password(
    made: Started, servers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(made.files, {"one": servers[0]}, made.port)
    text = made.files.config.read_text("utf-8").replace(f'"{SECRET}"', '"${OF_THE_TRAY}"')
    made.files.config.write_text(text, "utf-8")
    monkeypatch.setenv("OF_THE_TRAY", SECRET)
    made.client.start("one")
    made.until(State.ON)
    exchange(made.port)


# --- the end of the tray -------------------------------------------------------------------------
TRAY = """
import sys, threading
from pathlib import Path
from pyss.desktop.client import Client
from pyss.desktop.tray_files import Files

folder = Path(sys.argv[1])
files = Files(folder / "config.json", folder / "tray.json", folder / "pyss.log")
client = Client(files, lambda: print(client.state.name, client.pid, flush=True), 0.05)
client.start("one")
threading.Event().wait()
"""


@pytest.mark.parametrize("stands_still", [False, pytest.param(True, marks=POSIX)])
def test_a_killed_tray_takes_the_relay_along(made: Started, stands_still: bool) -> None:
    """One that only stands still does not."""
    argv = [PYTHON, "-c", TRAY, str(made.files.config.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=clean_environment(), cwd=ROOT, text=True) as tray:
        try:
            assert tray.stdout is not None
            for line in tray.stdout:
                if line.startswith("ON "):
                    break
            exchange(made.port)
            if stands_still:
                os.kill(tray.pid, signal.SIGSTOP)
                for _ in range(3):
                    exchange(made.port)
        finally:
            tray.kill()
    made.changed.until(lambda: is_refused(made.port))
