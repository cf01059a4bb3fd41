"""The tray's view on Windows: what is to happen for each message of the system.

    other threads ── post ──►  queue of messages  ──►  _on_message, in the thread that runs `run`
    a click on the icon ────►

The window, the icon and the menu themselves are a `Shell` (tray_win32.py, by ctypes, without any package), so that
all that decides something can be tested on every system.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Callable, Optional, Protocol

from .icon import resource
from .tray import Tray
from .tray_model import Item, State, short, tip

LONGEST_NOTE = 250  # characters; a notification of Windows has 255


class Message(IntEnum):
    """
    CLICKED      the icon, with either button
    REFRESH, NOTIFY, TELL, CLOSE  what the view's methods ask for, in the thread that may do it
    TASKBAR      the bar is new, as after a crash of it: icons must be added again
    SESSION_END  the user logs out; there are a few seconds left
    """

    CLICKED = 1
    REFRESH = 2
    NOTIFY = 3
    TELL = 4
    CLOSE = 5
    TASKBAR = 6
    SESSION_END = 7


class Shell(Protocol):
    """Windows, as far as a tray is concerned.  All but `post` are for the thread that called `open`.

    icon_size  pixels of an icon's side
    """

    icon_size: int

    def open(self, on_message: Callable[[Message], None]) -> None:
        """Make the hidden window that takes messages.  Raises ConfigError."""

    def post(self, message: Message) -> None:
        """From any thread."""

    def show(self, picture: bytes, text: str) -> None:
        """Add the icon, or change it; `picture` as `icon.resource` makes it."""

    def add_again(self) -> None:
        """The icon, to a bar that knows nothing of it."""

    def hide(self) -> None: ...

    def pop_up(self, items: tuple[Item, ...]) -> Optional[Item]:
        """Show a menu at the pointer, and return what was chosen."""

    def notify(self, text: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def loop(self) -> None:
        """Take messages until `leave`."""

    def leave(self) -> None: ...


class WindowsView:
    """Implements `tray_parts.View`."""

    def __init__(self, tray: Tray, shell: Shell) -> None:
        self._tray = tray
        self._shell = shell
        self._notes: deque[str] = deque(maxlen=20)
        self._texts: deque[str] = deque(maxlen=20)
        self._refreshing = False
        self._menu_open = False
        self._drawn: tuple[Optional[State], str] = (None, "")
        tray.attach(self)

    def run(self) -> None:
        """Until `close`.  Raises ConfigError where there is no desktop."""
        self._shell.open(self._on_message)
        self._draw()
        self._tray.begin()
        try:
            self._shell.loop()
        finally:
            self._shell.hide()

    # --- from any thread -------------------------------------------------------------------------
    def refresh(self) -> None:
        if not self._refreshing:  # one waiting message is enough
            self._refreshing = True
            self._shell.post(Message.REFRESH)

    def notify(self, text: str) -> None:
        self._notes.append(text)
        self._shell.post(Message.NOTIFY)

    def tell(self, text: str) -> None:
        self._texts.append(text)
        self._shell.post(Message.TELL)

    def close(self) -> None:
        self._shell.post(Message.CLOSE)

    # --- in the window's thread ------------------------------------------------------------------
    def _on_message(self, message: Message) -> None:
        if message is Message.CLICKED:
            self._pop_up()
        elif message is Message.REFRESH:
            self._refreshing = False
            self._draw()
        elif message is Message.NOTIFY and self._notes:
            self._shell.notify(short(self._notes.popleft(), LONGEST_NOTE))
        elif message is Message.TELL and self._texts:
            self._shell.tell(self._texts.popleft())
        elif message is Message.CLOSE:
            self._shell.leave()
        elif message is Message.TASKBAR:
            self._shell.add_again()
        elif message is Message.SESSION_END:
            self._tray.close()

    def _pop_up(self) -> None:
        if self._menu_open:  # messages are taken while it is open, clicks among them
            return
        self._menu_open = True
        try:
            chosen = self._shell.pop_up(self._tray.menu())
        finally:
            self._menu_open = False
        if chosen is not None:
            self._tray.do(chosen.action, chosen.argument)

    def _draw(self) -> None:
        status = self._tray.status()
        new = (status.state, tip(status))
        if new != self._drawn:
            self._drawn = new
            self._shell.show(resource(status.state, self._shell.icon_size), new[1])
