"""`pyss-tray`: from the start of the program to its end.

    one tray for each user ──► its files ──► the view of this desktop ──► until Quit, the end of the session or a signal

There may be no terminal to complain to (pythonw, a desktop's menu), so on Windows a sentence goes into a box, and what
nobody foresaw goes into the log.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Optional, Protocol

from ..errors import ConfigError, PyssError
from . import autostart, clipboard
from .setting import SettingError
from .system_proxy import pick
from .tray import Tray
from .tray_files import Files
from .tray_parts import Desktop
from .tray_proxy import TrayProxy

PROGRAM = "pyss-tray"  # as pip installs it


class Runnable(Protocol):
    def run(self) -> None: ...


def main(script: Optional[str] = None) -> int:
    """Returns the exit code.  `script` is the file that calls this, for the start at login."""
    try:
        files = Files.of_user(os.environ)
        files.make_folders()
        with _OnlyOne(files.memory.with_name("tray.lock")):
            os.chdir(files.config.parent)  # names of files in the configuration are meant from there
            return _run(files, script)
    except PyssError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"the system refuses: {error.strerror or error}")
    return 1


def _run(files: Files, script: Optional[str]) -> int:
    _write_down_faults(files.log)
    desktop = Desktop(
        clipboard.of_user(os.environ),
        open_file,
        _system_proxy(),
        autostart.of_user(os.environ),
        command_line(script),
    )
    tray = Tray(files, desktop, os.environ)
    try:
        view = _view(tray)
        _obey_signals(tray)
        view.run()
    finally:
        tray.close()
    return 0


def _view(tray: Tray) -> Runnable:
    if sys.platform == "win32":
        from .tray_win32 import WindowsShell
        from .tray_windows import WindowsView

        return WindowsView(tray, WindowsShell())
    from .tray_pystray import PystrayView

    return PystrayView(tray)


def _system_proxy() -> Optional[TrayProxy]:
    """None where no desktop is known whose proxy could be set."""
    try:
        pick(os.environ)
    except SettingError:
        return None
    return TrayProxy()


def command_line(script: Optional[str]) -> list[str]:
    """What starts this program again, from any folder."""
    python = sys.executable
    if sys.platform == "win32":  # the one without a console window
        silent = Path(python).with_name("pythonw.exe")
        python = str(silent) if silent.exists() else python
    if script is not None:
        return [python, os.path.abspath(script)]
    return [shutil.which(PROGRAM, path=os.path.dirname(python)) or shutil.which(PROGRAM) or PROGRAM]


def _obey_signals(tray: Tray) -> None:
    """The end of a session says SIGTERM; Ctrl-C in a terminal is taken for Quit too."""

    def leave(number: int, frame: object) -> None:
        # Between two bytecodes of anything, locks held among them: another thread does it.
        threading.Thread(target=tray.do, args=("quit",), name="quit", daemon=True).start()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)


def open_file(file: Path) -> None:
    """In whatever program the user has for it.  Raises ConfigError or OSError."""
    if sys.platform == "win32":
        os.startfile(file)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    if shutil.which(opener) is None:
        raise ConfigError(f"{opener} is not installed; the file is {file}")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([opener, str(file)], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    threading.Thread(target=process.wait, name=opener, daemon=True).start()  # or it would stay a zombie


class _OnlyOne:
    """Held by one tray at a time; the system lets go of it however that ends."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: Optional[IO[bytes]] = None

    def __enter__(self) -> None:
        try:
            self._held = held = self._file.open("ab")
        except OSError as error:
            raise ConfigError(f"cannot write {self._file}: {error.strerror or error}") from None
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            raise ConfigError("a tray of this user runs already: look for its icon") from None

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        if self._held is not None:
            self._held.close()


def _complain(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"pyss-tray: {text}\n")
    if sys.platform == "win32" and (sys.stderr is None or not sys.stderr.isatty()):
        from .tray_win32 import message_box

        message_box(text)


def _write_down_faults(log: Path) -> None:
    """A traceback, wherever it comes from, goes behind the lines of the relay; it holds no values."""

    def write(kind: Optional[type[BaseException]], error: Optional[BaseException], where: object) -> None:
        lines = traceback.format_exception(kind, error, error.__traceback__ if error is not None else None)
        try:
            with open(log, "a", encoding="utf-8") as stream:
                stream.writelines(lines)
        except OSError:
            pass
        if sys.stderr is not None:
            sys.stderr.writelines(lines)

    def thread_fault(fault: threading.ExceptHookArgs) -> None:
        write(fault.exc_type, fault.exc_value, fault.exc_traceback)

    sys.excepthook = write
    threading.excepthook = thread_fault
    sys.unraisablehook = lambda fault: write(fault.exc_type, fault.exc_value, fault.exc_traceback)
