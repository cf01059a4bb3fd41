"""Shadowsocks datagrams a second time: written from the specifications (SIP004, SIP022) without a look at
`pyss.protocol`, to compare the codecs with.

Keys, subkeys and the AEADs are those of `reference_codec`; AES and Poly1305 are those of `cryptography`, or of pyss's
pure backend where that is not installed.  ChaCha with any number of rounds is written out here, as in RFC 8439
section 2.3 and draft-irtf-cfrg-xchacha-03 section 2.2.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pyss.crypto.backend_pure import BLOCKS
from pyss.crypto.pure import poly1305 as pure
from pyss.errors import BadTag

from . import reference_codec as reference

try:
    from cryptography.hazmat.primitives import ciphers
    from cryptography.hazmat.primitives.poly1305 import Poly1305
except Exception:  # not installed, or a wheel that does not load here
    ciphers = Poly1305 = None  # type: ignore[assignment,misc]

REJECTED = reference.REJECTED

ROUNDS = {
    "2022-blake3-chacha20-poly1305": 20,
    "2022-blake3-chacha12-poly1305": 12,
    "2022-blake3-chacha8-poly1305": 8,
}


# --- AEAD-2017 -----------------------------------------------------------------------------------
def seal_2017(name: str, key: bytes, salt: bytes, plain: bytes) -> bytes:
    """One seal under the subkey of the salt: its nonce is 0."""
    return salt + reference.Direction(name, key, salt).seal(plain)


def open_2017(name: str, key: bytes, packet: bytes) -> bytes:
    size = reference.SIZES[name]
    return reference.Direction(name, key, packet[:size]).open(packet[size:])


# --- XChaCha-Poly1305 ----------------------------------------------------------------------------
def _after_rounds(state: tuple[int, ...], rounds: int) -> list[int]:
    words = list(state)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[x] = (words[x] + words[y]) & 0xFFFFFFFF
            mixed = words[z] ^ words[x]
            words[z] = (mixed << left | mixed >> 32 - left) & 0xFFFFFFFF

    for _ in range(rounds // 2):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return words


def _state(key: bytes, last_row: bytes) -> tuple[int, ...]:
    return struct.unpack("<16I", b"expand 32-byte k" + key + last_row)


class XChaCha:
    """The AEAD of RFC 8439 section 2.8 under the subkey of HChaCha."""

    def __init__(self, key: bytes, nonce: bytes, rounds: int) -> None:
        words = _after_rounds(_state(key, nonce[:16]), rounds)
        self._subkey = struct.pack("<8I", *words[:4], *words[12:])
        self._nonce = bytes(4) + nonce[16:]
        self._rounds = rounds

    def _block(self, counter: int) -> bytes:
        before = _state(self._subkey, struct.pack("<I", counter) + self._nonce)
        after = _after_rounds(before, self._rounds)
        return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(before, after)))

    def _masked(self, text: bytes) -> bytes:
        stream = b"".join(self._block(1 + at // 64) for at in range(0, len(text), 64))
        return bytes(a ^ b for a, b in zip(text, stream))

    def _tag(self, text: bytes) -> bytes:
        message = text + bytes(-len(text) % 16) + struct.pack("<QQ", 0, len(text))
        tag_of = pure.poly1305 if Poly1305 is None else Poly1305.generate_tag
        return bytes(tag_of(self._block(0)[:32], message))

    def seal(self, plain: bytes) -> bytes:
        text = self._masked(plain)
        return text + self._tag(text)

    def open(self, sealed: bytes) -> bytes:
        text, tag = sealed[:-16], sealed[-16:]
        if self._tag(text) != tag:
            raise BadTag("in the reference")
        return self._masked(text)


# --- AEAD-2022 -----------------------------------------------------------------------------------
class Packet(NamedTuple):
    """What a datagram says.

    kind     0 from a client, 1 from a server
    client   session id of the client, in what a server says
    address  as on the wire
    """

    session_id: bytes
    packet_id: int
    kind: int
    time: int
    address: bytes
    payload: bytes
    client: bytes = b""
    padding: bytes = b""

    @property
    def header(self) -> bytes:
        return self.session_id + struct.pack(">Q", self.packet_id)

    @property
    def body(self) -> bytes:
        start = struct.pack(">BQ", self.kind, self.time) + self.client + struct.pack(">H", len(self.padding))
        return start + self.padding + self.address + self.payload


def _block(key: bytes, block: bytes, encrypting: bool) -> bytes:
    if ciphers is None:
        return BLOCKS[f"aes-{8 * len(key)}-ecb"](key, encrypting).update(block)
    cipher = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.ECB())
    return bytes((cipher.encryptor() if encrypting else cipher.decryptor()).update(block))


def write(name: str, key: bytes, packet: Packet, nonce: bytes = bytes(range(24))) -> bytes:
    """nonce  of the ChaCha form"""
    return write_raw(name, key, packet.header, packet.body, nonce)


def write_raw(name: str, key: bytes, header: bytes, body: bytes, nonce: bytes = bytes(range(24))) -> bytes:
    """Whatever header and body are: for packets that break the rules."""
    if name in ROUNDS:
        return nonce + XChaCha(key, nonce, ROUNDS[name]).seal(header + body)
    sealed = reference._aead(name, reference.subkey(name, key, header[:8])).encrypt(header[4:16], body, None)
    return _block(key, header, True) + bytes(sealed)


def read(name: str, key: bytes, wire: bytes) -> Packet:
    """AssertionError and REJECTED for what breaks the rules."""
    if name in ROUNDS:
        plain = XChaCha(key, wire[:24], ROUNDS[name]).open(wire[24:])
        header, body = plain[:16], plain[16:]
    else:
        header = _block(key, wire[:16], False)
        cipher = reference._aead(name, reference.subkey(name, key, header[:8]))
        body = bytes(cipher.decrypt(header[4:16], wire[16:], None))
    kind, time = struct.unpack(">BQ", body[:9])
    at = {0: 9, 1: 17}[kind]
    (padded,) = struct.unpack(">H", body[at : at + 2])
    start = at + 2 + padded
    end = start + ({1: 7, 4: 19}[body[start]] if body[start] != 3 else 4 + body[start + 1])
    assert end <= len(body)
    (packet_id,) = struct.unpack(">Q", header[8:])
    return Packet(header[:8], packet_id, kind, time, body[start:end], body[end:], body[9:at], body[at + 2 : start])
