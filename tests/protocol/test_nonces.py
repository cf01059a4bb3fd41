"""No nonce is used twice under one key: recorded over 70,000 chunks in every direction of every codec.

The cipher here is none, it writes the nonce as its tag; so both the numbers and their order are seen, and an
opener that counts differently fails.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest
from helpers import reference_codec as reference
from helpers.codecs import NOW, bytes_of, keyring_of, password_of, room_for, run

from pyss.crypto.backends import Buffer
from pyss.errors import BadTag
from pyss.protocol.aead import OVERHEAD, SMALL, Opener, Sealer
from pyss.protocol.aead2022 import RequestOpener, RequestSealer, ResponseOpener, ResponseSealer
from pyss.protocol.keyring import Keyring

MANY = 70_000  # chunks; two nonces each, so that both 2**16 nonces and 2**16 chunks are passed
NAME_2017 = "aes-128-gcm"
NAME_2022 = "2022-blake3-aes-128-gcm"
LEAD = b"\x01" + bytes(6)


class Recorder:
    """In place of a backend: remembers under which key which nonces were sealed with, in their order."""

    def __init__(self) -> None:
        self.sealed: dict[bytes, list[bytes]] = {}

    def new(self, key: bytes) -> Any:
        return NoCipher(self.sealed.setdefault(key, []))


class NoCipher:
    def __init__(self, sealed: list[bytes]) -> None:
        self._sealed = sealed

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: object) -> bytes:
        self._sealed.append(nonce)
        return bytes(data) + nonce + b"\xaa\xbb\xcc\xdd"

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: object) -> bytes:
        if bytes(data[-16:]) != nonce + b"\xaa\xbb\xcc\xdd":
            raise BadTag("another nonce")
        return bytes(data[:-16])

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: object, buf: memoryview) -> int:
        buf[:] = sealed = self.encrypt(nonce, data, associated_data)
        return len(sealed)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: object, buf: memoryview) -> int:
        buf[:] = plain = self.decrypt(nonce, data, associated_data)
        return len(plain)


def recorded(name: str) -> tuple[Keyring, Recorder]:
    keyring = keyring_of(name)
    recorder = Recorder()
    keyring._new = recorder.new
    keyring.rejected = BadTag
    return keyring, recorder


def up_2017(keyring: Keyring) -> tuple[Sealer, Callable[[], Opener]]:
    return Sealer(keyring, LEAD), lambda: Opener(keyring)


def down_2017(keyring: Keyring) -> tuple[Sealer, Callable[[], Opener]]:
    return Sealer(keyring), lambda: Opener(keyring)


def up_2022(keyring: Keyring) -> tuple[Sealer, Callable[[], Opener]]:
    sealer = RequestSealer(keyring, LEAD)
    return sealer, lambda: RequestOpener(keyring, keyring.session(sealer.salt))


def down_2022(keyring: Keyring) -> tuple[Sealer, Callable[[], Opener]]:
    request = RequestSealer(keyring, LEAD)
    run(request, [b"question"])
    return ResponseSealer(keyring, request.salt), lambda: ResponseOpener(keyring, request)


DIRECTIONS = {
    "2017-up": (NAME_2017, up_2017),
    "2017-down": (NAME_2017, down_2017),
    "2022-up": (NAME_2022, up_2022),
    "2022-down": (NAME_2022, down_2022),
}
BULK = SMALL + 1  # too long for the path of small messages


def counted(count: int) -> list[bytes]:
    """The nonces that the specifications ask for."""
    return [number.to_bytes(12, "little") for number in range(count)]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_nonce_is_used_twice(direction: str) -> None:
    """Small messages and larger ones in turn: each kind has a path of its own."""
    name, both_ends = DIRECTIONS[direction]
    keyring, recorder = recorded(name)
    sealer, opener_of = both_ends(keyring)
    rx, tx, received = (memoryview(bytearray(room_for(BULK))) for _ in range(3))
    opener = None
    for number in range(MANY):
        size = BULK if number % 3 == 1 else 1
        sealed = sealer.apply(rx, size, tx)
        if opener is None:
            # What a handshake takes of a 2022 request is none of its opener's business.
            opener = opener_of()
            if direction == "2022-up":
                continue
        length = len(sealed)
        received[:length] = sealed
        plain = opener.apply(received, length, tx)
        assert opener.fault is None
        assert len(plain) == size + (len(LEAD) if not number and direction == "2017-up" else 0)
    nonces = recorder.sealed[keyring._derive(keyring._key, sealer.salt)]
    assert len(nonces) == 2 * MANY
    assert nonces == counted(2 * MANY)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_many_chunks_of_one_write(direction: str) -> None:
    name, both_ends = DIRECTIONS[direction]
    keyring, recorder = recorded(name)
    sealer = both_ends(keyring)[0]
    run(sealer, [b"first"])
    most = sealer.chunk_size
    sealed = run(sealer, [bytes(20 * most + 1)]).data
    assert len(sealed) == 20 * most + 1 + 21 * OVERHEAD
    nonces = recorder.sealed[keyring._derive(keyring._key, sealer.salt)]
    assert nonces == counted(2 * 22)


def test_each_direction_has_a_key_of_its_own() -> None:
    for name, up, down in ((NAME_2017, up_2017, down_2017), (NAME_2022, up_2022, down_2022)):
        keyring, recorder = recorded(name)
        for ends in (up, down, up, down):
            run(ends(keyring)[0], [b"a", b"b"])
        assert all(nonces == counted(4) for nonces in recorder.sealed.values() if len(nonces) != 2)
        keys = sum(1 for nonces in recorder.sealed.values() if nonces)
        assert keys == (4 if name == NAME_2017 else 6)  # two requests led to the answers


def test_the_end_of_the_table_with_a_real_cipher() -> None:
    """Nonce 1024 is where the table of nonces ends: one chunk at a time, across it, and many at once."""
    name = "chacha20-ietf-poly1305"
    key = reference.key_of(name, password_of(name))
    payloads = [bytes((number % 251,)) for number in range(516)]
    sealed = run(Sealer(keyring_of(name)), payloads)
    assert reference.read_2017(name, key, sealed.data) == payloads
    wire = reference.write_2017(name, key, bytes_of("salt", reference.SIZES[name]), payloads)
    size = OVERHEAD + 1
    start = reference.SIZES[name]
    singly = [wire[: start + size], *(wire[at : at + size] for at in range(start + size, len(wire), size))]
    for pieces in (singly, [wire[:500], wire[500:]]):
        passed = run(Opener(keyring_of(name)), pieces)
        assert (passed.data, passed.fault) == (b"".join(payloads), None)


def test_the_end_of_the_table_where_chunks_are_cut() -> None:
    """A length in one read and its payload in the next, so that the counter is odd there."""
    name = NAME_2022
    key = reference.key_of(name, password_of(name))
    keyring = keyring_of(name, entropy=lambda size: bytes(size))
    request = RequestSealer(keyring, LEAD)
    run(request, [b"question"])
    payloads = [bytes((number % 251,)) for number in range(520)]
    wire = reference.write_response_2022(name, key, bytes_of("salt", 16), NOW, bytes(16), payloads)
    start = 16 + 1 + 8 + 16 + 2 + 16 + 1 + 16
    pieces = [wire[:start]]
    for at in range(start, len(wire), OVERHEAD + 1):
        pieces += [wire[at : at + 18], wire[at + 18 : at + OVERHEAD + 1]]
    passed = run(ResponseOpener(keyring, request), pieces)
    assert (passed.data, passed.fault) == (b"".join(payloads), None)


def test_the_counter_cannot_wrap() -> None:
    """After 2**96 seals there is no nonce left, and none is used again."""
    sealer = Sealer(keyring_of(NAME_2017))
    run(sealer, [b"first"])
    sealer._nonce = 2**96 - 2
    assert run(sealer, [b"last"]).data
    with pytest.raises(OverflowError):
        run(sealer, [b"one too many"])
