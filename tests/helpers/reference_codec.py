"""Shadowsocks streams a second time: written from the specifications (SIP004, SIP007, SIP022) without a look at
`pyss.protocol`, slow and plain, to compare the codecs with.

Keys and subkeys come from hashlib, hmac and a BLAKE3 of its own; the AEAD itself from `cryptography`, or from
pyss's pure backend where that is not installed (it is held to published vectors elsewhere).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyss.crypto.backend_pure import ALGORITHMS
from pyss.errors import BadTag

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import aead
except Exception:  # not installed, or a wheel that does not load here
    InvalidTag = BadTag
    aead = None

REJECTED = (InvalidTag, BadTag)

TAG = 16

# name -> key and salt size
SIZES = {
    "aes-128-gcm": 16,
    "aes-192-gcm": 24,
    "aes-256-gcm": 32,
    "chacha20-ietf-poly1305": 32,
    "xchacha20-ietf-poly1305": 32,
    "chacha20-poly1305": 32,
    "aes-128-ocb": 16,
    "aes-192-ocb": 24,
    "aes-256-ocb": 32,
    "2022-blake3-aes-128-gcm": 16,
    "2022-blake3-aes-256-gcm": 32,
    "2022-blake3-chacha20-poly1305": 32,
    "2022-blake3-chacha12-poly1305": 32,
    "2022-blake3-chacha8-poly1305": 32,
}
NONCE_SIZES = {"xchacha20-ietf-poly1305": 24, "chacha20-poly1305": 8}  # of the others 12
# Who has these besides pyss differs from machine to machine: here its own cipher serves, which is held to vectors.
OWN = {
    "xchacha20-ietf-poly1305": "xchacha20-poly1305",
    "chacha20-poly1305": "chacha20-poly1305-original",
    **{name: name for name in ("aes-128-ocb", "aes-192-ocb", "aes-256-ocb")},
    "2022-blake3-chacha12-poly1305": "chacha12-poly1305",
    "2022-blake3-chacha8-poly1305": "chacha8-poly1305",
}


# --- keys ----------------------------------------------------------------------------------------
def key_of(name: str, password: str) -> bytes:
    """EVP_BytesToKey with MD5 (2017), or base64 (2022)."""
    if name.startswith("2022-"):
        return base64.b64decode(password)
    blocks = [b""]
    while len(b"".join(blocks)) < SIZES[name]:
        blocks.append(hashlib.md5(blocks[-1] + password.encode()).digest())
    return b"".join(blocks)[: SIZES[name]]


def hkdf_sha1(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869, as many bytes as the key has."""
    secret = hmac.new(salt, key, "sha1").digest()
    output = block = b""
    counter = 0
    while len(output) < len(key):
        counter += 1
        block = hmac.new(secret, block + info + bytes([counter]), "sha1").digest()
        output += block
    return output[: len(key)]


_BLAKE3_IV = struct.unpack(
    ">8I", bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
)
_MESSAGE_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)


