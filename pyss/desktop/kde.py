"""KDE Plasma: `kwriteconfig6` or `kwriteconfig5`, the group "Proxy Settings" of kioslaverc.

    ProxyType             0 none, 1 as below, 2 the PAC file, 3 WPAD, 4 from environment variables
    Proxy Config Script   URL of the PAC file
    httpProxy, httpsProxy, socksProxy    "http://127.0.0.1 1080": a URL, a blank and the port
    NoProxyFor            reached without a proxy, with commas between them
    ReversedException     "true": only those are reached through it

Programs that run read the file again when the signal reparseSlaveConfiguration comes over D-Bus.  `dbus-send` sends it,
or `gdbus` (`qdbus` calls methods and has no way to send a signal); without a session bus there is nobody to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Optional

from .setting import (
    LOCAL_NAMES,
    LOCAL_NETWORKS,
    Setting,
    SettingError,
    Wish,
    has_program,
    run_program,
    without_user,
)

FILE, GROUP = "kioslaverc", "Proxy Settings"
_PROXIES = {"httpProxy": "http", "httpsProxy": "http", "socksProxy": "socks"}  # with the scheme of the proxy itself
KEYS = (*_PROXIES, "NoProxyFor", "ReversedException", "Proxy Config Script", "ProxyType")
_ABSENT = "\x1fabsent\x1f"  # what kreadconfig prints for a key that is not there; no value can be this
_TYPES = {"": "no proxy", "0": "no proxy", "3": "automatic (WPAD)", "4": "from environment variables"}
_SIGNAL = ("/KIO/Scheduler", "org.kde.KIO.Scheduler.reparseSlaveConfiguration")


def version() -> str:
    """Of the programs that are here: "6", "5", or "" without any."""
    for number in ("6", "5"):
        if has_program(f"kwriteconfig{number}") and has_program(f"kreadconfig{number}"):
            return number
    return ""


class Kde:
    name = "KDE"
    kinds: Mapping[str, tuple[type, ...]] = dict.fromkeys(KEYS, (str, type(None)))
    parts: Optional[tuple[str, ...]] = ("",)

    def read(self) -> Setting:
        values: dict[str, Optional[str]] = {}
        for key in KEYS:
            found = run_program([*_program("kreadconfig", key), "--default", _ABSENT])
            values[key] = None if found.rstrip("\n") == _ABSENT else found.rstrip("\n")
        return {"": values}

    def plan(self, wish: Wish, present: Setting) -> Setting:
        values = dict(present[""])
        if wish.host:
            host = f"[{wish.host}]" if ":" in wish.host else wish.host
            values.update((key, f"{scheme}://{host} {wish.port}") for key, scheme in _PROXIES.items())
            values["NoProxyFor"] = ",".join(name.lstrip("*") for name in (*LOCAL_NAMES, *LOCAL_NETWORKS))
            values["ReversedException"] = "false"
        elif wish.url:
            values["Proxy Config Script"] = wish.url
        values["ProxyType"] = "1" if wish.host else "2" if wish.url else "0"
        return {"": values}

    def write(self, changes: Setting) -> None:
        values = changes.get("", {})
        for key in KEYS:
            if key in values:
                value = values[key]
                removed = ["--delete", ""] if value is None else ["--", str(value)]
                run_program([*_program("kwriteconfig", key), *removed])

    def refresh(self) -> None:
        place, signal = _SIGNAL
        with suppress(SettingError):
            if has_program("dbus-send"):
                run_program(["dbus-send", "--session", "--type=signal", place, signal, "string:"])
            elif has_program("gdbus"):
                run_program(["gdbus", "emit", "--session", "--object-path", place, "--signal", signal, "''"])

    def describe(self, setting: Setting) -> list[str]:
        values = setting[""]
        kind = str(values["ProxyType"] or "")
        if kind == "2":
            return [f"PAC file {without_user(str(values['Proxy Config Script'] or '(none named)'))}"]
        if kind != "1":
            return [_TYPES.get(kind, f"ProxyType {kind}")]
        found = [f"{key[:-5]} through {without_user(str(values[key]))}" for key in _PROXIES if values[key]]
        reached = "only for" if values["ReversedException"] == "true" else "not for"
        return [*found, *([f"{reached} {values['NoProxyFor']}"] if values["NoProxyFor"] else [])]


def _program(name: str, key: str) -> list[str]:
    number = version()
    if not number:
        raise SettingError("kwriteconfig6 or kwriteconfig5 is not here, by which KDE's proxy is set")
    return [name + number, "--file", FILE, "--group", GROUP, "--key", key]
