"""The floors of the architecture, enforced on every import of pyss.

    desktop ──► app ──► relay ──► net                     only relay joins net and protocol
                             └──► protocol ──► crypto     errors.py, address.py: ground floor, used by all

`app` puts the parts together and may use every floor below.  `desktop` stands above it: what of pyss a user sees on
the screen, which no relay needs.  Nobody below imports it, but for the command line, which has to start it:
`app/cli.py` may, inside the function that runs such a command, so that nothing of it is loaded before.

What the standard library offers is divided up too: sockets, clocks and threads belong to `net`; `protocol` and `crypto`
are given bytes, the time and randomness as arguments, so that tests can give them too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pyss"
SOURCES = sorted(PACKAGE.rglob("*.py"))

GROUND = "ground"
FLOORS = {
    "desktop": {"desktop", "app", "relay", "net", "protocol", "crypto", GROUND},
    "app": {"app", "relay", "net", "protocol", "crypto", GROUND},
    "relay": {"relay", "net", "protocol", GROUND},
    "net": {"net", GROUND},
    "protocol": {"protocol", "crypto", GROUND},
    "crypto": {"crypto", GROUND},
    GROUND: {GROUND},
}

IO_MODULES = {
    *("socket", "select", "selectors", "ssl", "asyncio", "socketserver"),
    *("time", "threading", "multiprocessing", "queue", "signal", "subprocess", "concurrent"),
    *("logging", "os", "sys", "io", "pathlib", "ctypes", "random", "secrets"),
}

# Platform branches live in files that exist for them: file -> why.
PLATFORM_FILES = {
    "net/sockets.py": "how the socket layers differ",
    "net/socket_options.py": "how systems are told what is asked of a socket",
    "net/epoll.py": "a selector of Linux",
    "net/packet_info.py": "where answers leave from",
    "net/wsapoll.py": "a selector of Windows",
    "app/process.py": "signals and daemons",
    "relay/transparent.py": "redirects of Linux",
    "desktop/system_proxy.py": "whose proxy setting it is",
    "desktop/saved_setting.py": "where a user's programs keep what they know, and how they lock it",
    "desktop/windows.py": "the registry, and WinINet",
    "desktop/tray_files.py": "where a user's programs keep their files",
    "desktop/client.py": "how a process is started away from its starter's console",
    "desktop/clipboard.py": "who has the clipboard",
    "desktop/autostart.py": "what starts at login",
    "desktop/tray_main.py": "whose icon it is, and what opens a file",
    "desktop/tray_win32.py": "an icon, a menu and a clipboard of Windows",
    "crypto/backend_libcrypto.py": "where a system keeps its libcrypto",
}
# What two files of the sans-IO floors may import nevertheless.
MAY_USE = {
    "crypto/backend_libcrypto.py": {"ctypes", "os", "sys"},
    "protocol/keyring.py": {"os"},  # os.urandom alone: the default of an argument, so that nobody forgets it
}

# Who may start what stands above it, by an import inside a function.
STARTERS = {"app/cli.py": {"desktop"}}

PLATFORM_MODULES = {"platform"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
APP_ONLY_CALLS = {"print", "input", "open", "exit", "quit"}


def floor_of(path: str) -> str:
    """`path` is relative to the package: "net/loop.py"."""
    folder, slash, _ = path.partition("/")
    if slash:
        return folder
    return "app" if path == "__main__.py" else GROUND


def imports(path: str, tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Statement and dotted name of all that is imported, relative names made absolute, however deep they stand."""
    package = ["pyss", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for name in node.names:
                yield node, f"{module}.{name.name}"


def own_floor(name: str) -> Optional[str]:
    """The floor of an imported name of pyss; None for other packages."""
    parts = name.split(".")
    if parts[0] != "pyss":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else GROUND


def offences(path: str, source: str) -> list[str]:
    """What in this source breaks a rule."""
    tree = ast.parse(source)
    floor = floor_of(path)
    found = []
    started = STARTERS.get(path, set())
    inside = {node for function in ast.walk(tree) if isinstance(function, FUNCTIONS) for node in ast.walk(function)}
    for node, name in imports(path, tree):
        target = own_floor(name)
        top = name.split(".")[0]
        line = node.lineno
        if target in started and node in inside:
            continue
        if target is not None and target not in FLOORS[floor]:
            found.append(f"{path}:{line}: {floor} must not import {name}")
        if floor in ("protocol", "crypto") and top in IO_MODULES - MAY_USE.get(path, set()):
            found.append(f"{path}:{line}: {floor} is sans-IO and must not import {top}")
        if top in PLATFORM_MODULES:
            found.append(f"{path}:{line}: only sys.platform is understood by type checkers, not {top}")
    for node in ast.walk(tree):
        found += [f"{path}:{getattr(node, 'lineno', 0)}: {text}" for text in _offences_of(node, path, floor)]
    return found


def _offences_of(node: ast.AST, path: str, floor: str) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        name = f"{node.value.id}.{node.attr}"
        if name == "os.name":
            yield "os.name: only sys.platform is understood by type checkers"
        if name == "sys.platform" and path not in PLATFORM_FILES:
            yield "sys.platform: platform branches live in " + ", ".join(PLATFORM_FILES)
        if name in ("sys.exit", "sys.argv", "os._exit") and floor != "app":
            yield f"{name}: app alone reads arguments and exits"
        if name.startswith("os.") and name != "os.urandom" and floor == "protocol":
            yield f"{name}: protocol knows no operating system"
    if isinstance(node, ast.ImportFrom) and node.module in ("sys", "os"):
        for alias in node.names:
            if alias.name in ("platform", "exit", "argv", "name", "_exit"):
                yield f"from {node.module} import {alias.name}: hides a use from this test"
    if floor == "app":
        return
    own = {"print", "open"} if floor == "desktop" else set()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in APP_ONLY_CALLS - own:
        yield f"{node.func.id}(): app alone prints, exits and reads files, but for files and lines of a desktop"
    if isinstance(node, ast.Name) and node.id == "SystemExit":
        yield "SystemExit: app alone exits"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.relative_to(PACKAGE).as_posix())
