"""What a pump does to the bytes of one direction: seal, open, or nothing."""

from __future__ import annotations

from typing import Optional, Protocol, Union

from ..errors import CipherError

Output = Union[bytes, memoryview]


class Transform(Protocol):
    """One direction of one session.

    residue  bytes of an incomplete chunk; the pump puts them at the front of scratch before it reads on
    fault    why nothing more can be trusted; what was good before it has been handed out already
    """

    residue: bytes
    fault: Optional[CipherError]

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        """Turn rx[:size], residue included, into what is to be sent; the answer may be a view of rx or tx."""

    def finish(self) -> bytes:
        """At the end of input: what is still to be sent.  Raises Truncated inside a chunk."""


class Plain:
    """Nothing: the bytes as they are.

    `lead` goes out before the first of them: the address of a Shadowsocks stream without a cipher.
    """

    __slots__ = ("fault", "lead", "residue")

    def __init__(self, lead: bytes = b"") -> None:
        self.residue = b""
        self.fault: Optional[CipherError] = None
        self.lead = lead

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        if not self.lead:
            return rx[:size]
        lead, self.lead = self.lead, b""
        return lead + rx[:size]

    def finish(self) -> bytes:
        lead, self.lead = self.lead, b""
        return lead
