"""The system's proxy in the tray's hands: held while it is set, let go of when it is put back."""

from __future__ import annotations

from typing import Any

import pytest

from pyss.desktop.setting import SettingError, Wish
from pyss.desktop.tray_proxy import TrayProxy


class Held:
    """In place of `SystemProxy`, whose own tests show that it sets and puts back."""

    def __init__(self, calls: list[object], fails: bool = False) -> None:
        self.notes = ["mended"]
        self._calls = calls
        self._fails = fails

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def set(self, wish: Wish) -> None:
        if self._fails:
            raise SettingError("no")
        self._calls.append(wish)

    def close(self) -> None:
        self._calls.append("close")


def proxy(calls: list[object], fails: bool = False) -> TrayProxy:
    def opener() -> Any:
        calls.append("open")
        return Held(calls, fails)

    return TrayProxy(opener)


def test_it_is_held_from_the_first_wish_until_it_is_put_back() -> None:
    calls: list[object] = []
    found = proxy(calls)
    found.restore()
    assert calls == []
    found.set_global("127.0.0.1", 1080)
    found.set_pac("http://127.0.0.1:1080/proxy.pac")
    found.restore()
    found.restore()
    assert calls == ["open", Wish("127.0.0.1", 1080), Wish(url="http://127.0.0.1:1080/proxy.pac"), "close"]


def test_what_fails_is_let_go_of() -> None:
    calls: list[object] = []
    found = proxy(calls, fails=True)
    for _ in range(2):
        with pytest.raises(SettingError):
            found.set_global("127.0.0.1", 1080)
    assert calls == ["open", "close"] * 2


def test_mending_is_opening_and_closing() -> None:
    calls: list[object] = []
    found = proxy(calls)
    assert found.mend() == ["mended"] and calls == ["open", "close"]
    found.set_global("127.0.0.1", 1080)
    assert found.mend() == [] and calls[2:] == ["open", Wish("127.0.0.1", 1080)]
