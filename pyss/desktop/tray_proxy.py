"""The system's proxy in the tray's hands: set while the relay runs, put back when it is stopped.

set_global, set_pac ──► opened (and locked) ──► set        restore ──► put back ──► closed
                        not lasting: whatever ends the tray, the next start of pyss puts back what was there
"""

from __future__ import annotations

from typing import Callable, Optional

from .setting import SettingError, Wish
from .system_proxy import SystemProxy, open_system_proxy


class TrayProxy:
    """Implements `tray_parts.SystemProxy`.  All methods raise SettingError.

    opener  takes hold of the setting, which puts right what a crash has left
    """

    def __init__(self, opener: Callable[[], SystemProxy] = open_system_proxy) -> None:
        self._opener = opener
        self._held: Optional[SystemProxy] = None

    def mend(self) -> list[str]:
        """After a crash: put back what was there.  Returns what a person should know."""
        if self._held is None:
            with self._opener() as found:
                return list(found.notes)
        return []

    def set_global(self, host: str, port: int) -> None:
        self._set(Wish(host, port))

    def set_pac(self, url: str) -> None:
        self._set(Wish(url=url))

    def restore(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _set(self, wish: Wish) -> None:
        if self._held is None:
            self._held = self._opener()
        try:
            self._held.set(wish)
        except SettingError:
            held, self._held = self._held, None
            held.close()
            raise
