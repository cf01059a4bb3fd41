"""METHODS: every cipher name that Shadowsocks programs know, one row each.

    family     algorithm           key     salt    stream
    STREAM     by the backends     0..32   0..24   IV, then text; nothing is authenticated
    AEAD       by the backends     16..32  16..32  SIP004, SIP007: subkey by HKDF-SHA1 from a password
    AEAD_2022  by the backends     16, 32  16, 32  SIP022: subkey by BLAKE3 from a key in base64
    NONE       none                0       0       neither encrypts nor authenticates

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
    STREAM = "stream"
    AEAD = "aead"
    AEAD_2022 = "aead-2022"


class Status(Enum):
    """What is to be thought of a method."""

    RECOMMENDED = "recommended"
    FINE = "fine"
    INSECURE = "insecure"


class Method(NamedTuple):
    """One row.

    name       canonical
    family     its stream format
    algorithm  what a backend must offer; "" for none
    key_size   bytes; 0 where the password itself is the key
    salt_size  bytes in front of a stream: salt, or IV
    status     recommended, fine or insecure
    aliases    other names, in lower case
    block      for AEAD_2022 with AES: what encrypts the header of a datagram (SIP022 section 3.2.1)
    extended   for AEAD_2022 with ChaCha: what seals a datagram, with nonces of 24 bytes (section 4.1)
    """

    name: str
    family: Family
    algorithm: str
    key_size: int
    salt_size: int
    status: Status
    aliases: tuple[str, ...] = ()
    block: str = ""
    extended: str = ""


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


def _stream(name: str, key_size: int, iv_size: int, *aliases: str) -> Method:
    """A method of before 2017: whoever is on the way can change what it carries, and find out that it is one."""
    if name.endswith("-cfb"):
        aliases += (f"{name}128",)
    return Method(name, Family.STREAM, name, key_size, iv_size, Status.INSECURE, aliases)


def _aead(name: str, algorithm: str, key_size: int, status: Status, *aliases: str) -> Method:
    return Method(name, Family.AEAD, algorithm, key_size, key_size, status, aliases)


def _aead_2022(cipher: str, algorithm: str, key_size: int, status: Status) -> Method:
    """SIP022 has two forms of datagrams; which one a method has is said by `block` and `extended`."""
    block = f"aes-{8 * key_size}-ecb" if algorithm.startswith("aes-") else ""
    extended = "" if block else f"x{algorithm}"
    return Method(
        f"2022-blake3-{cipher}", Family.AEAD_2022, algorithm, key_size, key_size, status, block=block, extended=extended
    )


_RECOMMENDED, _FINE, _INSECURE = Status.RECOMMENDED, Status.FINE, Status.INSECURE

METHODS = _table(
    (
        _aead_2022("aes-128-gcm", "aes-128-gcm", 16, _RECOMMENDED),
        _aead_2022("aes-256-gcm", "aes-256-gcm", 32, _RECOMMENDED),
        _aead_2022("chacha20-poly1305", "chacha20-poly1305", 32, _RECOMMENDED),
        _aead_2022("chacha12-poly1305", "chacha12-poly1305", 32, _FINE),
        _aead_2022("chacha8-poly1305", "chacha8-poly1305", 32, _FINE),
        _aead("aes-128-gcm", "aes-128-gcm", 16, _RECOMMENDED, "aead_aes_128_gcm"),
        _aead("aes-192-gcm", "aes-192-gcm", 24, _FINE, "aead_aes_192_gcm"),
        _aead("aes-256-gcm", "aes-256-gcm", 32, _RECOMMENDED, "aead_aes_256_gcm"),
        _aead("chacha20-ietf-poly1305", "chacha20-poly1305", 32, _RECOMMENDED, "aead_chacha20_poly1305"),
        _aead("xchacha20-ietf-poly1305", "xchacha20-poly1305", 32, _FINE),
        _aead("chacha20-poly1305", "chacha20-poly1305-original", 32, _FINE),
        _aead("aes-128-ocb", "aes-128-ocb", 16, _FINE),
        _aead("aes-192-ocb", "aes-192-ocb", 24, _FINE),
        _aead("aes-256-ocb", "aes-256-ocb", 32, _FINE),
        *(
            _stream(f"aes-{bits}-{mode}", bits // 8, 16)
            for mode in ("cfb", "cfb8", "cfb1", "ofb", "ctr")
            for bits in (128, 192, 256)
        ),
        *(_stream(f"camellia-{bits}-cfb", bits // 8, 16) for bits in (128, 192, 256)),
        _stream("bf-cfb", 16, 8),
        _stream("cast5-cfb", 16, 8),
        _stream("des-cfb", 8, 8),
        _stream("idea-cfb", 16, 8),
        _stream("rc2-cfb", 16, 8),
        _stream("seed-cfb", 16, 16),
        _stream("rc4", 16, 0),
        _stream("rc4-md5", 16, 16),
        _stream("chacha20", 32, 8),
        _stream("chacha20-ietf", 32, 12),
        _stream("xchacha20", 32, 24),
        _stream("salsa20", 32, 8),
        _stream("table", 0, 0),
        Method("none", Family.NONE, "", 0, 0, _INSECURE, ("plain",)),
    )
)

DEFAULT_METHOD = "chacha20-ietf-poly1305"
BEST_METHOD = "2022-blake3-aes-256-gcm"

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
    if close:
        guess = f"did you mean {close[0]}?"
    else:
        guess = f"use {BEST_METHOD} or {DEFAULT_METHOD}; pyss ciphers lists all there are"
    raise ConfigError(f"the method {name[:60]!r} is not available; {guess}")
