"""From what people configure to the key of one direction of one session.

    password ──EVP_BytesToKey──► key ──HKDF-SHA1, salt──► subkey         AEAD-2017 (SIP004)
    base64 ──► pre-shared key ──BLAKE3 derive_key, salt──► subkey        AEAD-2022 (SIP022 section 2)
"""

from __future__ import annotations

import base64
import binascii
from hashlib import md5, sha1
from typing import Callable, Optional

from ..errors import ConfigError
from .methods import Method

_SUBKEY_INFO = b"ss-subkey"  # SIP004
_FIRST_ROUND, _SECOND_ROUND = _SUBKEY_INFO + b"\1", _SUBKEY_INFO + b"\2"
_SUBKEY_CONTEXT = "shadowsocks 2022 session subkey"  # SIP022 section 2

_SHA1_BLOCK, _SHA1_SIZE = 64, 20
_INNER = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104: ipad and opad, as translation tables
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def password_key(password: bytes, size: int) -> bytes:
    """EVP_BytesToKey of OpenSSL with MD5, no salt and one round: D1 = MD5(p), Dn = MD5(Dn-1 || p)."""
    digest = key = b""
    while len(key) < size:
        digest = md5(digest + password, usedforsecurity=False).digest()
        key += digest
    return key[:size]


def decode_psk(text: str, method: Method) -> bytes:
    """A pre-shared key of a 2022 method.  Raises ConfigError, and never shows what it got."""
    remedy = f"pyss genkey -m {method.name} makes one"
    try:
        if len(text) % 4:  # Python 3.9 overlooks a padding that is too long
            raise ValueError("padding")
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(
            f"{method.name} takes a key of {method.key_size} bytes in base64 for a password; {remedy}"
        ) from None
    if len(key) != method.key_size:
        raise ConfigError(
            f"the key has {len(key)} bytes, and {method.name} takes {method.key_size}; {remedy}"
        )
    return key


def hmac_sha1(key: bytes, message: bytes) -> bytes:
    """RFC 2104, for keys of at most one block.  By hand: the half of what `hmac` takes for so little data."""
    padded = key.ljust(_SHA1_BLOCK, b"\0")
    inner = sha1(padded.translate(_INNER) + message).digest()
    return sha1(padded.translate(_OUTER) + inner).digest()


def session_subkey(key: bytes, salt: bytes) -> bytes:
    """HKDF-SHA1 (RFC 5869) to the length of the key: 16, 24 or 32 bytes, one or two rounds of 20."""
    secret = hmac_sha1(salt, key)
    # Both rounds use the same two pads, so they are made here once.
    padded = secret.ljust(_SHA1_BLOCK, b"\0")
    inner, outer = padded.translate(_INNER), padded.translate(_OUTER)
    size = len(key)
    first = sha1(outer + sha1(inner + _FIRST_ROUND).digest()).digest()
    if size <= _SHA1_SIZE:
        return first[:size]
    return (first + sha1(outer + sha1(inner + first + _SECOND_ROUND).digest()).digest())[:size]


_derive_key: Optional[Callable[[bytes], bytes]] = None


def session_subkey_2022(key: bytes, salt: bytes) -> bytes:
    """BLAKE3.derive_key(context, key || salt), to the length of the key."""
    global _derive_key
    if _derive_key is None:  # compiled at the first use of a 2022 method, by nobody else
        from .pure.blake3 import key_deriver

        _derive_key = key_deriver(_SUBKEY_CONTEXT)
    return _derive_key(key + salt)[: len(key)]