def test_every_source_keeps_the_rules(source: Path) -> None:
    assert not offences(source.relative_to(PACKAGE).as_posix(), source.read_text("utf-8"))


def test_every_folder_is_a_floor() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= set(FLOORS)


def test_sources_are_found() -> None:
    assert len(SOURCES) > 30


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("net/loop.py", "from ..protocol.aead import Sealer"),
        ("net/loop.py", "from ..relay import session"),
        ("net/loop.py", "def f():\n    import pyss.crypto.keys"),
        ("relay/pump.py", "from ..crypto.backends import provide"),
        ("relay/pump.py", "from ..app.config import LocalConfig"),
        ("protocol/aead.py", "from ..net.loop import Loop"),
        ("protocol/aead.py", "from .. import net"),
        ("protocol/aead.py", "import socket"),
        ("protocol/aead.py", "from time import monotonic"),
        ("protocol/aead.py", "import os"),
        ("protocol/keyring.py", "import os\nos.getpid()"),
        ("crypto/keys.py", "import threading"),
        ("crypto/keys.py", "from ..protocol import request"),
        ("crypto/pure/aes.py", "from ...net import loop"),
        ("crypto/pure/aes.py", "import sys"),
        ("crypto/backend_libcrypto.py", "import socket"),
        ("address.py", "from .net.sockets import Socket"),
        ("relay/session.py", "import sys\nif sys.platform == 'win32': pass"),
        ("relay/session.py", "from sys import platform"),
        ("net/sockets.py", "import os\nif os.name == 'nt': pass"),
        ("net/sockets.py", "import platform"),
        ("relay/session.py", "print('x')"),
        ("relay/session.py", "open('x')"),
        ("net/loop.py", "import sys\nsys.exit(1)"),
        ("protocol/http.py", "raise SystemExit(1)"),
        ("app/cli.py", "from ..desktop import proxy_command"),
        ("app/cli.py", "if True:\n    from ..desktop import proxy_command"),
        ("app/config.py", "def f():\n    from ..desktop import setting"),
        ("relay/session.py", "from ..desktop import setting"),
        ("desktop/setting.py", "import sys\nif sys.platform == 'win32': pass"),
        ("desktop/setting.py", "import sys\nsys.exit(1)"),
        ("desktop/setting.py", "raise SystemExit(1)"),
        ("desktop/setting.py", "quit()"),
    ],
)
def test_a_breach_is_seen(path: str, source: str) -> None:
    assert offences(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/cli.py", "import sys\nfrom ..crypto.methods import METHODS\nfrom ..net.loop import Loop\nsys.exit(0)"),
        ("__main__.py", "import sys\nfrom .app.cli import main\nsys.exit(main())"),
        ("relay/session.py", "from ..protocol.dialogue import Dialogue\nfrom ..net.loop import Loop"),
        ("protocol/aead.py", "from ..crypto.backends import provide\nfrom ..errors import BadTag"),
        ("crypto/backend_libcrypto.py", "import ctypes, os, sys\nif sys.platform == 'darwin': pass"),
        ("net/sockets.py", "import socket, sys\nif sys.platform == 'linux': pass"),
        ("app/cli.py", "def f():\n    from ..desktop import proxy_command"),
        ("desktop/setting.py", "from ..app.journal import printable\nwith open('x'): pass"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert not offences(path, source)
