"""The view of Windows on a shell that writes down what it is told, message by message."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional

import pytest
from helpers.trays import TestedTray, flat, tray_in, two_servers, write_config

from pyss.desktop.icon import resource
from pyss.desktop.tray_model import Item, State
from pyss.desktop.tray_windows import Message, WindowsView


class FakeShell:
    """Messages wait until `turn`, as those of Windows do."""

    icon_size = 20

    def __init__(self) -> None:
        self.waiting: deque[Message] = deque()
        self.calls: list[tuple[object, ...]] = []
        self.choice: Callable[[tuple[Item, ...]], Optional[Item]] = lambda items: None
        self.looped: Callable[[], None] = lambda: None
        self.on_message: Optional[Callable[[Message], None]] = None

    def open(self, on_message: Callable[[Message], None]) -> None:
        self.on_message = on_message

    def post(self, message: Message) -> None:
        self.waiting.append(message)

    def turn(self) -> None:
        assert self.on_message is not None
        while self.waiting:
            self.on_message(self.waiting.popleft())

    def show(self, picture: bytes, text: str) -> None:
        self.calls.append(("show", picture, text))

    def add_again(self) -> None:
        self.calls.append(("add again",))

    def hide(self) -> None:
        self.calls.append(("hide",))

    def pop_up(self, items: tuple[Item, ...]) -> Optional[Item]:
        return self.choice(items)

    def notify(self, text: str) -> None:
        self.calls.append(("notify", text))

    def tell(self, text: str) -> None:
        self.calls.append(("tell", text))

    def loop(self) -> None:
        self.looped()

    def leave(self) -> None:
        self.calls.append(("leave",))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[TestedTray]:
    with tray_in(tmp_path) as tray:
        yield tray


def opened(made: TestedTray) -> tuple[WindowsView, FakeShell]:
    shell = FakeShell()
    view = WindowsView(made.tray, shell)
    shell.looped = shell.turn
    view.run()
    shell.calls.clear()
    return view, shell


def choosing(text: str) -> Callable[[tuple[Item, ...]], Optional[Item]]:
    return lambda items: next(item for item in flat(items) if item.text.startswith(text))


def test_the_icon_is_shown_and_taken_away(made: TestedTray) -> None:
    shell = FakeShell()
    WindowsView(made.tray, shell).run()
    assert shell.calls == [("show", resource(State.OFF, 20), "pyss: Off: no server yet"), ("hide",)]


def test_a_fault_of_the_loop_takes_the_icon_away_too(made: TestedTray) -> None:
    shell = FakeShell()

    def fail() -> None:
        raise OSError("as a test wants it")

    shell.looped = fail
    with pytest.raises(OSError):
        WindowsView(made.tray, shell).run()
    assert shell.calls[-1] == ("hide",)


def test_a_state_is_another_picture(made: TestedTray, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with two_servers(tmp_path / "server") as ports:
        write_config(made.files, {"one": ports[0]}, made.port)
        view, shell = opened(made)  # which starts the relay
        made.until(lambda: made.tray.client.state is State.ON)
        view.refresh()
        shell.turn()
        _, picture, text = shell.calls[-1]
        assert picture == resource(State.ON, 20) and str(text).startswith(f"pyss: On: 127.0.0.1:{made.port}\none\n")
        made.tray.client.stop()
        shell.turn()
        assert shell.calls[-1][1] == resource(State.OFF, 20)


def test_many_refreshes_are_one_message(made: TestedTray) -> None:
    view, shell = opened(made)
    for _ in range(5):
        view.refresh()
    assert list(shell.waiting) == [Message.REFRESH]
    shell.turn()
    assert shell.calls == []  # nothing new to show
    view.refresh()
    assert list(shell.waiting) == [Message.REFRESH]


def test_what_is_chosen_is_done(made: TestedTray) -> None:
    _, shell = opened(made)
    shell.choice = choosing("About")
    shell.post(Message.CLICKED)
    shell.turn()
    assert shell.calls[0][0] == "tell" and "MIT" in str(shell.calls[0][1])
    shell.choice = lambda items: None
    shell.post(Message.CLICKED)
    shell.turn()
    assert len(shell.calls) == 1


def test_a_click_while_the_menu_is_open_opens_no_second_one(made: TestedTray) -> None:
    _, shell = opened(made)
    opened_menus = []

    def click_again(items: tuple[Item, ...]) -> None:
        opened_menus.append(items)
        shell.post(Message.CLICKED)
        shell.turn()

    shell.choice = click_again
    shell.post(Message.CLICKED)
    shell.turn()
    assert len(opened_menus) == 1
    shell.choice = lambda items: opened_menus.append(items)
    shell.post(Message.CLICKED)
    shell.turn()
    assert len(opened_menus) == 2


def test_notes_are_cut_to_what_windows_shows(made: TestedTray) -> None:
    view, shell = opened(made)
    view.notify("first")
    view.notify("x" * 1000)
    shell.turn()
    assert shell.calls[0] == ("notify", "first")
    assert len(str(shell.calls[1][1])) == 250


def test_quit(made: TestedTray) -> None:
    _, shell = opened(made)
    shell.choice = choosing("Quit")
    shell.post(Message.CLICKED)
    shell.turn()
    assert ("leave",) in shell.calls


def test_a_new_bar_gets_the_icon(made: TestedTray) -> None:
    _, shell = opened(made)
    shell.post(Message.TASKBAR)
    shell.turn()
    assert shell.calls == [("add again",)]


def test_the_end_of_the_session_ends_the_relay(made: TestedTray) -> None:
    _, shell = opened(made)
    made.tray.client.state = State.ERROR
    shell.post(Message.SESSION_END)
    shell.turn()
    assert made.tray.client.state is State.OFF
