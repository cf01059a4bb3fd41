"""Fixtures for the tests of sessions."""

from __future__ import annotations

import pytest
from helpers.relay import SELECTORS, SelectorFactory
from helpers.streaming import bench, shrink

__all__ = ["bench", "selector", "shrink"]


@pytest.fixture(params=SELECTORS.values(), ids=SELECTORS)
def selector(request: pytest.FixtureRequest) -> SelectorFactory:
    """The test runs once on each."""
    found: SelectorFactory = request.param
    return found
