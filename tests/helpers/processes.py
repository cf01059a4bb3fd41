"""Programs under test: started with a log file, waited for by event, ended by their own process id."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
POLL = 0.01  # seconds between two looks while waiting with a deadline

_next_port = 20000 + os.getpid() % 6000 * 2


def free_port() -> int:
    """A loopback TCP port that nobody uses, below the range from which the system takes outgoing ones."""
    global _next_port
    for _ in range(12000):
        _next_port = 20000 + (_next_port - 20000 + 1) % 12000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _next_port))
            except OSError:
                continue
        return _next_port
    raise RuntimeError("no free port between 20000 and 32000")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without proxies of its own, and with the checkout importable."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment["PYTHONUNBUFFERED"] = "1"
    environment.update(more)
    return environment


class Program:
    """One started program; `log` is the file that takes its standard output and error."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Optional[Mapping[str, str]] = None) -> None:
        self.argv = list(argv)
        self.log = log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=dict(environment or clean_environment()),
                cwd=log.parent,
                start_new_session=os.name == "posix",
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> Optional[int]:
        """None while it runs."""
        return self._process.poll()

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_listening(self, port: int, seconds: float = 20.0, host: str = "127.0.0.1") -> None:
        """Until a connection to the port is accepted.  Raises AssertionError with the log if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.exit_code is not None:
                raise AssertionError(f"{self.argv} ended with {self.exit_code} before it listened:\n{self.text()}")
            try:
                socket.create_connection((host, port), 1).close()
                return
            except OSError:
                time.sleep(POLL)
        raise AssertionError(f"{self.argv} does not listen on {port} after {seconds:.0f} s:\n{self.text()}")

    def wait_for_line(self, pattern: str, seconds: float = 20.0) -> re.Match[str]:
        """Until the log matches.  Raises AssertionError with the log if it never does."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.exit_code is not None
            found = re.search(pattern, self.text(), re.MULTILINE)
            if found:
                return found
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in the log of {self.argv}:\n{self.text()}")
            time.sleep(POLL)

    def wait(self, seconds: float = 20.0) -> int:
        """The exit code, when it ends by itself."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """End it and what it started; returns the exit code."""
        if self.exit_code is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                pass
        if os.name == "posix":
            self._signal(signal.SIGKILL)  # what is left of its group, if anything
        elif self.exit_code is None:
            self._process.kill()
        return self._process.wait(10)

    def _signal(self, number: int) -> None:
        try:
            if os.name == "posix":
                os.killpg(self.pid, number)  # it leads a group of its own
            else:
                self._process.terminate()
        except (ProcessLookupError, PermissionError):
            pass
