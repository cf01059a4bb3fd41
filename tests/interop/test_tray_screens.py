"""The tray as a user has it: an icon in a bar, its menu, the mouse and the keyboard.

    Linux     the system's Python with GTK (python3-gi, gir1.2-gtk-3.0, python3-pystray)
    Windows   CPython for Windows under Wine, with the icon made by ctypes

Both relay a request, switch the server, set the system's proxy and put it back, and leave nothing behind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import pytest
from helpers.processes import ROOT, Program, clean_environment, free_port
from helpers.screens import Screen, need_programs, screen, until
from helpers.traffic import echo, receive_exactly, socks5_connect, target
from helpers.trays import HOST, METHOD, SECRET, two_servers
from helpers.windows import need_wine

SCRIPT = ROOT / "scripts" / "pyss-tray.pyw"
SYSTEM_PYTHON = "/usr/bin/python3"
GTK = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gtk; import PIL.Image, pystray._gtk"
WINESERVER = "/usr/lib/wine/wineserver64"
PACKAGES = "python3-gi gir1.2-gtk-3.0 python3-pil python3-pystray"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    with two_servers(tmp_path_factory.mktemp("server")) as ports:
        yield ports


# From the bottom of the menu of a tray that is on; both toolkits pass over the rules between lines.
KEYS = {
    "Quit": ["Up", "Return"],
    "Work": [*["Up"] * 10, "Right", "Down", "Return"],
    "All programs": [*["Up"] * 9, "Right", "Down", "Return"],
    "Stop": [*["Up"] * 11, "Return"],
    "Start": [*["Up"] * 10, "Return"],  # a grey line fewer
}


@dataclass
class Shown:
    """A tray on a screen, with the servers Home and Work.

    proxy   the system's: its host and port, None while there is none
    """

    screen: Screen
    name: str
    config: Path
    log: Path
    port: int
    program: Program
    proxy: Callable[[], Optional[tuple[str, int]]]

    def exchange(self) -> None:
        with target(echo) as place, socks5_connect(self.port, place.port) as sock:
            sock.sendall(b"hello")
            assert receive_exactly(sock, 5) == b"hello"

    def listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 5).close()
        except OSError:
            return False
        return True

    def starts(self) -> int:
        """How often the relay has started."""
        return self.log.read_text("utf-8").count(" local proxy on ") if self.log.exists() else 0

    def choose(self, text: str, picture: str = "") -> None:
        """As a user does."""
        before = self.screen.light()
        self.screen.click(*self.screen.menu_place(), button=3)
        until(lambda: self.screen.light() > before + 10_000, "the menu")
        if picture:
            self.screen.picture(f"tray-{self.name}-{picture}")
        self.screen.keys(*KEYS[text])
        if text != "Quit":
            until(lambda: self.screen.light() <= before + 1000, "the end of the menu")


def write_config(file: Path, servers: tuple[int, int]) -> int:
    """Returns the local port."""
    port = free_port()
    listed = [
        {"server": HOST, "server_port": at, "method": METHOD, "password": SECRET, "remarks": name}
        for name, at in zip(("Home", "Work"), servers)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"local_port": port, "servers": listed}), "utf-8")
    return port


def the_whole_way(shown: Shown) -> None:
    seen = shown.screen
    until(lambda: seen.hue() == "blue", "the icon that says On")
    until(lambda: shown.starts() == 1, "the relay")
    shown.exchange()
    shown.choose("Work", "menu")
    until(lambda: shown.starts() == 2, "the relay through the other server")
    shown.exchange()
    shown.choose("All programs")
    until(lambda: shown.proxy() == (HOST, shown.port), "the system's proxy")
    shown.choose("Stop", "proxy-set")
    until(lambda: shown.proxy() is None, "the system's proxy as it was")
    until(lambda: not shown.listens(), "the end of the proxy")
    until(lambda: seen.hue() == "", "the icon that says Off")
    seen.picture(f"tray-{shown.name}-off")
    shown.choose("Quit")
    assert shown.program.wait(60) == 0, shown.program.text()
    remembered = json.loads((shown.config.parent / "tray.json").read_text("utf-8"))
    assert remembered == {"server": "Work", "proxy": "global", "on": False}
    said = shown.program.text() + shown.log.read_text("utf-8")
    assert SECRET not in said and "Traceback" not in said


# --- Linux ---------------------------------------------------------------------------------------
@contextmanager
def gtk_tray(folder: Path, servers: tuple[int, int]) -> Iterator[Shown]:
    need_programs({"dbus-run-session": "dbus", "gsettings": "libglib2.0-bin"})
    environment = _gtk(folder)
    with screen(folder) as seen:
        environment["DISPLAY"] = seen.display
        argv = [SYSTEM_PYTHON, "-c", GTK]
        if subprocess.run(argv, capture_output=True, timeout=60, check=False, env=environment).returncode:
            need_programs({f"GTK and pystray for {SYSTEM_PYTHON}": PACKAGES})
        config = folder / "config" / "pyss" / "config.json"
        port = write_config(config, servers)
        log = folder / "state" / "pyss" / "pyss.log"
        program = Program(["dbus-run-session", "--", SYSTEM_PYTHON, str(SCRIPT)], folder / "tray.log", environment)
        try:
            yield Shown(seen, "linux", config, log, port, program, lambda: _gnome_proxy(environment))
        finally:
            program.stop()


def test_gtk(tmp_path: Path, servers: tuple[int, int]) -> None:
    with gtk_tray(tmp_path, servers) as shown:
        the_whole_way(shown)


def test_gtk_shows_a_crash(tmp_path: Path, servers: tuple[int, int]) -> None:
    with gtk_tray(tmp_path, servers) as shown:
        until(lambda: shown.starts() == 1 and shown.screen.hue() == "blue", "the icon that says On")
        os.kill(_relay_of(shown), signal.SIGKILL)
        until(lambda: shown.screen.hue() == "red", "the icon that says Error")
        shown.screen.picture("tray-linux-error")
        os.kill(_main_of(shown), signal.SIGINT)  # as Ctrl-C does
        assert shown.program.wait(60) == 0, shown.program.text()


def _gtk(folder: Path) -> dict[str, str]:
    """Settings in a file of the test's own, a session of its own."""
    return clean_environment(
        PYSTRAY_BACKEND="gtk",
        XDG_CONFIG_HOME=str(folder / "config"),
        XDG_STATE_HOME=str(folder / "state"),
        GSETTINGS_BACKEND="keyfile",
        XDG_CURRENT_DESKTOP="GNOME",
        NO_AT_BRIDGE="1",
        PYTHONPATH="",
    )


