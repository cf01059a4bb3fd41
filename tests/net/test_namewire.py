"""One question as one datagram: who hears what comes back, and who does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import World, worlds
from helpers.looping import HOST

from pyss.net.names import NameServer
from pyss.net.namewire import Datagram
from pyss.net.socket_options import NOTHING


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


@pytest.fixture
def far() -> Iterator[socket.socket]:
    """The server's side, by hand."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind((HOST, 0))
        far.settimeout(20)
        yield far


class Listening:
    """Notes what it hears; `enough` messages end the exchange."""

    def __init__(self, enough: int, fault: bool = False) -> None:
        self.heards: list[bytes] = []
        self.losses: list[str] = []
        self.aborts: list[str] = []
        self.exchange: Any = None
        self._enough, self._fault = enough, fault

    def heard(self, message: bytes) -> None:
        self.heards.append(message)
        if len(self.heards) == self._enough:
            self.exchange.end()
        if self._fault:
            raise RuntimeError("injected")

    def lost(self, why: str, *, used: bool) -> None:
        assert not used
        self.losses.append(why)

    def abort(self, error: BaseException) -> None:
        self.aborts.append(str(error))


def ask(world: World, far: socket.socket, asker: Listening) -> Any:
    """Send a question; returns where it came from."""
    server = NameServer("udp", HOST, far.getsockname()[1])
    asker.exchange = Datagram(world.loop, server, b"question", asker, NOTHING)
    data, where = far.recvfrom(100)
    assert data == b"question"
    return where


def test_messages_are_heard_until_the_exchange_ends(world: World, far: socket.socket) -> None:
    asker = Listening(3)
    where = ask(world, far, asker)
    for number in range(20):
        far.sendto(b"%d" % number, where)
    world.turn(lambda: len(asker.heards) == 3)
    world.loop.tick(0)
    assert asker.heards == [b"0", b"1", b"2"]


def test_a_fault_is_the_askers_while_it_waits(world: World, far: socket.socket) -> None:
    asker = Listening(2, fault=True)
    where = ask(world, far, asker)
    far.sendto(b"x", where)
    world.turn(lambda: asker.aborts)
    far.sendto(b"y", where)  # with which it ends the exchange, and fails after that
    world.turn(lambda: world.faults)
    assert asker.aborts == [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()


def test_what_cannot_be_sent_is_told_later_unless_it_has_ended(world: World) -> None:
    nowhere = NameServer("udp", "fe80::1%no-such-interface", 53)
    asker, ended = Listening(1), Listening(1)
    Datagram(world.loop, nowhere, b"question", asker, NOTHING)
    Datagram(world.loop, nowhere, b"question", ended, NOTHING).end()
    assert not asker.losses
    world.loop.tick(0)
    assert len(asker.losses) == 1
    assert not ended.losses


def test_a_datagram_that_is_too_long_to_send(world: World, far: socket.socket) -> None:
    asker = Listening(1)
    Datagram(world.loop, NameServer("udp", HOST, far.getsockname()[1]), bytes(70_000), asker, NOTHING)
    world.loop.tick(0)
    assert len(asker.losses) == 1
