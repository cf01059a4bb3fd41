"""A method and its key: all that sealing and opening need, and nowhere shown."""

from __future__ import annotations

import os
from typing import Callable, Optional

from ..crypto.backends import Aead, Block, Buffer, Stream, nonce_size, provide
from ..crypto.keys import decode_psk, password_key, session_subkey, session_subkey_2022
from ..crypto.methods import Family, Method, find_method

COUNTER_SIZE = 12  # bytes in which the codecs count

Entropy = Callable[[int], bytes]
Clock = Callable[[], float]


class Resized:
    """An Aead whose nonces have another size: the same counter, little-endian, in as many bytes."""

    __slots__ = ("_aead", "_size")

    def __init__(self, aead: Aead, size: int) -> None:
        self._aead = aead
        self._size = size

    def _nonce(self, counter: bytes) -> bytes:
        if any(counter[self._size :]):
            raise OverflowError("the counter does not fit the nonce of this method any more")
        return counter[: self._size].ljust(self._size, b"\0")

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        return self._aead.encrypt(self._nonce(nonce), data, associated_data)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        return self._aead.decrypt(self._nonce(nonce), data, associated_data)

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        return self._aead.encrypt_into(self._nonce(nonce), data, associated_data, buf)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        return self._aead.decrypt_into(self._nonce(nonce), data, associated_data, buf)


class Keyring:
    """One key under one method.

    method    the row of METHODS
    rejected  what the backend raises for a bad tag
    backend   its name; "" where the method has no cipher
    entropy   source of salts
    clock     seconds since 1970
    """

    __slots__ = (
        "_blocks", "_crypto", "_derive", "_extended", "_key", "_new", "_nonce_size",
        "backend", "clock", "entropy", "method", "rejected",
    )  # fmt: skip

    def __init__(
        self, method: Method, key: bytes, clock: Clock, entropy: Entropy = os.urandom, crypto: Optional[str] = None
    ) -> None:
        self.method = method
        self._key = key
        self.clock = clock
        self.entropy = entropy
        self._derive = session_subkey_2022 if method.family is Family.AEAD_2022 else session_subkey
        self._crypto = crypto
        self._blocks: dict[bool, Block] = {}
        self._extended: Optional[tuple[Aead, type[Exception]]] = None
        self.backend = ""
        self._nonce_size = nonce_size(method.algorithm)
        if method.family is not Family.NONE:
            provider = provide(method.algorithm, crypto)
            self.backend = provider.backend
            self._new = provider.new
            self.rejected = provider.rejected

    @classmethod
    def of(cls, method_name: str, password: str, clock: Clock, crypto: Optional[str] = None) -> Keyring:
        """From what a configuration says.  Raises ConfigError."""
        method = find_method(method_name)
        if method.family is Family.AEAD_2022:
            key = decode_psk(password, method)
        elif method.key_size:
            key = password_key(password.encode(), method.key_size)
        else:
            key = password.encode()
        return cls(method, key, clock, crypto=crypto)

    def session(self, salt: bytes) -> Aead:
        """The cipher of the direction that `salt` opens."""
        aead: Aead = self._new(self._derive(self._key, salt))
        return aead if self._nonce_size == COUNTER_SIZE else Resized(aead, self._nonce_size)

    def stream(self, iv: bytes, *, encrypting: bool) -> Stream:
        """The cipher of one direction of a method without authentication."""
        stream: Stream = self._new(self._key, iv, encrypting)
        return stream

    def block(self, *, encrypting: bool) -> Block:
        """The block cipher under the key itself, for headers of datagrams (SIP022 section 3.2.1).

        The same object each time, for it has no state.  Chosen and checked at the first call, so that who relays no
        datagrams does not pay for it.  Raises ConfigError when there is none.
        """
        block = self._blocks.get(encrypting)
        if block is None:
            block = self._blocks[encrypting] = provide(self.method.block, self._crypto).new(self._key, encrypting)
        return block

    def extended(self) -> tuple[Aead, type[Exception]]:
        """The cipher under the key itself, with nonces of 24 bytes (section 4.1), and what it raises for a bad tag.

        Another backend may have it than the one that does streams; otherwise as `block`.
        """
        if self._extended is None:
            provider = provide(self.method.extended, self._crypto)
            self._extended = provider.new(self._key), provider.rejected
        return self._extended

    def __repr__(self) -> str:
        return f"Keyring({self.method.name})"