def _gnome_proxy(environment: Mapping[str, str]) -> Optional[tuple[str, int]]:
    def get(schema: str, key: str) -> str:
        argv = ["gsettings", "get", schema, key]
        done = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip().strip("'")

    if get("org.gnome.system.proxy", "mode") != "manual":
        return None
    return get("org.gnome.system.proxy.socks", "host"), int(get("org.gnome.system.proxy.socks", "port"))


def _process(shown: Shown, words: str) -> int:
    """The one with these words in its command line that works in the tray's folder."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            if words in command and os.readlink(folder / "cwd") == str(shown.config.parent):
                return int(folder.name)
        except OSError:  # it has ended meanwhile
            continue
    raise AssertionError(f"no process with {words!r}")


def _relay_of(shown: Shown) -> int:
    return _process(shown, "tray_child")


def _main_of(shown: Shown) -> int:
    return _process(shown, f"{SYSTEM_PYTHON}\0{SCRIPT}")


# --- Windows -------------------------------------------------------------------------------------
def test_wine(tmp_path: Path, servers: tuple[int, int]) -> None:
    python = need_wine("3.13", bare=True)
    prefix = tmp_path / "prefix"
    # Of its own: programs of one prefix share one desktop, and another test may have opened it without a screen.
    shutil.copytree(python.environment()["WINEPREFIX"], prefix, symlinks=True)
    (user,) = (path for path in (prefix / "drive_c" / "users").iterdir() if path.name != "Public")
    config = user / "AppData" / "Roaming" / "pyss" / "config.json"
    port = write_config(config, servers)
    try:
        with screen(tmp_path) as seen:
            environment = python.environment(DISPLAY=seen.display, WINEPREFIX=str(prefix), PYTHONPATH="")
            argv = ["bash", "-c", 'set -o pipefail; : | "$@" 2>&1 | cat', "bash", *python.command(str(SCRIPT))]
            program = Program(argv, tmp_path / "tray.log", environment)
            try:
                proxy = partial(_windows_proxy, environment)
                log = user / "AppData" / "Local" / "pyss" / "pyss.log"
                the_whole_way(Shown(seen, "windows", config, log, port, program, proxy))
            finally:
                program.stop()
                subprocess.run([WINESERVER, "-k"], env=environment, timeout=60, check=False)
    finally:
        shutil.rmtree(prefix, ignore_errors=True)


def _windows_proxy(environment: Mapping[str, str]) -> Optional[tuple[str, int]]:
    key = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings"
    argv = ["wine", "reg", "query", key]
    done = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, timeout=60, check=True)
    if not re.search(r"ProxyEnable\s+REG_DWORD\s+0x1\b", done.stdout):
        return None
    found = re.search(r"ProxyServer\s+REG_SZ\s+(?:\S*=)?([0-9.]+):([0-9]+)", done.stdout)
    return (found[1], int(found[2])) if found is not None else None
