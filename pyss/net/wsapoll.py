"""A selector of Windows that is not limited to 512 sockets: WSAPoll, by ctypes.

    rows   | fd events revents | fd events revents | fd events revents |      one array, changed in place
    keys   | key of row 0      | key of row 1      | key of row 2      |
                   ▲ unregister(0) ◄──────────── the last row moves in

Python for Windows has select() alone, built for 512 sockets: 240 sessions.  WSAPoll takes any number.  Building its
array anew for each wait would cost more than the wait, so there is one: `register` appends a row, `unregister`
moves the last one into the gap, `modify` writes two bytes, and what came is read from it in one slice.  The
alternative, several loops in threads with 512 sockets each, would divide what all sessions share (replay memory,
associations, accounting), and under the interpreter's lock it would wait faster without relaying faster.

How WSAPoll differs from poll():

* Until Windows 10 2004 it never reported that a connection was refused, and a dial would hang until its time limit.
  `usable` tells; where it says no, select() serves, with its limit.
* It takes no empty set: the wait for nothing is a sleep.
* It reports POLLHUP when the peer has sent FIN, whatever was asked for.  Whoever waits for WRITE alone, because the
  peer that ended its direction reads slowly, would be woken again and again.  Such a row is set aside into a second
  array, at which `select` only looks, every LOOK_AGAIN seconds.

One of the few files that may look at `sys.platform`; the tests of every run use the rest with a WSAPoll made of poll().
"""

from __future__ import annotations

import ctypes
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import compress
from typing import Any, Callable, Optional

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

RDNORM, WRNORM, ERR, HUP, NVAL = 0x100, 0x10, 1, 2, 4  # of winsock2.h

# WSAPOLLFD: SOCKET fd; SHORT events; SHORT revents; as long as pointers want it.
ROW = struct.Struct("@Phh0P")
_SHORTS = ROW.size // 2
_EVENTS = ctypes.sizeof(ctypes.c_void_p)  # where they stand in a row, in bytes
_REVENTS = _EVENTS // 2 + 1  # in shorts

LOOK_AGAIN = 0.01  # seconds
LONGEST = 0x7FFFFFFF  # milliseconds that fit an int: 24 days
SOCKETS = 16384  # that a process may open, with WSAPoll: each wait looks at all of them
FIRST_GOOD_BUILD = 19041  # of Windows: version 2004 of Windows 10
PROBE = 0.25  # seconds that an earlier one has to report a refused connection

# WSAPoll: the array, how many rows of it, milliseconds (-1 for ever); returns how many are ready.  Raises OSError.
Poll = Callable[[Any, int, int], int]

_BITS = (0, RDNORM, WRNORM, RDNORM | WRNORM)


class _Key:
    """Stands for a SelectorKey: the same four names.  `row` is its place in `rows`."""

    __slots__ = ("data", "events", "fd", "fileobj", "row", "rows")

    def __init__(self, fileobj: Any, fd: int, events: int, data: Any) -> None:
        self.fileobj = fileobj
        self.fd = fd
        self.events = events
        self.data = data


class _Rows:
    """The array, and whose its rows are."""

    def __init__(self, poll: Poll) -> None:
        self._poll = poll
        self.keys: list[Any] = []
        self._capacity = 64
        self._array: Any = (ctypes.c_short * (64 * _SHORTS))()

    def add(self, key: Any) -> None:
        row = len(self.keys)
        if row == self._capacity:
            self._capacity *= 2
            larger = (ctypes.c_short * (self._capacity * _SHORTS))()
            ctypes.memmove(larger, self._array, row * ROW.size)
            self._array = larger
        ROW.pack_into(self._array, row * ROW.size, key.fd, _BITS[key.events], 0)
        self.keys.append(key)
        key.rows, key.row = self, row

    def change(self, key: Any) -> None:
        """`events` of a key have changed."""
        struct.pack_into("@h", self._array, key.row * ROW.size + _EVENTS, _BITS[key.events])

    def remove(self, key: Any) -> None:
        last = self.keys.pop()
        if last is not key:
            row = key.row
            ROW.pack_into(self._array, row * ROW.size, last.fd, _BITS[last.events], 0)
            self.keys[row] = last
            last.row = row

    def wait(self, milliseconds: int) -> list[tuple[Any, int]]:
        """Keys with what WSAPoll says of them.  Without rows it sleeps.  Raises OSError."""
        keys = self.keys
        count = len(keys)
        if not count:
            if milliseconds:
                time.sleep((LONGEST if milliseconds < 0 else milliseconds) / 1000)
            return []
        if not self._poll(self._array, count, milliseconds):
            return []
        revents = self._array[_REVENTS : count * _SHORTS : _SHORTS]
        return list(compress(zip(keys, revents), revents))


class _KeyMap(Mapping[Any, selectors.SelectorKey]):
    def __init__(self, keys: dict[int, Any]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Any]:
        return (key.fileobj for key in self._keys.values())

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        key: selectors.SelectorKey = _find(self._keys, fileobj)
        return key


def _descriptor(fileobj: Any) -> int:
    """Raises ValueError for what has none, or none any more."""
    try:
        fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"not a socket: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"not an open socket: {fileobj!r}")
    return fd


