"""A tray without a screen: its files in a folder, a view that writes down what it is told, a clipboard of its own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

from helpers.commands import PYSS
from helpers.processes import Program, clean_environment, free_port
from pyss.desktop.tray import Tray
from pyss.desktop.tray_files import Files
from pyss.desktop.tray_model import Item
from pyss.desktop.tray_parts import Desktop, SystemProxy

HOST = "127.0.0.1"
METHOD = "aes-128-gcm"
SECRET = "a secret of the tray"

# Windows has no signals between processes; there this ends one at once, with the number as its exit code.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
KILLED = int(_KILL) if os.name == "nt" else -int(_KILL)

T = TypeVar("T")


def kill(pid: Optional[int]) -> None:
    """At once, whatever it is at."""
    assert pid is not None
    os.kill(pid, _KILL)


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[int, int]]:
    """Ports of a Shadowsocks server that has two."""
    ports = free_port(), free_port()
    document = {"server": HOST, "server_port": ports, "method": METHOD, "password": SECRET, "forbidden_ip": ""}
    (folder / "server.json").write_text(json.dumps(document), "utf-8")
    program = Program([*PYSS, "server", "-c", "server.json"], folder / "log")
    try:
        for port in ports:
            program.wait_for_line(rf"server on 127\.0\.0\.1:{port}")
        yield ports
    finally:
        program.stop()


class Watcher:
    """What `on_change` may be; who waits looks again after each call."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def __call__(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def until(self, look: Callable[[], T], seconds: float = 30.0) -> T:
        """The first true answer of `look`.  Raises AssertionError when there is none in time."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while True:
                found = look()
                if found:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, "what was waited for did not come"
                self._condition.wait(min(left, 0.2))  # some of what is looked at calls nobody


class FakeView:
    def __init__(self) -> None:
        self.changed = Watcher()
        self.notes: list[str] = []
        self.texts: list[str] = []
        self.closed = False

    def refresh(self) -> None:
        self.changed()

    def notify(self, text: str) -> None:
        self.notes.append(text)
        self.changed()

    def tell(self, text: str) -> None:
        self.texts.append(text)
        self.changed()

    def close(self) -> None:
        self.closed = True
        self.changed()


class FakeClipboard:
    def __init__(self) -> None:
        self.held = ""
        self.is_secret = False
        self.image: Any = None

    def copy(self, text: str, *, secret: bool = False) -> None:
        self.held, self.is_secret = text, secret

    def text(self) -> str:
        return self.held

    def picture(self) -> Any:
        return self.image


class FakeProxy:
    """calls  in order; `error` is raised by whatever sets"""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.error: Optional[Exception] = None

    def mend(self) -> list[str]:
        return []

    def set_global(self, host: str, port: int) -> None:
        self._note("global", host, port)

    def set_pac(self, url: str) -> None:
        self._note("pac", url)

    def restore(self) -> None:
        self.calls.append(("restore",))

    def _note(self, *call: object) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(call)


class FakeAutostart:
    def __init__(self) -> None:
        self.command: Optional[list[str]] = None

    def enabled(self) -> bool:
        return self.command is not None

    def enable(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def disable(self) -> None:
        self.command = None


def files_in(folder: Path) -> Files:
    return Files(folder / "config.json", folder / "tray.json", folder / "pyss.log")


def write_config(files: Files, servers: dict[str, int], local_port: int, **more: object) -> None:
    """`servers`: tag -> port on this machine."""
    listed = [
        {"server": HOST, "server_port": port, "method": METHOD, "password": SECRET, "remarks": tag}
        for tag, port in servers.items()
    ]
    document = {"local_address": HOST, "local_port": local_port, "servers": listed, **more}
    files.config.write_text(json.dumps(document), "utf-8")


def flat(items: Sequence[Item]) -> Iterator[Item]:
    """All lines, those of menus behind menus too."""
    for item in items:
        yield item
        yield from flat(item.items)


class TestedTray:
    """A tray and all around it."""

    __test__ = False

    def __init__(self, folder: Path, proxy: Optional[SystemProxy] = None) -> None:
        self.files = files_in(folder)
        self.view = FakeView()
        self.clipboard = FakeClipboard()
        self.autostart = FakeAutostart()
        self.proxy = FakeProxy() if proxy is None else proxy
        self.opened: list[Path] = []
        self.port = free_port()
        desktop = Desktop(self.clipboard, self.opened.append, self.proxy, self.autostart, ["tray", "--now"])
        self.tray = Tray(self.files, desktop, clean_environment(), every=0.05)
        self.tray.attach(self.view)

    def until(self, look: Callable[[], T]) -> T:
        return self.view.changed.until(look)

    def item(self, text: str) -> Item:
        """The line that begins so."""
        return next(item for item in flat(self.tray.menu()) if item.text.startswith(text))

    def choose(self, text: str) -> None:
        """As a user does: what is grey cannot be chosen."""
        item = self.item(text)
        assert item.enabled and item.action, item
        self.tray.do(item.action, item.argument)


@contextmanager
def tray_in(folder: Path) -> Iterator[TestedTray]:
    made = TestedTray(folder)
    try:
        yield made
    finally:
        made.tray.close()
