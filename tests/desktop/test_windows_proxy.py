"""Windows: the registry in memory here, and the real one of this user where there is one (put back afterwards)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyss.desktop import windows
from pyss.desktop.saved_setting import SavedSetting
from pyss.desktop.setting import SettingError, Wish
from pyss.desktop.system_proxy import SystemProxy
from pyss.desktop.windows import KEYS, OVERRIDE, PATH, Windows

GLOBAL, PAC, OFF = Wish("127.0.0.1", 1080), Wish(url="http://127.0.0.1:1080/proxy.pac"), Wish()


class Registry:
    """In place of `winreg`: one key, with names that differ by more than case.

    values  name -> (value, kind)
    full    names that cannot be written
    """

    HKEY_CURRENT_USER = object()
    KEY_READ, KEY_WRITE = 0x20019, 0x20006
    REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD = 1, 2, 3, 4

    def __init__(self, **values: tuple[Any, int]) -> None:
        self.values = dict(values)
        self.there = True
        self.full: set[str] = set()
        self.writes: list[str] = []

    @contextmanager
    def _opened(self, root: object, path: str, access: int) -> Iterator[int]:
        assert root is self.HKEY_CURRENT_USER and path == PATH
        yield access

    def OpenKey(self, root: object, path: str, reserved: int, access: int) -> Any:
        if not self.there:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return self._opened(root, path, access)

    def CreateKeyEx(self, root: object, path: str, reserved: int, access: int) -> Any:
        self.there = True
        return self._opened(root, path, access)

    def QueryValueEx(self, opened: int, name: str) -> tuple[Any, int]:
        assert opened == self.KEY_READ
        if name not in self.values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return self.values[name]

    def SetValueEx(self, opened: int, name: str, reserved: int, kind: int, value: Any) -> None:
        assert opened == self.KEY_WRITE and isinstance(value, int if kind == self.REG_DWORD else str)
        if name in self.full:
            raise PermissionError(13, "Access is denied")
        self.writes.append(name)
        self.values[name] = (value, kind)

    def DeleteValue(self, opened: int, name: str) -> None:
        assert opened == self.KEY_WRITE
        self.writes.append(name)
        if name not in self.values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        del self.values[name]


BEFORES: list[dict[str, tuple[Any, int]]] = [
    {},
    {"ProxyEnable": (0, 4)},
    {"ProxyEnable": (1, 4), "ProxyServer": ("http=corp.example:3128;ftp=x:1", 1), "ProxyOverride": ("<local>", 1)},
    {"ProxyEnable": (0, 4), "AutoConfigURL": ("http://corp.example/proxy.pac", 1), "User Agent": ("x", 1)},
]


@pytest.mark.parametrize("before", BEFORES)
@pytest.mark.parametrize("wish", [GLOBAL, PAC, OFF])
def test_there_and_back(tmp_path: Path, before: dict[str, tuple[Any, int]], wish: Wish) -> None:
    winreg, announced = Registry(**before), [0]

    def announce() -> None:
        announced[0] += 1

    desktop = Windows(winreg, announce)
    with SystemProxy(desktop, SavedSetting(tmp_path), {"Windows": lambda: desktop}) as proxy:
        proxy.set(wish, lasting=True)
        values = {name: value for name, (value, _) in winreg.values.items()}
        if wish is GLOBAL:
            assert values["ProxyEnable"] == 1 and values["ProxyServer"] == "127.0.0.1:1080"
            assert values["ProxyOverride"] == OVERRIDE and "AutoConfigURL" not in values
        elif wish is PAC:
            assert values["ProxyEnable"] == 0 and values["AutoConfigURL"] == PAC.url
        else:
            assert values["ProxyEnable"] == 0 and "AutoConfigURL" not in values
        assert announced == [1]
        proxy.restore()
    assert winreg.values == before


def test_it_is_switched_on_last() -> None:
    winreg = Registry()
    desktop = Windows(winreg, lambda: None)
    desktop.write(desktop.plan(GLOBAL, desktop.read()))
    assert winreg.writes[-1] == "ProxyEnable" == KEYS[-1]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert (
        Windows(Registry(), lambda: None).plan(Wish("::1", 1), {"": dict.fromkeys(KEYS)})[""]["ProxyServer"]
        == "[::1]:1"
    )


def test_what_is_local_goes_direct() -> None:
    assert {"<local>", "localhost", "10.*", "172.16.*", "172.31.*", "192.168.*", "[::1]"} < set(OVERRIDE.split(";"))
    assert "172.15.*" not in OVERRIDE and "172.32.*" not in OVERRIDE


@pytest.mark.parametrize("full", ["ProxyServer", "ProxyOverride", "ProxyEnable"])
def test_halfway_is_put_back(tmp_path: Path, full: str) -> None:
    before = {"AutoConfigURL": ("http://corp.example/", 1)}
    winreg = Registry(**before)
    winreg.full = {full}
    desktop = Windows(winreg, lambda: None)
    saved = SavedSetting(tmp_path)
    with SystemProxy(desktop, saved, {"Windows": lambda: desktop}) as proxy:
        with pytest.raises(
            SettingError, match="the Internet Settings cannot be written: Access is denied; the proxy is as"
        ):
            proxy.set(GLOBAL)
        assert saved.load() is None
    assert winreg.values == before


def test_a_key_that_is_not_there() -> None:
    winreg = Registry()
    winreg.there = False
    desktop = Windows(winreg, lambda: None)
    assert desktop.read() == {"": dict.fromkeys(KEYS)}
    desktop.write({"": {"ProxyEnable": 0}})
    assert desktop.read()[""]["ProxyEnable"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("ProxyEnable", ("1", 1)), ("ProxyEnable", (b"\1", 3)), ("ProxyServer", (1, 4)), ("AutoConfigURL", (["a"], 7))],
)
def test_kinds_that_windows_does_not_use_there(name: str, value: tuple[Any, int]) -> None:
    with pytest.raises(
        SettingError, match=f"the value {name} of the Internet Settings is of a kind that Windows does not"
    ):
        Windows(Registry(**{name: value}), lambda: None).read()


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, ["no proxy"]),
        ({"ProxyEnable": 0, "ProxyServer": "h:1"}, ["no proxy"]),
        ({"ProxyEnable": 1, "ProxyServer": "http://me:secret@h:1"}, ["through http://***@h:1"]),
        ({"AutoConfigURL": "http://h/", "ProxyEnable": 1, "ProxyServer": "h:1", "ProxyOverride": "x"},
         ["PAC file http://h/", "through h:1", "not for x"]),
    ],
)  # fmt: skip
def test_what_it_says_of_a_setting(values: dict[str, Any], lines: list[str]) -> None:
    assert Windows(Registry(), lambda: None).describe({"": {**dict.fromkeys(KEYS), **values}}) == lines


@pytest.mark.skipif(sys.platform == "win32", reason="there is one")
def test_there_is_no_registry_elsewhere() -> None:
    with pytest.raises(SettingError, match="there is no registry but on Windows"):
        Windows()
    windows._announce()


@pytest.mark.skipif(sys.platform != "win32", reason="the real registry, which Windows alone has")
def test_the_real_registry(tmp_path: Path) -> None:
    desktop = Windows()
    before = desktop.read()
    for wish in (GLOBAL, PAC, OFF):
        with SystemProxy(desktop, SavedSetting(tmp_path)) as proxy:
            proxy.set(wish)
            assert desktop.read() == desktop.plan(wish, before) != before or wish is OFF
        assert desktop.read() == before
    assert not (tmp_path / "system-proxy.json").exists()
