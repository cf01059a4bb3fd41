"""A method and its key: all that sealing and opening need, and nowhere shown."""

from __future__ import annotations

import os
from typing import Callable, Optional

from ..crypto.backends import Aead, provide
from ..crypto.keys import decode_psk, password_key, session_subkey, session_subkey_2022
from ..crypto.methods import Family, Method, find_method

Entropy = Callable[[int], bytes]
Clock = Callable[[], float]


class Keyring:
    """One key under one method.

    method    the row of METHODS
    rejected  what the backend raises for a bad tag
    backend   its name; "" where the method has no cipher
    entropy   source of salts
    clock     seconds since 1970
    """

    __slots__ = ("_derive", "_key", "_new", "backend", "clock", "entropy", "method", "rejected")

    def __init__(
        self, method: Method, key: bytes, clock: Clock, entropy: Entropy = os.urandom, crypto: Optional[str] = None
    ) -> None:
        self.method = method
        self._key = key
        self.clock = clock
        self.entropy = entropy
        self._derive = session_subkey_2022 if method.family is Family.AEAD_2022 else session_subkey
        self.backend = ""
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
        else:
            key = password_key(password.encode(), method.key_size)
        return cls(method, key, clock, crypto=crypto)

    def session(self, salt: bytes) -> Aead:
        """The cipher of the direction that `salt` opens."""
        return self._new(self._derive(self._key, salt))

    def __repr__(self) -> str:
        return f"Keyring({self.method.name})"
