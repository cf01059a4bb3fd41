"""GNOME and what is akin to it (Unity, Cinnamon, Budgie, XFCE with GLib programs): `gsettings`, org.gnome.system.proxy.

    mode              'none', 'manual' or 'auto'
    autoconfig-url    of the PAC file, for 'auto'
    ignore-hosts      reached without a proxy, for 'manual'
    http host, http port, and the same of https and socks

Values are kept as GVariant text, just as gsettings prints and takes them.  `mode` is written last: no program finds a
new mode whose proxy is still to come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Optional

from .setting import LOCAL_NAMES, LOCAL_NETWORKS, Setting, SettingError, Wish, run_program, without_user

SCHEMA = "org.gnome.system.proxy"
_PROTOCOLS = ("http", "https", "socks")
KEYS = (
    *(f"{protocol} {key}" for protocol in _PROTOCOLS for key in ("host", "port")),
    *("ignore-hosts", "autoconfig-url", "mode"),
)
_NUMBER = re.compile(r"(?:u?int32 )?([0-9]+)")


class Gnome:
    name = "GNOME"
    kinds: Mapping[str, tuple[type, ...]] = dict.fromkeys(KEYS, (str,))
    parts: Optional[tuple[str, ...]] = ("",)

    def read(self) -> Setting:
        found = {}
        for line in run_program(["gsettings", "list-recursively", SCHEMA]).splitlines():
            place, _, rest = line.partition(" ")
            key, _, value = rest.partition(" ")
            found[f"{place[len(SCHEMA) + 1 :]} {key}".strip()] = value
        missing = [key for key in KEYS if key not in found]
        if missing:
            raise SettingError(f"gsettings knows no {missing[0]} in {SCHEMA}: is gsettings-desktop-schemas installed?")
        return {"": {key: found[key] for key in KEYS}}

    def plan(self, wish: Wish, present: Setting) -> Setting:
        values = dict(present[""])
        if wish.host:
            for protocol in _PROTOCOLS:
                values[f"{protocol} host"] = quoted(wish.host)
                values[f"{protocol} port"] = str(wish.port)
            values["ignore-hosts"] = f"[{', '.join(map(quoted, (*LOCAL_NAMES, *LOCAL_NETWORKS)))}]"
        elif wish.url:
            values["autoconfig-url"] = quoted(wish.url)
        values["mode"] = quoted("manual" if wish.host else "auto" if wish.url else "none")
        return {"": values}

    def write(self, changes: Setting) -> None:
        values = changes.get("", {})
        for key in KEYS:
            if key in values:
                run_program(["gsettings", "set", *_place(key), str(values[key])])

    def refresh(self) -> None:
        """gsettings has told them."""

    def describe(self, setting: Setting) -> list[str]:
        values = {key: unquoted(str(value)) for key, value in setting[""].items()}
        mode = values["mode"]
        if mode == "auto":
            url = values["autoconfig-url"]
            return [f"PAC file {without_user(url)}" if url else "automatic (WPAD)"]
        if mode != "manual":
            return ["no proxy" if mode == "none" else f"mode {mode}"]
        found = _manual(values)
        return [*found, f"not for {values['ignore-hosts']}"] if found else ["manual, and no proxy named"]


def _manual(values: Mapping[str, str]) -> list[str]:
    found = []
    for protocol in _PROTOCOLS:
        number = _NUMBER.fullmatch(values[f"{protocol} port"])
        if values[f"{protocol} host"] and number and int(number[1]):
            found.append(f"{protocol} through {values[f'{protocol} host']} port {number[1]}")
    return found


def _place(key: str) -> tuple[str, str]:
    child, _, name = key.rpartition(" ")
    return (f"{SCHEMA}.{child}" if child else SCHEMA), name


def quoted(text: str) -> str:
    """A string as GVariant text.  Raises SettingError for what would need escapes: no address or URL does."""
    if not text.isascii() or not text.isprintable() or "'" in text or "\\" in text:
        raise SettingError(f"{text[:60]!r} cannot be a part of a proxy setting")
    return f"'{text}'"


def unquoted(text: str) -> str:
    """For people: a string without its quotes, a list without its brackets."""
    if text[:1] == text[-1:] == "'":
        return text[1:-1]
    return ", ".join(_strings(text)) if text.startswith("[") else text


def _strings(text: str) -> Iterable[str]:
    return re.findall(r"'([^']*)'", text)
