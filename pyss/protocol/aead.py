"""AEAD-2017 streams (SIP004, SIP007), and the chunk work that AEAD-2022 shares.

Each direction, with a subkey from its own random salt:

    +--------+-------------------------+----------------------------+---
    |  salt  | seal(length, 2 bytes)   | seal(payload)              | ...
    | 16..32 |  2 + 16                 |  length + 16               |
    +--------+-------------------------+----------------------------+---

1 <= length <= 0x3FFF.  The nonce is a little-endian counter of 96 bits that starts at 0 and goes up after
every seal; it is kept as a Python int, which cannot wrap.  Its conversion to 12 bytes raises OverflowError
after 2**96 seals.  The plaintext of a client's stream begins with the target's address.

Small messages take a path of their own: bytes added are cheaper there than slices of scratch.
"""

from __future__ import annotations

from typing import Optional

from ..crypto.backends import Aead
from ..errors import BadHeader, BadTag, CipherError, Truncated
from .keyring import Keyring
from .transform import Output

TAG = 16
LENGTH = 2
SEALED_LENGTH = LENGTH + TAG
OVERHEAD = SEALED_LENGTH + TAG  # of one chunk
SMALL = 1400  # bytes, one packet

_integer = int.from_bytes


class Sealer:
    """Plaintext to chunks.

    lead  plaintext that goes before the first payload: the target's address
    """

    __slots__ = ("_aead", "_lead", "_nonce", "fault", "keyring", "residue", "salt")

    chunk_size = 0x3FFF

    def __init__(self, keyring: Keyring, lead: bytes = b"") -> None:
        self.keyring = keyring
        self.residue = b""
        self.fault: Optional[CipherError] = None
        self.salt = b""
        self._aead: Optional[Aead] = None
        self._nonce = 0
        self._lead = lead

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        aead = self._aead
        if aead is None:
            return self._begin(rx, size, tx)
        if size <= SMALL:
            nonce = self._nonce
            self._nonce = nonce + 2
            return aead.encrypt(nonce.to_bytes(12, "little"), size.to_bytes(LENGTH, "big"), None) + aead.encrypt(
                (nonce + 1).to_bytes(12, "little"), rx[:size], None
            )
        return tx[: self._seal(aead, rx, size, tx, 0)]

    def finish(self) -> bytes:
        """A client that says nothing still names its target."""
        if not self._lead:
            return b""
        return bytes(self.apply(memoryview(b""), 0, memoryview(bytearray(2048))))

    def _seal(self, aead: Aead, source: memoryview, size: int, tx: memoryview, at: int) -> int:
        """Write source[:size] as chunks to tx[at:]; returns where they end."""
        encrypt_into = aead.encrypt_into
        nonce = self._nonce
        most = self.chunk_size
        start = 0
        while start < size:
            length = size - start
            if length > most:
                length = most
            body = at + SEALED_LENGTH
            end = body + length + TAG
            encrypt_into(nonce.to_bytes(12, "little"), length.to_bytes(LENGTH, "big"), None, tx[at:body])
            encrypt_into(
                (nonce + 1).to_bytes(12, "little"), source[start : start + length], None, tx[body:end]
            )
            nonce += 2
            start += length
            at = end
        self._nonce = nonce
        return at

    def _start(self) -> Aead:
        """Choose the salt; returns the cipher."""
        keyring = self.keyring
        self.salt = salt = keyring.entropy(keyring.method.salt_size)
        self._aead = aead = keyring.session(salt)
        return aead

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        lead, self._lead = self._lead, b""
        aead = self._start()
        first = memoryview(lead + rx[:size]) if lead else rx
        size += len(lead)
        if size <= SMALL:
            return self.salt + self.apply(first, size, tx)
        at = len(self.salt)
        tx[:at] = self.salt
        return tx[: self._seal(aead, first, size, tx, at)]


