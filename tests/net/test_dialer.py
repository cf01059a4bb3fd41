"""Opening connections: all addresses in order, the stagger, the first to stand; cancelling at any time."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from helpers.dialing import IPV4, IPV6, Site
from helpers.looping import HOST, Wires, turn

from pyss.errors import ConnectionRefused, DialError, Forbidden, NameNotFound
from pyss.net import dialer as module
from pyss.net.dialer import ignore_until_taken
from pyss.net.loop import READ, Loop

silence = pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what a full queue cannot take")


@pytest.fixture
def site(loop: Loop, wires: Wires, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(loop, wires, monkeypatch)
    yield site
    site.end()


# --- success -------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_an_ip_address(site: Site, host: str) -> None:
    """Over loopback the connection stands at once, and yet `done` is not called out of dial()."""
    listener = site.wires.listening(host=host)
    site.dial(host, listener.getsockname()[1])
    channel = site.channel()
    assert site.names.asked == []
    assert channel.events == 0
    assert channel.on_ready is ignore_until_taken
    assert channel.sock.getpeername() == listener.getsockname()
    assert channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    served = site.wires.accept(listener)
    served.sendall(b"x")
    heard: list[bytes] = []
    site.loop.watch(channel, READ)
    site.loop.tick(1)  # what comes before it is taken is not lost
    channel.on_ready = lambda channel, mask: heard.append(channel.sock.recv(10))
    turn(site.loop, lambda: heard == [b"x"])
    site.loop.watch(channel, 0)


def test_a_name(site: Site) -> None:
    listener, endpoint = site.listening()
    site.dial("example.com", 443)
    assert site.names.asked == [("example.com", 443)]
    site.loop.tick(0)
    assert site.opened == []
    site.names.answer(endpoint)
    assert site.results == []
    assert site.channel().sock.getpeername() == listener.getsockname()


def test_a_dial_out_of_a_callback_is_answered_after_it(site: Site) -> None:
    _, endpoint = site.listening()
    site.loop.call_soon(lambda: order.append(site.dial(*endpoint[1]) and site.results.copy()))
    order: list[object] = []
    site.channel()
    assert order == [[]]


# --- several addresses ---------------------------------------------------------------------------
def test_addresses_are_tried_in_order_until_one_stands(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 60)  # a refusal does not wait for it
    refusing = [site.refusing() for _ in range(3)]
    _, good = site.listening()
    _, unneeded = site.listening()
    site.dial_name(*refusing, good, unneeded)
    assert site.channel().sock.getpeername() == good[1]
    assert site.tried == [address for _, address in (*refusing, good)]


def test_after_all_were_refused_the_first_error_is_told(site: Site) -> None:
    first, *others = [site.refusing() for _ in range(4)]
    site.dial_name(first, *others)
    error = site.error()
    assert type(error) is ConnectionRefused
    assert str(error).startswith(f"example.com:80 ({HOST}:{first[1][1]}): ")
    assert site.tried == [address for _, address in (first, *others)]


def test_an_address_of_the_other_family_follows(site: Site) -> None:
    listener = site.wires.listening(host="::1")
    site.dial_name(site.refusing(), (IPV6, listener.getsockname()))
    assert site.channel().sock.getpeername() == listener.getsockname()


def test_a_family_that_the_system_lacks_is_passed_over(site: Site) -> None:
    _, good = site.listening()
    site.dial_name((9999, ("::1", 1)), good)
    assert site.channel().sock.getpeername() == good[1]


@silence
def test_the_second_address_has_its_turn_while_the_first_is_silent(site: Site) -> None:
    _, silent = site.silent()
    _, good = site.listening()
    site.loop.tick(0)
    begun = site.loop.now
    site.dial_name(silent, good)
    for _ in range(3):
        site.loop.tick(0)
    assert site.tried == [silent[1]]
    assert site.channel().sock.getpeername() == good[1]
    assert site.loop.now - begun >= module.STAGGER == 0.25
    assert site.tried == [silent[1], good[1]]
    assert site.open_sockets() == [site.opened[1]]  # the loser is closed


@silence
def test_a_refusal_while_another_is_silent_goes_on_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.02)
    _, silent = site.silent()
    _, good = site.listening()
    site.dial_name(silent, site.refusing(), good)
    assert site.channel().sock.getpeername() == good[1]
    assert len(site.tried) == 3


@silence
def test_a_failure_is_told_only_when_none_is_under_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.01)
    _, silent = site.silent()
    dial = site.dial_name(silent, site.refusing())
    turn(site.loop, lambda: len(site.tried) == 2)
    for _ in range(5):
        site.loop.tick(0.01)
    assert site.results == []
    assert len(site.open_sockets()) == 1
    dial.cancel()


@silence
def test_the_first_to_stand_wins(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the older attempt, which stands after all when the system asks again, a second later."""
    monkeypatch.setattr(module, "STAGGER", 0.01)
    loop = Loop()
    site = Site(loop, wires, monkeypatch)
    listener, first = site.silent()
    _, second = site.silent()
    site.dial_name(first, second)
    turn(loop, lambda: len(site.tried) == 2)
    wires.accept(listener)
    assert site.channel().sock.getpeername() == first[1]
    assert site.open_sockets() == [site.opened[0]]
    site.end()
    loop.close()


