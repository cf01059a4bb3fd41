"""The view by pystray, on a pystray that only writes down: what is drawn anew, and when."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from helpers.trays import TestedTray, tray_in, write_config

from pyss.desktop import tray_pystray
from pyss.desktop.icon import rgba
from pyss.desktop.tray_model import State, Status
from pyss.desktop.tray_pystray import PystrayView
from pyss.errors import ConfigError


class Line:
    """A MenuItem."""

    def __init__(
        self,
        text: str,
        action: Any,
        checked: Optional[Callable[[object], bool]] = None,
        radio: bool = False,
        enabled: bool = True,
    ) -> None:
        self.text, self.action, self.radio, self.enabled = text, action, radio, enabled
        self.checked = None if checked is None else checked(self)


class Lines:
    """A Menu."""

    SEPARATOR = "---"

    def __init__(self, *items: Any) -> None:
        self.items = items

    def find(self, text: str) -> Line:
        return next(item for item in self.items if isinstance(item, Line) and item.text.startswith(text))


class Icon:
    HAS_MENU = HAS_NOTIFICATION = True

    def __init__(self, name: str) -> None:
        self.visible = self.stopped = False
        self.menus: list[Lines] = []
        self.pictures: list[object] = []
        self.notes: list[str] = []
        self.title = ""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "menu":
            self.menus.append(value)
        elif name == "icon":
            self.pictures.append(value)
        else:
            super().__setattr__(name, value)

    def run(self, setup: Callable[[Icon], None]) -> None:
        setup(self)

    def stop(self) -> None:
        self.stopped = True

    def notify(self, text: str, title: str) -> None:
        self.notes.append(text)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestedTray]:
    pystray, package, image = (types.ModuleType(name) for name in ("pystray", "PIL", "PIL.Image"))
    pystray.__dict__.update(Icon=Icon, Menu=Lines, MenuItem=Line)
    image.__dict__.update(frombytes=lambda mode, size, data: data)
    for name, module in {"pystray": pystray, "PIL": package, "PIL.Image": image}.items():
        monkeypatch.setitem(sys.modules, name, module)
    with tray_in(tmp_path) as tray:
        yield tray


def shown(made: TestedTray) -> tuple[PystrayView, Icon]:
    view = PystrayView(made.tray)
    view.run()
    icon: Icon = view._icon
    return view, icon


def test_the_first_picture_and_menu(made: TestedTray) -> None:
    _, icon = shown(made)
    assert icon.visible and icon.title == "pyss: Off: no server yet"
    assert icon.pictures == [rgba(State.OFF, tray_pystray.SIZE)]
    (menu,) = icon.menus
    assert menu.find("Start").enabled is False and Lines.SEPARATOR in menu.items


def test_what_is_chosen_is_done(made: TestedTray) -> None:
    write_config(made.files, {"one": 1, "two": 2}, made.port)
    made.tray.do("toggle")
    made.tray.client.stop()
    _, icon = shown(made)
    made.tray.client.stop()
    servers = icon.menus[-1].find("Server").action
    assert [(line.text, line.checked, line.radio) for line in servers.items] == [
        ("one", True, True),
        ("two", False, True),
    ]
    servers.find("two").action(icon, servers.find("two"))
    assert made.tray.status().chosen == "two"
    assert icon.menus[-1].find("Server").action.find("two").checked is True


def test_numbers_alone_do_not_make_the_menu_anew_all_the_time(
    made: TestedTray, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(tray_pystray, "monotonic", lambda: now[0])
    view, icon = shown(made)

    def draw(**more: Any) -> int:
        before = len(icon.menus)
        view._draw(Status(State.ON, "", "127.0.0.1:1", ("a",), "a", **more))
        return len(icon.menus) - before

    assert draw() == 1 and draw() == 0
    assert draw(sent=1) == 0 and icon.title.startswith("pyss: On")
    now[0] += tray_pystray.NUMBERS_EVERY
    assert draw(sent=2) == 1
    now[0] += tray_pystray.NUMBERS_EVERY
    is_open = [True]
    icon._menu_handle = types.SimpleNamespace(get_mapped=lambda: is_open[0])
    assert draw(sent=3) == 0  # it would close before the user's eyes
    is_open[0] = False
    assert draw(sent=3) == 1
    assert draw(sent=3, at_login=True) == 1  # more than numbers: at once
    assert len(icon.pictures) == 2


def test_what_is_said_is_a_notification(made: TestedTray) -> None:
    view, icon = shown(made)
    view.notify("a note")
    view.tell("a text")
    assert icon.notes == ["a note", "a text"]


def test_close(made: TestedTray) -> None:
    view, icon = shown(made)
    made.tray.do("quit")
    assert icon.stopped and not icon.visible
    drawn = len(icon.menus)
    view.refresh()
    assert len(icon.menus) == drawn


@pytest.mark.parametrize("closing", [True, False])
def test_a_fault_at_the_end_alone_is_let_pass(made: TestedTray, monkeypatch: pytest.MonkeyPatch, closing: bool) -> None:
    """pystray's own cleaning up fails where nobody shows notifications."""
    view, icon = shown(made)

    def run(setup: object) -> None:
        if closing:
            view.close()
        raise RuntimeError("as a test wants it")

    monkeypatch.setattr(icon, "run", run)
    if closing:
        view.run()
    else:
        with pytest.raises(RuntimeError):
            view.run()


def test_no_menu_no_tray(made: TestedTray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Icon, "HAS_MENU", False)
    with pytest.raises(ConfigError, match="PyGObject"):
        PystrayView(made.tray)


def test_no_display_is_said(made: TestedTray, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> object:
        raise ValueError("Bad display name")

    monkeypatch.setattr(tray_pystray, "import_module", fail)
    with pytest.raises(ConfigError, match="no desktop can be reached for an icon: Bad display name"):
        PystrayView(made.tray)
