"""A lean epoll selector with the contract of `selectors.BaseSelector`.

The standard library's builds a named tuple and touches two dictionaries at every change of events and
asks the kernel for as many events as there are descriptors, a 120 KB array at each wake-up with 10,000
idle sessions.  This one keeps one mutable key per descriptor in a list.  It serves exactly where
`selectors.DefaultSelector` would choose epoll; Windows has `wsapoll`; everywhere else, and in the tests of
every run, the standard library's selectors serve the same loop.
"""

from __future__ import annotations

import select
import selectors
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Optional

_MOST_EVENTS = 256  # of one wake-up; level-triggered, so the rest comes with the next


class _Key:
    """Stands for a SelectorKey: the same four names, but `events` and `data` can change in place."""

    __slots__ = ("data", "events", "fd", "fileobj")

    def __init__(self, fileobj: Any, fd: int, events: int, data: Any) -> None:
        self.fileobj = fileobj
        self.fd = fd
        self.events = events
        self.data = data


class _KeyMap(Mapping[Any, selectors.SelectorKey]):
    def __init__(self, keys: list[Any]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return sum(key is not None for key in self._keys)

    def __iter__(self) -> Iterator[Any]:
        return (key.fileobj for key in self._keys if key is not None)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        key: selectors.SelectorKey = _find(self._keys, fileobj)
        return key


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _find(keys: list[Any], fileobj: Any) -> Any:
    """The key of a descriptor or of what has one.  Raises KeyError when it is not registered."""
    fd = fileobj if fileobj.__class__ is int else _descriptor(fileobj)
    key = keys[fd] if 0 <= fd < len(keys) else None
    if key is None:
        raise KeyError(f"{fileobj!r} is not registered")
    return key


if sys.platform == "linux":
    # EPOLLERR and EPOLLHUP wake readers and writers alike: the system call that follows tells the error.
    _MASKS = tuple(
        (selectors.EVENT_READ if bits & ~select.EPOLLOUT else 0)
        | (selectors.EVENT_WRITE if bits & ~select.EPOLLIN else 0)
        for bits in range(32)
    )
    _BITS = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)

    class EpollSelector(selectors.BaseSelector):
        """`select.epoll` behind the interface of `selectors`."""

        # `Any` for a `_Key` stands for the SelectorKey that it can be used as.

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._poll = self._epoll.poll
            self._keys: list[Any] = [None] * 64

        def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
            if not 0 < events < 4:
                raise ValueError(f"invalid events: {events!r}")
            fd = fileobj if fileobj.__class__ is int else _descriptor(fileobj)
            keys = self._keys
            while fd >= len(keys):
                keys.extend([None] * len(keys))
            if keys[fd] is not None:
                raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
            self._epoll.register(fd, _BITS[events])
            key = keys[fd] = _Key(fileobj, fd, events, data)
            return key

        def modify(self, fileobj: Any, events: int, data: Any = None) -> Any:
            key = _find(self._keys, fileobj)
            if events != key.events:
                try:
                    self._epoll.modify(key.fd, _BITS[events])
                except OSError:  # closed meanwhile: its number may be another's by now
                    self._keys[key.fd] = None
                    raise
                key.events = events
            key.data = data
            return key

        def unregister(self, fileobj: Any) -> Any:
            key = _find(self._keys, fileobj)
            self._keys[key.fd] = None
            try:
                self._epoll.unregister(key.fd)
            except OSError:  # closed meanwhile
                pass
            return key

        def forget(self, fd: int) -> None:
            """Like `unregister`, for a descriptor that is about to be closed: close() tells the kernel."""
            self._keys[fd] = None

        def select(self, timeout: Optional[float] = None) -> list[Any]:
            keys = self._keys
            if timeout is None:
                timeout = -1.0  # PyPy's `poll` takes no None
            elif timeout < 0.0:
                timeout = 0.0
            poll = self._poll
            ready = poll(timeout, _MOST_EVENTS)
            if len(ready) == 1:  # as most wake-ups
                fd, bits = ready[0]
                key = keys[fd]
                if key is not None:
                    return [(key, _MASKS[bits] & key.events)]
            found = []  # by a loop: with a comprehension all that it sees would be slower above, too
            for fd, bits in ready:
                key = keys[fd]
                if key is not None:
                    found.append((key, _MASKS[bits] & key.events))
            return found

        def close(self) -> None:
            self._epoll.close()
            self._keys[:] = [None]

        def get_key(self, fileobj: Any) -> Any:
            return _find(self._keys, fileobj)

        def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
            return _KeyMap(self._keys)


def default_selector() -> selectors.BaseSelector:
    """The best selector of this platform: epoll, kqueue, WSAPoll, poll or select."""
    if sys.platform == "linux" and hasattr(select, "epoll"):
        return EpollSelector()
    if sys.platform == "win32":
        from . import wsapoll

        if wsapoll.usable():
            return wsapoll.WSAPollSelector()
    return selectors.DefaultSelector()
