"""What the tray needs of others, as interfaces: a view to be drawn by, and the desktop around it.

Tray ──► View                         Windows: tray_windows.py; macOS and Linux: tray_pystray.py
     ──► Desktop ──► Clipboard        clipboard.py
                 ──► SystemProxy      tray_proxy.py
                 ──► Autostart        autostart.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Protocol

from .autostart import Autostart
from .clipboard import Clipboard


class View(Protocol):
    """Draws.  Any thread may call these."""

    def refresh(self) -> None:
        """Something in the status is new."""

    def notify(self, text: str) -> None:
        """Say it without asking for an answer."""

    def tell(self, text: str) -> None:
        """Say it until it was read, where the desktop can."""

    def close(self) -> None:
        """Remove the icon; its `run` returns."""


class SystemProxy(Protocol):
    """What the desktop's programs are told.  All raise PyssError or OSError."""

    def mend(self) -> list[str]:
        """Put back what a crash has left; returns what the user should know."""

    def set_global(self, host: str, port: int) -> None: ...

    def set_pac(self, url: str) -> None: ...

    def restore(self) -> None:
        """As it was before; nothing where nothing was set."""


@dataclass(frozen=True)
class Desktop:
    """What the tray uses of the desktop around it.

    proxy      None where it cannot be set
    autostart  None where that cannot be arranged
    command    that starts this program again
    open_file  shows a file in whatever program the user has for it; raises PyssError or OSError
    """

    clipboard: Clipboard
    open_file: Callable[[Path], None]
    proxy: Optional[SystemProxy] = None
    autostart: Optional[Autostart] = None
    command: Sequence[str] = ()
