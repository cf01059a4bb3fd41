"""Salts that were seen before: exact sets, bounded, against a model that forgets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyss.protocol.aead2022 import TOLERANCE
from pyss.protocol.replay import GENERATION, KEPT, MOST_SALTS, SaltFilter2017, SaltMemory2022


def salts(count: int, start: int = 0) -> Iterator[bytes]:
    return (number.to_bytes(32, "big") for number in range(start, start + count))


SALT = bytes(32)

# Few, so that they are repeated; of several lengths, so that one is the beginning of another.
FEW_SALTS = st.integers(0, 30).map(lambda number: bytes([number]) * (16 + number % 3 * 8))


# --- both ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", [SaltFilter2017(), SaltMemory2022()], ids=["2017", "2022"])
def test_a_salt_is_new_once(memory: SaltFilter2017 | SaltMemory2022) -> None:
    assert memory.remember(SALT, 1000.0)
    assert not memory.remember(SALT, 1000.0)
    assert not memory.remember(bytes(32), 1030.0)  # equal, not the same object
    assert memory.remember(bytes(31) + b"\x01", 1030.0)
    assert memory.remember(bytes(16), 1030.0)
    assert len(memory) == 3


@pytest.mark.parametrize("memory", [SaltFilter2017(), SaltMemory2022()], ids=["2017", "2022"])
def test_no_false_positives(memory: SaltFilter2017 | SaltMemory2022) -> None:
    assert all(memory.remember(salt, 5.0) for salt in salts(50_000))
    assert not any(memory.remember(salt, 6.0) for salt in salts(50_000))
    assert all(memory.remember(salt, 6.0) for salt in salts(20_000, start=50_000))


# --- AEAD-2017 -----------------------------------------------------------------------------------
def test_2017_time_does_not_matter() -> None:
    memory = SaltFilter2017()
    assert memory.remember(SALT, 0.0)
    assert not memory.remember(SALT, 1e9)


def test_2017_the_last_generation_is_always_held() -> None:
    memory = SaltFilter2017(generation=10)
    for salt in salts(95):
        memory.remember(salt, 0.0)
    assert not any(memory.remember(salt, 0.0) for salt in salts(10, start=85))
    assert not any(memory.remember(salt, 0.0) for salt in salts(15, start=80))


def test_2017_is_bounded() -> None:
    memory = SaltFilter2017(generation=10)
    for salt in salts(1000):
        memory.remember(salt, 0.0)
        assert len(memory) <= 20
    assert memory.remember(SALT, 0.0)  # long forgotten
    assert GENERATION == 100_000


def test_2017_replays_do_not_turn_the_generations() -> None:
    """Whoever plays recordings over and over does not make the memory forget others."""
    memory = SaltFilter2017(generation=10)
    for salt in salts(15):
        memory.remember(salt, 0.0)
    for _ in range(10):
        assert not any(memory.remember(salt, 0.0) for salt in salts(15))
    assert len(memory) == 15


class Generations(RuleBasedStateMachine):
    """Model: all accepted salts in their order.  The last 8 must be known, none but the last 16 may be."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = SaltFilter2017(generation=8)
        self.accepted: list[bytes] = []

    @rule(salt=FEW_SALTS)
    def remember(self, salt: bytes) -> None:
        new = self.memory.remember(salt, 0.0)
        if new:
            assert salt not in self.accepted[-8:]
            self.accepted.append(salt)
        else:
            assert salt in self.accepted[-16:]

    @invariant()
    def bounded(self) -> None:
        assert min(8, len(self.accepted)) <= len(self.memory) <= 16


TestGenerations = Generations.TestCase


# --- AEAD-2022 -----------------------------------------------------------------------------------
def test_2022_held_as_long_as_its_time_could_be_accepted() -> None:
    """Accepted 30 s before the time it carries; refused for its time only from 31 s after it on."""
    memory = SaltMemory2022()
    last_moment = 2 * TOLERANCE + 1
    assert memory.remember(SALT, 100.0)
    assert not memory.remember(SALT, 100.0 + 60.0)
    assert not memory.remember(SALT, 100.0 + last_moment)
    assert last_moment < KEPT


