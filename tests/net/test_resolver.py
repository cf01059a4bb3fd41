"""Names to addresses: answers, the cache, one flight for each name, cancelling."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from helpers.resolving import IPV4, IPV6, PATIENT, Asker, World, ask
from hypothesis import given
from hypothesis import strategies as st

from pyss.errors import DialError, NameNotFound
from pyss.net.resolver import (
    LIFETIME,
    MOST_ADDRESSES,
    NEGATIVE_LIFETIME,
    Endpoint,
    Waiter,
    interleave,
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.end()


# --- answers -------------------------------------------------------------------------------------
def test_addresses_come_with_the_port(world: World) -> None:
    world.names.answers["example.com"] = ["192.0.2.1", "2001:db8::1"]
    asker, _ = ask(world.resolver(), "example.com", 443)
    world.loop.land()
    assert asker.calls == [([(IPV4, ("192.0.2.1", 443)), (IPV6, ("2001:db8::1", 443, 0, 0))], None)]


def test_the_scope_of_a_link_local_address_is_kept(world: World) -> None:
    world.names.answers["router"] = [(IPV6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 3))]
    asker, _ = ask(world.resolver(), "router", 80)
    world.loop.land()
    assert asker.calls == [([(IPV6, ("fe80::1", 80, 0, 3))], None)]


MIXED_FAMILIES = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("prefer_ipv6", "order"),
    [
        (False, ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2", "2001:db8::3"]),
        (True, ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]),
    ],
)
def test_families_take_turns(world: World, prefer_ipv6: bool, order: list[str]) -> None:
    world.names.answers["example.com"] = MIXED_FAMILIES
    asker, _ = ask(world.resolver(prefer_ipv6=prefer_ipv6), "example.com")
    world.loop.land()
    assert asker.ips == order


@given(st.lists(st.tuples(st.sampled_from([IPV4, IPV6]), st.tuples(st.integers(0, 9)))), st.sampled_from([IPV4, IPV6]))
def test_interleaving_loses_nothing_and_keeps_the_order(endpoints: list[Endpoint], first: int) -> None:
    mixed = interleave(endpoints, first)
    for family in (IPV4, IPV6):
        assert [e for e in mixed if e[0] == family] == [e for e in endpoints if e[0] == family]
    fewer = min(sum(e[0] == IPV4 for e in endpoints), sum(e[0] == IPV6 for e in endpoints))
    assert [e[0] for e in mixed[: 2 * fewer]] == [first, IPV6 if first == IPV4 else IPV4] * fewer
    assert len(mixed) == len(endpoints)


def test_each_address_once_and_no_other_families(world: World) -> None:
    other = (99, socket.SOCK_STREAM, 0, "", ("somewhere",))
    world.names.answers["example.com"] = ["192.0.2.1", other, "192.0.2.1", "192.0.2.2"]
    asker, _ = ask(world.resolver(), "example.com")
    world.loop.land()
    assert asker.ips == ["192.0.2.1", "192.0.2.2"]


def test_thousands_of_addresses_are_cut_short_but_not_of_one_family_only(world: World) -> None:
    world.names.answers["many"] = [f"2001:db8::{n:x}" for n in range(4000)] + ["192.0.2.1", "192.0.2.2"]
    asker, _ = ask(world.resolver(), "many")
    world.loop.land()
    assert len(asker.ips) == MOST_ADDRESSES
    assert asker.ips[:4] == ["192.0.2.1", "2001:db8::0", "192.0.2.2", "2001:db8::1"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), NameNotFound, "cannot be resolved (Name or service not"),
        (OSError(24, "Too many open files"), NameNotFound, "cannot be resolved (Too many open files)"),
        (UnicodeError("label empty or too long"), NameNotFound, "is not a host name"),
        ([], NameNotFound, "has neither an IPv4 nor an IPv6 address"),
        (RuntimeError("surprise"), DialError, "RuntimeError('surprise')"),
        ([("nonsense",)], DialError, "the lookup failed"),
    ],
)
def test_whatever_goes_wrong_is_an_answer(world: World, answer: Any, kind: type[DialError], words: str) -> None:
    world.names.answers["bad.example"] = answer
    asker, _ = ask(world.resolver(), "bad.example")
    world.loop.land()
    assert type(asker.error) is kind
    assert "bad.example" in str(asker.error)
    assert words in str(asker.error)


def test_waiters_do_not_share_the_error_object(world: World) -> None:
    """An exception that is raised again and again gathers the tracebacks of all sessions."""
    world.names.answers["bad.example"] = socket.gaierror(-2, "no")
    resolver = world.resolver()
    askers = [ask(resolver, "bad.example")[0] for _ in range(2)]
    world.loop.land()
    askers.append(ask(resolver, "bad.example")[0])
    world.loop.turn()
    assert len({id(asker.error) for asker in askers}) == 3


# --- one flight per name -------------------------------------------------------------------------
def test_several_waiters_share_one_lookup(world: World) -> None:
    world.names.hang("example.com")
    resolver = world.resolver()
    askers = [
        ask(resolver, host, port)[0] for host, port in [("example.com", 1), ("EXAMPLE.com", 2), ("example.com", 3)]
    ]
    world.names.release()
    world.loop.land()
    assert [asker.calls[0][0] for asker in askers] == [[(IPV4, ("192.0.2.1", port))] for port in (1, 2, 3)]
    assert world.names.count == 1


def test_a_fault_in_one_waiter_is_not_the_others_fault(world: World) -> None:
    resolver = world.resolver()

    def faulty(endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        raise RuntimeError("injected")

    first, _ = ask(resolver, "example.com")
    resolver.resolve("example.com", 80, faulty)
    last, _ = ask(resolver, "example.com")
    world.loop.land()
    assert first.ips == last.ips == ["192.0.2.1"]
    assert [str(error) for error in world.loop.faults] == ["injected"]
    world.loop.faults.clear()


def test_a_waiter_may_ask_again_out_of_its_callback(world: World) -> None:
    resolver, inner = world.resolver(), Asker()
    resolver.resolve("one.example", 80, lambda endpoints, error: void(resolver.resolve("one.example", 81, inner)))
    world.loop.land()
    assert inner.calls == [([(IPV4, ("192.0.2.1", 81))], None)]
    assert world.names.count == 1


def void(waiter: Waiter) -> None:
    assert isinstance(waiter, Waiter)


# --- cache ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "lifetime"), [(["192.0.2.1"], LIFETIME), (socket.gaierror(-2, "no"), NEGATIVE_LIFETIME)]
)
def test_an_answer_is_kept_for_a_while(world: World, answer: Any, lifetime: float) -> None:
    world.names.answers["example.com"] = answer
    resolver = world.resolver()
    first, _ = ask(resolver, "example.com")
    world.loop.land()
    world.loop.advance(lifetime - 0.5)
    again, _ = ask(resolver, "Example.COM")
    world.loop.turn()
    assert world.names.count == 1
    assert again.calls[0][0] == first.calls[0][0]
    assert type(again.calls[0][1]) is type(first.calls[0][1])
    world.loop.advance(0.5)
    ask(resolver, "example.com")
    world.loop.land()
    assert world.names.count == 2


def test_the_cache_is_bounded_and_forgets_what_was_not_used(world: World) -> None:
    resolver = world.resolver(most_names=3)
    for host in ("a", "b", "c", "a", "d"):  # "b" has to go
        ask(resolver, host)
        if host in resolver._cache:
            world.loop.turn()
        else:
            world.loop.land()
        assert len(resolver._cache) <= 3
    assert list(resolver._cache) == ["c", "a", "d"]


def test_an_answer_is_its_receivers_own_list(world: World) -> None:
    resolver = world.resolver()
    first, _ = ask(resolver, "example.com")
    world.loop.land()
    first.calls[0][0].clear()
    second, _ = ask(resolver, "example.com")
    world.loop.turn()
    assert second.ips == ["192.0.2.1"]


# --- cancel --------------------------------------------------------------------------------------
def test_after_cancel_nobody_is_called(world: World) -> None:
    world.names.hang("example.com")
    resolver = world.resolver()
    cancelled, waiter = ask(resolver, "example.com")
    other, _ = ask(resolver, "example.com")
    waiter.cancel()
    waiter.cancel()
    world.names.release()
    world.loop.land()
    assert not cancelled.calls
    assert other.ips == ["192.0.2.1"]


def test_cancel_between_the_answer_and_its_delivery(world: World) -> None:
    resolver = world.resolver()
    asker, waiter = ask(resolver, "example.com")
    world.loop.from_threads.get(timeout=PATIENT)()
    waiter.cancel()
    world.loop.turn()
    cached, waiter = ask(resolver, "example.com")
    waiter.cancel()
    world.loop.turn()
    assert not asker.calls
    assert not cached.calls


def test_cancel_after_the_answer_does_nothing(world: World) -> None:
    asker, waiter = ask(world.resolver(), "example.com")
    world.loop.land()
    waiter.cancel()
    assert len(asker.calls) == 1


def test_a_waiter_may_cancel_another_one_of_the_same_flight(world: World) -> None:
    resolver, last = world.resolver(), Asker()
    waiters: list[Waiter] = []
    resolver.resolve("example.com", 80, lambda endpoints, error: waiters[0].cancel())
    waiters.append(resolver.resolve("example.com", 80, last))
    world.loop.land()
    assert not last.calls


def test_what_nobody_awaits_any_more_is_not_looked_up(world: World) -> None:
    world.names.hang("slow")
    resolver = world.resolver(threads=1)
    slow, _ = ask(resolver, "slow")
    _, waiter = ask(resolver, "unwanted")
    wanted, _ = ask(resolver, "wanted")
    waiter.cancel()
    world.names.release()
    world.loop.land(2)
    assert slow.ips == wanted.ips == ["192.0.2.1"]
    assert [world.names.next_asked() for _ in range(2)] == ["slow", "wanted"]
    assert world.names.count == 2


def test_a_lookup_that_all_have_left_still_fills_the_cache(world: World) -> None:
    world.names.hang("example.com")
    resolver = world.resolver()
    _, waiter = ask(resolver, "example.com")
    waiter.cancel()
    world.names.release()
    world.loop.land()
    asker, _ = ask(resolver, "example.com")
    world.loop.turn()
    assert asker.ips == ["192.0.2.1"]
    assert world.names.count == 1
