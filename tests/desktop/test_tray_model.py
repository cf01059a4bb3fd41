"""The states, and the menu for each of them."""

from __future__ import annotations

import pytest
from helpers.trays import flat

from pyss.desktop import tray_model
from pyss.desktop.tray_model import ProxyMode, State, Status, after, amount, headline, menu, tip

EVENTS = ("start", "ready", "ended", "stop")


def texts(status: Status) -> list[str]:
    return [item.text for item in menu(status)]


def line(status: Status, text: str) -> tray_model.Item:
    return next(item for item in flat(menu(status)) if item.text.startswith(text))


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ("start", State.STARTING),
        ("start ready", State.ON),
        ("start ready ended", State.ERROR),
        ("start ended", State.ERROR),
        ("start ended start ready", State.ON),
        ("start ready stop", State.OFF),
        ("start stop ready", State.OFF),
        ("start ready stop ended", State.OFF),
        ("start ended stop", State.OFF),
        ("ready", State.OFF),
        ("ended", State.OFF),
    ],
)
def test_states(events: str, end: State) -> None:
    state = State.OFF
    for event in events.split():
        state = after(state, event)
    assert state is end


def test_stop_leads_to_off_from_everywhere() -> None:
    assert {after(state, "stop") for state in State} == {State.OFF}


def test_start_leads_to_starting_from_everywhere() -> None:
    assert {after(state, "start") for state in State} == {State.STARTING}


def test_nothing_leads_out_of_the_states() -> None:
    assert all(after(state, event) in State for state in State for event in EVENTS)


# --- the menu ------------------------------------------------------------------------------------
def test_before_there_is_a_server() -> None:
    status = Status()
    assert headline(status) == "Off: no server yet"
    grey = [item.text for item in flat(menu(status)) if item.action and not item.enabled]
    assert grey == ["Start", "Copy proxy address", "Copy ss:// link"]
    assert line(status, "Import").enabled and not line(status, "Server").enabled


def test_a_configuration_that_is_wrong() -> None:
    status = Status(problem="config.json, line 3, column 1: expected a comma or } here")
    assert headline(status).startswith("Off: config.json, line 3")


def test_running() -> None:
    status = Status(State.ON, "", "127.0.0.1:1080", ("a", "b"), "b", 1234.0, 5.0, 2_000_000, 30)
    assert texts(status)[:3] == ["On: 127.0.0.1:1080", "Now  ↑ 1.2 kB/s  ↓ 5 B/s", "Total  ↑ 2.0 MB  ↓ 30 B"]
    assert line(status, "Stop").enabled
    servers = line(status, "Server").items
    assert [(item.argument, item.checked, item.radio) for item in servers] == [("a", False, True), ("b", True, True)]
    assert line(status, "Copy proxy").enabled and line(status, "Copy ss://").enabled


def test_an_error() -> None:
    status = Status(State.ERROR, "port 1080 is taken", servers=("a",), chosen="a")
    assert headline(status) == "Error: port 1080 is taken"
    assert line(status, "Start").enabled


def test_what_the_desktop_lacks_is_not_offered() -> None:
    assert not {"System proxy", "Start at login"} & set(texts(Status()))
    offered = Status(proxy=ProxyMode.OFF, at_login=False)
    assert {"System proxy", "Start at login"} <= set(texts(offered))
    assert line(offered, "Start at login").checked is False


@pytest.mark.parametrize("mode", list(ProxyMode))
def test_modes_of_the_system_proxy(mode: ProxyMode) -> None:
    status = Status(State.ON, "", "127.0.0.1:1080", ("a",), "a", proxy=mode)
    items = line(status, "System proxy").items
    assert [item.argument for item in items] == ["off", "global", "pac"]
    assert [item.argument for item in items if item.checked] == [mode.value]


def test_many_servers_are_cut_and_the_chosen_one_is_among_them() -> None:
    labels = tuple(f"server {number}" for number in range(250))
    items = line(Status(servers=labels, chosen=labels[249]), "Server").items
    assert len(items) == tray_model.MOST_SERVERS + 1
    assert [item.argument for item in items if item.checked] == [labels[249]]
    assert items[-1].text == "150 more in the configuration" and not items[-1].enabled


@pytest.mark.parametrize("label", ["x" * 500, "a\nb\x1b[31m\tc", "\u202e" + "z" * 80])
def test_labels_are_one_printable_line(label: str) -> None:
    (item,) = line(Status(servers=(label,), chosen=label), "Server").items
    assert item.text.isprintable() and len(item.text) <= tray_model.LONGEST_LABEL
    assert item.argument == label


def test_tip_fits_into_what_windows_shows() -> None:
    long = "x" * 500
    for state in State:
        text = tip(Status(state, long, long, (long,), long, 1e20, 1e20, 10**20, 10**20))
        assert text.startswith("pyss: ") and len(text) <= 127


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (9_951, "10 kB"), (999_400, "999 kB")),
        *((999_600, "1.0 MB"), (1_500_000_000, "1.5 GB"), (2.5e12, "2.5 TB"), (4e15, "4000 TB")),
    ],
)
def test_amounts(count: float, text: str) -> None:
    assert amount(count) == text
