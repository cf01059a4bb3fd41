"""The sliding window beside the plainest one there can be, and what it costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.limits import WINDOW
from pyss.protocol.window import SlidingWindow

LAST = 2**64 - 1


class Naive:
    """All numbers ever seen."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: set[int] = set()

    def is_new(self, number: int) -> bool:
        return number not in self.seen and (not self.seen or number > max(self.seen) - self.size)

    def accept(self, number: int) -> None:
        self.seen.add(number)


def numbers(size: int) -> st.SearchStrategy[list[int]]:
    """In order, near each other, around the edge of the window, and anywhere."""
    steps = st.one_of(
        st.just(1), st.integers(-3, 3), st.integers(-size - 2, size + 2), st.sampled_from([size - 1, size, size + 1])
    )
    walk = st.lists(steps, max_size=60).map(lambda taken: [sum(taken[: end + 1]) for end in range(len(taken))])
    near = st.tuples(st.integers(0, 3 * size), walk).map(lambda pair: [abs(pair[0] + step) for step in pair[1]])
    return st.one_of(near, st.lists(st.integers(0, 4 * size), max_size=60), st.lists(st.integers(0, LAST), max_size=20))


@given(st.sampled_from([1, 2, 3, 8, 64]).flatmap(lambda size: st.tuples(st.just(size), numbers(size))))
def test_it_says_what_the_naive_one_says(case: tuple[int, list[int]]) -> None:
    size, walk = case
    window, naive = SlidingWindow(size), Naive(size)
    for number in walk:
        new = naive.is_new(number)
        assert window.is_new(number) is new
        assert window.is_new(number) is new, "to ask has changed it"
        if new:
            naive.accept(number)
            window.accept(number)
            assert not window.is_new(number)
    for number in {near for seen in naive.seen for near in (seen - 1, seen, seen + 1, seen - size, seen + size)}:
        if number >= 0:
            assert window.is_new(number) is naive.is_new(number)


@given(numbers(WINDOW))
def test_the_same_with_the_size_in_use(walk: list[int]) -> None:
    window, naive = SlidingWindow(), Naive(WINDOW)
    for number in walk:
        assert window.is_new(number) is naive.is_new(number)
        if naive.is_new(number):
            naive.accept(number)
            window.accept(number)


@pytest.mark.parametrize("first", [0, 1, 77, WINDOW, LAST])
def test_any_number_may_be_the_first(first: int) -> None:
    """shadowsocks-rust counts from 1; and the first that arrives need not be the first that was sent."""
    window = SlidingWindow()
    assert window.is_new(first)
    window.accept(first)
    assert not window.is_new(first)
    assert [window.is_new(first - back) for back in (1, WINDOW - 1, WINDOW) if back <= first] == [
        back < WINDOW for back in (1, WINDOW - 1, WINDOW) if back <= first
    ]


def test_the_edge() -> None:
    window = SlidingWindow()
    window.accept(10_000)
    assert window.is_new(10_000 - WINDOW + 1)
    assert not window.is_new(10_000 - WINDOW)
    window.accept(10_001)
    assert not window.is_new(10_000 - WINDOW + 1)


def test_memory_is_bounded_and_leaps_are_short_work() -> None:
    """A leap that shifted by its width would ask for 2 EiB."""
    window = SlidingWindow()
    for number in (0, 1, 5000, LAST - 2, LAST - 1, LAST):
        window.accept(number)
        assert window._bits.bit_length() <= WINDOW
    assert window.is_new(LAST - 3) and not window.is_new(LAST - 1)


def test_memory_is_bounded_in_a_long_session() -> None:
    window = SlidingWindow()
    for number in range(3 * WINDOW):
        window.accept(number)
        assert window._bits.bit_length() == min(number + 1, WINDOW), "a session of few packets takes few bytes"
