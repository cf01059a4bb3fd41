"""The two forms that datagrams of AEAD-2022 have, whatever is in them, and one direction of a session in either.

AES (SIP022 section 3.2.1): the separate header is one block under the key itself (PSK), the body is sealed under the
subkey of the session, and its nonce is the last 12 bytes of the header in plain.

    +-------------------------------------+------------------------------+
    | encrypt(session id 8 | packet id 8) | seal(main header | payload)  |
    +-------------------------------------+------------------------------+

ChaCha (section 4.1): XChaCha20-Poly1305 under the PSK, with a random nonce.

    +-----------+----------------------------------------------------------------+
    | nonce 24  | seal(session id 8 | packet id 8 | main header | payload)       |
    +-----------+----------------------------------------------------------------+

To open the first packet of a session of AES takes its subkey, before anybody knows whether it is genuine: that is
what a forgery costs (about 40 us, of which 30 are BLAKE3 in Python), and the format leaves no way around it.
"""

from __future__ import annotations

from typing import Callable, Protocol, TypeVar

from ..address import Address
from ..crypto.backends import Aead
from ..errors import BadTag, Replayed, Truncated
from .aead import TAG
from .keyring import Keyring
from .packet import Addresses
from .window import SlidingWindow

HEADER = 16  # session id and packet id
NONCE = 24


# --- one direction of a session ------------------------------------------------------------------
class Headers:
    """What a sender puts before its packets: its session id and a number.

    number  of the next packet; each is given once, whatever becomes of its packet
    """

    __slots__ = ("number", "session_id")

    def __init__(self, session_id: bytes) -> None:
        self.session_id = session_id
        self.number = 0

    def next(self) -> bytes:
        """16 bytes.  Raises OverflowError behind the last number of 64 bits."""
        number = self.number
        header = self.session_id + number.to_bytes(8, "big")
        self.number = number + 1
        return header


class Receiver(Addresses):
    """What it takes to read the packets of one sender: its cipher, and which numbers were seen."""

    __slots__ = ("aead", "window")

    def __init__(self, aead: Aead, window: SlidingWindow) -> None:
        super().__init__()
        self.aead = aead
        self.window = window

    def rest(self, main: bytes, at: int) -> tuple[Address, bytes]:
        """Address and payload behind the padding, whose length stands before `at`.  Raises BadHeader, BadAddress."""
        return self.read(main, at + (main[at - 2] << 8 | main[at - 1]))


AnyReceiver = TypeVar("AnyReceiver", bound=Receiver)


# --- the two forms -------------------------------------------------------------------------------
class Form(Protocol):
    """How packets are sealed, whatever is in them.

    overhead  bytes that sealing adds to the body
    """

    overhead: int

    def session(self, session_id: bytes) -> Aead:
        """The cipher of a session."""

    def seal(self, aead: Aead, header: bytes, body: bytes) -> bytes: ...

    def open(self, packet: memoryview, find: Callable[[bytes], AnyReceiver]) -> tuple[AnyReceiver, int, bytes]:
        """The session, the packet's number in it, and the body.

        find  gives the session of an id, or one that it makes
        Raises Truncated, BadTag, Replayed.
        """


class SeparateHeader:
    """AES (section 3.2.1)."""

    __slots__ = ("_decrypt", "_encrypt", "_keyring")

    overhead = HEADER + TAG

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._encrypt = keyring.block(encrypting=True).update
        self._decrypt = keyring.block(encrypting=False).update

    def session(self, session_id: bytes) -> Aead:
        return self._keyring.session(session_id)

    def seal(self, aead: Aead, header: bytes, body: bytes) -> bytes:
        return self._encrypt(header) + aead.encrypt(header[4:], body, None)

    def open(self, packet: memoryview, find: Callable[[bytes], AnyReceiver]) -> tuple[AnyReceiver, int, bytes]:
        if len(packet) < HEADER + TAG:
            raise Truncated("the packet is shorter than header and tag")
        header = self._decrypt(packet[:HEADER])
        session = find(header[:8])
        number = int.from_bytes(header[8:], "big")
        if not session.window.is_new(number):  # a copy need not be opened
            raise Replayed("a packet came twice, or too late")
        try:
            body = session.aead.decrypt(header[4:], packet[HEADER:], None)
        except self._keyring.rejected:
            raise BadTag("a packet does not carry a valid tag") from None
        return session, number, body


class RandomNonce:
    """ChaCha (section 4.1)."""

    __slots__ = ("_aead", "_keyring", "_rejected")

    overhead = NONCE + HEADER + TAG

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._aead, self._rejected = keyring.extended()

    def session(self, session_id: bytes) -> Aead:
        return self._aead

    def seal(self, aead: Aead, header: bytes, body: bytes) -> bytes:
        nonce = self._keyring.entropy(NONCE)
        return nonce + aead.encrypt(nonce, header + body, None)

    def open(self, packet: memoryview, find: Callable[[bytes], AnyReceiver]) -> tuple[AnyReceiver, int, bytes]:
        if len(packet) < NONCE + HEADER + TAG:
            raise Truncated("the packet is shorter than nonce, header and tag")
        try:
            plain = self._aead.decrypt(bytes(packet[:NONCE]), packet[NONCE:], None)
        except self._rejected:
            raise BadTag("a packet does not carry a valid tag") from None
        session = find(plain[:8])
        number = int.from_bytes(plain[8:HEADER], "big")
        if not session.window.is_new(number):
            raise Replayed("a packet came twice, or too late")
        return session, number, plain[HEADER:]


def form_of(keyring: Keyring) -> Form:
    """Raises ConfigError when no backend can do it."""
    return SeparateHeader(keyring) if keyring.method.block else RandomNonce(keyring)
