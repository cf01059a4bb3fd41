"""The two clocks.  Everything else takes them as arguments, so that a test can hand in its own."""

from __future__ import annotations

from time import monotonic, time

__all__ = ["monotonic", "wall"]

wall = time
"""Seconds since 1970 (UTC), as SIP022 puts them on the wire."""
