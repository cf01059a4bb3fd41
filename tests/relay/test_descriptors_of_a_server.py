"""A server that runs out of descriptors waits, says so once, and serves again when sessions have ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.forging import METHOD_2017, connect, exchange, secret_of
from helpers.processes import PYTHON, Program, free_port
from helpers.traffic import echo, target

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of descriptors to set there")

CONNECTIONS = 200
WATCHED = 1.5  # seconds

WRAPPER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from pyss.app import assembly, cli
if sys.argv.pop(1) == "unknown":
    assembly.raise_descriptor_limit = lambda: 65536
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(params=["known", "unknown"])  # unknown: accept() itself fails, as when others use up all there are
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Program, int]]:
    port = free_port()
    program = Program(
        [
            *(PYTHON, "-c", WRAPPER, request.param, "server", "-s", "127.0.0.1", "-p", str(port)),
            *("-k", secret_of(METHOD_2017), "-m", METHOD_2017, "--forbidden-ip", ""),
        ],
        tmp_path / "server.log",
    )
    try:
        program.wait_listening(port)
        yield program, port
    finally:
        program.stop()
        assert "Traceback" not in program.text() and "internal error" not in program.text(), program.text()


def processor_seconds(pid: int) -> float:
    """User and system time of the process; skips the test where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        pytest.skip("only /proc tells the processor time of another process")
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


@pytest.mark.load  # for the time it waits
def test_two_hundred_connections_on_sixty_four_descriptors(server: tuple[Program, int]) -> None:
    program, port = server
    with target(echo) as echoing:
        exchange(port, METHOD_2017, echoing.port)
        with ExitStack() as opened:
            for _ in range(CONNECTIONS):
                opened.enter_context(connect(port))
            program.wait_for_line("accepting pauses until sessions end")
            before = processor_seconds(program.pid)
            time.sleep(WATCHED)  # the property is what happens in this time
            used = processor_seconds(program.pid) - before
            assert used < 0.5, f"{used} s of {WATCHED} s: it spins"
        exchange(port, METHOD_2017, echoing.port)
        assert program.exit_code is None
    assert program.text().count("accepting pauses") == 1


def test_sessions_that_run_are_not_disturbed_and_the_first_end_lets_one_in(server: tuple[Program, int]) -> None:
    program, port = server
    with target(echo) as echoing, ExitStack() as opened:
        silent = [opened.enter_context(connect(port)) for _ in range(CONNECTIONS)]
        program.wait_for_line("accepting pauses until sessions end")
        for sock in silent:  # one after another makes room, until the last of the queue is served
            sock.close()
        exchange(port, METHOD_2017, echoing.port)
