"""The proxy setting from before, on disk: what is put back at the end, after a crash, or when somebody asks for it.

    %APPDATA%\\pyss                            Windows          system-proxy.json   the record
    ~/Library/Application Support/pyss        macOS            system-proxy.lock   held while it is in use
    $XDG_STATE_HOME/pyss, ~/.local/state/pyss all others

    {"version": 1, "system": "GNOME", "complete": true, "lasting": true, "before": {...}, "ours": [{...}]}

The record is there before anything is set, and goes when all has been put back; it is replaced as a whole, so a crash
leaves the old one or the new one.  An address of a proxy may hold a password: only its owner may read the file.

The lock is the system's: it goes with the process that has it, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .setting import Setting, SettingError, Value

VERSION = 1
MOST = 256 * 1024  # bytes of a record
RECORD, LOCK = "system-proxy.json", "system-proxy.lock"
_FIELDS = {"version", "system", "complete", "lasting", "before", "ours"}


class Busy(SettingError):
    """Another process has the setting in its hands."""


@dataclass(frozen=True)
class Record:
    """system    name of the desktop
    before       the whole setting before pyss touched it
    ours         what pyss has set; while it is at it, both what was there and what shall be
    complete     whether it was set to the end
    lasting      whether it stays when the process that set it ends; otherwise the next one puts it back
    """

    system: str
    before: Setting
    ours: tuple[Setting, ...]
    complete: bool
    lasting: bool

    def touched(self, part: str) -> dict[str, Value]:
        """What stands in this part for pyss to put back: keys that it has changed, with the values from before."""
        before = self.before[part]
        return {
            key: value
            for key, value in before.items()
            if any(ours.get(part, before).get(key, value) != value for ours in self.ours)
        }

    def foreign(self, part: str, present: Mapping[str, Value]) -> list[str]:
        """Which of these keys have a value now that is neither pyss's nor the one from before."""
        found = []
        for key, before in self.touched(part).items():
            known = [before, *(ours[part].get(key) for ours in self.ours if part in ours)]
            if present.get(key) not in known:
                found.append(key)
        return found


class SavedSetting:
    """The record and the lock in one folder.

    All methods raise SettingError, `lock` Busy.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self._folder = folder
        self._lock: Optional[int] = None

    # --- the lock ------------------------------------------------------------------------------------
    def lock(self) -> None:
        path = self._folder / LOCK
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _failed("write", path, error) from None
        try:
            _take(descriptor)
        except OSError:
            os.close(descriptor)
            raise Busy("another pyss has the system's proxy in its hands; end it first") from None
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- the record ----------------------------------------------------------------------------------
    def load(self) -> Optional[Record]:
        """None where nothing is saved."""
        try:
            with open(self.path, "rb") as file:
                data = file.read(MOST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed("read", self.path, error) from None
        try:
            if len(data) > MOST:
                raise ValueError(f"it is longer than {MOST >> 10} KiB")
            return _parsed(data)
        except RecursionError:
            reason = "it is nested too deeply"
        except ValueError as error:
            reason = str(error)
        raise SettingError(
            f"{self.path} is damaged, so the proxy setting from before is not known: {reason}; "
            "look at the proxy in the settings of this system, then remove the file"
        )

    def store(self, record: Record) -> None:
        """In place of the one that is there, as a whole.  To be called with the lock."""
        data = json.dumps(
            {
                "version": VERSION,
                "system": record.system,
                "complete": record.complete,
                "lasting": record.lasting,
                "before": _plain(record.before),
                "ours": [_plain(setting) for setting in record.ours],
            },
            indent=1,
        ).encode()
        new = self.path.with_name(RECORD + ".new")
        try:
            with suppress(FileNotFoundError):
                new.unlink()
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
            _sync_folder(self._folder)
        except OSError as error:
            raise _failed("write", self.path, error) from None

    def remove(self) -> None:
        try:
            with suppress(FileNotFoundError):
                self.path.unlink()
        except OSError as error:
            raise _failed("remove", self.path, error) from None


def _failed(verb: str, path: Path, error: OSError) -> SettingError:
    return SettingError(f"cannot {verb} {path}: {error.strerror or error}")


# --- reading what may be anything ----------------------------------------------------------------------
def _parsed(data: bytes) -> Record:
    """Raises ValueError, RecursionError."""
    try:
        root = json.loads(data.decode())
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is not JSON") from None
    if not isinstance(root, dict) or set(root) != _FIELDS:
        raise ValueError("it has not the parts of a saved setting")
    if root["version"] != VERSION:
        raise ValueError("another version of pyss has written it")
    if not isinstance(root["ours"], list) or not isinstance(root["system"], str):
        raise ValueError("it has not the parts of a saved setting")
    if not isinstance(root["complete"], bool) or not isinstance(root["lasting"], bool):
        raise ValueError("it does not say how far pyss got")
    ours = tuple(_setting(item) for item in root["ours"])
    return Record(root["system"], _setting(root["before"]), ours, root["complete"], root["lasting"])


def _setting(value: Any) -> Setting:
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        raise ValueError("a setting in it has no parts")
    for name, part in value.items():
        for text in (name, *part, *part.values()):
            if isinstance(text, bool) or not isinstance(text, (str, int, type(None))):
                raise ValueError("a value in it is neither text nor number")
            if isinstance(text, str) and ("\0" in text or any("\ud800" <= mark <= "\udfff" for mark in text)):
                raise ValueError("a text in it holds what no setting can hold")
    return value


def _plain(setting: Setting) -> dict[str, dict[str, Value]]:
    return {name: dict(part) for name, part in setting.items()}


# --- how systems differ --------------------------------------------------------------------------------
def state_folder(environ: Mapping[str, str]) -> Path:
    """Where a user's programs keep what they know.  Raises SettingError."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = environ.get("APPDATA") or os.path.join(home, "AppData", "Roaming")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Application Support")
    else:
        base = environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):  # which the specification wants to be ignored
            base = os.path.join(home, ".local", "state")
    if not os.path.isabs(base):
        raise SettingError("this user has no home folder, where the setting from before could be saved")
    return Path(base) / "pyss"


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _sync_folder(folder: Path) -> None:
        """NTFS writes down what happens to names by itself."""

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