class Opener:
    """Chunks to plaintext.

    After a bad tag or length nothing more is opened; `fault` says why.
    """

    __slots__ = ("_aead", "_length", "_nonce", "fault", "keyring", "residue")

    chunk_size = 0x3FFF

    def __init__(self, keyring: Keyring, aead: Optional[Aead] = None, nonce: int = 0) -> None:
        self.keyring = keyring
        self.residue = b""
        self.fault: Optional[CipherError] = None
        self._aead = aead
        self._nonce = nonce
        self._length = 0  # of the chunk whose sealed length has been opened already

    @property
    def authenticated(self) -> bool:
        """Whether anything has been opened: the peer knows the key."""
        return self._nonce > 0

    def open(self, data: bytes) -> bytes:
        """`apply` without scratch, for the handshakes of servers, which have the cipher already."""
        whole = self.residue + data
        size = len(whole)
        return bytes(self.apply(memoryview(whole), size, memoryview(bytearray(size))))

    def apply(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        aead = self._aead
        if aead is None:
            return self._begin(rx, size, tx)
        if size > SMALL or size < SEALED_LENGTH or self._length:
            return self._open(aead, rx, size, tx, 0)
        nonce = self._nonce
        try:
            length = _integer(aead.decrypt(nonce.to_bytes(12, "little"), rx[:SEALED_LENGTH], None), "big")
            self._nonce = nonce + 1
            if length + OVERHEAD != size or not length:
                self._length = self._checked(length)
                return self._open(aead, rx, size, tx, SEALED_LENGTH)
            plain = aead.decrypt((nonce + 1).to_bytes(12, "little"), rx[SEALED_LENGTH:size], None)
        except self.keyring.rejected:
            return self._fail(BadTag("a chunk does not carry a valid tag"))
        except CipherError as fault:
            return self._fail(fault)
        self._nonce = nonce + 2
        self.residue = b""
        return plain

    def finish(self) -> bytes:
        """Raises Truncated where the stream was cut.  No byte at all is an empty answer."""
        if self.residue or self._length:
            raise Truncated("the stream ended inside a chunk")
        return b""

    def _open(self, aead: Aead, rx: memoryview, size: int, tx: memoryview, at: int) -> Output:
        """Open every whole chunk of rx[at:size]; what is left becomes the residue."""
        decrypt = aead.decrypt
        decrypt_into = aead.decrypt_into
        nonce = self._nonce
        length = self._length
        done = 0
        try:
            while True:
                if not length:
                    if size - at < SEALED_LENGTH:
                        break
                    length = _integer(decrypt(nonce.to_bytes(12, "little"), rx[at : at + SEALED_LENGTH], None), "big")
                    nonce += 1
                    at += SEALED_LENGTH
                    length = self._checked(length)
                end = at + length + TAG
                if end > size:
                    break
                decrypt_into(nonce.to_bytes(12, "little"), rx[at:end], None, tx[done : done + length])
                nonce += 1
                at = end
                done += length
                length = 0
        except self.keyring.rejected:
            tx[done : done + length] = bytes(length)  # some backends write before they look at the tag
            self._fail(BadTag("a chunk does not carry a valid tag"))
        except CipherError as fault:
            self._fail(fault)
        else:
            self.residue = bytes(rx[at:size])
        self._nonce = nonce
        self._length = length
        return tx[:done]

    def _checked(self, length: int) -> int:
        if not 1 <= length <= self.chunk_size:
            raise BadHeader(f"a chunk of {length} bytes is not allowed")
        return length

    def _fail(self, fault: CipherError) -> Output:
        self.fault = fault
        self.residue = b""
        self._aead = None  # so that whatever comes next ends in `_begin`, which refuses it
        return b""

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        """The peer's salt comes first."""
        if self.fault is not None:
            return b""
        need = self.keyring.method.salt_size
        if size < need:
            self.residue = bytes(rx[:size])
            return b""
        self._aead = self.keyring.session(bytes(rx[:need]))
        self.residue = b""
        return self.apply(rx[need:size], size - need, tx)
