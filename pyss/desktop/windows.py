r"""Windows: values of HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Internet Settings.

    ProxyEnable    DWORD    1 while ProxyServer is used
    ProxyServer    text     "127.0.0.1:1080": one HTTP proxy for everything; with "http=" and so on for each protocol
    ProxyOverride  text     reached without it, with semicolons between; "<local>" are names without a dot
    AutoConfigURL  text     of the PAC file; in use as long as the value is there

The proxy is given as one for HTTP, which takes CONNECT for all else: "socks=" is SOCKS4 to Windows, which would look up
every name itself, before the eyes of the network that is to be avoided.

Programs that run look again when WinINet announces it: InternetSetOption with INTERNET_OPTION_SETTINGS_CHANGED (39),
then INTERNET_OPTION_REFRESH (37), see wininet.h.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Callable, Optional

from ..address import join_host_port
from .setting import Setting, SettingError, Value, Wish, without_user

PATH = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
KEYS = ("ProxyServer", "ProxyOverride", "AutoConfigURL", "ProxyEnable")
SETTINGS_CHANGED, REFRESH = 39, 37
# Windows compares texts: there is no way to write a network but by its first bytes.
OVERRIDE = ";".join(
    [
        *("<local>", "localhost", "*.localhost", "*.local", "127.*", "10.*", "192.168.*", "169.254.*"),
        *(f"172.{second}.*" for second in range(16, 32)),
        "[::1]",
    ]
)


class Windows:
    """winreg    the module `winreg`, or what behaves like it
    announce     tells running programs
    """

    name = "Windows"
    kinds: Mapping[str, tuple[type, ...]] = {
        **dict.fromkeys(KEYS[:-1], (str, type(None))),
        "ProxyEnable": (int, type(None)),
    }
    parts: Optional[tuple[str, ...]] = ("",)

    def __init__(self, winreg: Any = None, announce: Optional[Callable[[], None]] = None) -> None:
        self._winreg = _system_winreg() if winreg is None else winreg
        self._announce = announce or _announce

    def read(self) -> Setting:
        winreg = self._winreg
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, PATH, 0, winreg.KEY_READ) as opened:
                return {"": {key: self._value(opened, key) for key in KEYS}}
        except FileNotFoundError:
            return {"": dict.fromkeys(KEYS)}
        except OSError as error:
            raise _failed("read", error) from None

    def _value(self, opened: Any, key: str) -> Value:
        winreg = self._winreg
        try:
            value, kind = winreg.QueryValueEx(opened, key)
        except FileNotFoundError:
            return None
        wanted = (winreg.REG_DWORD,) if key == "ProxyEnable" else (winreg.REG_SZ, winreg.REG_EXPAND_SZ)
        if kind not in wanted or not isinstance(value, (int, str)):
            raise SettingError(f"the value {key} of the Internet Settings is of a kind that Windows does not use there")
        return value

    def plan(self, wish: Wish, present: Setting) -> Setting:
        values = dict(present[""])
        values["ProxyEnable"] = 1 if wish.host else 0
        values["AutoConfigURL"] = wish.url or None
        if wish.host:
            values["ProxyServer"] = join_host_port(wish.host, wish.port)
            values["ProxyOverride"] = OVERRIDE
        return {"": values}

    def write(self, changes: Setting) -> None:
        winreg = self._winreg
        values = changes.get("", {})
        try:
            with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, PATH, 0, winreg.KEY_WRITE) as opened:
                for key in KEYS:
                    if key in values:
                        self._set(opened, key, values[key])
        except OSError as error:
            raise _failed("written", error) from None

    def _set(self, opened: Any, key: str, value: Value) -> None:
        winreg = self._winreg
        if value is not None:
            kind = winreg.REG_DWORD if isinstance(value, int) else winreg.REG_SZ
            winreg.SetValueEx(opened, key, 0, kind, value)
            return
        try:
            winreg.DeleteValue(opened, key)
        except FileNotFoundError:
            pass

    def refresh(self) -> None:
        self._announce()

    def describe(self, setting: Setting) -> list[str]:
        values = setting[""]
        found = []
        if values["AutoConfigURL"]:
            found.append(f"PAC file {without_user(str(values['AutoConfigURL']))}")
        if values["ProxyEnable"] and values["ProxyServer"]:
            found.append(f"through {without_user(str(values['ProxyServer']))}")
            if values["ProxyOverride"]:
                found.append(f"not for {values['ProxyOverride']}")
        return found or ["no proxy"]


def _failed(what: str, error: OSError) -> SettingError:
    return SettingError(f"the Internet Settings cannot be {what}: {error.strerror or error}")


if sys.platform == "win32":

    def _system_winreg() -> Any:
        import winreg

        return winreg

    def _announce() -> None:
        import ctypes

        wininet = ctypes.WinDLL("wininet", use_last_error=True)
        change = wininet.InternetSetOptionW
        change.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32]
        change.restype = ctypes.c_int
        for option in (SETTINGS_CHANGED, REFRESH):
            change(None, option, None, 0)  # one that fails leaves programs with what they know until they start again

else:

    def _system_winreg() -> Any:
        raise SettingError("there is no registry but on Windows")

    def _announce() -> None:
        """Nobody is here to be told."""
