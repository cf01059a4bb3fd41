"""The lists behind the PAC file: which domains go direct, which through the proxy; read again when a file has changed.

    --pac-direct FILE  ──┐
                         ├─ parse_domains ─► pac_tables ─► one script, until a file is another one
    --pac-proxied FILE ──┘

At the start a list that cannot be read stops it.  Later the relay goes on: the lists stay as they were, and a warning
says why, once for each version of the files.
"""

from __future__ import annotations

import os
import stat
from typing import Optional

from ..errors import ConfigError
from ..protocol.pac import pac_tables, parse_domains
from ..relay.accounting import Report
from .settings import ReadFile, read_file

Version = Optional[tuple[int, int, int]]  # of a file: time, size, inode; None where it cannot be looked at


class PacLists:
    """Gives the tables of the PAC file when called.

    direct, proxied  names of the files, None without one
    Raises ConfigError, when it is made.
    """

    def __init__(
        self, direct: Optional[str], proxied: Optional[str], report: Report, read: ReadFile = read_file
    ) -> None:
        self._direct = direct
        self._proxied = proxied
        self._report = report
        self._read = read
        self._versions = self._look()
        self._tables = self._built()

    def __call__(self) -> bytes:
        versions = self._look()
        if versions != self._versions:
            self._versions = versions
            try:
                self._tables = self._built()
            except ConfigError as error:
                self._report("warning", f"PAC file: {error}; the lists stay as they were")
        return self._tables

    def _look(self) -> tuple[Version, ...]:
        return tuple(_version(name) for name in (self._direct, self._proxied) if name is not None)

    def _built(self) -> bytes:
        direct = () if self._direct is None else self._domains(self._direct)
        return pac_tables(direct, None if self._proxied is None else self._domains(self._proxied))

    def _domains(self, name: str) -> tuple[str, ...]:
        try:
            if not stat.S_ISREG(os.stat(name).st_mode):  # reading a pipe might never end
                raise ConfigError(f"{name} is no file, and cannot be a list of domains")
            data = self._read(name)
        except OSError as error:
            raise ConfigError(f"cannot read {name}: {error.strerror or error}") from None
        return parse_domains(data, name)


def _version(name: str) -> Version:
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
