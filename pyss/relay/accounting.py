"""What is counted, and the one line that is written for each session.

Pumps hold plain integers; they are read here when a session ends, so nothing is called per chunk.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, NamedTuple


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


class Statistics:
    """Totals of one service since it started."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.upstream = 0
        self.downstream = 0

    def add(self, record: SessionRecord) -> None:
        self.by_status[record.status] += 1
        self.upstream += record.upstream
        self.downstream += record.downstream
