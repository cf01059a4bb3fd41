"""The tray's view by the package pystray: macOS and the desktops of Linux.

    refresh ──► title and picture at once; the menu when it is closed

pystray draws with what the desktop has.  On Linux that is AppIndicator or GTK, through the PyGObject of the system's
own Python; without it pystray falls back to bare X11, where an icon has no menu, and so nothing could be chosen.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Optional

from ..errors import ConfigError
from ..net.clock import monotonic
from .icon import rgba
from .tray import Tray
from .tray_model import NAME, Item, Status, menu, tip

SIZE = 64  # pixels; desktops scale it down
BUS_PATIENCE = 1000  # milliseconds
NUMBERS_EVERY = 2.0  # seconds; a menu that is made anew each second can hardly be read

NO_PACKAGE = "the tray needs the packages pystray and Pillow: pip install 'pyss[tray]'"
NO_MENU = (
    "this desktop gives pystray no menu for its icon. On Linux it needs PyGObject with AppIndicator or GTK, such as "
    "Debian's python3-gi and gir1.2-ayatanaappindicator3-0.1, in the Python that runs this; on GNOME the extension "
    "AppIndicator too. Until then: python3 -m pyss local -c config.json"
)


NO_BUS = (
    "this session has no message bus, which pystray's icons need; start the tray from the desktop, or by "
    "dbus-run-session"
)


class PystrayView:
    """Implements `tray_parts.View`."""

    def __init__(self, tray: Tray) -> None:
        """Raises ConfigError where there can be no icon."""
        self._pystray, self._image = _packages()
        self._tray = tray
        self._lock = threading.Lock()
        self._closing = False
        self._drawn: Optional[Status] = None
        self._drawn_at = 0.0
        self._interrupt = signal.getsignal(signal.SIGINT)
        self._icon = self._pystray.Icon(NAME)
        self._toolkit = _toolkit(type(self._icon).__module__)
        if self._toolkit is not None and _session_bus(self._toolkit) is None:
            raise ConfigError(NO_BUS)  # pystray would not come up, and not end either
        tray.attach(self)

    def run(self) -> None:
        """Until `close`; for the main thread, as macOS wants it."""
        self._interrupt = signal.getsignal(signal.SIGINT)  # as it is now, not when this was made
        try:
            self._icon.run(self._begin)
        except Exception:
            # Without a service for notifications, pystray's own cleaning up fails after all is done.
            if not self._closing:
                raise

    def _begin(self, icon: Any) -> None:
        if self._toolkit is not None:
            self._toolkit.GLib.idle_add(self._take_interrupts)
        self._draw(self._tray.status())
        icon.visible = True
        self._tray.begin()

    def _take_interrupts(self) -> bool:
        """In the main thread: pystray has made Ctrl-C an end without any order, which would leave the proxy set."""
        signal.signal(signal.SIGINT, self._interrupt)
        return False

    # --- from any thread -------------------------------------------------------------------------
    def refresh(self) -> None:
        if not self._closing:
            self._draw(self._tray.status())

    def notify(self, text: str) -> None:
        if self._icon.HAS_NOTIFICATION and _notifications(self._toolkit):
            self._icon.notify(text, NAME)
        else:
            self.tell(text)

    def tell(self, text: str) -> None:
        if self._toolkit is not None:
            self._toolkit.GLib.idle_add(self._dialog, text)
        else:
            self._icon.notify(text, NAME)

    def close(self) -> None:
        self._closing = True
        self._icon.visible = False
        self._icon.stop()

    # --- drawing ---------------------------------------------------------------------------------
    def _draw(self, status: Status) -> None:
        with self._lock:
            before = self._drawn
            self._icon.title = tip(status)
            if before is None or before.state is not status.state:
                self._icon.icon = self._image.frombytes("RGBA", (SIZE, SIZE), rgba(status.state, SIZE))
            now = monotonic()
            numbers_alone = before is not None and _still(before) == _still(status)
            may_wait = now - self._drawn_at < NUMBERS_EVERY or self._menu_is_open()
            if before == status or (numbers_alone and may_wait):
                return
            self._drawn, self._drawn_at = status, now
            self._icon.menu = self._menu(menu(status))

    def _menu_is_open(self) -> bool:
        """Where GTK shows it: to replace a menu closes it."""
        shown = getattr(getattr(self._icon, "_menu_handle", None), "get_mapped", None)
        return bool(shown()) if shown is not None else False

    def _menu(self, items: Sequence[Item]) -> Any:
        return self._pystray.Menu(*map(self._item, items))

    def _item(self, item: Item) -> Any:
        make, text = self._pystray.MenuItem, item.text
        if not text:
            return self._pystray.Menu.SEPARATOR
        if item.items:
            return make(text, self._menu(item.items), enabled=item.enabled)

        def chosen(icon: Any, line: Any) -> None:
            self._tray.do(item.action, item.argument)

        checked = None if item.checked is None else lambda line: bool(item.checked)
        return make(text, chosen, checked=checked, radio=item.radio, enabled=item.enabled)

    def _dialog(self, text: str) -> bool:
        """In GTK's thread; returns that it need not be called again."""
        assert self._toolkit is not None
        gtk = self._toolkit.Gtk
        dialog = gtk.MessageDialog(message_type=gtk.MessageType.INFO, buttons=gtk.ButtonsType.OK, text=NAME)
        dialog.set_title(NAME)
        dialog.format_secondary_text(text)
        dialog.connect("response", lambda shown, answer: shown.destroy())
        dialog.show_all()
        return False


def _still(status: Status) -> Status:
    """Without the numbers that change all the time."""
    return replace(status, up=0.0, down=0.0, sent=0, received=0)


def _packages() -> tuple[Any, Any]:
    """pystray, and Pillow's Image.  Raises ConfigError."""
    try:
        pystray, image = import_module("pystray"), import_module("PIL.Image")
    except ImportError:
        raise ConfigError(NO_PACKAGE) from None
    except Exception as error:  # whatever a toolkit raises where there is no desktop
        reason = str(error) or type(error).__name__
        raise ConfigError(f"no desktop can be reached for an icon: {reason}") from None
    if not pystray.Icon.HAS_MENU:
        raise ConfigError(NO_MENU)
    return pystray, image


def _toolkit(module: str) -> Optional[_Gtk]:
    """GTK, where pystray uses it: for what it cannot do itself."""
    if module.rpartition(".")[2] not in ("_gtk", "_appindicator"):
        return None
    return _Gtk()


class _Gtk:
    """What is used of GTK."""

    def __init__(self) -> None:
        repository = import_module("gi.repository")
        self.Gio, self.GLib, self.Gtk = repository.Gio, repository.GLib, repository.Gtk


def _notifications(toolkit: Optional[_Gtk]) -> bool:
    """Whether somebody shows them.  Asked each time: the service may come and go."""
    if toolkit is None:
        return True
    bus = _session_bus(toolkit)
    if bus is None:
        return False
    asked = toolkit.GLib.Variant("(s)", ("org.freedesktop.Notifications",))
    place = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    try:
        answer = bus.call_sync(*place, "NameHasOwner", asked, None, 0, BUS_PATIENCE, None)
    except toolkit.GLib.Error:
        return False
    return bool(answer.unpack()[0])


def _session_bus(toolkit: _Gtk) -> Any:
    """None where there is none."""
    try:
        return toolkit.Gio.bus_get_sync(toolkit.Gio.BusType.SESSION, None)
    except toolkit.GLib.Error:
        return None
