"""The process around the loop: signals, Ctrl-C, memory, a process without a console.

One of the few files that may look at `sys.platform`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any, Optional

from ..net.loop import Loop
from ..relay.service import Service
from .journal import report

GRACE = 30.0  # seconds that sessions may go on after the first SIGTERM


def log_without_console() -> Optional[str]:
    """The file for what standard error would get; None where that is nothing to wish for.

    Windows starts programs of the desktop (pythonw.exe) without standard streams, and whoever started one so sees
    nothing.  On other systems it is closed on purpose.
    """
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.join(os.path.expanduser("~"), "AppData", "Local")
        return os.path.join(folder, "pyss", "pyss.log")
    else:
        return None


class Process:
    """Runs the loop until a signal ends it.

    SIGTERM (SIGQUIT, Ctrl-Break)  stop accepting, let sessions finish for at most GRACE seconds
    SIGINT (Ctrl-C), or a second signal  now
    """

    def __init__(self, loop: Loop, services: list[Service]) -> None:
        self._loop = loop
        self._services = services
        self._ending = False

    def run(self) -> int:
        """Returns the exit code."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            signals.append(signal.SIGBREAK)
        else:
            signals.append(signal.SIGQUIT)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        wakeup = signal.set_wakeup_fd(self._loop.wakeup_fd, warn_on_full_buffer=False)
        freeze = getattr(gc, "freeze", None)  # PyPy has none
        if freeze is not None:
            freeze()
        try:
            self._loop.run()
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            for service in self._services:
                service.close()
        return 0

    def _on_signal(self, number: int, frame: Any) -> None:
        # Between two bytecodes of anything: only leave word for the loop.
        self._loop.call_threadsafe(lambda: self.end(at_once=self._ending or number == signal.SIGINT))

    def end(self, at_once: bool = False) -> None:
        """Stop accepting, and stop the loop when the last session has ended; or at once."""
        self._ending = True
        sessions = sum(len(service.sessions) for service in self._services)
        for service in self._services:
            service.close()
        if at_once or not sessions:
            self._loop.stop()
            return
        many = "1 session" if sessions == 1 else f"{sessions} sessions"
        report("info", f"ending: {many} may go on for {GRACE:.0f} s; a second signal ends them now")
        self._loop.call_later(GRACE, self._loop.stop)
        self._wait_for_sessions()

    def _wait_for_sessions(self) -> None:
        if any(service.sessions for service in self._services):
            self._loop.call_later(0.1, self._wait_for_sessions)
        else:
            self._loop.stop()
