"""Salts that were seen: a stream that begins with one of them is a recording played back.

Both memories have one shape, `remember(salt, now) -> bool`: True when the salt is new and now stored,
False when it must be refused.  `now` is any clock that never runs backwards, in seconds.  A salt is
handed in only after the bytes behind it were authenticated; otherwise anybody could fill the memory.

Both are exact, sets of the salts themselves: a Bloom filter would refuse honest clients now and then,
and SIP022 forbids what has false positives.  Both are bounded, and differ in what happens at the bound:

    AEAD-2017   nothing in the stream tells its age, so no time is long enough: the latest salts are
                kept, the oldest are forgotten
    AEAD-2022   the header carries a time (SIP022 section 3.1.3), so a salt need only be kept until that
                time is refused anyway, and no salt is forgotten earlier: at the bound new ones are refused
"""

from __future__ import annotations

from collections import deque

GENERATION = 100_000  # salts; a full generation takes 11 MB

# Seconds.  A request may come up to 30 s before the time it carries and again up to 30 s after it: the
# 60 s of SIP022.  One more, for the time is compared in whole seconds; and some more, for the clock that
# is compared is not this one, is read a little earlier, and may be slewed meanwhile.
KEPT = 65.0

MOST_SALTS = 500_000  # 7,700 a second for KEPT seconds, more than one process can accept; about 70 MB


class SaltFilter2017:
    """The last `generation` salts at least, and at most twice as many.

    When the young generation is full it becomes the old one, and the one that was old is forgotten as a
    whole.  A replayed salt stays in its generation: if it moved to the young one, whoever holds many
    recordings could make the generations change, and the rest forgotten, by playing them.
    """

    __slots__ = ("_generation", "_old", "_young")

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        # Dictionaries for sets: they keep their order, of which nobody makes use, in half the memory.
        self._young: dict[bytes, None] = {}
        self._old: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def remember(self, salt: bytes, now: float) -> bool:
        """`now` does not matter here."""
        if salt in self._young or salt in self._old:
            return False
        if len(self._young) >= self._generation:
            self._old = self._young
            self._young = {}
        self._young[salt] = None
        return True


class SaltMemory2022:
    """Every accepted salt for `kept` seconds.

    overflows  how many new salts were refused because `most` salts were younger than that.  Such a
               refusal looks like a replay to the session; forgetting a salt instead would let one through.

    Each salt enters once and leaves once, so that the cost of one call is constant in the long run.
    """

    __slots__ = ("_kept", "_most", "_order", "_seen", "_times", "overflows")

    def __init__(self, kept: float = KEPT, most: int = MOST_SALTS) -> None:
        self._kept = kept
        self._most = most
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()  # oldest first, and when each was stored
        self._times: deque[float] = deque()
        self.overflows = 0

    def __len__(self) -> int:
        return len(self._seen)

    def remember(self, salt: bytes, now: float) -> bool:
        seen, times = self._seen, self._times
        while times and now - times[0] > self._kept:
            times.popleft()
            seen.remove(self._order.popleft())
        if salt in seen:
            return False
        if len(seen) >= self._most:
            self.overflows += 1
            return False
        seen.add(salt)
        self._order.append(salt)
        times.append(now)
        return True
