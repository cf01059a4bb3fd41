"""Answers and the memory of them."""

from __future__ import annotations

from pyss.errors import NameNotFound
from pyss.net.nameanswer import Answer, Cache

ONE = Answer(((2, ("192.0.2.1", 0)), (10, ("fe80::1", 0, 0, 3))))
NONE = Answer((), (NameNotFound, "no"))


def test_endpoints_at_a_port_are_the_receivers_own_list() -> None:
    first = ONE.at(443)
    assert first == [(2, ("192.0.2.1", 443)), (10, ("fe80::1", 443, 0, 3))]
    first.clear()
    assert len(ONE.at(443)) == 2


def test_an_answer_is_kept_for_its_time() -> None:
    now = [0.0]
    cache = Cache(10, lambda: now[0])
    cache.put("a", ONE, 5.0)
    now[0] = 4.9
    assert cache.get("a") is ONE
    now[0] = 5.0
    assert cache.get("a") is None
    assert len(cache) == 0


def test_a_new_answer_takes_the_place_of_the_old_one() -> None:
    cache = Cache(2, lambda: 0.0)
    cache.put("a", NONE, 5.0)
    cache.put("b", NONE, 5.0)
    cache.put("a", ONE, 1.0)
    cache.put("c", NONE, 5.0)  # "b" is the oldest now
    assert list(cache) == ["a", "c"]
    assert cache.get("a") is ONE


def test_the_least_recently_used_goes() -> None:
    cache = Cache(2, lambda: 0.0)
    cache.put("a", ONE, 5.0)
    cache.put("b", ONE, 5.0)
    assert cache.get("a") is ONE
    cache.put("c", ONE, 5.0)
    assert list(cache) == ["a", "c"]
    cache.clear()
    assert list(cache) == []
