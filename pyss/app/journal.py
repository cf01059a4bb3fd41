"""The log: the standard library's `logging`, with the line format that fail2ban's filters parse.

    2026-01-31 12:00:00 INFO     127.0.0.1:50000 -> example.org:443 ok up 517 down 5321 bytes 0.213 s
"""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Optional, TextIO

from ..errors import ConfigError
from ..net.clock import wall

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # takes no type before Python 3.11

LINE = "%(asctime)s %(levelname)-8s %(message)s"
DATE = "%Y-%m-%d %H:%M:%S"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_NAMES = {number: logging.getLevelName(number) for number in LEVELS.values()}

_logger = logging.getLogger("pyss")


MOST_KEPT = 4 << 20  # bytes of a file that nobody asked for; one earlier one is kept beside it


class KeptWords(io.TextIOBase):
    """A file in place of standard error, for a process without a console.

        pyss.log      what is written, UTF-8; at MOST_KEPT bytes it becomes
        pyss.log.old

    Raises OSError when it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._open("a")

    def write(self, text: str) -> int:
        self._written += self._file.write(text.encode("utf-8", "backslashreplace"))
        if self._written >= MOST_KEPT:
            self._turn()
        return len(text)

    def flush(self) -> None:
        if not self.closed:
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        super().close()
        self._file.close()

    def _open(self, mode: str) -> None:
        self._file = open(self._path, mode + "b")  # noqa: SIM115
        self._written = self._file.tell()

    def _turn(self) -> None:
        self._file.close()
        mode = "a"
        try:
            os.replace(self._path, self._path + ".old")
        except OSError:  # another process writes into it too: Windows moves no open file
            mode = "w"
        self._open(mode)


class _Formatter(logging.Formatter):
    """Turns a second into text once, not for each line of it."""

    def __init__(self) -> None:
        super().__init__(LINE, DATE)
        self._second = -1
        self._text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: Optional[str] = None) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._text = super().formatTime(record, DATE)
        return self._text

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            return super().format(record)
        return f"{self.formatTime(record)} {record.levelname:<8} {record.getMessage()}"  # as LINE says


class _ToStream(_StreamHandler):
    """Writes a line and flushes; one thread reports, so nothing is locked."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream = self.stream
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:
            self.handleError(record)


class _ToFile(_ToStream, logging.FileHandler):
    pass


_handler: logging.Handler = logging.NullHandler()


def open_journal(verbosity: int, log_file: Optional[str] = None) -> None:
    """Log to `log_file`, or to standard error.

    verbosity  0 as usual; 1 and more with debugging lines; -1 warnings, -2 errors only
    Raises ConfigError when the file cannot be written.
    """
    global _handler
    handler: logging.Handler
    if log_file is None:
        handler = _ToStream(sys.stderr)
    else:
        try:
            handler = _ToFile(log_file, encoding="utf-8")
        except OSError as error:
            problem = f"cannot write the log file {log_file!r}: {error.strerror}"
            raise ConfigError(f"{problem}; choose another one (--log-file FILE)") from None
    handler.setFormatter(_Formatter())
    for earlier in _logger.handlers:
        earlier.close()
    _logger.handlers[:] = [handler]
    _handler = handler
    _logger.propagate = False
    _logger.setLevel(_level(verbosity))
    # Nobody asks for file, line, thread or process of a line; finding them costs more than writing it.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # a full disk must not end the relay


def _level(verbosity: int) -> int:
    if verbosity > 0:
        return logging.DEBUG
    return {0: logging.INFO, -1: logging.WARNING}.get(verbosity, logging.ERROR)


class _Line(logging.LogRecord):
    """A record with what the line shows, and nothing else: the rest takes longer to find than to write."""

    def __init__(self, level: int, text: str) -> None:
        self.levelno = level
        self.levelname = _NAMES[level]
        self.created = wall()
        self.msg = text
        self.exc_info = None

    def getMessage(self) -> str:
        return str(self.msg)


def report(level: str, text: str) -> None:
    """One line."""
    number = LEVELS[level]
    if number >= _logger.level:
        # Past the logger: it would look for filters, and for handlers that nobody has added.
        _handler.emit(_Line(number, printable(text)))


def printable(text: str) -> str:
    """Without control characters: a peer's words must not forge a line or reach the terminal."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else f"\\x{ord(mark):02x}" for mark in text)
