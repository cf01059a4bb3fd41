"""The memory of a process while senders are fast and readers stall, or dials hang: bounded, whatever is sent."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from helpers.peers import password_for
from helpers.processes import PYTHON, Program, free_port
from helpers.relay import HOST, PATIENT
from helpers.streaming import Mailbox
from helpers.traffic import socks5_connect, target

pytestmark = [
    pytest.mark.load,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the size of a process from /proc"),
]

MIB = 1024 * 1024
MOST_GROWTH = 64 * MIB
UNTIL = 512 * MIB


def resident(program: Program) -> int:
    """Bytes of memory."""
    for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def start(folder: Path, role: str, *options: str, port: int) -> Program:
    program = Program([PYTHON, "-m", "pyss", role, *options], folder / f"{role}.log")
    try:
        program.wait_listening(port)
    except BaseException:
        program.stop()
        raise
    return program


def pour(sock: socket.socket) -> int:
    """Send until nobody takes anything for a second, or 512 MiB are gone."""
    sock.settimeout(1.0)
    block = bytes(256 * 1024)
    poured = 0
    try:
        while poured < UNTIL:
            poured += sock.send(block)
    except OSError:
        pass
    return poured


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_a_fast_sender_and_a_stalled_reader_leave_the_processes_small(
    method: str, way: str, tmp_path: Path
) -> None:
    server_port, local_port = free_port(), free_port()
    password = password_for(method)
    common = ("-m", method, "-k", password, "-p", str(server_port), "-s", HOST)
    poured, done = Mailbox(), Mailbox()

    def serve(sock: socket.socket) -> None:
        if way == "down":
            poured.put(pour(sock))
        done.get()

    server = start(tmp_path, "server", *common, "--forbidden-ip", "", port=server_port)
    try:
        local = start(tmp_path, "local", *common, "-b", HOST, "-l", str(local_port), port=local_port)
        try:
            before = [resident(server), resident(local)]
            with target(serve) as far, socks5_connect(local_port, far.port) as client:
                amount = pour(client) if way == "up" else poured.get()
                after = [resident(server), resident(local)]
                done.put(None)
            assert MIB < amount < UNTIL  # it did stall
            assert all(later - earlier < MOST_GROWTH for earlier, later in zip(before, after)), (before, after)
        finally:
            local.stop()
    finally:
        server.stop()


def test_500_clients_that_pipeline_while_their_dials_hang_leave_the_process_small(tmp_path: Path) -> None:
    """The server's port takes no more connections: a listener that nobody accepts from, and its queue is full."""
    clients: list[socket.socket] = []
    with socket.socket() as blackhole:
        blackhole.bind((HOST, 0))
        blackhole.listen(0)
        at = blackhole.getsockname()
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(at)
            clients.append(filler)
        with pytest.raises(OSError):
            clients[-1].getpeername()  # else the queue is not full, and dials do not hang
        port = free_port()
        common = ("-m", "aes-256-gcm", "-k", "a password", "-p", str(at[1]), "-s", HOST)
        local = start(tmp_path, "local", *common, "-b", HOST, "-l", str(port), port=port)
        try:
            before = resident(local)
            for _ in range(500):
                client = socket.create_connection((HOST, port), PATIENT)
                clients.append(client)
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x00\x50")
                client.setblocking(False)
            for client in clients[8:]:
                left = MIB
                try:
                    while left > 0:
                        left -= client.send(bytes(65536))
                except BlockingIOError:
                    pass
            after = resident(local)
            assert after - before < MOST_GROWTH, (before, after)
            assert local.exit_code is None
            assert "Traceback" not in local.text()
        finally:
            for client in clients:
                client.close()
            local.stop()
