"""The cipher side of a session, both ends, codec chosen by the family of the method.

`client_transforms` is the client's end; the `accept_*` scripts are the server's handshakes.  A server
script that raises has said nothing to the peer, and whoever drives it must not either: read on, discard,
and close when a silent peer would be closed.
"""

from __future__ import annotations

from typing import Callable, Protocol

from ..address import Address
from ..crypto.methods import Family
from ..errors import BadTag, Replayed
from .aead import TAG, Opener, Sealer
from .aead2022 import (
    FIRST,
    FIXED,
    SECOND,
    RequestOpener,
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
    parse_fixed_header,
    parse_variable_header,
)
from .dialogue import Dialogue, Script
from .keyring import Clock, Keyring
from .request import Request
from .stream import StreamOpener, StreamSealer
from .transform import Plain, Transform


class SaltMemory(Protocol):
    """See `replay`: True when the salt is new and now remembered."""

    def remember(self, salt: bytes, now: float) -> bool: ...


Accept = Callable[[Dialogue[Request]], Script[Request]]


# --- client --------------------------------------------------------------------------------------
def client_transforms(keyring: Keyring, target: Address) -> tuple[Transform, Transform]:
    """What seals the way up and opens the way down of one session to `target`."""
    family = keyring.method.family
    if family is Family.NONE:
        return Plain(target.wire), Plain()
    if family is Family.AEAD:
        return Sealer(keyring, target.wire), Opener(keyring)
    if family is Family.STREAM:
        return StreamSealer(keyring, target.wire), StreamOpener(keyring)
    sealer = RequestSealer(keyring, target.wire)
    return sealer, ResponseOpener(keyring, sealer)


# --- server --------------------------------------------------------------------------------------
class RememberingSealer(Sealer):
    """Remembers its own salt, so that what the server said cannot be sent back to it."""

    __slots__ = ("_memory", "_monotonic")

    def __init__(self, keyring: Keyring, memory: SaltMemory, monotonic: Clock) -> None:
        super().__init__(keyring)
        self._memory = memory
        self._monotonic = monotonic

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> memoryview | bytes:
        sealed = super()._begin(rx, size, tx)
        self._memory.remember(self.salt, self._monotonic())
        return sealed


def server_script(keyring: Keyring, memory: SaltMemory, monotonic: Clock) -> Accept:
    """The handshake of a server for this key; each session runs it once."""
    family = keyring.method.family
    if family is Family.NONE:
        return accept_plain
    if family is Family.AEAD:
        return lambda io: accept_2017(io, keyring, memory, monotonic)
    if family is Family.STREAM:
        return lambda io: accept_stream(io, keyring, memory, monotonic)
    return lambda io: accept_2022(io, keyring, memory, monotonic)


def accept_plain(io: Dialogue[Request]) -> Script[Request]:
    target = yield from io.parse(Address.parse)
    return Request(target, io.rest())


def accept_stream(
    io: Dialogue[Request], keyring: Keyring, memory: SaltMemory, monotonic: Clock
) -> Script[Request]:
    """Without authentication an address that can be read is all there is to tell a client from noise."""
    iv = yield from io.take(keyring.method.salt_size)
    opener = StreamOpener(keyring, keyring.stream(iv, encrypting=False))
    plain = b""
    while (parsed := Address.parse(plain)) is None:
        plain += opener.open((yield from io.some()))
    if iv and not memory.remember(iv, monotonic()):
        raise Replayed("this IV was used before")
    target, at = parsed
    sealer = StreamSealer(keyring, remember=lambda own: memory.remember(own, monotonic()) if own else True)
    return Request(target, plain[at:], upstream=opener, downstream=sealer)


def accept_2017(
    io: Dialogue[Request], keyring: Keyring, memory: SaltMemory, monotonic: Clock
) -> Script[Request]:
    salt = yield from io.take(keyring.method.salt_size)
    opener = Opener(keyring, keyring.session(salt))
    plain = b""
    checked = False
    while True:
        plain += opener.open((yield from io.some()))
        if not checked and opener.authenticated:
            # Only now: an unauthenticated salt would let anybody fill the memory.
            if not memory.remember(salt, monotonic()):
                raise Replayed("this salt was used before")
            checked = True
        parsed = Address.parse(plain)
        if parsed is not None:
            break
        if opener.fault is not None:
            try:
                raise opener.fault
            finally:
                del opener  # holds the fault, whose traceback holds this frame: a cycle, and the session in it
    target, at = parsed
    return Request(
        target, plain[at:], upstream=opener, downstream=RememberingSealer(keyring, memory, monotonic)
    )


def accept_2022(
    io: Dialogue[Request], keyring: Keyring, memory: SaltMemory, monotonic: Clock
) -> Script[Request]:
    salt_size = keyring.method.salt_size
    head = yield from io.first(salt_size + FIXED + TAG)  # SIP022 section 3.1.3: of one read
    salt = head[:salt_size]
    aead = keyring.session(salt)
    opener = RequestOpener(keyring, aead)
    try:
        length = parse_fixed_header(aead.decrypt(FIRST, head[salt_size:], None), keyring.clock())
        if not memory.remember(salt, monotonic()):
            raise Replayed("this salt was used before")
        sealed = yield from io.take(length + TAG)
        target, payload = parse_variable_header(aead.decrypt(SECOND, sealed, None))
    except keyring.rejected:
        raise BadTag("the header does not carry a valid tag") from None
    payload += opener.open(io.rest())
    return Request(target, payload, upstream=opener, downstream=ResponseSealer(keyring, salt))
