"""The two clocks are what they say."""

from __future__ import annotations

from datetime import datetime, timezone

from pyss.net.clock import monotonic, wall


def test_wall_counts_seconds_since_1970() -> None:
    before = datetime.now(timezone.utc).timestamp()
    assert before - 60 < wall() < before + 60


def test_monotonic_never_goes_back() -> None:
    times = [monotonic() for _ in range(1000)]
    assert times == sorted(times)
