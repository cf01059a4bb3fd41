"""The command line, from arguments to a command.

The dialect is getopt's, as in the programs whose lines people have: letters may share a dash ("-vv",
"-p8388"), a value may begin with a dash ("-k -secret"), long options may be abbreviated, "--" ends them.
argparse takes a value with a dash for an option, so this is done here.

Raises UsageError for what cannot be understood (exit code 2), ConfigError for what is wrong or not
available (exit code 1).  Neither quotes a value that might be a password.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional, Union

from .. import __version__
from ..crypto.methods import DEFAULT_METHOD
from ..errors import ConfigError, UsageError
from ..protocol.uri import ServerUri
from . import config, values
from .config import LocalConfig, ServerConfig, Source
from .config_keys import ONE_TIME_AUTH, nearest
from .config_locals import PROXY, REDIRECT, TUNNEL
from .json_text import Node
from .option_table import COMMANDS, LATER, ORIGINAL, Option, help_of, options_of, overview
from .settings import ReadFile, read_file

LOCAL_PROTOCOLS = {"local": PROXY, "tunnel": TUNNEL, "redir": REDIRECT}
PROGRAMS = {"sslocal": "local", "ssserver": "server"}
HINTS = {"-f": "; a pid file is --pid-file FILE, a tunnel's target -L HOST:PORT"}
DAEMON_ACTIONS = ("start", "stop", "restart")


@dataclass(frozen=True)
class Show:
    """Print a text and exit 0."""

    text: str


@dataclass(frozen=True)
class RunLocal:
    config: LocalConfig


@dataclass(frozen=True)
class RunServer:
    config: ServerConfig


@dataclass(frozen=True)
class GenerateKey:
    """method  as given"""

    method: str


@dataclass(frozen=True)
class Url:
    """Print URLs, or what is in some.

    servers     to print
    read_input  whether further URLs come on standard input
    decode      print what is in them, not the URLs
    json        ... as lines of JSON
    qr          show a QR code of each
    notes       warnings
    """

    servers: tuple[ServerUri, ...]
    read_input: bool = False
    decode: bool = False
    json: bool = False
    qr: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ciphers:
    """List the methods.

    json    as JSON
    bench   measure each
    crypto  the only backend to look at
    """

    json: bool = False
    bench: bool = False
    crypto: Optional[str] = None


@dataclass(frozen=True)
class Demo:
    once: bool = False
    crypto: Optional[str] = None
    verbosity: int = 0


@dataclass(frozen=True)
class SystemProxy:
    """Show or change the proxy setting of the desktop.

    action  "show", "global", "pac", "off" or "restore"
    value   of "global" and "pac", as given
    """

    action: str
    value: str = ""


Command = Union[Show, RunLocal, RunServer, GenerateKey, Url, Ciphers, SystemProxy, Demo]


def parse(argv: Sequence[str], program: str, environ: Mapping[str, str], read_file: ReadFile = read_file) -> Command:
    """What the arguments behind the program's name ask for.

    program    "pyss", whose first argument is a command, or "sslocal", "ssserver"
    read_file  name -> first bytes of that file; raises OSError
    """
    for number, argument in enumerate(argv, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"argument {number} is not text in UTF-8") from None
    if program in PROGRAMS:
        return _Line(PROGRAMS[program], program, argv).command(environ, read_file)
    if not argv:
        raise UsageError(f"which command? {', '.join(COMMANDS)}; pyss --help tells more")
    name = argv[0]
    if name in COMMANDS:
        return _Line(name, f"{program} {name}", argv[1:]).command(environ, read_file)
    if name in ("-h", "--help", "help"):
        return Show(overview())
    if name in ("-V", "--version"):
        return _version()
    if name in LATER:
        raise ConfigError(f"pyss {name} is not available yet")
    if name.startswith("-"):
        raise UsageError(f"a command comes first: {', '.join(COMMANDS)}; pyss --help tells more")
    raise UsageError(f"there is no such command{nearest(name, COMMANDS)}; pyss --help lists them")


def _version() -> Show:
    return Show(f"pyss {__version__}")


class Given(NamedTuple):
    """One option as it was given: how it was spelled, and its value."""

    option: Option
    spelling: str
    value: object


class _Line:
    """One command's arguments."""

    def __init__(self, name: str, program: str, argv: Sequence[str]) -> None:
        self._name = name
        self._program = program
        self._known = options_of(name)
        self._argv = argv
        self._next = 0
        self._given: list[Given] = []
        self._free: list[str] = []

    # --- from arguments to options ---------------------------------------------------------------
    def _read(self) -> None:
        while self._next < len(self._argv):
            argument = self._argv[self._next]
            self._next += 1
            if argument == "--":
                self._free += self._argv[self._next :]
                break
            if argument.startswith("--"):
                self._long(argument)
            elif argument.startswith("-") and argument != "-":
                self._short(argument)
            elif self._name == "url":
                self._free.append(argument)
            else:
                raise UsageError(
                    f"argument {self._next} of {self._program} belongs to no option; "
                    "a value with blanks in it needs quotes"
                )

    def _long(self, argument: str) -> None:
        written, equal, text = argument.partition("=")
        spelling = self._whole_name(written)
        option = self._known[spelling]
        if not option.metavar:
            if equal:
                raise UsageError(f"{spelling} takes no value")
            self._take(option, spelling, option.value)
        else:
            self._take(option, spelling, text if equal else self._value(option, spelling))

    def _short(self, argument: str) -> None:
        at = 1
        while at < len(argument):
            spelling = f"-{argument[at]}"
            at += 1
            option = self._known.get(spelling)
            if option is None:
                raise self._unknown(spelling)
            if option.metavar:
                self._take(option, spelling, argument[at:] or self._value(option, spelling))
                return
            self._take(option, spelling, option.value)

    def _value(self, option: Option, spelling: str) -> str:
        if self._next == len(self._argv):
            raise UsageError(f"{spelling} needs a value: {spelling} {option.metavar}")
        self._next += 1
        return self._argv[self._next - 1]

    def _whole_name(self, written: str) -> str:
        if written in self._known:
            return written
        for names in (ORIGINAL.get(self._name, []), [name for name in self._known if name.startswith("--")]):
            found = [name for name in names if name.startswith(written)]
            if len({self._known[name] for name in found}) == 1:
                return found[0]
        if found and len(written) > 2:
            raise UsageError(f"{written} may mean {' or '.join(sorted(found))}")
        raise self._unknown(written)

    def _unknown(self, spelling: str) -> UsageError:
        knowing = {name: known[spelling] for name in COMMANDS if spelling in (known := options_of(name))}
        if knowing:  # rather one that shows it in its help than one that merely understands it
            other = min(knowing, key=lambda name: not knowing[name].help)
            return UsageError(f"{spelling} is an option of pyss {other}, not of {self._program}")
        hint = HINTS.get(spelling, "")
        if len(spelling) > 2 and not hint:
            hint = nearest(spelling, self._known)
        return UsageError(f"{self._program} has no option {spelling[:40]!r}{hint}; {self._program} --help lists them")

    def _take(self, option: Option, spelling: str, value: object) -> None:
        if option.key == "one_time_auth":  # a name that follows would only bring up another complaint
            raise ConfigError(f"{spelling}: {ONE_TIME_AUTH} (shadowsocks-libev's -a USER is --user USER)")
        if option.key == "daemon" and value not in DAEMON_ACTIONS:
            raise UsageError("-d takes start, stop or restart; shadowsocks-libev's name server is --dns SERVER")
        self._given.append(Given(option, spelling, value))

    # --- from options to a command ---------------------------------------------------------------
    def command(self, environ: Mapping[str, str], read: ReadFile) -> Command:
        self._read()
        keys = {given.option.key for given in self._given}
        if "help" in keys:
            return Show(help_of(self._name, self._program))
        if "version" in keys:
            return _version()
        if self._name == "genkey":
            return GenerateKey(str(self._last("method") or DEFAULT_METHOD))
        if self._name == "proxy":
            return self._system_proxy()
        if self._name in ("ciphers", "demo"):
            given = self._last("crypto")
            crypto = None if given is None else str(given)
            if self._name == "ciphers":
                return Ciphers("json" in keys, "bench" in keys, crypto)
            return Demo("once" in keys, crypto, self._verbosity())
        file = self._last("config")
        source = Source(self._nodes(), None if file is None else str(file), environ, read)
        if self._name in LOCAL_PROTOCOLS:
            return RunLocal(config.read_local(source, LOCAL_PROTOCOLS[self._name]))
        if self._name == "server":
            return RunServer(config.read_server(source))
        return self._url(keys, source)

    def _system_proxy(self) -> SystemProxy:
        spelled = {given.option.key: given.spelling for given in self._given}
        if len(spelled) > 1:
            raise UsageError(f"{' and '.join(spelled.values())} contradict each other; give one of them")
        for key in spelled:
            value = self._last(key)
            return SystemProxy(key, value if isinstance(value, str) else "")
        return SystemProxy("show")

    def _url(self, keys: set[str], source: Source) -> Url:
        json, qr = "json" in keys, "qr" in keys
        if not self._free:
            if json:
                raise UsageError("--json shows what is in URLs; give one, or - to read them from standard input")
            servers, notes = config.read_uris(source)
            return Url(servers, qr=qr, notes=notes)
        if keys - {"json", "qr"}:
            raise UsageError("pyss url makes URLs from options or shows what is in some, not both at once")
        decoded = tuple(ServerUri.decode(text) for text in self._free if text != "-")
        return Url(decoded, read_input="-" in self._free, decode=True, json=json, qr=qr)

    def _last(self, key: str) -> object:
        found = [given.value for given in self._given if given.option.key == key]
        return found[-1] if found else None

    def _verbosity(self) -> int:
        steps = [given.value for given in self._given if given.option.key == "verbose"]
        return max(-2, min(2, sum(step for step in steps if isinstance(step, int))))

    def _nodes(self) -> dict[str, Node]:
        """What the options say, as `Source` wants it."""
        nodes: dict[str, Node] = {}
        for option, spelling, value in self._given:
            node = Node(value if isinstance(value, (str, int)) else None, spelling)
            if option.key in ("config", "json", "qr"):
                continue
            if option.key == "verbose":
                node = Node(self._verbosity(), spelling)
            elif option.key in ("server", "user_pass"):
                before = nodes.get(option.key)
                node = Node([*(values.items(before) if before is not None else ()), node], spelling)
            nodes[option.key] = node
        self._check_together(nodes)
        return nodes

    def _check_together(self, nodes: Mapping[str, Node]) -> None:
        for key in ("server", "server_port", "password", "method"):
            if "server_url" in nodes and key in nodes:
                raise UsageError(f"{nodes[key].path} and --server-url say the same thing; give one of them")
        for host_key, port_key in (("server", "server_port"), ("local_address", "local_port")):
            for item in values.items(nodes[host_key]) if host_key in nodes and port_key in nodes else ():
                port = values.host_port(item)[1]
                if port is not None and port != values.port(nodes[port_key], 0):
                    raise UsageError(f"{item.path} names another port than {nodes[port_key].path}")
