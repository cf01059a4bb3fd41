"""`pyss genkey`: something to keep secret, for any method."""

from __future__ import annotations

import base64
import secrets
import string

from ..crypto.methods import Family, find_method

ALPHABET = string.ascii_letters + string.digits  # no shell, URL or JSON treats any of these specially
LENGTH = 32  # characters; 190 bits


def generate(method_name: str) -> str:
    """A key in base64 where the method wants one (AEAD-2022), else a password.  Raises ConfigError."""
    method = find_method(method_name)
    if method.family is Family.AEAD_2022:
        return base64.b64encode(secrets.token_bytes(method.key_size)).decode()
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
