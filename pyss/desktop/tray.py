"""The tray without its window: what is shown, and what happens when somebody chooses something.

    view ── status(), menu() ──► Tray ──► Client        the relay
         ── do(action) ────────►      ──► files         servers, what was chosen
         ◄── refresh, notify, tell    ──► SystemProxy, Clipboard, Autostart

Each desktop's view is small and knows nothing; whatever can be tested without a screen is here.

The system's proxy follows the relay: it is set when the relay is ready, and taken back when the user stops the relay or
quits.  After a crash it stays: what was to go through the relay must not quietly go around it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from .. import __version__
from ..address import split_host_port
from ..app.config import LocalConfig, Server
from ..errors import ConfigError, PyssError
from . import clipboard as clipboards
from . import tray_files, tray_model
from .client import Client
from .tray_files import Files
from .tray_model import Item, ProxyMode, State, Status
from .tray_parts import Desktop, View

ABOUT = (
    f"pyss {__version__}, a portable Shadowsocks relay in Python.\n"
    "MIT licence. Help: docs/desktop.md; the command line: pyss --help."
)


class Tray:
    """One for each process.  `attach` a view before anything else.

    actions  by the names that items of the menu have
    """

    def __init__(self, files: Files, desktop: Desktop, environ: Mapping[str, str], every: float = 1.0) -> None:
        self._files = files
        self._desktop = desktop
        self._environ = environ
        self._view: Optional[View] = None
        self._shown = State.OFF
        self._lock = threading.RLock()
        self._applied = (ProxyMode.OFF, "")
        self._stamp: object = None
        self._config: Optional[LocalConfig] = None
        self._problem = ""
        memory = tray_files.remembered(files.memory)
        self._chosen = str(memory.get("server", ""))
        self._wants_on = memory.get("on", True) is not False
        modes = {mode.value: mode for mode in ProxyMode}
        self._proxy_mode = modes.get(str(memory.get("proxy")), ProxyMode.OFF)
        self.client = Client(files, self._changed, every)
        self.actions: dict[str, Callable[[str], None]] = {
            "toggle": self._toggle,
            "server": self._choose,
            "proxy": self._set_proxy,
            "copy-address": self._copy_address,
            "copy-link": self._copy_link,
            "import": self._import,
            "open-log": self._open_log,
            "open-config": self._open_config,
            "at-login": self._set_at_login,
            "about": self._about,
            "quit": self._quit,
        }

    # --- for the view ----------------------------------------------------------------------------
    def attach(self, view: View) -> None:
        self._view = view

    def begin(self) -> None:
        """Start the relay, unless it was off when the tray was last seen."""
        proxy = self._desktop.proxy
        if proxy is not None:
            try:
                for note in proxy.mend():
                    self._notify(note)
            except (PyssError, OSError) as error:
                self._notify(f"the system's proxy: {error}")
        if self._wants_on and self._servers():
            self._start()

    def status(self) -> Status:
        servers, client, autostart = self._labels(), self.client, self._desktop.autostart
        return Status(
            client.state,
            client.problem or self._problem,
            client.address,
            servers,
            self._chosen_of(servers),
            *client.traffic,
            self._proxy_mode if self._desktop.proxy is not None else None,
            autostart.enabled() if autostart is not None else None,
        )

    def menu(self) -> tuple[Item, ...]:
        return tray_model.menu(self.status())

    def do(self, action: str, argument: str = "") -> None:
        """What an item of the menu names.  Whatever fails is said to the user."""
        try:
            self.actions[action](argument)
        except PyssError as error:
            self._notify(str(error))
        except OSError as error:
            self._notify(f"the system refuses: {error.strerror or error}")
        self._refresh()

    def close(self) -> None:
        """End the relay, and leave the system as it was.  More than once does no harm."""
        self.client.close()
        try:
            self._follow()
        except (PyssError, OSError):  # nobody is left to be told
            pass

    # --- the relay -------------------------------------------------------------------------------
    def _toggle(self, _: str) -> None:
        if self.client.state in (State.STARTING, State.ON):
            self._wants_on = False
            self.client.stop()
        else:
            self._wants_on = True
            self._start()
        self._remember()

    def _start(self) -> None:
        chosen = self._chosen_of(self._labels())
        if not chosen:
            raise ConfigError(self._problem or "there is no server yet; copy an ss:// link and import it")
        self.client.start(chosen)

    def _choose(self, label: str) -> None:
        self._chosen = label
        self._remember()
        if self.client.state is not State.OFF:
            self._start()

    def _changed(self) -> None:
        """Called by the client, from any thread."""
        state = self.client.state
        with self._lock:
            failed = state is State.ERROR and self._shown is not State.ERROR
            self._shown = state
        if failed:
            self._notify(self.client.problem)
        try:
            self._follow()
        except PyssError as error:
            self._notify(f"the system's proxy is not set: {error}")
        except OSError as error:
            self._notify(f"the system's proxy is not set: {error.strerror or error}")
        self._refresh()

    # --- the system's proxy ----------------------------------------------------------------------
    def _set_proxy(self, mode: str) -> None:
        self._proxy_mode = ProxyMode(mode)
        self._remember()
        self._follow()

    def _follow(self) -> None:
        """Make the system's proxy what it should be now."""
        proxy = self._desktop.proxy
        if proxy is None:
            return
        with self._lock:
            wanted = self._wanted()
            if wanted == self._applied:
                return
            mode, address = wanted
            self._applied = wanted  # first: what fails once is not tried again each second
            if mode is ProxyMode.GLOBAL:
                proxy.set_global(*split_host_port(address, 0))
            elif mode is ProxyMode.PAC:
                proxy.set_pac(f"http://{address}/proxy.pac")
            else:
                proxy.restore()

    def _wanted(self) -> tuple[ProxyMode, str]:
        state, address = self.client.state, self.client.address
        if self._proxy_mode is ProxyMode.OFF or state is State.OFF:
            return ProxyMode.OFF, ""
        if state is State.ON:
            return (self._proxy_mode, address) if address else (ProxyMode.OFF, "")
        return self._applied

    # --- servers ---------------------------------------------------------------------------------
    def _servers(self) -> tuple[Server, ...]:
        """Those of the configuration, read anew when the file has changed."""
        try:
            found = os.stat(self._files.config)
            stamp: object = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError as error:
            stamp = error.errno
        if stamp != self._stamp:
            self._stamp, self._config, self._problem = stamp, None, ""
            try:
                self._config = tray_files.read_config(self._files.config, self._environ)
            except PyssError as error:
                self._problem = "" if not self._files.config.exists() else str(error)
        return () if self._config is None else self._config.servers

    def _labels(self) -> tuple[str, ...]:
        return tray_files.labels(self._servers())

    def _chosen_of(self, servers: Sequence[str]) -> str:
        return self._chosen if self._chosen in servers else servers[0] if servers else ""

    def _remember(self) -> None:
        chosen = {"server": self._chosen, "proxy": self._proxy_mode.value, "on": self._wants_on}
        tray_files.remember(self._files.memory, chosen)

    # --- the rest of the menu --------------------------------------------------------------------
    def _copy_address(self, _: str) -> None:
        self._desktop.clipboard.copy(self.client.address)

    def _copy_link(self, _: str) -> None:
        found = dict(zip(self._labels(), self._servers()))
        chosen = self._chosen_of(tuple(found))
        if not chosen:
            raise ConfigError("there is no server whose link could be copied")
        self._desktop.clipboard.copy(tray_files.link_of(found[chosen]), secret=True)

    def _import(self, _: str) -> None:
        links = clipboards.links(self._desktop.clipboard)
        added = tray_files.add_servers(self._files.config, links, self._environ)
        self._chosen = added[0]
        self._wants_on = True
        self._remember()
        self._start()
        many = tray_model.short(added[0], 60) if len(added) == 1 else f"{len(added)} servers"
        self._notify(f"imported: {many}")

    def _open_log(self, _: str) -> None:
        self._servers()
        named = self._config.log_file if self._config is not None else None
        log = self._files.config.parent / named if named else self._files.log
        log.touch()
        self._desktop.open_file(log)

    def _open_config(self, _: str) -> None:
        file = self._files.config
        if not file.exists():
            raise ConfigError(f"there is no {file} yet; copy an ss:// link and import it")
        self._desktop.open_file(file)

    def _set_at_login(self, _: str) -> None:
        autostart = self._desktop.autostart
        if autostart is None:
            return
        if autostart.enabled():
            autostart.disable()
        else:
            autostart.enable(self._desktop.command)

    def _about(self, _: str) -> None:
        if self._view is not None:
            self._view.tell(ABOUT)

    def _quit(self, _: str) -> None:
        self.close()
        if self._view is not None:
            self._view.close()

    # --- to the view -----------------------------------------------------------------------------
    def _refresh(self) -> None:
        if self._view is not None:
            self._view.refresh()

    def _notify(self, text: str) -> None:
        if self._view is not None:
            self._view.notify(text)
