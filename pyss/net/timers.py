"""Timers on a heap that forgets its dead.

A session arms one timer and cancels it when it ends, mostly long before it is due.  A cancelled entry
drops its callback at once, so that nothing is kept alive by it, and the heap is rebuilt when half of it
is dead: 50,000 short sessions leave it as small as it was.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Callable, Optional

from .channel import Failable

NEVER = float("inf")
_REBUILD_AT = 64


class Timer:
    """One call in the future.  `cancel` may be called at any time, more than once."""

    __slots__ = ("_timers", "callback", "deadline", "owner")

    def __init__(self, timers: Timers, deadline: float, callback: Callable[[], None], owner: Failable) -> None:
        self._timers = timers
        self.deadline = deadline
        self.callback: Optional[Callable[[], None]] = callback
        self.owner: Optional[Failable] = owner

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = self.owner = None
            timers = self._timers
            timers.dead += 1
            if timers.dead > _REBUILD_AT:
                timers.rebuild()


class Timers:
    """A heap of (deadline, number, timer); the number keeps the order of equal deadlines.

    due     when to look next: never later than the first deadline, and earlier only where that was cancelled
    number  how many were armed so far
    dead    how many on the heap were cancelled
    """

    __slots__ = ("_heap", "dead", "due", "number")

    def __init__(self) -> None:
        self.due = NEVER
        self._heap: list[tuple[float, int, Timer]] = []
        self.number = 0
        self.dead = 0

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, deadline: float, callback: Callable[[], None], owner: Failable) -> Timer:
        timer = Timer(self, deadline, callback, owner)
        self.number = number = self.number + 1
        heappush(self._heap, (deadline, number, timer))
        if deadline < self.due:
            self.due = deadline
        return timer

    def rebuild(self) -> None:
        """Without the dead, if they are the majority."""
        if self.dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)
            self.dead = 0

    def pop_due(self, now: float, newest: float = NEVER) -> Optional[Timer]:
        """Take one timer that is due, and is the `newest`th or older; or None: `due` is exact again then."""
        heap = self._heap
        while heap:
            deadline, number, timer = heap[0]
            if timer.callback is None:
                heappop(heap)
                self.dead -= 1
            elif deadline > now or number > newest:
                self.due = deadline
                return None
            else:
                heappop(heap)
                if self.dead > _REBUILD_AT:  # of what is left more may be dead than alive
                    self.rebuild()
                return timer
        self.due = NEVER
        return None
