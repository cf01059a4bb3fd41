"""The system's proxy: set, kept in mind, put back.

    read what is there ──► save it ──► write ──► read it again ──► note "complete"
                              │          │ failed, or it was not taken: write what was there
                              │          ▼
                              └── crash: the next start finds the record, and puts back what was there

What is put back is only what pyss has changed, and only while it is as pyss has left it.  A value that somebody has
changed meanwhile is that person's wish: its part of the setting stays as it is.

A setting is lasting (`pyss proxy --global`: until --restore) or ends with the process that has made it (the tray).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Callable, Optional

from . import kde
from .gnome import Gnome
from .kde import Kde
from .macos import Macos
from .saved_setting import Record, SavedSetting, state_folder
from .setting import Desktop, Setting, SettingError, Value, Wish, changes, has_program
from .windows import Windows

DESKTOPS: Mapping[str, Callable[[], Desktop]] = {"Windows": Windows, "macOS": Macos, "GNOME": Gnome, "KDE": Kde}


def pick(environ: Mapping[str, str]) -> Desktop:
    """The one that this process runs in.  Raises SettingError."""
    if sys.platform == "win32":
        return Windows()
    if sys.platform == "darwin":
        return Macos()
    if "KDE" in environ.get("XDG_CURRENT_DESKTOP", "").split(":") and kde.version():
        return Kde()
    if has_program("gsettings"):
        return Gnome()
    if kde.version():
        return Kde()
    raise SettingError(
        "no desktop is known here whose proxy could be set (GNOME by gsettings, KDE by kwriteconfig); "
        "set it in each program, or by the environment variables http_proxy, https_proxy and all_proxy"
    )


class SystemProxy:
    """Has the lock from its making until `close`; in a `with` statement, until that ends.

    desktop  whose setting it is
    notes    what a person should know: what was put right at the start, what was found changed

    At the start it puts back what a process left behind that has crashed.  All methods raise SettingError; the making
    raises Busy while another process is at it.
    """

    def __init__(
        self,
        desktop: Desktop,
        saved: SavedSetting,
        desktops: Mapping[str, Callable[[], Desktop]] = DESKTOPS,
    ) -> None:
        self.desktop = desktop
        self.notes: list[str] = []
        self._saved = saved
        self._desktops = desktops
        saved.lock()
        try:
            record = self._load()
            if record is not None and not (record.complete and record.lasting):
                self.notes.append("a pyss that set the system's proxy did not end in good order")
                self._put_back(record)
        except BaseException:
            saved.unlock()
            raise

    def __enter__(self) -> SystemProxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Put back what is not lasting, and let others at it."""
        try:
            record = self._load()
            if record is not None and not record.lasting:
                self._put_back(record)
        finally:
            self._saved.unlock()

    # --- what there is -------------------------------------------------------------------------------
    def before(self) -> Optional[list[str]]:
        """The setting that `restore` would put back, in lines for a person; None where pyss has set nothing."""
        record = self._load()
        return None if record is None else self._of(record).describe(record.before)

    # --- changes -------------------------------------------------------------------------------------
    def set(self, wish: Wish, *, lasting: bool = False) -> None:
        """All of it, or nothing: after an error all is as it was before, or the message says that it is not."""
        desktop, saved = self.desktop, self._saved
        record = self._load()
        if record is not None and record.system != desktop.name:
            raise SettingError(f"the proxy of {record.system} is still set; first put it back: pyss proxy --restore")
        present = desktop.read()
        before = present
        if record is not None:
            if _foreign(record, present):
                self.notes.append("the proxy was changed since pyss set it: that is what --restore will put back")
            else:
                before = _before(record, present)
        wanted = desktop.plan(wish, present)
        saved.store(Record(desktop.name, before, (present, wanted), complete=False, lasting=lasting))
        try:
            desktop.write(changes(present, wanted))
            ignored = changes(desktop.read(), wanted)
            if ignored:
                raise SettingError(f"the system did not take {_listed(ignored)}")
            if changes(before, wanted):
                saved.store(Record(desktop.name, before, (wanted,), complete=True, lasting=lasting))
            else:
                saved.remove()
        except BaseException as error:
            self._undo(present, record, error)
            raise
        desktop.refresh()

    def restore(self) -> Optional[bool]:
        """Put back what was there before pyss set it; None where it has set nothing.

        False where somebody else has changed something meanwhile, which then stays; `notes` say what.
        """
        record = self._load()
        return None if record is None else self._put_back(record)

    def _undo(self, present: Setting, record: Optional[Record], reason: BaseException) -> None:
        """Setting failed: back to what was there, and to what was saved.  Raises SettingError in its place."""
        desktop = self.desktop
        try:
            desktop.write(changes(desktop.read(), present))
            desktop.refresh()
            if record is None:
                self._saved.remove()
            else:
                self._saved.store(record)
        except SettingError as error:
            raise SettingError(
                f"{reason}; what was there before could not be put back ({error}) and is saved: "
                "pyss proxy --restore tries again"
            ) from None
        if isinstance(reason, SettingError):
            raise SettingError(f"{reason}; the proxy is as it was before") from None

    def _put_back(self, record: Record) -> bool:
        desktop = self._of(record)
        try:
            present = desktop.read()
            kept = _foreign(record, present)
            wanted = {name: record.touched(name) for name in record.before if name not in kept}
            desktop.write(changes(present, wanted))
        except SettingError as error:
            raise SettingError(
                f"the proxy setting from before could not be put back: {error}; it is still saved, and "
                "pyss proxy --restore tries again"
            ) from None
        self._saved.remove()
        desktop.refresh()
        if kept:
            self.notes.append(f"somebody else has changed {_listed(kept)} since pyss set it: that stays as it is")
        gone = [name for name in record.before if name not in present]
        if gone:
            self.notes.append(f"no longer here, so nothing was put back there: {', '.join(gone)}")
        if set(present).intersection(wanted):
            self.notes.append("the proxy setting from before is back")
        return not kept

    # --- the record ----------------------------------------------------------------------------------
    def _load(self) -> Optional[Record]:
        record = self._saved.load()
        if record is not None and not self._fits(record):
            raise SettingError(
                f"{self._saved.path} holds no proxy setting of this system, so the one from before is not known; "
                "look at the proxy in the settings of this system, then remove the file"
            )
        return record

    def _fits(self, record: Record) -> bool:
        """Whether each value is one that the desktop could have had."""
        if record.system not in self._desktops:
            return False
        try:
            desktop = self._of(record)
        except SettingError:
            return False
        return all(
            (desktop.parts is None or tuple(setting) == desktop.parts)
            and all(_has_kinds(part, desktop.kinds) for part in setting.values())
            for setting in (record.before, *record.ours)
        )

    def _of(self, record: Record) -> Desktop:
        if record.system == self.desktop.name:
            return self.desktop
        return self._desktops[record.system]()


def open_system_proxy() -> SystemProxy:
    """That of the desktop that this process runs in.  Raises SettingError, Busy."""
    return SystemProxy(pick(os.environ), SavedSetting(state_folder(os.environ)))


def _has_kinds(part: Mapping[str, Value], kinds: Mapping[str, tuple[type, ...]]) -> bool:
    return set(part) == set(kinds) and all(type(value) in kinds[key] for key, value in part.items())


def _foreign(record: Record, present: Setting) -> Mapping[str, Mapping[str, None]]:
    """What somebody else has changed, by parts."""
    found = {}
    for name in record.before:
        if name in present:
            keys = record.foreign(name, present[name])
            if keys:
                found[name] = dict.fromkeys(keys)
    return found


def _before(record: Record, present: Setting) -> Setting:
    """What the whole setting was, or would be now, without pyss."""
    return {name: {**part, **(record.touched(name) if name in record.before else {})} for name, part in present.items()}


def _listed(parts: Mapping[str, Mapping[str, object]]) -> str:
    return ", ".join(f"{key} of {name}" if name else key for name, part in parts.items() for key in part)
