"""`pyss proxy`: shows the proxy setting of the desktop, sets it, and puts back what was there before.

    pyss proxy                      GNOME: no proxy
    pyss proxy --global HOST:PORT   all programs through one proxy
    pyss proxy --pac URL            as a PAC file says; `pyss local` serves one at http://HOST:PORT/proxy.pac
    pyss proxy --off                no proxy
    pyss proxy --restore            what was there before the first of these
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, TextIO

from ..app.journal import printable
from ..app.options import SystemProxy as Command
from .saved_setting import Busy, SavedSetting, state_folder
from .setting import Desktop, Wish, global_wish, pac_wish
from .system_proxy import SystemProxy, pick

Complain = Callable[[str], object]


def run(command: Command, stdout: TextIO, complain: Complain, environ: Mapping[str, str]) -> int:
    """Returns the exit code.  Raises SettingError.

    complain  called with each sentence about what was not asked for
    """
    wish = Wish()
    if command.action == "global":
        wish = global_wish(command.value)
    elif command.action == "pac":
        wish = pac_wish(command.value)
    desktop, saved = pick(environ), SavedSetting(state_folder(environ))
    try:
        with SystemProxy(desktop, saved) as proxy:
            told = len(proxy.notes)
            for note in proxy.notes:
                complain(note)
            if command.action == "restore":
                return _restore(proxy, stdout, told)
            if command.action != "show":
                proxy.set(wish, lasting=True)
                for note in proxy.notes[told:]:
                    complain(note)
            _show(desktop, stdout)
            before = proxy.before()
            if before is not None:
                _say(stdout, f"before pyss set it, and after pyss proxy --restore: {'; '.join(before)}")
    except Busy as busy:
        if command.action != "show":
            raise
        complain(str(busy))
        _show(desktop, stdout)
    return 0


def _restore(proxy: SystemProxy, stdout: TextIO, told: int) -> int:
    """`told` notes are known already: the start may have put everything back."""
    whole = proxy.restore()
    for note in proxy.notes[told:]:
        _say(stdout, note)
    if whole is None and not told:
        _say(stdout, "pyss has set no proxy, so there is nothing to put back")
    return 1 if whole is False else 0


def _show(desktop: Desktop, stdout: TextIO) -> None:
    for line in desktop.describe(desktop.read()):
        _say(stdout, f"{desktop.name}: {line}")


def _say(stdout: TextIO, text: str) -> None:
    stdout.write(printable(text) + "\n")
