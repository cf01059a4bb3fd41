"""One view of a configuration file and the command line over it.

What the command line says comes first; in a list of servers or listening addresses it takes the
place of that member in every entry.  What is left open is taken from the file, then from the
environment (the password), then from the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, NamedTuple, Optional

from ..errors import ConfigError, PyssError, UsageError
from ..protocol.uri import ServerUri
from . import config_keys, values
from .json_text import Json, Node, parse

PASSWORD_VARIABLE = "SS_SERVER_PASSWORD"
MAX_FILE = 16 << 20  # bytes

ReadFile = Callable[[str], bytes]

# What --server-url replaces as a whole.
_OF_A_SERVER = frozenset(
    {"servers", "server", "server_port", "port_password", "password", "method"}
    | {"tag", "remarks", "id", "name", "plugin", "plugin_opts", "plugin_args", "plugin_mode"}
)


def read_file(name: str) -> bytes:
    """The first bytes of a file, one more than a configuration may have.  Raises OSError."""
    with open(name, "rb") as file:
        return file.read(MAX_FILE + 1)


def load(name: str, read: ReadFile) -> tuple[Node, list[str]]:
    """Read and parse a JSON file; returns its root and notes.  Raises ConfigError."""
    try:
        data = read(name)
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror or error}") from None
    except ValueError as error:  # a name that no file can have
        raise ConfigError(f"cannot read {name!r}: {error}") from None
    if len(data) > MAX_FILE:
        raise ConfigError(f"{name} is longer than {MAX_FILE >> 20} MiB, which no configuration is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}, line {line}: this is not text in UTF-8; save the file as UTF-8") from None
    if not text.strip():
        raise ConfigError(f'{name} is empty; JSON is expected in it, such as {{"server": "example.org", ...}}')
    return parse(text, name)


class Mode(NamedTuple):
    """What is relayed."""

    tcp: bool = True
    udp: bool = True


BOTH, TCP_ONLY, UDP_ONLY = Mode(), Mode(udp=False), Mode(tcp=False)
MODES = {"tcp_and_udp": BOTH, "tcp_only": TCP_ONLY, "udp_only": UDP_ONLY}


def mode_of(node: Optional[Node], default: Mode = BOTH) -> Mode:
    return default if node is None else MODES[values.one_of(node, *MODES)]


class Settings:
    """What file and options say about one role ("local", "server" or "url").

    file, options  what is to be obeyed, by the names that `config_keys` gives
    mode           of all that has no mode of its own
    notes          warnings so far, in order
    Raises ConfigError for what stops the start.
    """

    def __init__(
        self,
        role: str,
        options: Mapping[str, Node],
        root: Optional[Node],
        file_name: str,
        notes: list[str],
        environ: Mapping[str, str],
        read: ReadFile,
    ) -> None:
        self.role = role
        self.notes = notes
        self.environ = environ
        self.read = read
        self._file_name = file_name
        given = dict(options)
        members = {} if root is None else values.members(root, "an object { ... }")
        if "server_url" in given:
            given.update(_of_uri(given.pop("server_url")))
            members = {key: node for key, node in members.items() if key.replace("-", "_") not in _OF_A_SERVER}
        self.options = config_keys.read(given, config_keys.OPTIONS, role, notes)
        self.file = config_keys.read(members, config_keys.TOP_LEVEL, role, notes)
        self.mode = mode_of(self.get("mode"))

    def get(self, name: str) -> Optional[Node]:
        return self.options.get(name) or self.file.get(name)

    def note(self, text: str) -> None:
        """Warn, once."""
        if text not in self.notes:
            self.notes.append(text)

    def missing(self, what: str, remedy: str) -> PyssError:
        """What to raise about something that nobody said."""
        if self._file_name:
            return ConfigError(f"{self._file_name}: {what}; {remedy}")
        return UsageError(f"{what}; {remedy}")

    def password(self) -> Optional[Node]:
        """The one that stands in the environment."""
        value = self.environ.get(PASSWORD_VARIABLE)
        if not value:
            return None
        node = Node(value, PASSWORD_VARIABLE, "environment")
        values.checked_secret(value, node)
        return node

    def with_options(self, fields: Mapping[str, Node], names: tuple[str, ...]) -> dict[str, Node]:
        """`fields`, where the command line has the last word about `names`."""
        return {**fields, **{name: self.options[name] for name in names if name in self.options}}


def _of_uri(node: Node) -> dict[str, Node]:
    """What a URI says, as if each part had been given with an option of its own."""
    try:
        uri = ServerUri.decode(values.text(node, "a URI that begins with ss://"))
    except ConfigError as error:
        raise node.error(str(error)) from None
    said: dict[str, Json] = {
        "server": uri.host,
        "server_port": uri.port,
        "method": uri.method,
        "password": uri.password,
        "tag": uri.tag,
        "plugin": uri.plugin,
        "plugin_opts": uri.plugin_options,
    }
    return {name: Node(value, node.path) for name, value in said.items() if value}
