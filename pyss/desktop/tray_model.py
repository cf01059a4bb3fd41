"""What the tray shows, as data: its states, its menu and its words.  No window, no process, no file.

          start              ready
    OFF ─────────► STARTING ─────────► ON
                    ▲    │ ended       │ ended     stop leads to OFF from everywhere,
              start │    ▼             │           start to STARTING
                    └── ERROR ◄────────┘

`Status` is all that the menu depends on; `menu` turns it into items; an item names the action that `Tray.do` takes.
Each desktop's view draws items and hands back actions, and so cannot do anything that a test of this file has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional

from ..app.journal import printable

NAME = "pyss"
MOST_SERVERS = 100  # in the menu; more would not fit on a screen
LONGEST_LABEL = 60  # characters
LONGEST_TIP = 127  # characters; what Windows shows of a tooltip


class State(Enum):
    OFF = "off"
    STARTING = "starting"
    ON = "on"
    ERROR = "error"


_MOVES = {
    (State.OFF, "start"): State.STARTING,
    (State.ERROR, "start"): State.STARTING,
    (State.ON, "start"): State.STARTING,
    (State.STARTING, "ready"): State.ON,
    (State.STARTING, "ended"): State.ERROR,
    (State.ON, "ended"): State.ERROR,
    (State.STARTING, "stop"): State.OFF,
    (State.ON, "stop"): State.OFF,
    (State.ERROR, "stop"): State.OFF,
}


def after(state: State, event: str) -> State:
    """`event` is "start", "ready", "ended" or "stop"; one that means nothing in this state changes nothing."""
    return _MOVES.get((state, event), state)


class ProxyMode(Enum):
    """Who goes through the relay: none but those who were told to, all programs, or what the PAC file says."""

    OFF = "off"
    GLOBAL = "global"
    PAC = "pac"


@dataclass(frozen=True)
class Status:
    """
    state     of the relay
    problem   a sentence about what went wrong, "" for nothing
    address   of the proxy, HOST:PORT; "" where there is none
    servers   labels of all servers, each once
    chosen    one of these, or ""
    up, down  bytes per second now
    sent, received  bytes since the tray started
    proxy     the system's; None where it cannot be set
    at_login  whether the tray starts then; None where that cannot be arranged
    """

    state: State = State.OFF
    problem: str = ""
    address: str = ""
    servers: tuple[str, ...] = ()
    chosen: str = ""
    up: float = 0.0
    down: float = 0.0
    sent: int = 0
    received: int = 0
    proxy: Optional[ProxyMode] = None
    at_login: Optional[bool] = None


@dataclass(frozen=True)
class Item:
    """One line of a menu.

    action    for `Tray.do`, with `argument`; "" for a line that does nothing
    checked   None where there is nothing to check
    radio     one of several of which one is checked
    items     of the menu behind it
    """

    text: str
    action: str = ""
    argument: str = ""
    enabled: bool = True
    checked: Optional[bool] = None
    radio: bool = False
    items: tuple[Item, ...] = ()


SEPARATOR = Item("")

_STATES = {State.OFF: "Off", State.STARTING: "Starting", State.ON: "On", State.ERROR: "Error"}
_PROXY_MODES = ((ProxyMode.OFF, "Off"), (ProxyMode.GLOBAL, "All programs"), (ProxyMode.PAC, "By PAC file"))


def menu(status: Status) -> tuple[Item, ...]:
    """From the top."""
    running = status.state in (State.STARTING, State.ON)
    items = [Item(headline(status), enabled=False)]
    if status.state is State.ON:
        items.append(Item(f"Now  {traffic(status.up, status.down, '/s')}", enabled=False))
    items += [
        Item(f"Total  {traffic(status.sent, status.received)}", enabled=False),
        SEPARATOR,
        Item("Stop" if running else "Start", "toggle", enabled=running or bool(status.servers)),
        Item("Server", items=_servers(status), enabled=bool(status.servers)),
    ]
    if status.proxy is not None:
        items.append(Item("System proxy", items=_proxy(status.proxy), enabled=bool(status.address)))
    items += [
        SEPARATOR,
        Item("Copy proxy address", "copy-address", enabled=bool(status.address)),
        Item("Copy ss:// link", "copy-link", enabled=bool(status.chosen)),
        Item("Import from clipboard", "import"),
        SEPARATOR,
        Item("Open log", "open-log"),
        Item("Open configuration", "open-config"),
    ]
    if status.at_login is not None:
        items.append(Item("Start at login", "at-login", checked=status.at_login))
    items += [SEPARATOR, Item(f"About {NAME}", "about"), Item("Quit", "quit")]
    return tuple(items)


def _servers(status: Status) -> tuple[Item, ...]:
    shown = status.servers[:MOST_SERVERS]
    if status.chosen and status.chosen not in shown:
        shown = (status.chosen, *shown[:-1])
    items = [
        Item(short(label, LONGEST_LABEL), "server", label, checked=label == status.chosen, radio=True)
        for label in shown
    ]
    left = len(status.servers) - len(shown)
    if left:
        items.append(Item(f"{left} more in the configuration", enabled=False))
    return tuple(items)


def _proxy(mode: ProxyMode) -> tuple[Item, ...]:
    return tuple(Item(text, "proxy", each.value, checked=each is mode, radio=True) for each, text in _PROXY_MODES)


def headline(status: Status) -> str:
    """The state in one line."""
    text = _STATES[status.state]
    if status.state is State.ON and status.address:
        text += f": {status.address}"
    if status.state in (State.OFF, State.ERROR) and status.problem:
        text += f": {status.problem}"
    elif status.state is State.OFF and not status.servers:
        text += ": no server yet"
    return short(text, 2 * LONGEST_LABEL)


def tip(status: Status) -> str:
    """What is shown while the pointer rests on the icon; at most LONGEST_TIP characters."""
    lines = [f"{NAME}: {short(headline(status), 60)}"]
    if status.state is State.ON:
        lines += [short(status.chosen, 32), traffic(status.up, status.down, "/s")]
    return "\n".join(lines)[:LONGEST_TIP]


def traffic(sent: float, received: float, unit: str = "") -> str:
    """Both directions.  Arrows alone, with no words: they mean the same in every line of the menu."""
    return f"↑ {amount(sent)}{unit}  ↓ {amount(received)}{unit}"


def amount(count: float) -> str:
    """Bytes in three digits or so, in powers of 1000 as SI has them."""
    if count < 1000:
        return f"{int(count)} B"
    unit = ""
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007
        count /= 1000
        if count < 999.5:
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def short(text: str, most: int) -> str:
    """Printable, and no longer than `most` characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
