"""Fixtures for the tests of sessions, from the helpers."""

from __future__ import annotations

from helpers.streaming import bench, shrink

__all__ = ["bench", "shrink"]
