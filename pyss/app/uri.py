"""`pyss url`: URLs from a configuration, and what is in URLs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO

from ..errors import ConfigError
from ..protocol.uri import ServerUri
from . import qr
from .journal import printable
from .options import Url

# Names of SIP008, which every program that reads lists of servers knows.
_FIELDS = (
    ("server", "host"),
    ("server_port", "port"),
    ("method", "method"),
    ("password", "password"),
    ("plugin", "plugin"),
    ("plugin_opts", "plugin_options"),
    ("remarks", "tag"),
)


def run(command: Url, stdin: TextIO, stdout: TextIO, environ: Mapping[str, str]) -> int:
    """Print what the command asks for; returns the exit code.  Raises ConfigError."""
    servers = list(command.servers)
    if command.read_input:
        servers += _read(stdin)
    coloured = stdout.isatty() and bool(environ.get("WT_SESSION") or environ.get("TERM", "dumb") != "dumb")
    blocks = []
    for server in servers:
        url = server.encode()
        shown = [] if not command.decode else [as_json(server) if command.json else readable(server)]
        if not command.decode:
            shown.append(url)
        if command.qr:
            shown.append(qr.render(url, coloured))
        blocks.append("\n".join(shown))
    separator = "\n\n" if command.decode and not command.json else "\n"
    if blocks:
        _write(stdout, separator.join(blocks) + "\n")
    return 0


def _read(stdin: TextIO) -> list[ServerUri]:
    servers = []
    try:
        for number, line in enumerate(stdin, 1):
            if line.strip():
                try:
                    servers.append(ServerUri.decode(line))
                except ConfigError as error:
                    raise ConfigError(f"standard input, line {number}: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError("standard input is not text in UTF-8") from None
    return servers


def _write(stdout: TextIO, text: str) -> None:
    try:
        stdout.write(text)
    except UnicodeEncodeError:
        raise ConfigError(
            f"this output takes {stdout.encoding} only, which lacks some of these characters; "
            "set PYTHONIOENCODING=utf-8 in the environment"
        ) from None


def fields(server: ServerUri) -> dict[str, object]:
    """What is in a URL, empty parts left out."""
    return {name: getattr(server, attribute) for name, attribute in _FIELDS if getattr(server, attribute)}


def readable(server: ServerUri) -> str:
    """One line for each part.  A URL may come from anywhere: control characters are shown, not sent."""
    return "\n".join(f"{name:<12} {printable(str(value))}" for name, value in fields(server).items())


def as_json(server: ServerUri) -> str:
    """One line, in ASCII."""
    return json.dumps(fields(server))
