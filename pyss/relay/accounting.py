"""What is counted, and the one line that is written for each session.

Pumps hold plain integers; they are read here when a session ends, so nothing is called per chunk.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, NamedTuple, Optional, Protocol


class SessionRecord(NamedTuple):
    """One ended session.

    client, target  HOST:PORT; target is "-" when none was named
    status          "ok" or the status of the error that ended it
    upstream, downstream  plaintext bytes from and to the client
    seconds         from accept to end
    detail          the error's sentence, "" without one
    """

    client: str
    target: str
    status: str
    upstream: int
    downstream: int
    seconds: float
    detail: str = ""

    def line(self) -> str:
        text = (
            f"{self.client} -> {self.target} {self.status} up {self.upstream} down {self.downstream} "
            f"bytes {self.seconds:.3f} s"
        )
        return f"{text}: {self.detail}" if self.detail else text


Report = Callable[[str, str], None]  # level, text


class Direction(Protocol):
    """A pump, as far as it concerns counting."""

    count: int


class Counted(Protocol):
    """What is counted of a session."""

    status: str

    @property
    def up(self) -> Optional[Direction]: ...

    @property
    def down(self) -> Optional[Direction]: ...


class Statistics:
    """Totals of one service since it started."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.upstream = 0
        self.downstream = 0

    def add(self, session: Counted) -> None:
        self.by_status[session.status] += 1
        up, down = session.up, session.down
        if up is not None:
            self.upstream += up.count
        if down is not None:
            self.downstream += down.count
