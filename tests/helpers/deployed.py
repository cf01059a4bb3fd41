"""Command lines that a file or a document shows, given to pyss's own parser."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from pyss.app import options
from pyss.app.options import Command

# What every file is that a command line names: enough for both ends.
CONFIG = {
    **{"server": "192.0.2.1", "server_port": 8388, "local_port": 1080},
    **{"method": "aes-256-gcm", "password": "a password of the test"},
}


class Understood(NamedTuple):
    """What pyss would do, and the files it looked into for that."""

    command: Command
    files: list[str]


def understand(words: Sequence[str]) -> Understood:
    """The command that a whole command line means, its program included.

    Raises ValueError when it starts something else than pyss; what the parser raises when it makes no sense.
    """
    program, rest = program_of(words)
    read: list[str] = []

    def reader(name: str) -> bytes:
        read.append(name)
        return json.dumps(CONFIG).encode("utf-8")

    command = options.parse(rest, program, {}, reader)
    notes: Any = getattr(getattr(command, "config", None), "notes", ())
    assert notes == (), f"it would be warned: {notes}"
    return Understood(command, read)


def program_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """`pyss`, `sslocal` or `ssserver`, and the arguments behind it; also where Python starts an archive or module."""
    name = base_name(words[0])
    rest = list(words[1:])
    if re.fullmatch(r"python3?|pyw?", name):
        while rest and rest[0] in ("-3", "-I", "-S"):
            del rest[0]
        if rest[:2] == ["-m", "pyss"]:
            return "pyss", rest[2:]
        if rest and base_name(rest[0]) == "pyss.pyz":
            return "pyss", rest[1:]
    elif name in ("pyss", *options.PROGRAMS):
        return name, rest
    raise ValueError(f"{' '.join(words)} does not start pyss")


def base_name(path: str) -> str:
    name = PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name
    return name[:-4] if name.endswith(".exe") else name