def _blake3_one_block(chain: tuple[int, ...], block: bytes, flags: int) -> bytes:
    """BLAKE3 of at most 64 bytes: one chunk of one block, which is the root too (flags 1, 2 and 8)."""
    assert len(block) <= 64
    message = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    state = [*chain, *_BLAKE3_IV[:4], 0, 0, len(block), flags | 1 | 2 | 8]

    def turn(number: int, distance: int) -> int:
        return (number >> distance | number << (32 - distance)) & 0xFFFFFFFF

    def mix(a: int, b: int, c: int, d: int, x: int, y: int) -> None:
        for word, right, left in ((x, 16, 12), (y, 8, 7)):
            state[a] = (state[a] + state[b] + word) & 0xFFFFFFFF
            state[d] = turn(state[d] ^ state[a], right)
            state[c] = (state[c] + state[d]) & 0xFFFFFFFF
            state[b] = turn(state[b] ^ state[c], left)

    for _ in range(7):
        for column in range(4):
            mix(column, 4 + column, 8 + column, 12 + column, *message[2 * column : 2 * column + 2])
        for column in range(4):
            diagonal = (4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
            mix(column, *diagonal, *message[8 + 2 * column : 10 + 2 * column])
        message = [message[index] for index in _MESSAGE_ORDER]
    return struct.pack("<8I", *(state[index] ^ state[index + 8] for index in range(8)))


def blake3_derive_key(context: str, material: bytes) -> bytes:
    """Of one block each: the context has 31 bytes, the material at most 64."""
    context_key = _blake3_one_block(_BLAKE3_IV, context.encode(), 32)
    return _blake3_one_block(struct.unpack("<8I", context_key), material, 64)


def subkey(name: str, key: bytes, salt: bytes) -> bytes:
    if name.startswith("2022-"):
        return blake3_derive_key("shadowsocks 2022 session subkey", key + salt)[: len(key)]
    return hkdf_sha1(key, salt, b"ss-subkey")


def _aead(name: str, key: bytes) -> Any:
    if aead is None or name in OWN:
        gcm_or_chacha = f"aes-{8 * len(key)}-gcm" if "aes" in name else "chacha20-poly1305"
        return ALGORITHMS[OWN.get(name, gcm_or_chacha)](key)
    return aead.AESGCM(key) if "aes" in name else aead.ChaCha20Poly1305(key)


class Direction:
    """One direction of one stream: every seal and every opening takes the next nonce."""

    def __init__(self, name: str, key: bytes, salt: bytes) -> None:
        assert len(salt) == SIZES[name]
        self._aead = _aead(name, subkey(name, key, salt))
        self._nonce_size = NONCE_SIZES.get(name, 12)
        self.counter = 0

    def _nonce(self) -> bytes:
        self.counter += 1
        return struct.pack("<QQQ", self.counter - 1, 0, 0)[: self._nonce_size]

    def seal(self, plain: bytes) -> bytes:
        return bytes(self._aead.encrypt(self._nonce(), plain, None))

    def open(self, sealed: bytes) -> bytes:
        return bytes(self._aead.decrypt(self._nonce(), sealed, None))

    def chunk(self, payload: bytes) -> bytes:
        return self.seal(struct.pack(">H", len(payload))) + self.seal(payload)

    def chunks(self, payloads: Iterable[bytes]) -> bytes:
        return b"".join(map(self.chunk, payloads))

    def read_chunks(self, wire: bytes) -> Iterator[bytes]:
        """The payloads of whole chunks; AssertionError where something is left over."""
        while wire:
            (length,) = struct.unpack(">H", self.open(wire[: 2 + TAG]))
            end = 2 + TAG + length + TAG
            assert end <= len(wire), "the stream ends inside a chunk"
            yield self.open(wire[2 + TAG : end])
            wire = wire[end:]


# --- AEAD-2017 -----------------------------------------------------------------------------------
def write_2017(name: str, key: bytes, salt: bytes, payloads: Iterable[bytes]) -> bytes:
    return salt + Direction(name, key, salt).chunks(payloads)


def read_2017(name: str, key: bytes, wire: bytes) -> list[bytes]:
    size = SIZES[name]
    return list(Direction(name, key, wire[:size]).read_chunks(wire[size:]))


# --- AEAD-2022 -----------------------------------------------------------------------------------
class RequestParts(NamedTuple):
    """What a request says.

    address  as on the wire
    initial  the payload inside the header
    chunks   the payloads behind it
    """

    salt: bytes
    time: int
    address: bytes
    padding: bytes
    initial: bytes
    chunks: list[bytes]


def write_request_2022(
    name: str,
    key: bytes,
    salt: bytes,
    time: int,
    address: bytes,
    *,
    padding: bytes = b"",
    initial: bytes = b"",
    chunks: Iterable[bytes] = (),
    kind: int = 0,
) -> bytes:
    variable = address + struct.pack(">H", len(padding)) + padding + initial
    return write_headers_2022(name, key, salt, kind, time, variable, chunks)


def write_headers_2022(
    name: str, key: bytes, salt: bytes, kind: int, time: int, variable: bytes, chunks: Iterable[bytes] = ()
) -> bytes:
    """Whatever `variable` is: for headers that break the rules."""
    way = Direction(name, key, salt)
    return (
        salt + way.seal(struct.pack(">BQH", kind, time, len(variable))) + way.seal(variable) + way.chunks(chunks)
    )


def read_request_2022(name: str, key: bytes, wire: bytes) -> RequestParts:
    size = SIZES[name]
    salt = wire[:size]
    way = Direction(name, key, salt)
    at = size + 11 + TAG
    kind, time, length = struct.unpack(">BQH", way.open(wire[size:at]))
    assert kind == 0
    end = at + length + TAG
    variable = way.open(wire[at:end])
    cut = {1: 7, 4: 19}[variable[0]] if variable[0] != 3 else 4 + variable[1]
    (padded,) = struct.unpack(">H", variable[cut : cut + 2])
    start = cut + 2 + padded
    return RequestParts(
        salt, time, variable[:cut], variable[cut + 2 : start], variable[start:], list(way.read_chunks(wire[end:]))
    )


def write_response_2022(
    name: str,
    key: bytes,
    salt: bytes,
    time: int,
    request_salt: bytes,
    payloads: Iterable[bytes],
    *,
    kind: int = 1,
) -> bytes:
    """The first payload is behind the header without a length of its own."""
    first, *others = payloads
    way = Direction(name, key, salt)
    header = struct.pack(">BQ", kind, time) + request_salt + struct.pack(">H", len(first))
    return salt + way.seal(header) + way.seal(first) + way.chunks(others)


def read_response_2022(name: str, key: bytes, wire: bytes) -> tuple[int, bytes, list[bytes]]:
    """Time, request salt and payloads."""
    size = SIZES[name]
    way = Direction(name, key, wire[:size])
    at = size + 1 + 8 + size + 2 + TAG
    header = way.open(wire[size:at])
    assert header[0] == 1
    (time,) = struct.unpack(">Q", header[1:9])
    (length,) = struct.unpack(">H", header[-2:])
    end = at + length + TAG
    assert end <= len(wire)
    return time, header[9:-2], [way.open(wire[at:end]), *way.read_chunks(wire[end:])]
