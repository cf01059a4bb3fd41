"""A loop on each selector of this platform, and connections for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.looping import Sleeps, Wires
from helpers.relay import ALL_SELECTORS

from pyss.net.loop import Loop


@pytest.fixture
def faults() -> list[BaseException]:
    """What the loop's `on_fault` was called with; a test that expects some takes them out."""
    return []


@pytest.fixture
def sleeps() -> Sleeps:
    """How the loop waits."""
    return Sleeps()


@pytest.fixture(params=list(ALL_SELECTORS))
def loop(request: pytest.FixtureRequest, faults: list[BaseException], sleeps: Sleeps) -> Iterator[Loop]:
    loop = Loop(sleeps.of(ALL_SELECTORS[request.param]()))
    loop.on_fault = faults.append
    yield loop
    loop.close()
    assert not faults


@pytest.fixture
def wires() -> Iterator[Wires]:
    wires = Wires()
    yield wires
    wires.close()
