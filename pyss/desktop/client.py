"""The tray's hold on the relay: it starts it, asks it, ends it, and notices when it ends by itself.

    start ──► child process ──"ready"──► ON          a thread reads what the child says
                    │                                a thread asks once a second how much it has carried
                    └── ends ──► ERROR               stop closes its input, and waits for its end

What is said over the two pipes stands in `tray_child.py`, with the reasons for a process of its own.  No secret
passes through here: the child reads the configuration itself, and is told only the label of a server.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from .tray_files import Files
from .tray_model import State, after

EVERY = 1.0  # seconds between two questions
PATIENCE = 5.0  # seconds that the child may take to end
LONGEST_LINE = 1 << 16
LAST_WORDS = 60  # lines of what is no message, such as a traceback

# The package is found where this one was found, whatever the working folder is and whatever lies in it.
_BOOT = (
    "import sys; sys.path[:] = [sys.argv[1], *filter(None, sys.path)]; "
    "from pyss.desktop.tray_child import main; sys.exit(main())"
)
_ROOT = str(Path(__file__).resolve().parents[2])


class Traffic(NamedTuple):
    """
    up, down        bytes per second now
    sent, received  bytes in all
    """

    up: float = 0.0
    down: float = 0.0
    sent: int = 0
    received: int = 0


class _Run:
    """One child process, from its start to its end."""

    def __init__(self, folder: Path, order: bytes) -> None:
        """Raises OSError."""
        self.said = ""  # why it cannot start
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.at = 0.0
        self.up = self.down = 0
        self.asked = False
        self.process = _spawn([sys.executable, "-c", _BOOT, _ROOT], folder)
        self.reader: Optional[threading.Thread] = None
        self.tell(order)

    def tell(self, data: bytes) -> None:
        """A child that has ended hears nothing; its reader says so."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
        except OSError:
            pass

    def end(self) -> None:
        """Returns when it has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.reader is not None:
            self.reader.join(PATIENCE)


def _spawn(argv: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Away from this program's terminal, whose Ctrl-C is not for the relay; on Windows without one of its own."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        argv,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        creationflags=flags,
        start_new_session=sys.platform != "win32",
    )


class Client:
    """
    state    of the relay
    problem  a sentence about what went wrong, "" for nothing
    address  of its proxy, HOST:PORT; "" for none

    on_change is called after every change, from any thread, and not while a lock is held.
    """

    def __init__(self, files: Files, on_change: Callable[[], None], every: float = EVERY) -> None:
        self.state = State.OFF
        self.problem = ""
        self.address = ""
        self._traffic = Traffic()
        self._files = files
        self._on_change = on_change
        self._run: Optional[_Run] = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._ask_again, args=(every,), name="rates", daemon=True).start()

    @property
    def traffic(self) -> Traffic:
        return self._traffic

    @property
    def pid(self) -> Optional[int]:
        """Of the relay's process; None while there is none."""
        run = self._run
        return None if run is None else run.process.pid

    def start(self, server: str) -> None:
        """End what runs, and start anew through the server with this label.  Whatever fails becomes the state ERROR."""
        self._end()
        files = self._files
        files.turn_log()
        order = json.dumps({"file": str(files.config), "server": server, "log": str(files.log)}) + "\n"
        with self._lock:
            self.state = after(self.state, "start")
            self.problem = self.address = ""
            try:
                run = self._run = _Run(files.config.parent, order.encode("ascii"))
            except OSError as error:
                self.state = after(self.state, "ended")
                self.problem = f"cannot start the relay: {error.strerror or error}"
            else:
                run.reader = threading.Thread(target=self._read, args=(run,), name="relay", daemon=True)
                run.reader.start()
        self._on_change()

    def stop(self) -> None:
        """Returns when the relay has ended."""
        self._end()
        with self._lock:
            changed = self.state is not State.OFF
            self.state = after(self.state, "stop")
            self.problem = self.address = ""
        if changed:
            self._on_change()

    def _end(self) -> None:
        """The process alone; whoever calls this says what state that is."""
        with self._lock:
            run, self._run = self._run, None
            self._traffic = self._traffic._replace(up=0.0, down=0.0)
        if run is not None:
            run.end()

    def close(self) -> None:
        """Nothing goes on after this."""
        self._closed.set()
        self.stop()

    # --- threads ---------------------------------------------------------------------------------
    def _ask_again(self, every: float) -> None:
        while not self._closed.wait(every):
            with self._lock:
                run = self._run
                # One question at a time, so that the pipe of a child that does not read never fills.
                if run is not None and self.state is State.ON and not run.asked:
                    run.asked = True
                    run.tell(b"?")

    def _read(self, run: _Run) -> None:
        output = run.process.stdout
        assert output is not None
        for line in iter(partial(output.readline, LONGEST_LINE), b""):
            self._take(run, line)
        output.close()
        self._ended(run, run.process.wait())

    def _take(self, run: _Run, line: bytes) -> None:
        try:
            message = json.loads(line)
            known = self._obey(run, message) if isinstance(message, dict) else False
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            run.last_words.append(line.decode("utf-8", "replace").rstrip())
        self._on_change()

    def _obey(self, run: _Run, message: dict[str, object]) -> bool:
        """Whether that was a message."""
        with self._lock:
            if "error" in message:
                run.said = str(message["error"])
            elif "ready" in message:
                run.at = float(str(message["at"]))
                if run is self._run:
                    self.state = after(self.state, "ready")
                    self.address = str(message["ready"])
            elif "at" in message:
                self._count(run, *(float(str(message[name])) for name in ("at", "up", "down")))
            else:
                return False
        return True

    def _count(self, run: _Run, at: float, up: float, down: float) -> None:
        sent, received = int(up) - run.up, int(down) - run.down
        took = at - run.at
        before = self._traffic
        rates = (sent / took, received / took) if run is self._run and took > 0 else (0.0, 0.0)
        self._traffic = Traffic(*rates, before.sent + sent, before.received + received)
        run.at, run.up, run.down, run.asked = at, int(up), int(down), False

    def _ended(self, run: _Run, code: int) -> None:
        with self._lock:
            if run is not self._run:  # as it was told
                return
            self._run = None
            self.state = after(self.state, "ended")
            self.address = ""
            self._traffic = self._traffic._replace(up=0.0, down=0.0)
            self.problem = run.said or f"the relay ended by itself (exit code {code}); the log may say why"
        assert run.process.stdin is not None
        run.process.stdin.close()
        if not run.said:
            self._write_down(run, code)
        self._on_change()

    def _write_down(self, run: _Run, code: int) -> None:
        """Behind the child's own lines in the log."""
        try:
            with open(self._files.log, "a", encoding="utf-8") as log:
                log.write("".join(f"{line}\n" for line in run.last_words))
                log.write(f"the relay ended by itself with exit code {code}\n")
        except OSError:  # the notification says it too
            pass