def _find(keys: dict[int, Any], fileobj: Any) -> Any:
    """The key of a socket, of its number, or of one that was closed after it was registered.  Raises KeyError."""
    try:
        key = keys.get(_descriptor(fileobj))
    except ValueError:
        key = next((key for key in keys.values() if key.fileobj is fileobj), None)
    if key is None:
        raise KeyError(f"{fileobj!r} is not registered")
    return key


class WSAPollSelector(selectors.BaseSelector):
    """WSAPoll behind the interface of `selectors`; for sockets, by one thread.

    poll  in place of the system's
    """

    # `Any` for a `_Key` stands for the SelectorKey that it can be used as.

    def __init__(self, poll: Optional[Poll] = None) -> None:
        poll = poll or system_poll()
        self._keys: Optional[dict[int, Any]] = {}
        self._rows = _Rows(poll)
        self._aside = _Rows(poll)

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        keys = self._open()
        if not 0 < events < 4:
            raise ValueError(f"invalid events: {events!r}")
        fd = fileobj if fileobj.__class__ is int and fileobj >= 0 else _descriptor(fileobj)
        if fd in keys:
            raise KeyError(f"{fileobj!r} (socket {fd}) is already registered")
        key = keys[fd] = _Key(fileobj, fd, events, data)
        self._rows.add(key)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> Any:
        if not 0 < events < 4:
            raise ValueError(f"invalid events: {events!r}")
        key = _find(self._open(), fileobj)
        if events != key.events:
            key.events = events
            if key.rows is self._rows:
                self._rows.change(key)
            else:
                self._move(key, self._rows)
        key.data = data
        return key

    def unregister(self, fileobj: Any) -> Any:
        keys = self._open()
        key = _find(keys, fileobj)
        del keys[key.fd]
        key.rows.remove(key)
        return key

    def select(self, timeout: Optional[float] = None) -> list[Any]:
        milliseconds = _milliseconds(timeout)
        if self._aside.keys:
            again = _milliseconds(LOOK_AGAIN)
            milliseconds = again if milliseconds < 0 else min(milliseconds, again)
        found = []
        for key, bits in self._rows.wait(milliseconds):
            if bits == HUP and key.events == WRITE:
                self._move(key, self._aside)
            else:
                found.append((key, key.events & _mask(bits)))
        if self._aside.keys:
            for key, bits in self._aside.wait(0):
                if bits != HUP:
                    self._move(key, self._rows)
                    found.append((key, WRITE))
        return found

    def close(self) -> None:
        self._keys = None
        self._rows.keys.clear()
        self._aside.keys.clear()

    def get_key(self, fileobj: Any) -> Any:
        return _find(self._open(), fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return _KeyMap(self._open())

    def _open(self) -> dict[int, Any]:
        if self._keys is None:
            raise RuntimeError("the selector is closed")
        return self._keys

    def _move(self, key: Any, rows: _Rows) -> None:
        key.rows.remove(key)
        rows.add(key)


def _mask(bits: int) -> int:
    """Errors and hang-ups wake readers and writers alike: the call that follows tells the error."""
    return (READ if bits & ~WRNORM else 0) | (WRITE if bits & ~RDNORM else 0)


def _milliseconds(timeout: Optional[float]) -> int:
    """Rounded up, for rounded down the loop would spin until its timer is due; -1 for ever."""
    if timeout is None:
        return -1
    if timeout <= 0:
        return 0
    return min(LONGEST, -int(-timeout * 1000 // 1))


# --- whether it can be used ----------------------------------------------------------------------
def reports_refusals(selector: selectors.BaseSelector) -> bool:
    """Whether a connection that loopback refuses shows within PROBE seconds; closes the selector."""
    with selector, socket.socket() as taken, socket.socket() as sock:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        sock.setblocking(False)
        sock.connect_ex(taken.getsockname())
        selector.register(sock, WRITE)
        return bool(selector.select(PROBE))


if sys.platform == "win32":
    _usable: Optional[bool] = None

    def system_poll() -> Poll:
        """That of ws2_32.dll; other threads run while it waits."""
        function = ctypes.WinDLL("ws2_32", use_last_error=True).WSAPoll
        function.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int)

        def poll(array: Any, count: int, milliseconds: int) -> int:
            ready: int = function(array, count, milliseconds)
            if ready < 0:
                raise ctypes.WinError(ctypes.get_last_error())
            return ready

        return poll

    def usable() -> bool:
        """Whether WSAPoll is to be trusted here; found out once.

        By the build of Windows, where that is new enough.  A real Windows before it takes more than PROBE seconds to
        refuse a connection on loopback and is found wanting; Wine, which calls itself build 18362 and reports
        refusals, does it at once.
        """
        global _usable
        if _usable is None:
            try:
                _usable = sys.getwindowsversion().build >= FIRST_GOOD_BUILD or reports_refusals(WSAPollSelector())
            except (OSError, AttributeError):  # no loopback, no WSAPoll
                _usable = False
        return _usable

else:

    def system_poll() -> Poll:
        raise OSError("WSAPoll is of Windows")

    def usable() -> bool:
        return False
