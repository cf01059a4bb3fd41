"""One flight for each name, cancelling, and many names at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.nameserver import FakeServer, dns, name_of
from helpers.resolving import IPV4, Asker

from pyss.errors import DialError, DialTimeout, NameNotFound
from pyss.net import nameclient
from pyss.net.nameclient import MOST_QUESTIONS
from pyss.net.resolver import Endpoint

SHORT = replace(LIMITS, deadline=0.2, attempt=0.05)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


def hang(server: FakeServer, *names: str) -> None:
    server.script = lambda query, over: [] if name_of(query) in names else server.honest(query, over)


# --- one flight for each name --------------------------------------------------------------------
def test_all_who_ask_for_one_name_share_one_flight(world: World) -> None:
    server = world.server()
    client = world.client(server.address())
    askers = [world.ask(client, host, port) for host, port in [("www.example", 1), ("WWW.Example.", 2)]]
    world.turn(lambda: len(server.asked) == 1)
    askers.append(world.ask(client, "www.example", 3))
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [asker.calls[0][0] for asker in askers] == [[(IPV4, ("192.0.2.1", port))] for port in (1, 2, 3)]
    assert len(server.asked) == 2


def test_waiters_do_not_share_the_error_object(world: World) -> None:
    client = world.client(world.server().address())
    askers = [world.ask(client, "none.example") for _ in range(2)]
    world.turn(lambda: all(asker.calls for asker in askers))
    askers.append(world.answer(client, "none.example"))
    assert len({id(asker.error) for asker in askers}) == 3


def test_a_fault_in_one_waiter_is_not_the_others_fault(world: World) -> None:
    client = world.client(world.server().address())

    def faulty(endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        raise RuntimeError("injected")

    first = world.ask(client, "www.example")
    client.resolve("www.example", 80, faulty)
    last = world.answer(client, "www.example")
    assert first.ips == last.ips == ["192.0.2.1"]
    assert [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()


def test_a_fault_inside_ends_that_flight_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = world.client(world.server().address())
    combine = client._combine

    def faulty(outcomes: Any) -> Any:
        if any(outcome.addresses for outcome in outcomes):
            raise RuntimeError("injected")
        return combine(outcomes)

    monkeypatch.setattr(client, "_combine", faulty)
    assert str(world.answer(client, "www.example").error) == "www.example: internal error"
    assert type(world.answer(client, "none.example").error) is NameNotFound
    assert [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()


def test_a_fault_after_the_end_is_only_reported(world: World) -> None:
    client = world.client(world.server().address())
    asker = world.ask(client, "www.example")
    lookups = client._flights["www.example"].lookups
    world.turn(lambda: asker.calls)
    lookups[0].abort(RuntimeError("injected"))
    assert asker.ips == ["192.0.2.1"]
    assert [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()


def test_a_waiter_may_ask_again_out_of_its_callback(world: World) -> None:
    client, inner = world.client(world.server().address()), Asker()
    client.resolve("www.example", 80, lambda endpoints, error: void(client.resolve("none.example", 80, inner)))
    world.turn(lambda: inner.calls)
    assert type(inner.error) is NameNotFound


def void(waiter: object) -> None:
    assert waiter is not None


# --- cancel, close -------------------------------------------------------------------------------
def test_after_cancel_nobody_is_called_and_the_answer_is_kept(world: World) -> None:
    server = world.server()
    client, asker = world.client(server.address()), Asker()
    waiter = client.resolve("www.example", 80, asker)
    world.turn(lambda: server.asked)
    waiter.cancel()
    waiter.cancel()
    world.turn(lambda: client.known("www.example", 80))
    assert not asker.calls


def test_cancel_between_the_answer_and_its_delivery(world: World) -> None:
    client, asker = world.client(world.server().address()), Asker()
    world.answer(client, "www.example")
    client.resolve("www.example", 80, asker).cancel()
    world.loop.tick(0)
    assert not asker.calls


def test_a_flight_that_nobody_waits_for_ends_all_the_same(world: World) -> None:
    server = world.server()
    hang(server, "hung.example")
    client, asker = world.client(server.address(), limits=SHORT), Asker()
    waiter = client.resolve("hung.example", 80, asker)
    world.turn(lambda: server.asked)
    waiter.cancel()
    world.turn(lambda: not client._flights)
    assert not asker.calls


def test_after_close_nobody_is_called(world: World) -> None:
    server = world.server()
    hang(server, "hung.example")
    client = world.client(server.address())
    world.answer(client, "www.example")
    askers = [world.ask(client, name) for name in ("hung.example", "not-yet-asked.example")]
    client.close()
    client.close()
    askers.append(world.ask(client, "www.example"))
    world.loop.tick(0)
    world.loop.tick(0)
    assert client.known("www.example", 80) is None
    assert not any(asker.calls for asker in askers)


# --- many at once --------------------------------------------------------------------------------
def test_names_that_never_resolve_hold_up_nobody(world: World) -> None:
    server = world.server()
    hung = [f"hung{number}.example" for number in range(10)]
    hang(server, *hung)
    client = world.client(server.address(), limits=replace(LIMITS, names=100))
    askers = [world.ask(client, name) for name in hung]
    started = world.loop.now
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    assert world.loop.now - started < LIMITS.attempt
    assert not any(asker.calls for asker in askers)


def test_so_many_questions_at_once_and_the_others_in_their_order(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: []
    names = [f"n{number}.example" for number in range(MOST_QUESTIONS)]
    client = world.client(server.address(), limits=replace(LIMITS, names=1000))
    askers = [world.ask(client, name) for name in names]
    world.turn(lambda: len(server.asked) == MOST_QUESTIONS)
    for _ in range(3):
        world.loop.tick(0)
    assert len(server.asked) == MOST_QUESTIONS
    assert len(world.loop._selector.get_map()) <= MOST_QUESTIONS + 3
    held = [(asked, asked.port) for asked in server.asked]
    server.script = server.honest
    for asked, port in held:  # now they are answered, and make room
        query = dns.message.make_query(asked.name, asked.kind, id=asked.identity)
        server._udp.sendto(b"".join(server.honest(query, "udp")), ("127.0.0.1", port))
    world.turn(lambda: all(asker.calls for asker in askers))
    assert server.names() == names
    assert client._free == MOST_QUESTIONS


def test_what_waits_in_the_queue_has_its_deadline_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameclient, "MOST_QUESTIONS", 2)
    server = world.server()
    hang(server, "hung.example")
    client = world.client(server.address(), limits=replace(SHORT, attempts=100))
    askers = [world.ask(client, name) for name in ("hung.example", "queued.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [type(asker.error) for asker in askers] == [DialTimeout, DialTimeout]
    assert str(askers[1].error) == "queued.example: not resolved in time, too many names at once"
    assert server.names().count("queued.example") == 0
    assert client._free == 2  # there is room again


def test_what_nobody_awaits_any_more_is_taken_off_the_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameclient, "MOST_QUESTIONS", 2)
    server = world.server()
    hang(server, "hung.example")
    client, unwanted = world.client(server.address(), limits=replace(LIMITS, attempts=1)), Asker()
    world.ask(client, "hung.example")
    waiter = client.resolve("unwanted.example", 80, unwanted)
    wanted = world.ask(client, "www.example")
    waiter.cancel()
    assert list(client._flights) == ["hung.example", "www.example"]
    world.turn(lambda: len(server.asked) == 2)
    world.late(client)
    world.turn(lambda: wanted.calls)
    assert wanted.ips == ["192.0.2.1"]
    assert "unwanted.example" not in server.names()
    assert not unwanted.calls
    world.turn(lambda: not client._flights)
    assert client._free == 2


def test_more_names_than_are_remembered_are_not_even_queued(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: []
    client = world.client(server.address())
    for number in range(LIMITS.names):
        world.ask(client, f"n{number}.example")
    error = world.answer(client, "one-more.example").error
    assert type(error) is DialError
    assert str(error) == "one-more.example: not resolved, too many names at once"
