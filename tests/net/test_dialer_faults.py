"""Dials that fail: each errno has its class and sentence, and a fault inside ends one dial only."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from helpers.dialing import Site
from helpers.looping import HOST, Owner, Wires, turn

from pyss.address import Address
from pyss.errors import ConnectionRefused, DialError, DialTimeout, HostUnreachable, NetworkUnreachable, PyssError
from pyss.net import dialer as module
from pyss.net.channel import Channel
from pyss.net.dialer import Dialer
from pyss.net.loop import READ, Loop
from pyss.net.sockets import errno_text


@pytest.fixture
def site(loop: Loop, wires: Wires, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(loop, wires, monkeypatch)
    yield site
    site.end()


# --- errors of the system ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, ConnectionRefused),
        (errno.ENETUNREACH, NetworkUnreachable),
        (errno.EHOSTUNREACH, HostUnreachable),
        (errno.ETIMEDOUT, DialTimeout),
        (errno.EACCES, DialError),
    ],
)
@pytest.mark.parametrize("when", ["at once", "later"])
def test_errors_name_the_target(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[DialError], when: str
) -> None:
    """What loopback cannot bring about is put in place of what the system says."""
    _, endpoint = site.listening()
    if when == "at once":
        monkeypatch.setattr(module, "connect", lambda sock, address: number)
    else:
        monkeypatch.setattr(module, "connected", lambda sock: False)
        monkeypatch.setattr(module, "pending_error", lambda sock: number)
    site.dial(HOST, endpoint[1][1])
    error = site.error()
    assert type(error) is kind
    assert str(error) == f"{HOST}:{endpoint[1][1]}: {errno_text(number)}"
    assert len(site.opened) == 1
    assert site.open_sockets() == []


def test_a_refusal_of_the_system_itself(site: Site) -> None:
    _, address = site.refusing()
    site.dial(*address)
    error = site.error()
    assert type(error) is ConnectionRefused
    assert str(error).startswith(f"{HOST}:{address[1]}: ")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAFNOSUPPORT])
def test_a_socket_that_cannot_be_made_is_a_failed_attempt(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(family: int) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "new_stream", fail)
    site.dial_name(site.refusing(), site.refusing())
    error = site.error()
    assert type(error) is DialError
    assert str(error).endswith(f": {errno_text(number)}")


# --- faults inside -------------------------------------------------------------------------------
def fail(*anything: object) -> Any:
    raise ZeroDivisionError


def only(faults: list[BaseException]) -> type[BaseException]:
    (fault,) = faults
    faults.clear()
    return type(fault)


@pytest.mark.parametrize("when", ["stands at once", "stands later"])
def test_a_fault_of_whoever_is_told_closes_the_connection(
    loop: Loop, site: Site, faults: list[BaseException], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    if when == "stands later":
        monkeypatch.setattr(module, "connected", lambda sock: False)
    listener, endpoint = site.listening()
    calls: list[object] = []

    def done(channel: Optional[Channel], error: Optional[PyssError]) -> None:
        calls.append((channel, error))
        fail()

    Dialer(loop, site.names).dial(Address.of(*endpoint[1]), done)
    turn(loop, lambda: faults)
    served = site.wires.accept(listener)
    assert len(calls) == 1
    assert served.recv(1) == b""  # closed now, though `calls` still holds the channel
    assert only(faults) is ZeroDivisionError


def test_what_was_taken_before_the_fault_is_the_takers(
    loop: Loop, site: Site, faults: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "connected", lambda sock: False)
    _, endpoint = site.listening()
    taken: list[Channel] = []
    taker = Owner()

    def done(channel: Optional[Channel], error: Optional[PyssError]) -> None:
        assert channel is not None
        channel.owner = taker
        loop.watch(channel, READ)
        taken.append(channel)
        fail()

    Dialer(loop, site.names).dial(Address.of(*endpoint[1]), done)
    turn(loop, lambda: taker.errors)
    assert only(taker.errors) is ZeroDivisionError
    assert site.open_sockets() == [taken[0].sock]
    loop.retire(taken[0])


@pytest.mark.parametrize("target", ["refused", "name not found"])
def test_a_fault_of_whoever_is_told_of_a_failure(
    loop: Loop, site: Site, faults: list[BaseException], target: str
) -> None:
    if target == "refused":
        Dialer(loop, site.names).dial(Address.of(*site.refusing()[1]), fail)
    else:
        Dialer(loop, site.names).dial(Address.of("example.com", 80), fail)
        site.names.answer(error=DialError("no such name"))
    turn(loop, lambda: faults)
    assert only(faults) is ZeroDivisionError


@pytest.mark.parametrize("place", ["pending_error", "dial_error"])
def test_a_fault_while_connecting_ends_the_dial(
    site: Site, faults: list[BaseException], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Abort closes what is open and tells the one who waits."""
    monkeypatch.setattr(module, "connected", lambda sock: False)
    monkeypatch.setattr(module, "pending_error", lambda sock: errno.EIO)
    monkeypatch.setattr(module, place, fail)
    _, endpoint = site.listening()
    site.dial(*endpoint[1])
    error = site.error()
    assert type(error) is DialError
    assert str(error) == f"{HOST}:{endpoint[1][1]}: internal error"
    assert only(faults) is ZeroDivisionError
    assert site.open_sockets() == []


def test_a_fault_after_the_name_was_resolved_ends_the_dial(site: Site, faults: list[BaseException]) -> None:
    """The resolver has no part in it, and whoever waits is told."""
    _, endpoint = site.listening()
    site.dial("example.com", permit=fail)
    site.names.answer(endpoint)
    assert type(site.error()) is DialError
    assert only(faults) is ZeroDivisionError
    assert site.opened == []


def test_a_fault_of_the_policy_for_an_ip_address_is_the_callers(site: Site) -> None:
    with pytest.raises(ZeroDivisionError):
        site.dial(HOST, 80, permit=fail)
    assert site.opened == []


def test_a_fault_in_the_second_attempt_closes_the_first(
    loop: Loop, site: Site, faults: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stagger is a timer, whose owner is the dial."""
    monkeypatch.setattr(module, "STAGGER", 0.01)
    monkeypatch.setattr(module, "connected", lambda sock: False)
    monkeypatch.setattr(loop, "watch", lambda channel, events: None)  # as if it were silent
    _, endpoint = site.listening()
    site.dial_name(endpoint, endpoint)
    monkeypatch.setattr(module, "new_stream", fail)
    assert type(site.error()) is DialError
    assert only(faults) is ZeroDivisionError
    assert site.open_sockets() == []
