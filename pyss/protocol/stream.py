"""Streams of the methods before AEAD: an IV, then encrypted bytes, and nothing that tells whether they are whole.

Each direction, with an IV of its own:

    +---------+----------------------------------
    |   IV    | encrypt(plaintext), no borders
    |  0..24  |
    +---------+----------------------------------

The plaintext of a client's stream begins with the target's address.  Whoever is on the way can change bits
of it, and can find out that a server speaks this; so the methods are accepted, with a warning.
"""

from __future__ import annotations

from typing import Callable, Optional

from ..crypto.backends import Buffer, Stream
from ..errors import CipherError, Truncated
from .keyring import Keyring
from .transform import Output


class StreamSealer:
    """Plaintext to what is sent.

    lead      plaintext that goes before the first payload: the target's address
    remember  is told the IV; a server's own must not come back to it
    """

    __slots__ = ("_cipher", "_keyring", "_lead", "_remember", "fault", "residue")

    def __init__(
        self, keyring: Keyring, lead: bytes = b"", remember: Optional[Callable[[bytes], object]] = None
    ) -> None:
        self.residue = b""
        self.fault: Optional[CipherError] = None
        self._keyring = keyring
        self._lead = lead
        self._remember = remember
        self._cipher: Optional[Stream] = None

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        if self._cipher is not None:
            return self._cipher.update(rx[:size])
        keyring = self._keyring
        iv = keyring.entropy(keyring.method.salt_size)
        if self._remember is not None:
            self._remember(iv)
        self._cipher = cipher = keyring.stream(iv, encrypting=True)
        lead, self._lead = self._lead, b""
        return iv + cipher.update(lead + rx[:size])

    def finish(self) -> bytes:
        """A client that says nothing still names its target."""
        if not self._lead:
            return b""
        return bytes(self.apply(memoryview(b""), 0, memoryview(b"")))


class StreamOpener:
    """What was sent to plaintext.  It cannot tell whether that is what the peer meant."""

    __slots__ = ("_cipher", "_keyring", "fault", "residue")

    def __init__(self, keyring: Keyring, cipher: Optional[Stream] = None) -> None:
        self.residue = b""
        self.fault: Optional[CipherError] = None
        self._keyring = keyring
        self._cipher = cipher

    def open(self, data: Buffer) -> bytes:
        """For the handshakes of servers, which have the cipher already."""
        assert self._cipher is not None
        return self._cipher.update(data)

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        if self._cipher is not None:
            return self._cipher.update(rx[:size])
        need = self._keyring.method.salt_size
        if size < need:
            self.residue = bytes(rx[:size])
            return b""
        self.residue = b""
        self._cipher = cipher = self._keyring.stream(bytes(rx[:need]), encrypting=False)
        return cipher.update(rx[need:size])

    def finish(self) -> bytes:
        """Raises Truncated inside the IV.  No byte at all is an empty answer."""
        if self.residue:
            raise Truncated("the stream ended inside its IV")
        return b""