def test_2022_forgotten_afterwards() -> None:
    memory = SaltMemory2022()
    for number, salt in enumerate(salts(1000)):
        assert memory.remember(salt, float(number))
    assert len(memory) <= KEPT + 1
    assert memory.remember(SALT, 2000.0)
    assert len(memory) == 1


def test_2022_a_replay_does_not_prolong_or_shorten() -> None:
    memory = SaltMemory2022(kept=60.0)
    assert memory.remember(SALT, 0.0)
    for second in range(1, 61):
        assert not memory.remember(SALT, float(second))
    assert memory.remember(SALT, 60.5)
    assert not memory.remember(SALT, 120.5)


def test_2022_at_the_bound_new_salts_are_refused_and_none_is_forgotten() -> None:
    memory = SaltMemory2022(kept=60.0, most=10)
    assert all(memory.remember(salt, 0.0) for salt in salts(10))
    assert not any(memory.remember(salt, 59.0) for salt in salts(5, start=10))
    assert memory.overflows == 5
    assert not any(memory.remember(salt, 60.0) for salt in salts(10))
    assert memory.overflows == 5  # those were replays
    assert len(memory) == 10
    assert all(memory.remember(salt, 60.1) for salt in salts(10, start=10))
    assert MOST_SALTS / KEPT > 5000


def test_2022_a_clock_that_runs_back_forgets_nothing_early() -> None:
    memory = SaltMemory2022(kept=60.0)
    assert memory.remember(b"first", 1000.0)
    assert memory.remember(b"second", 900.0)
    assert not memory.remember(b"second", 959.0)
    assert not memory.remember(b"first", 1059.0)
    assert memory.remember(b"first", 1061.0)
    assert len(memory) == 1


def test_2022_each_salt_leaves_once() -> None:
    """A long silence after many salts costs one call that clears up, and the next ones nothing."""
    memory = SaltMemory2022()
    for salt in salts(20_000):
        memory.remember(salt, 0.0)
    assert memory.remember(b"x", 1000.0)
    assert len(memory) == 1


class Minute(RuleBasedStateMachine):
    """Model: when each salt was last accepted.  Times are whole quarters of a second: sums are exact."""

    MOST = 12

    def __init__(self) -> None:
        super().__init__()
        self.memory = SaltMemory2022(kept=60.0, most=self.MOST)
        self.accepted: dict[bytes, float] = {}
        self.now = 50.0

    def age(self, salt: bytes) -> Optional[float]:
        return self.now - self.accepted[salt] if salt in self.accepted else None

    def young(self) -> int:
        return sum(self.now - moment <= 60.0 for moment in self.accepted.values())

    @rule(quarters=st.integers(0, 100) | st.sampled_from([239, 240, 241]))
    def wait(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule(salt=FEW_SALTS)
    def remember(self, salt: bytes) -> None:
        age, room = self.age(salt), self.young() < self.MOST
        expected = room if age is None or age > 60.0 else False
        assert self.memory.remember(salt, self.now) is expected
        if expected:
            self.accepted[salt] = self.now
        assert len(self.memory) == self.young()

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        salt = data.draw(st.sampled_from(sorted(self.accepted)))
        if self.now - self.accepted[salt] <= 60.0:
            assert not self.memory.remember(salt, self.now)

    @invariant()
    def bounded(self) -> None:
        assert len(self.memory) <= self.MOST


TestMinute = Minute.TestCase


@given(st.lists(st.binary(min_size=16, max_size=32), max_size=60))
def test_both_agree_with_a_set_while_there_is_room(seen: list[bytes]) -> None:
    old, new = SaltFilter2017(), SaltMemory2022()
    known: set[bytes] = set()
    for salt in seen:
        assert old.remember(salt, 0.0) is new.remember(salt, 0.0) is (salt not in known)
        known.add(salt)
