"""The relay of the tray, in a process of its own.

    tray ── standard input ───►  {"file": ..., "server": ..., "log": ...}\\n   what to do
                                 ?                                            how much so far?
                                 end of input                                 end, now
    tray ◄─ standard output ───  {"ready": "127.0.0.1:1080", "at": 12.1}      all ports are open; seconds
                                 {"up": 517, "down": 5321, "at": 12.5}        an answer to ?
                                 {"error": "..."}                             why it cannot start

A process and not a thread: a fault of the relay does not take the tray along, drawing does not hold up what it carries,
and signals, descriptors and log are the relay's own, as they are for `pyss local`.  The kernel closes a pipe however
the process at its other end has ended, so a relay whose tray was killed reads the end of its input, and goes.  Nothing
is sent unless it was asked for, so a tray that stands still cannot hold up the relay with a full pipe.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Callable

from ..address import join_host_port
from ..app.assembly import Assembly, announce
from ..app.config import LocalConfig
from ..app.journal import open_journal, report
from ..app.process import Process
from ..errors import ConfigError, PyssError
from ..limits import PACKET_LIMITS, PacketLimits
from ..net.loop import Loop
from ..relay.accounting import Report
from ..relay.datagrams import Association, Associations
from ..relay.service import Service
from . import tray_files

STDIN, STDOUT = 0, 1  # descriptors: a buffered object would be locked by the thread that waits in it
LONGEST_ORDER = 1 << 16


def main() -> int:
    """Returns the exit code."""
    if sys.stderr is None:  # pythonw: whatever Python itself says must not become a fault
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        order = json.loads(_line())
        return _run(Path(order["file"]), order["server"], order["log"])
    except PyssError as error:
        _tell({"error": str(error)})
        return 1
    except OSError as error:
        _tell({"error": f"the system refuses: {error.strerror or error}"})
        return 1


def _line() -> bytes:
    """What stands before the first end of line; nothing behind it is taken."""
    line = b""
    while len(line) < LONGEST_ORDER:
        byte = os.read(STDIN, 1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return line


def _tell(message: Mapping[str, object]) -> None:
    try:
        os.write(STDOUT, json.dumps(message).encode("ascii") + b"\n")
    except OSError:  # the tray has gone; the end of input says so too
        pass


def chosen(config: LocalConfig, label: str) -> LocalConfig:
    """`config` with that server alone.  Raises ConfigError."""
    for found, server in zip(tray_files.labels(config.servers), config.servers):
        if found == label:
            return replace(config, servers=(server,))
    raise ConfigError("the server that was chosen is no longer in the configuration; choose one from the menu")


def _run(file: Path, label: str, log: str) -> int:
    config = chosen(tray_files.read_config(file, os.environ), label)
    open_journal(config.verbosity, config.log_file or log)
    assembly = Assembly.of(config)
    loop = assembly.loop
    try:
        assembly.table = table = Living(loop, report, assembly.table.limits)
        assembly.local(config)
        process = Process(loop, assembly.services)
        answer = partial(_answer, assembly, table)
        loop.call_soon(partial(_ready, assembly, process, config, answer))
        code = process.run()
        answer()  # so that the total is right to the last byte
        return code
    finally:
        assembly.close()


def _ready(assembly: Assembly, process: Process, config: LocalConfig, answer: Callable[[], None]) -> None:
    announce(assembly, config.notes)
    _tell({"ready": proxy_address(assembly, config), "at": assembly.loop.now})
    threading.Thread(target=_obey, args=(assembly.loop, process, answer), name="tray", daemon=True).start()


def proxy_address(assembly: Assembly, config: LocalConfig) -> str:
    """Where programs of this machine reach the first proxy; "" where there is none."""
    if not config.listen:
        return ""
    host, port = assembly.services[0].listeners[0].address[:2]  # proxies come before tunnels
    return join_host_port({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host)), int(port))


def _obey(loop: Loop, process: Process, answer: Callable[[], None]) -> None:
    """A thread: it waits for the tray, and leaves word for the loop."""
    while True:
        try:
            byte = os.read(STDIN, 1)
        except OSError:
            byte = b""
        if not byte:
            loop.call_threadsafe(partial(process.end, at_once=True))
            return
        if byte == b"?":
            loop.call_threadsafe(answer)


# --- how much ----------------------------------------------------------------------------------------
class Living(Associations):
    """Associations, with a list of those that have not ended."""

    def __init__(self, loop: Loop, report: Report, limits: PacketLimits = PACKET_LIMITS) -> None:
        super().__init__(loop, report, limits)
        self.living: set[Association] = set()

    def admit(self, association: Association) -> None:
        super().admit(association)
        self.living.add(association)

    def remove(self, association: Association) -> None:
        super().remove(association)
        self.living.discard(association)


def _answer(assembly: Assembly, table: Living) -> None:
    up, down = counted(assembly.services, table)
    _tell({"up": up, "down": down, "at": assembly.loop.now})


def counted(services: Sequence[Service], table: Living) -> tuple[int, int]:
    """Plaintext bytes from and to all clients since the start, over TCP and UDP, of what goes on too."""
    up, down = table.statistics.upstream, table.statistics.downstream
    for association in table.living:
        up += association.upstream
        down += association.downstream
    for service in services:
        up += service.statistics.upstream
        down += service.statistics.downstream
        for session in service.sessions:
            up += session.up.count if session.up is not None else 0
            down += session.down.count if session.down is not None else 0
    return up, down
