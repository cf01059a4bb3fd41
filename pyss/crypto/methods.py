"""METHODS: every cipher name that Shadowsocks programs know and pyss speaks, one row each.

    family     algorithm           key  salt   stream
    AEAD       by the backends      16..32     SIP004, SIP007: subkey by HKDF-SHA1 from a password
    AEAD_2022  by the backends      16, 32     SIP022: subkey by BLAKE3 from a key in base64
    NONE       none                 0    0     neither encrypts nor authenticates

A new method of a known family is a new row and a file of vectors, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from ..errors import ConfigError


class Family(Enum):
    """Which stream format a method has; see `protocol.shadowsocks`."""

    NONE = "none"
    AEAD = "aead"
    AEAD_2022 = "aead-2022"


class Method(NamedTuple):
    """One row.

    name       canonical
    family     its stream format
    algorithm  what a backend must offer; "" for none
    key_size   bytes
    salt_size  bytes, as many as the key has
    aliases    other names, in lower case
    """

    name: str
    family: Family
    algorithm: str
    key_size: int
    salt_size: int
    aliases: tuple[str, ...] = ()


def _table(rows: Iterable[Method]) -> dict[str, Method]:
    """Rows by canonical name.  Raises ValueError for a name or an alias that stands twice."""
    table: dict[str, Method] = {}
    taken: set[str] = set()
    for row in rows:
        for name in (row.name, *row.aliases):
            if name in taken:
                raise ValueError(f"two methods are called {name}")
            taken.add(name)
        table[row.name] = row
    return table


METHODS = _table(
    (
        Method("aes-128-gcm", Family.AEAD, "aes-128-gcm", 16, 16, ("aead_aes_128_gcm",)),
        Method("aes-192-gcm", Family.AEAD, "aes-192-gcm", 24, 24, ("aead_aes_192_gcm",)),
        Method("aes-256-gcm", Family.AEAD, "aes-256-gcm", 32, 32, ("aead_aes_256_gcm",)),
        Method(
            "chacha20-ietf-poly1305", Family.AEAD, "chacha20-poly1305", 32, 32, ("aead_chacha20_poly1305",)
        ),
        Method("2022-blake3-aes-128-gcm", Family.AEAD_2022, "aes-128-gcm", 16, 16),
        Method("2022-blake3-aes-256-gcm", Family.AEAD_2022, "aes-256-gcm", 32, 32),
        Method("2022-blake3-chacha20-poly1305", Family.AEAD_2022, "chacha20-poly1305", 32, 32),
        Method("none", Family.NONE, "", 0, 0, ("plain",)),
    )
)

DEFAULT_METHOD = "chacha20-ietf-poly1305"

# Libraries that the original could be told to take a cipher from; the choice is ours.
_LIBRARIES = ("openssl:", "mbedtls:", "sodium:")

_BY_NAME = {name: row for row in METHODS.values() for name in (row.name, *row.aliases)}


def find_method(name: str) -> Method:
    """The row for a name as people write it.  Raises ConfigError, with the names that there are."""
    plain = name.strip().lower()
    for library in _LIBRARIES:
        plain = plain[len(library) :] if plain.startswith(library) else plain
    method = _BY_NAME.get(plain)
    if method is not None:
        return method
    import difflib  # only for people who mistype

    close = difflib.get_close_matches(plain[:60], list(METHODS), n=1, cutoff=0.8)
    guess = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(METHODS)}"
    raise ConfigError(f"the method {name[:60]!r} is not available{guess}")
