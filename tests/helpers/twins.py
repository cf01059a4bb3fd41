"""Our EpollSelector and the standard library's, which must do the same.  Linux only."""

from __future__ import annotations

import selectors
from typing import Any, Callable

from pyss.net.epoll import EpollSelector


def outcome(operation: Callable[[], Any]) -> Any:
    """What it returns, in plain values, or the class of what it raises."""
    try:
        return plain(operation())
    except Exception as error:
        return type(error)


def plain(value: Any) -> Any:
    if hasattr(value, "fileobj"):
        return (value.fileobj, value.fd, value.events, value.data)
    if isinstance(value, list):
        return sorted(((key.fd, key.data, mask) for key, mask in value), key=lambda item: item[0])
    return value


class Twins:
    """Does everything with both, and compares."""

    def __init__(self) -> None:
        self.ours: selectors.BaseSelector = EpollSelector()
        self.theirs: selectors.BaseSelector = selectors.EpollSelector()

    def same(self, operation: Callable[[selectors.BaseSelector], Any]) -> Any:
        ours = outcome(lambda: operation(self.ours))
        assert ours == outcome(lambda: operation(self.theirs))
        return ours

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()
