"""Which numbers of packets were seen: a window that slides along with the largest one (RFC 6479 has the idea).

                                     top
    ... ── older ──┬──────────────────┬── larger ── ...
        refused    │ 1 0 1 1 0 1 1 1 1│   new
                   └── size numbers ──┘   the window follows

Datagrams are lost, doubled and come in another order.  A number is new when it is larger than all before it, or
inside the window and not yet seen.  The bits are one int, which is as long as the numbers seen lie apart, and never
longer than the window: a session of few packets takes few bytes, and a leap of any width is one assignment.
"""

from __future__ import annotations

from ..limits import WINDOW


class SlidingWindow:
    """Numbers from 0 on, in any order.

    size  how many numbers up to the largest are told apart
    """

    __slots__ = ("_bits", "_mask", "_size", "_top")

    def __init__(self, size: int = WINDOW) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._top = -1  # the largest number
        self._bits = 0  # bit i: whether top - i was seen

    def is_new(self, number: int) -> bool:
        """Whether it may be accepted.  Changes nothing."""
        age = self._top - number
        return age < 0 or (age < self._size and not self._bits >> age & 1)

    def accept(self, number: int) -> None:
        """It has been seen from now on; only for what `is_new` says is new."""
        ahead = number - self._top
        if ahead <= 0:
            self._bits |= 1 << -ahead
            return
        self._top = number
        self._bits = (self._bits << ahead & self._mask | 1) if ahead < self._size else 1
