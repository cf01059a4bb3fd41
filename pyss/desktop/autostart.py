"""Starting a program when its user logs in, as each desktop arranges it; without rights that the user lacks.

    Windows   a value of HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Run: a command line
    macOS     ~/Library/LaunchAgents/pyss-tray.plist       launchd.plist(5)
    others    ~/.config/autostart/pyss-tray.desktop        Desktop Application Autostart 0.5

None of them takes effect before the next login.
"""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, Protocol

from ..errors import ConfigError

NAME = "pyss-tray"
_RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"


class Autostart(Protocol):
    def enabled(self) -> bool:
        """Whether some command is started at login under this name."""

    def enable(self, command: Sequence[str]) -> None:
        """Raises ConfigError."""

    def disable(self) -> None:
        """Raises ConfigError."""


class OneFile:
    """Where a file of its own arranges it; `text` makes what is in it."""

    def __init__(self, file: Path, text: Callable[[Sequence[str]], bytes]) -> None:
        self._file = file
        self._text = text

    def enabled(self) -> bool:
        return self._file.exists()

    def enable(self, command: Sequence[str]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_bytes(self._text(command))
        except OSError as error:
            raise ConfigError(f"cannot write {self._file}: {error.strerror or error}") from None

    def disable(self) -> None:
        try:
            self._file.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigError(f"cannot remove {self._file}: {error.strerror or error}") from None


def desktop_entry(command: Sequence[str]) -> bytes:
    """freedesktop.org: most desktops of Linux and BSD.  Raises ConfigError."""
    if any("\n" in word or "\r" in word for word in command):
        raise ConfigError("a desktop file cannot hold a command with a line break in it")
    lines = [
        *("[Desktop Entry]", "Type=Application", f"Name={NAME}", "Comment=A Shadowsocks client"),
        *(f"Exec={' '.join(map(quoted, command))}", "Terminal=false", ""),
    ]
    return "\n".join(lines).encode()


def quoted(word: str) -> str:
    """One word of an Exec line: a quoted argument (Desktop Entry 1.5), inside a value, where a backslash is two."""
    for mark in '\\"`$':
        word = word.replace(mark, "\\" + mark)
    return '"' + word.replace("\\", "\\\\").replace("%", "%%") + '"'


def launch_agent(command: Sequence[str]) -> bytes:
    """macOS; `launchd` reads the folder at login."""
    # Aqua: only where there is a menu bar to put an icon into.
    return plistlib.dumps(
        {
            "Label": NAME,
            "ProgramArguments": list(command),
            "RunAtLoad": True,
            "LimitLoadToSessionType": "Aqua",
        }
    )


if sys.platform == "win32":
    import subprocess
    import winreg

    class RunKey:
        """Windows; HKEY_CURRENT_USER needs no rights."""

        def enabled(self) -> bool:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, _RUN) as key:
                    winreg.QueryValueEx(key, NAME)
            except OSError:
                return False
            return True

        def enable(self, command: Sequence[str]) -> None:
            try:
                with winreg.CreateKey(winreg.HKEY_CURRENT_USER, _RUN) as key:
                    winreg.SetValueEx(key, NAME, 0, winreg.REG_SZ, subprocess.list2cmdline(command))
            except OSError as error:
                raise ConfigError(f"cannot write the registry: {error.strerror or error}") from None

        def disable(self) -> None:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, _RUN, 0, winreg.KEY_SET_VALUE) as key:
                    winreg.DeleteValue(key, NAME)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise ConfigError(f"cannot write the registry: {error.strerror or error}") from None


def of_user(environ: Mapping[str, str]) -> Autostart:
    """The way of this system."""
    if sys.platform == "win32":
        return RunKey()
    if sys.platform == "darwin":
        return OneFile(Path.home() / "Library" / "LaunchAgents" / f"{NAME}.plist", launch_agent)
    given = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(given) if os.path.isabs(given) else Path.home() / ".config"
    return OneFile(folder / "autostart" / f"{NAME}.desktop", desktop_entry)