# --- policy --------------------------------------------------------------------------------------
def forbid(*ports_or_hosts: object) -> module.Permit:
    def permit(ip: str) -> None:
        if ip in ports_or_hosts:
            raise Forbidden(f"{ip} is forbidden here")

    return permit


def test_addresses_are_judged_after_the_name_is_resolved(site: Site) -> None:
    _, good = site.listening()
    bad = [(IPV6, ("::1", 80, 0, 0)), (IPV4, ("127.0.0.2", 80))]
    site.dial_name(*bad, good, permit=forbid("::1", "127.0.0.2"))  # type: ignore[arg-type]
    assert site.channel().sock.getpeername() == good[1]
    assert site.tried == [good[1]]


@pytest.mark.parametrize("host", [HOST, "example.com"])
def test_with_all_forbidden_nothing_is_opened(site: Site, host: str) -> None:
    _, endpoint = site.listening()
    site.dial(host, endpoint[1][1], permit=forbid(HOST, "::1"))
    if host != HOST:
        site.names.answer(endpoint, (IPV6, ("::1", 80, 0, 0)))
    error = site.error()
    assert type(error) is Forbidden
    assert str(error) == f"{HOST} is forbidden here"  # the first
    assert site.opened == []


def test_when_what_was_permitted_fails_that_is_the_error(site: Site) -> None:
    """Not Forbidden, as if nothing had been tried."""
    refusing = site.refusing()
    site.dial_name((IPV6, ("::1", 80, 0, 0)), refusing, permit=forbid("::1"))
    assert type(site.error()) is ConnectionRefused
    assert site.tried == [refusing[1]]


# --- failures of the name ------------------------------------------------------------------------
def test_a_name_that_is_not_found(site: Site) -> None:
    error = NameNotFound("example.com: no such name")
    site.dial("example.com")
    site.names.answer(error=error)
    assert site.results == []
    assert site.error() is error


def test_a_name_without_an_address(site: Site) -> None:
    site.dial_name()
    error = site.error()
    assert type(error) is DialError
    assert str(error) == "example.com:80: no address to try"


# --- cancelling ----------------------------------------------------------------------------------
def test_cancelled_before_the_name_is_resolved_nothing_is_opened(site: Site) -> None:
    _, endpoint = site.listening()
    dial = site.dial("example.com")
    (flight,) = site.names.flights
    dial.cancel()
    assert flight.cancelled
    site.names.answer(endpoint)  # a resolver that answers all the same
    dial.cancel()
    for _ in range(3):
        site.loop.tick(0)
    assert site.opened == []
    assert site.results == []


@silence
def test_cancelled_while_attempts_are_under_way_they_are_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.01)
    _, silent = site.silent()
    dial = site.dial_name(silent, silent, silent)
    turn(site.loop, lambda: len(site.tried) == 2)
    assert len(site.open_sockets()) == 2
    dial.cancel()
    assert site.open_sockets() == []
    for _ in range(3):
        site.loop.tick(0.01)
    assert len(site.tried) == 2  # nothing more is begun
    assert site.results == []


def test_cancelled_when_it_stands_and_was_not_told_yet(site: Site) -> None:
    listener, endpoint = site.listening()
    dial = site.dial(*endpoint[1])
    dial.cancel()
    served = site.wires.accept(listener)
    assert site.open_sockets() == []
    assert served.recv(1) == b""
    assert site.results == []


def test_cancelled_when_it_failed_and_was_not_told_yet(site: Site) -> None:
    dial = site.dial(*site.refusing()[1])
    dial.cancel()
    for _ in range(3):
        site.loop.tick(0.01)
    assert site.results == []
    assert site.open_sockets() == []


def test_cancelled_after_the_end_what_was_handed_over_stays(site: Site) -> None:
    listener, endpoint = site.listening()
    dial = site.dial(*endpoint[1])
    channel = site.channel()
    dial.cancel()
    site.loop.tick(0)
    channel.sock.send(b"x")
    assert site.wires.accept(listener).recv(1) == b"x"
