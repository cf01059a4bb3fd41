"""What a finished handshake says: where to go, and how to talk with the client from now on."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ..address import Address
from ..errors import PyssError
from .transform import Transform

Acceptance = Callable[[tuple[Any, ...]], bytes]  # of the address that the outgoing connection is bound to
Refusal = Callable[[PyssError], bytes]


def silence(event: object) -> bytes:
    """The answer of protocols that have no words for it."""
    return b""


class AssociateRequest:
    """A client's wish to send datagrams: UDP ASSOCIATE of SOCKS5 (RFC 1928 section 4).

    announced  where it will send them from, as far as it knows: host and port may be zero
    """

    __slots__ = ("accepted", "announced", "refused")

    def __init__(self, announced: Address, accepted: Acceptance, refused: Refusal) -> None:
        self.announced = announced
        self.accepted = accepted
        self.refused = refused


class Request:
    """A client's wish.

    target    where to
    payload   plaintext that came along with the request
    accepted  what the client is told when the connection stands, given the address that it is bound to
    refused   what it is told when it does not stand
    upstream  opens what the client sends (None: it is plain)
    downstream  seals what the client gets (None: it is plain)
    """

    __slots__ = ("accepted", "downstream", "payload", "refused", "target", "upstream")

    def __init__(
        self,
        target: Address,
        payload: bytes = b"",
        accepted: Acceptance = silence,
        refused: Refusal = silence,
        upstream: Optional[Transform] = None,
        downstream: Optional[Transform] = None,
    ) -> None:
        self.target = target
        self.payload = payload
        self.accepted = accepted
        self.refused = refused
        self.upstream = upstream
        self.downstream = downstream
