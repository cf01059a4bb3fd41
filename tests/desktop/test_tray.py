"""What the tray does when its user chooses something: a real relay, and a desktop that writes down what it is told."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.traffic import echo, receive_exactly, socks5_connect, target
from helpers.trays import HOST, KILLED, METHOD, SECRET, TestedTray, flat, kill, tray_in, two_servers, write_config

from pyss.desktop.setting import SettingError
from pyss.desktop.tray_model import ProxyMode, State
from pyss.protocol.uri import ServerUri

pytestmark = pytest.mark.load  # each starts processes of its own


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    with two_servers(tmp_path_factory.mktemp("server")) as ports:
        yield ports


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestedTray]:
    """No server yet."""
    with tray_in(tmp_path) as made:
        yield made


@pytest.fixture
def two(empty: TestedTray, servers: tuple[int, int]) -> TestedTray:
    """Servers "one" and "two", the same behind both names."""
    write_config(empty.files, {"one": servers[0], "two": servers[1]}, empty.port)
    return empty


def running(made: TestedTray) -> TestedTray:
    made.tray.begin()
    made.until(lambda: made.tray.client.state is State.ON)
    return made


def exchange(made: TestedTray) -> None:
    with target(echo) as place, socks5_connect(made.port, place.port) as sock:
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"


def memory(made: TestedTray) -> object:
    return json.loads(made.files.memory.read_text("utf-8"))


# --- start, stop, servers ------------------------------------------------------------------------
def test_every_line_of_the_menu_leads_somewhere(two: TestedTray) -> None:
    running(two)
    names = {item.action for item in flat(two.tray.menu()) if item.action}
    assert names == set(two.tray.actions)


def test_it_begins_with_the_first_server(two: TestedTray) -> None:
    running(two)
    assert two.tray.status().chosen == "one" and two.item("one").checked
    exchange(two)
    two.until(lambda: two.item("Total").text == "Total  ↑ 5 B  ↓ 5 B")
    assert two.item("On: ").text == f"On: {HOST}:{two.port}"


def test_stop_and_start(two: TestedTray) -> None:
    running(two)
    two.choose("Stop")
    assert two.tray.client.state is State.OFF
    with pytest.raises(OSError):
        socket.create_connection((HOST, two.port), 5)
    two.choose("Start")
    two.until(lambda: two.tray.client.state is State.ON)
    exchange(two)


def test_another_server_is_chosen_and_remembered(two: TestedTray, tmp_path: Path) -> None:
    running(two)
    before = two.tray.client.pid
    two.choose("two")
    two.until(lambda: two.tray.client.state is State.ON)
    assert two.item("two").checked and not two.item("one").checked
    assert two.tray.client.pid != before
    exchange(two)
    two.tray.close()
    with tray_in(tmp_path) as again:
        assert again.tray.status().chosen == "two"


def test_a_server_can_be_chosen_while_it_is_off(two: TestedTray) -> None:
    two.choose("two")
    assert two.tray.client.state is State.OFF and two.item("two").checked


def test_what_was_off_stays_off(two: TestedTray, tmp_path: Path) -> None:
    running(two)
    two.choose("Stop")
    two.tray.close()
    with tray_in(tmp_path) as again:
        again.tray.begin()
        assert again.tray.client.state is State.OFF


def test_a_changed_configuration_is_seen(two: TestedTray, servers: tuple[int, int]) -> None:
    assert [item.text for item in two.item("Server").items] == ["one", "two"]
    write_config(two.files, {"another one": servers[0]}, two.port)
    assert [item.text for item in two.item("Server").items] == ["another one"]
    two.files.config.write_text("{", "utf-8")
    assert two.tray.menu()[0].text.startswith("Off: ") and "line 1" in two.tray.status().problem
    two.files.config.unlink()
    assert two.tray.menu()[0].text == "Off: no server yet"


# --- faults --------------------------------------------------------------------------------------
def test_a_crash_is_said_once_and_shown(two: TestedTray) -> None:
    running(two)
    kill(two.tray.client.pid)
    two.until(lambda: two.view.notes)
    assert two.view.notes == [f"the relay ended by itself (exit code {KILLED}); the log may say why"]
    assert two.tray.status().state is State.ERROR and two.tray.menu()[0].text.startswith("Error: the relay ended")
    two.choose("Start")
    two.until(lambda: two.tray.client.state is State.ON)
    assert len(two.view.notes) == 1


def test_a_start_without_servers(empty: TestedTray) -> None:
    empty.tray.begin()
    assert not empty.view.notes
    empty.tray.do("toggle")
    assert empty.view.notes == ["there is no server yet; copy an ss:// link and import it"]


def test_a_memory_that_cannot_be_written(two: TestedTray) -> None:
    two.files.memory.mkdir()
    two.choose("two")
    assert two.view.notes and "cannot write" in two.view.notes[0]


# --- the system's proxy --------------------------------------------------------------------------
def test_the_system_proxy_follows_the_relay(two: TestedTray) -> None:
    assert two.item("System proxy").enabled is False
    running(two)
    assert two.proxy.calls == []
    two.choose("All programs")
    two.choose("By PAC file")
    two.choose("Stop")
    two.choose("Start")
    two.until(lambda: len(two.proxy.calls) > 3)
    two.tray.close()
    address = f"http://{HOST}:{two.port}/proxy.pac"
    assert two.proxy.calls == [
        ("global", HOST, two.port), ("pac", address), ("restore",), ("pac", address), ("restore",),
    ]  # fmt: skip


def test_the_system_proxy_is_remembered(two: TestedTray, tmp_path: Path) -> None:
    running(two)
    two.choose("All programs")
    assert memory(two) == {"server": "", "proxy": "global", "on": True}
    two.tray.close()
    with tray_in(tmp_path) as again:
        again.tray.begin()
        again.until(lambda: again.proxy.calls)
        assert again.proxy.calls == [("global", HOST, two.port)]
        assert again.tray.status().proxy is ProxyMode.GLOBAL


def test_off_puts_back_what_was_there(two: TestedTray) -> None:
    running(two)
    two.choose("All programs")
    two.tray.do("proxy", "off")
    assert two.proxy.calls[1:] == [("restore",)]


def test_after_a_crash_nothing_goes_around_the_proxy(two: TestedTray) -> None:
    running(two)
    two.choose("All programs")
    kill(two.tray.client.pid)
    two.until(lambda: two.view.notes)
    assert len(two.proxy.calls) == 1
    two.choose("Start")
    two.until(lambda: two.tray.client.state is State.ON)
    assert len(two.proxy.calls) == 1
    two.choose("Stop")
    assert two.proxy.calls[1:] == [("restore",)]


@pytest.mark.parametrize("error", [SettingError("gsettings says no"), PermissionError(13, "Permission denied")])
def test_a_proxy_that_cannot_be_set_is_said(two: TestedTray, error: Exception) -> None:
    running(two)
    two.proxy.error = error
    two.choose("All programs")
    assert len(two.view.notes) == 1 and two.view.notes[0].endswith(("gsettings says no", "Permission denied"))
    exchange(two)


# --- clipboard -----------------------------------------------------------------------------------
def test_the_address_is_copied(two: TestedTray) -> None:
    running(two)
    two.choose("Copy proxy address")
    assert (two.clipboard.held, two.clipboard.is_secret) == (f"{HOST}:{two.port}", False)


def test_the_link_is_copied_on_request_alone(two: TestedTray, servers: tuple[int, int]) -> None:
    running(two)
    two.choose("two")
    assert SECRET not in repr(two.tray.menu()) + repr(two.tray.status()) and two.clipboard.held == ""
    two.choose("Copy ss:// link")
    assert ServerUri.decode(two.clipboard.held) == ServerUri(METHOD, SECRET, HOST, servers[1], tag="two")
    assert two.clipboard.is_secret
    two.until(lambda: two.tray.client.state is State.ON)
    for file in (two.files.log, two.files.memory):
        assert SECRET not in file.read_text("utf-8") and "ss://" not in file.read_text("utf-8")


def test_a_link_is_imported_and_used(empty: TestedTray, servers: tuple[int, int]) -> None:
    empty.clipboard.held = ServerUri(METHOD, SECRET, HOST, servers[0], tag="imported one").encode()
    # The port that a new configuration gets is 1080, which may be in use on this machine.
    before = {"server": HOST, "method": METHOD, "password": "x", "local_port": empty.port}
    empty.files.config.write_text(json.dumps(before), "utf-8")
    empty.choose("Import")
    empty.until(lambda: empty.tray.client.state is State.ON)
    assert empty.tray.status().chosen == "imported one" and empty.view.notes == ["imported: imported one"]
    exchange(empty)
    empty.choose("Import")
    assert len(empty.tray.status().servers) == 2


@pytest.mark.parametrize("held", ["", "hello", "ss://", "ss://AAAA", f"http://{SECRET}"])
def test_what_is_no_link_is_said_and_not_quoted(empty: TestedTray, held: str) -> None:
    empty.clipboard.held = held
    empty.choose("Import")
    assert len(empty.view.notes) == 1 and SECRET not in empty.view.notes[0]
    assert not empty.files.config.exists()


# --- the rest ------------------------------------------------------------------------------------
def test_files_are_opened(two: TestedTray) -> None:
    two.choose("Open configuration")
    two.choose("Open log")
    assert two.opened == [two.files.config, two.files.log] and two.files.log.exists()


def test_the_log_of_the_configuration_is_opened(two: TestedTray, servers: tuple[int, int]) -> None:
    write_config(two.files, {"one": servers[0]}, two.port, log_file="own.log")
    running(two)
    two.choose("Open log")
    assert two.opened == [two.files.config.parent / "own.log"]
    assert "local proxy on" in two.opened[0].read_text("utf-8")


def test_a_configuration_that_is_not_there_is_not_opened(empty: TestedTray) -> None:
    empty.choose("Open configuration")
    assert not empty.opened and "there is no" in empty.view.notes[0]


def test_start_at_login(two: TestedTray) -> None:
    assert two.item("Start at login").checked is False
    two.choose("Start at login")
    assert two.autostart.command == ["tray", "--now"] and two.item("Start at login").checked is True
    two.choose("Start at login")
    assert two.autostart.command is None


def test_about(two: TestedTray) -> None:
    two.choose("About")
    assert two.view.texts and "MIT" in two.view.texts[0]


def test_quit_leaves_nothing_behind(two: TestedTray) -> None:
    running(two)
    two.choose("All programs")
    pid = two.tray.client.pid
    two.choose("Quit")
    assert two.view.closed and two.tray.client.state is State.OFF
    assert two.proxy.calls[-1] == ("restore",)
    if sys.platform != "win32":
        assert pid is not None
        with pytest.raises(ProcessLookupError):  # it is waited for, so not even its number is left
            os.kill(pid, 0)
