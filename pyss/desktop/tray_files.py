"""The files of the tray: where they are, the servers in them, and how one is added.

                     Windows                  macOS                                  others
    config.json      %APPDATA%\\pyss          ~/Library/Application Support/pyss     ~/.config/pyss
    tray.json        what was chosen last, beside it
    pyss.log         %LOCALAPPDATA%\\pyss     ~/Library/Logs/pyss                    ~/.local/state/pyss

config.json is any that `pyss local -c` takes.  Whatever is to be written is put into a new file first, which then
takes the place of the old one; a configuration that the relay would refuse is never written.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..address import join_host_port
from ..app.config import LocalConfig, Server, Source, read_local
from ..app.config_locals import DEFAULT_HOST, DEFAULT_PORT
from ..app.json_text import Node, parse
from ..app.settings import load, read_file
from ..app.uri import fields
from ..errors import ConfigError
from ..protocol.uri import ServerUri

LOG_LIMIT = 4 << 20  # bytes; a log that is longer when the relay starts becomes pyss.log.1
LONGEST_TAG = 200  # characters that are looked at
_REMEMBERED = 1 << 16  # bytes of tray.json, at most


@dataclass(frozen=True)
class Files:
    """Names of the files; their folders may not be there yet."""

    config: Path
    memory: Path
    log: Path

    @classmethod
    def of_user(cls, environ: Mapping[str, str], home: Optional[Path] = None) -> Files:
        """Those of whoever runs this."""
        home = home or Path.home()
        if sys.platform == "win32":
            config = _folder(environ, "APPDATA", home / "AppData" / "Roaming")
            log = _folder(environ, "LOCALAPPDATA", home / "AppData" / "Local")
        elif sys.platform == "darwin":
            config, log = home / "Library" / "Application Support", home / "Library" / "Logs"
        else:
            config = _folder(environ, "XDG_CONFIG_HOME", home / ".config")
            log = _folder(environ, "XDG_STATE_HOME", home / ".local" / "state")
        return cls(config / "pyss" / "config.json", config / "pyss" / "tray.json", log / "pyss" / "pyss.log")

    def make_folders(self) -> None:
        """Raises ConfigError."""
        for folder in (self.config.parent, self.log.parent):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot make the folder {folder}: {error.strerror or error}") from None

    def turn_log(self) -> None:
        """Put a long log aside, before anybody has it open."""
        try:
            if self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_name(self.log.name + ".1"))
        except OSError:  # none yet; or another program reads it: next time
            pass


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    """What the environment says counts if it is absolute, as the XDG specification wants it."""
    given = environ.get(name, "")
    return Path(given) if os.path.isabs(given) else default


# --- the servers -------------------------------------------------------------------------------------
def read_config(file: Path, environ: Mapping[str, str], data: Optional[bytes] = None) -> LocalConfig:
    """What `pyss local -c FILE` would do; with `data`, if that were in the file.  Raises ConfigError."""

    def read(name: str) -> bytes:
        return read_file(name) if data is None or name != str(file) else data

    return read_local(Source({}, str(file), environ, read))


def labels(servers: Sequence[Server]) -> tuple[str, ...]:
    """What each is called in the menu: its tag or address, and more where two would be called the same."""
    found = [server.tag.strip()[:LONGEST_TAG] or join_host_port(server.host, server.port) for server in servers]
    for better in (_with_address, _with_method, _with_number):
        times = Counter(found)
        found = [
            better(label, server, number) if times[label] > 1 else label
            for number, (label, server) in enumerate(zip(found, servers), 1)
        ]
    return tuple(found)


def _with_address(label: str, server: Server, number: int) -> str:
    address = join_host_port(server.host, server.port)
    return label if label == address else f"{label} ({address})"


def _with_method(label: str, server: Server, number: int) -> str:
    return f"{label} {server.method}"


def _with_number(label: str, server: Server, number: int) -> str:
    return f"{label} #{number}"


def link_of(server: Server) -> str:
    """Its ss:// link, with the password in it.  Raises ConfigError for what no link can express."""
    return ServerUri(server.method, server.password, server.host, server.port, tag=server.tag).encode()


# --- one more server ---------------------------------------------------------------------------------
def add_servers(file: Path, links: Sequence[ServerUri], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Append servers to the configuration; what is in it stays.  Returns their labels.  Raises PyssError.

    Those that are there already are not added again.  The file as it was is kept beside it as config.json.before,
    with the comments that this leaves out.
    """
    for link in links:
        if link.plugin:
            raise ConfigError("this server wants a plugin, and plugins are not available yet; nothing was added")
    before = _read_if_there(file)
    document: dict[str, Any] = {"local_address": DEFAULT_HOST, "local_port": DEFAULT_PORT}
    known: set[object] = set()
    if before is not None:
        document = _plain(load(str(file), lambda name: before)[0], file)
        known = {_address_and_key(server) for server in read_config(file, environ, before).servers}
    wanted = [_as_server(link) for link in links]
    new = [link for link, server in zip(links, wanted) if _address_and_key(server) not in known]
    if new:
        listed = document.get("servers") or []
        document["servers"] = [*(listed if isinstance(listed, list) else [listed]), *map(fields, new)]
    data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    config = read_config(file, environ, data)
    if new:
        if before is not None:
            write_file(file.with_name(file.name + ".before"), before)
        write_file(file, data)
    keys = {_address_and_key(server) for server in wanted}
    return tuple(
        label for label, server in zip(labels(config.servers), config.servers) if _address_and_key(server) in keys
    )


def _read_if_there(file: Path) -> Optional[bytes]:
    try:
        return read_file(str(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from None


def _as_server(link: ServerUri) -> Server:
    """As the configuration will name it: the method by its canonical name."""
    source = Source({"server_url": Node(link.encode(), "the link")})
    return read_local(Source(source.options, None, {}, _no_file)).servers[0]


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


def _address_and_key(server: Server) -> object:
    return server.host, server.port, server.method, server.password


def _plain(root: Node, file: Path) -> dict[str, Any]:
    if not isinstance(root.value, dict):
        raise ConfigError(f"{file}: expected an object {{ ... }}; nothing was added")
    return {key: _without_places(node) for key, node in root.value.items()}


def _without_places(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _without_places(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [_without_places(inner) for inner in node.value]
    return node.value


def write_file(file: Path, data: bytes) -> None:
    """All of it or nothing, for the eyes of its owner alone.  Raises ConfigError."""
    try:
        target = Path(os.path.realpath(file))  # a link stays one
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as new:
                new.write(data)
                new.flush()
                os.fsync(new.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror or error}; it is as it was") from None


# --- what was chosen last ----------------------------------------------------------------------------
def remember(file: Path, chosen: Mapping[str, object]) -> None:
    """Raises ConfigError."""
    write_file(file, (json.dumps(dict(chosen), indent=2, ensure_ascii=False) + "\n").encode())


def remembered(file: Path) -> dict[str, object]:
    """What `remember` wrote; nothing of a file that is not there or damaged, as no choice is worth a complaint."""
    try:
        with file.open("rb") as stream:
            root, _ = parse(stream.read(_REMEMBERED).decode(), str(file))
    except (OSError, UnicodeDecodeError, ConfigError):
        return {}
    return _without_places(root) if isinstance(root.value, dict) else {}
