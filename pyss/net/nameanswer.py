"""What a lookup comes to, whoever was asked: the system's resolver or a name server.

    addresses of both families ──interleave──► Answer ──at(port)──► endpoints, best first
                                                 └─► Cache: name ──► until when, Answer

An answer has no port, so that all who want one name share it, and each is given a list of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Callable, NamedTuple, Optional

from ..errors import DialError
from .sockets import SocketAddress

Endpoint = tuple[int, SocketAddress]  # family, address


class Answer(NamedTuple):
    """What a lookup came to: endpoints without their port, or a failure as class and sentence.

    The error itself is made anew for each waiter: an exception that is shared gathers tracebacks.
    """

    endpoints: tuple[Endpoint, ...]
    failure: Optional[tuple[type[DialError], str]] = None

    def at(self, port: int) -> list[Endpoint]:
        """A list of the caller's own."""
        return [(family, (where[0], port, *where[2:])) for family, where in self.endpoints]


def interleave(endpoints: Sequence[Endpoint], first: int) -> list[Endpoint]:
    """Families by turns, `first` first, each in the order given (RFC 8305 section 4)."""
    preferred = [endpoint for endpoint in endpoints if endpoint[0] == first]
    others = [endpoint for endpoint in endpoints if endpoint[0] != first]
    return [endpoint for endpoint in chain.from_iterable(zip_longest(preferred, others)) if endpoint is not None]


class Cache:
    """Answers until they are too old, `most` of them; beyond, the least recently used goes.

    clock  monotonic seconds
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Answer]] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get(self, name: str) -> Optional[Answer]:
        entry = self._entries.get(name)
        if entry is None:
            return None
        if self._clock() < entry[0]:
            self._entries.move_to_end(name)
            return entry[1]
        del self._entries[name]
        return None

    def put(self, name: str, answer: Answer, lifetime: float) -> None:
        """Keep an answer for `lifetime` seconds, in the place of what was known before."""
        self._entries[name] = self._clock() + lifetime, answer
        self._entries.move_to_end(name)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()
