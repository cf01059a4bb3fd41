"""Keys with a known clock and known salts, and a pump without sockets, for the tests of both stream codecs."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from pyss.crypto.backends import provide
from pyss.crypto.methods import METHODS, Family
from pyss.errors import CipherError
from pyss.protocol.keyring import Clock, Entropy, Keyring
from pyss.protocol.transform import Transform

NOW = 1_750_000_000
METHODS_2017 = [name for name, method in METHODS.items() if method.family is Family.AEAD]
METHODS_2022 = [name for name, method in METHODS.items() if method.family is Family.AEAD_2022]

# One of each salt size, for tests with hundreds of streams; only the quicker one where AES is Python alone.
SLOW = provide("aes-128-gcm").backend == "pure"
FEW_2017 = ["chacha20-ietf-poly1305", "aes-128-gcm"][: 1 if SLOW else 2]
FEW_2022 = ["2022-blake3-chacha20-poly1305", "2022-blake3-aes-128-gcm"][: 1 if SLOW else 2]


def now() -> float:
    return NOW + 0.75  # only whole seconds may count


def bytes_of(seed: object, size: int) -> bytes:
    """The same bytes in every run."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def password_of(name: str) -> str:
    """What a configuration would hold; for 2022 a key in base64."""
    if name.startswith("2022-"):
        return base64.b64encode(bytes_of("key", METHODS[name].key_size)).decode()
    return "correct horse"


class Salts:
    """Entropy that counts, and remembers what it has given."""

    def __init__(self, seed: object = "salt") -> None:
        self._seed = seed
        self.given: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        self.given.append(bytes_of((self._seed, len(self.given)), size))
        return self.given[-1]


def keyring_of(
    name: str, *, clock: Clock = now, entropy: Optional[Entropy] = None, crypto: Optional[str] = None
) -> Keyring:
    keyring = Keyring.of(name, password_of(name), clock, crypto)
    keyring.entropy = entropy or Salts()
    return keyring


class Passed(NamedTuple):
    """What a transform let through.

    outputs  for each piece
    fault    why it stopped; what was fed behind it is not part of anything
    """

    outputs: list[bytes]
    fault: Optional[CipherError]

    @property
    def data(self) -> bytes:
        return b"".join(self.outputs)

    @property
    def status(self) -> Optional[str]:
        return None if self.fault is None else self.fault.status


def room_for(size: int) -> int:
    """Scratch for what `size` bytes can become: lead, headers, salt and 34 bytes for each chunk."""
    return size + 4096 + 34 * (size // 0x3FFF + 1)


def run(transform: Transform, pieces: Iterable[bytes]) -> Passed:
    """Feed pieces as a pump does: the residue before each, and nothing more after a fault.

    Scratch is overwritten after each call, as another session would, so that nothing kept may be a view of it.
    """
    outputs: list[bytes] = []
    for piece in pieces:
        whole = transform.residue + piece
        size = len(whole)
        rx = memoryview(bytearray(whole + b"\xdd" * 64))
        tx = memoryview(bytearray(b"\xdd" * room_for(size)))
        outputs.append(bytes(transform.apply(rx, size, tx)))
        rx[:] = b"\xdd" * len(rx)
        if transform.fault is not None:
            break
    return Passed(outputs, transform.fault)


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    """Pieces of `data`, cut at these offsets; none is empty."""
    offsets = sorted({0, len(data), *(point for point in points if 0 < point < len(data))})
    return [data[start:end] for start, end in zip(offsets, offsets[1:])]


def in_pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def every_split(data: bytes, first: int = 1) -> Iterator[list[bytes]]:
    """All in one piece, byte by byte behind the first piece, and every split in two.

    first  the smallest size that the first piece may have
    """
    yield [data]
    yield [data[:first], *in_pieces_of(data[first:], 1)]
    for point in range(first, len(data)):
        yield [data[:point], data[point:]]


def flipped(data: bytes, at: int, mask: int = 0x01) -> bytes:
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


def masks() -> Iterator[int]:
    """Every bit in turn, so that a walk over many bytes changes each kind."""
    return itertools.cycle(1 << bit for bit in range(8))
