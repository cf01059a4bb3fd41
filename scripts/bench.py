"""What the relay costs here, beside shadowsocks-libev and shadowsocks-rust where they are installed.

    python3 scripts/bench.py                      a table; two minutes for each pair of programs
    python3 scripts/bench.py --quick              the same with less of everything
    python3 scripts/bench.py --instructions       user-space instructions per connection and ping (needs valgrind)
    python3 scripts/bench.py --pairs pyss,pyss:libev --method chacha20-ietf-poly1305 --rounds 5

A pair is CLIENT:SERVER, or one name for both.  Rounds are interleaved, medians are shown, and their ratio to the
first pair.  Load generator, origin and both programs share this machine: believe CPU seconds and ratios of one
run, never the figures of two runs.  Everything stays on loopback and is bounded in count and time.  The load
generator is Python too, so the last bit of other programs' speed does not show in connections a second.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import resource
import selectors
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import peers

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
TICKS = os.sysconf("SC_CLK_TCK")
BLOCK = 256 * 1024

# Where a rust program is built, see peers.py; nothing on PATH counts for it.
_RUST = peers.PEERS["shadowsocks-rust"]
PROGRAMS = {
    "pyss": (
        f"{sys.executable} -m pyss local -q -s {HOST} -p SERVER -b {HOST} -l LOCAL -m METHOD -k PASSWORD",
        f"{sys.executable} -m pyss server -q -s {HOST} -p SERVER -m METHOD -k PASSWORD --forbidden-ip=",
    ),
    "libev": (
        f"ss-local -s {HOST} -p SERVER -b {HOST} -l LOCAL -m METHOD -k PASSWORD",
        f"ss-server -s {HOST} -p SERVER -m METHOD -k PASSWORD",
    ),
    "rust": (
        f"{_RUST.find('sslocal')} -s {HOST}:SERVER -b {HOST}:LOCAL -m METHOD -k PASSWORD",
        f"{_RUST.find('ssserver')} -s {HOST}:SERVER -m METHOD -k PASSWORD",
    ),
}

Figures = dict[str, float]

# title, key, format
COLUMNS = (
    ("down 1 MB/s", "down1", "%.0f"),
    ("up 1", "up1", "%.0f"),
    ("down 8", "down8", "%.0f"),
    ("up 8", "up8", "%.0f"),
    ("CPU s/GiB down", "down1 cpu", "%.2f"),
    ("up", "up1 cpu", "%.2f"),
    ("ping p50 us", "ping", "%.0f"),
    ("conn/s", "connections", "%.0f"),
    ("CPU ms/conn client", "client cpu", "%.2f"),
    ("server", "server cpu", "%.2f"),
    ("KiB/idle conn client", "client idle", "%.1f"),
    ("server", "server idle", "%.1f"),
)


class Origin:
    """The target: the first byte says what a connection is for: d(own), u(p), e(cho)."""

    def __init__(self) -> None:
        self.listener = socket.create_server((HOST, 0), backlog=1024)
        self.port: int = self.listener.getsockname()[1]
        self.pid = os.fork()  # a process of its own: this benchmark runs on POSIX only
        if not self.pid:
            try:
                self._serve()
            finally:
                os._exit(0)
        self.listener.close()

    def _serve(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        room = memoryview(bytearray(BLOCK))
        parent = os.getppid()
        while os.getppid() == parent:
            for key, _ in selector.select(1.0):
                try:
                    self._step(selector, key, room)
                except OSError:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]

    def _step(self, selector: selectors.BaseSelector, key: selectors.SelectorKey, room: memoryview) -> None:
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        if key.data is None and sock is self.listener:
            client, _ = sock.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client, selectors.EVENT_READ)
        elif key.data is None:
            purpose = sock.recv(1)
            if not purpose:
                raise ConnectionResetError
            events = selectors.EVENT_WRITE if purpose == b"d" else selectors.EVENT_READ
            sock.setblocking(False)
            selector.modify(sock, events, purpose)
        elif key.data == b"d":
            sock.send(room)
        else:
            size = sock.recv_into(room)
            if not size:
                raise ConnectionResetError
            if key.data == b"e":
                sock.send(room[:size])

    def close(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def connect(proxy: int, target: int) -> socket.socket:
    """Through the SOCKS5 proxy."""
    sock = socket.create_connection((HOST, proxy), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"\x05\x01\x00")
    sock.recv(2)
    sock.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(HOST) + struct.pack(">H", target))
    answer = sock.recv(10)
    if answer[:2] != b"\x05\x00":
        raise ConnectionError(f"SOCKS5 answer {answer!r}")
    return sock


# --- measurements ------------------------------------------------------------------------------------
def bulk(proxy: int, target: int, way: bytes, streams: int, seconds: float) -> int:
    """Bytes carried; the first tenth of the time is not counted."""
    socks = [connect(proxy, target) for _ in range(streams)]
    selector = selectors.DefaultSelector()
    room = memoryview(bytearray(BLOCK))
    for sock in socks:
        sock.sendall(way)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ if way == b"d" else selectors.EVENT_WRITE)
    total = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(1.0):
            sock = key.fileobj  # type: ignore[assignment]
            total += sock.recv_into(room) if way == b"d" else sock.send(room)
    selector.close()
    for sock in socks:
        sock.close()
    return total


def ping(proxy: int, target: int, count: int) -> float:
    """Median of the round trips of 64 bytes, in microseconds."""
    taken = []
    with connect(proxy, target) as sock:
        sock.sendall(b"e")
        message = bytes(64)
        for _ in range(count):
            began = time.perf_counter()
            sock.sendall(message)
            while len(message) > len(sock.recv(64)):
                pass
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def connections(proxy: int, target: int, count: int, threads: int) -> None:
    """Open, send 1 KiB, get it back, close; `count` times."""

    def work(share: int) -> None:
        message = b"e" + bytes(1024)
        for _ in range(share):
            with connect(proxy, target) as sock:
                sock.sendall(message)
                left = 1024
                while left:
                    left -= len(sock.recv(left)) or 1 << 20

    workers = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def words_of(name: str, side: int, values: dict[str, str]) -> list[str]:
    """The command line of a client (0) or server (1)."""
    words = PROGRAMS[name][side].split()
    for word, value in values.items():
        words = [value if part == word else part.replace(f":{word}", f":{value}") for part in words]
    return words


class Running:
    """A started client and server."""

    def __init__(self, pair: str, method: str, prefix: tuple[str, ...] = (), folder: Optional[Path] = None) -> None:
        client, _, server = pair.partition(":")
        key = base64.b64encode(os.urandom(16 if "aes-128" in method else 32)).decode()
        ports = {"SERVER": str(free_port()), "LOCAL": str(free_port()), "METHOD": method}
        ports["PASSWORD"] = key if method.startswith("2022-") else "benchmark"
        self.port = int(ports["LOCAL"])
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start(prefix, words_of(server or client, 1, ports), int(ports["SERVER"]), folder)
            self._start(prefix, words_of(client, 0, ports), self.port, folder)
        except BaseException:
            self.close()
            raise

    def _start(self, prefix: tuple[str, ...], words: list[str], port: int, folder: Optional[Path]) -> None:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        # The same order of sets and dictionaries in each run, or instructions could not be compared.
        environment = dict(os.environ, PYTHONPATH=path, PYTHONHASHSEED="0")
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # and no compiling at each start
        if folder is not None and words[0] != sys.executable:
            # Debian's ss-local has rights of its own, and valgrind may not run such a file; a copy has none.
            words[0] = shutil.copy(shutil.which(words[0]) or words[0], str(folder))
        with open(os.devnull if folder is None else folder / f"{len(self.processes)}.log", "wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [*prefix, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                )
            )
        wait_listening(port)

    @property
    def client(self) -> int:
        return self.processes[1].pid

    @property
    def server(self) -> int:
        return self.processes[0].pid

    def cpu(self) -> tuple[float, float]:
        """Seconds of client and server so far."""
        return cpu_seconds(self.client), cpu_seconds(self.server)

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure(pair: str, method: str, target: int, scale: float) -> Figures:
    """All figures of one pair, once."""
    running = Running(pair, method)
    figures: Figures = {}
    try:
        proxy = running.port
        connections(proxy, target, 50, 1)  # warm
        for name, way, streams in (("down1", b"d", 1), ("up1", b"u", 1), ("down8", b"d", 8), ("up8", b"u", 8)):
            before = sum(running.cpu())
            seconds = 3 * scale
            size = bulk(proxy, target, way, streams, seconds)
            figures[name] = size / seconds / 1e6
            figures[f"{name} cpu"] = (sum(running.cpu()) - before) / (size / 2**30)
        figures["ping"] = ping(proxy, target, int(10_000 * scale))
        count = int(4000 * scale)
        before_client, before_server = running.cpu()
        began = time.monotonic()
        connections(proxy, target, count, 8)
        figures["connections"] = count / (time.monotonic() - began)
        after_client, after_server = running.cpu()
        figures["client cpu"] = (after_client - before_client) / count * 1e3
        figures["server cpu"] = (after_server - before_server) / count * 1e3
        figures.update(idle(running, target, 500))
    finally:
        running.close()
    return figures


def idle(running: Running, target: int, count: int) -> Figures:
    """KiB that a connection takes which has carried a little and is silent now."""
    before = resident(running.client), resident(running.server)
    socks = []
    try:
        for _ in range(count):
            sock = connect(running.port, target)
            socks.append(sock)
            sock.sendall(b"ex")
            sock.recv(1)
        after = resident(running.client), resident(running.server)
    finally:
        for sock in socks:
            sock.close()
    return {
        "client idle": (after[0] - before[0]) / count,
        "server idle": (after[1] - before[1]) / count,
    }


def instructions(pair: str, method: str, target: int) -> Figures:
    """Thousands of user-space instructions of each side, per connection and per ping."""
    few, many = {"connections": 50, "pings": 50}, {"connections": 550, "pings": 2050}
    Running(pair, method).close()  # so that all modules are compiled before anything is counted
    counted = {}
    for what in few:
        sides = []
        for load in (few[what], many[what]):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                prefix = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p.out")
                running = Running(pair, method, prefix, folder)
                try:
                    if what == "pings":
                        ping(running.port, target, load)
                    else:
                        connections(running.port, target, load, 1)
                finally:
                    running.close()
                sides.append([collected(folder / f"{number}.log") for number in (1, 0)])
        spread = many[what] - few[what]
        for title, side in (("client", 0), ("server", 1)):
            counted[f"{title} {what}"] = (sides[1][side] - sides[0][side]) / spread / 1000
    return counted


def collected(log: Path) -> int:
    found = re.search(r"Collected : (\d+)", log.read_text("utf-8", "replace"))
    if found is None:
        raise RuntimeError(f"valgrind counted nothing:\n{log.read_text('utf-8', 'replace')[-2000:]}")
    return int(found[1])


# --- the system ----------------------------------------------------------------------------------------
def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> int:
    """KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_listening(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody listens on port {port}") from None
            time.sleep(0.02)


@contextmanager
def origin() -> Iterator[int]:
    server = Origin()
    try:
        yield server.port
    finally:
        server.close()


# --- the report ----------------------------------------------------------------------------------------
def table(rows: dict[str, Figures], columns: tuple[tuple[str, str, str], ...]) -> str:
    first = next(iter(rows.values()))
    lines = ["| pair | " + " | ".join(title for title, _, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in rows.items():
        cells = []
        for _, key, form in columns:
            cell = form % figures[key]
            if figures is not first and first[key]:
                cell += f" (x{figures[key] / first[key]:.2f})"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Cost of the relay, beside other implementations.")
    parser.add_argument("--pairs", help="CLIENT[:SERVER],...; default: libev if it is here, pyss, and both mixed")
    parser.add_argument("--method", default="aes-256-gcm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of a third of the load")
    parser.add_argument("--instructions", action="store_true", help="count instructions under valgrind")
    options = parser.parse_args()
    libev = shutil.which("ss-local") is not None and not options.method.startswith("2022-")
    pairs = (options.pairs or ("libev,pyss,pyss:libev,libev:pyss" if libev else "pyss")).split(",")
    unknown = sorted({name for pair in pairs for name in pair.split(":")} - set(PROGRAMS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with origin() as target:
        if options.instructions:
            if shutil.which("valgrind") is None:
                parser.error("--instructions needs valgrind")
            counted = {pair: instructions(pair, options.method, target) for pair in pairs}
            columns = tuple((f"kIr {key}", key, "%.0f") for key in next(iter(counted.values())))
            print(table(counted, columns))
            return 0
        rounds, scale = (1, 0.3) if options.quick else (options.rounds, 1.0)
        results: dict[str, list[Figures]] = {pair: [] for pair in pairs}
        for number in range(rounds):
            for pair in pairs:
                print(f"round {number + 1} of {rounds}: {pair}", file=sys.stderr, flush=True)
                results[pair].append(measure(pair, options.method, target, scale))
    medians = {
        pair: {key: statistics.median(figures[key] for figures in runs) for key in runs[0]}
        for pair, runs in results.items()
    }
    print(f"{options.method}, median of {rounds}\n\n{table(medians, COLUMNS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
