"""AES-OCB (RFC 7253), for nonces of 96 bits and tags of 128: both text and tag for one E to a block.

    offset[i] = offset[i-1] ^ L[ntz(i)]           L[j] = 2**(j + 2) * E(0) in GF(2**128), ntz: zeros at the end of i
    C[i]      = E(P[i] ^ offset[i]) ^ offset[i]   offset[0] comes from the nonce
    C[*]      = P[*] ^ E(offset[*])               what is left, less than a block
    tag       = E(checksum ^ offset[*] ^ L[$]) ^ HASH(associated data),   checksum: exclusive or of all P

offset[i] ^ offset[0] depends on the key and on i alone: a table of the key, one long integer, which grows with
the longest message.  So all blocks are masked in one operation, on both sides of E.  Integers here have their
least significant byte first, so that block 0 is at the lower end; only `_double` turns them over.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Optional

from ...errors import BadTag
from ..backends import Buffer
from .aes import Aes
from .modes import exclusive_or

_TAG = 16
_NONCE = 12
_BLOCK = (1 << 128) - 1
_SPAN = 1024  # blocks in the largest table: 16 KiB for a key


class AesOcb:
    """One key of 16, 24 or 32 bytes.  Raises ValueError for another size, and for nonces that have not 12 bytes.

    A nonce must not serve twice for encryption: then confidentiality and authenticity are both lost.  A key is
    good for 2**48 blocks (section 5), which is 4 PiB; counting them is up to the caller.
    """

    __slots__ = ("_decrypt", "_encrypt", "_encrypt_block", "_entries", "_ladder", "_last", "_rest", "_table")

    def __init__(self, key: bytes) -> None:
        aes = Aes(key)
        self._encrypt_block, self._encrypt, self._decrypt = aes.encrypt_block, aes.encrypt_blocks, aes.decrypt_blocks
        self._rest = _number(aes.encrypt_block(bytes(16)))  # L_* of section 4.1
        self._last = _double(self._rest)  # L_$
        self._ladder = [_double(self._last)]  # L_0, L_1, ...
        self._table, self._entries = 0, 1  # offsets of blocks 0, 1, 2, ... for offset[0] = 0

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        """Ciphertext, then tag."""
        data = bytes(data)
        whole = len(data) & -16
        text, rest = _number(data[:whole]), data[whole:]
        offsets, last = self._masks(self._start(nonce), whole // 16)
        # The checksum is known already, so that one call encrypts text, mask of the rest, and tag.
        inputs, checksum = (text ^ offsets).to_bytes(whole, "little"), _sum(text, whole // 16)
        if rest:
            last ^= self._rest
            inputs += last.to_bytes(16, "little")
            checksum ^= _padded(rest)
        made = self._encrypt(inputs + (checksum ^ last ^ self._last).to_bytes(16, "little"))
        sealed = (_number(made[:whole]) ^ offsets).to_bytes(whole, "little")
        tag = _number(made[-16:]) ^ self._hash(associated_data or b"")
        return sealed + exclusive_or(rest, made[whole:]) + tag.to_bytes(16, "little")

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        """Raises BadTag.  What is tagged is the text, so it is made first; nothing of it is given out on a bad tag."""
        data = bytes(data)
        size = len(data) - _TAG
        if size < 0:
            raise BadTag("a message is shorter than its tag")
        whole, tag = size & -16, data[size:]
        rest = data[whole:size]
        offsets, last = self._masks(self._start(nonce), whole // 16)
        text = _number(self._decrypt((_number(data[:whole]) ^ offsets).to_bytes(whole, "little"))) ^ offsets
        checksum = _sum(text, whole // 16)
        if rest:
            last ^= self._rest
            rest = exclusive_or(rest, self._encrypt_block(last.to_bytes(16, "little")))
            checksum ^= _padded(rest)
        made = self._encrypt_block((checksum ^ last ^ self._last).to_bytes(16, "little"))
        expected = _number(made) ^ self._hash(associated_data or b"")
        if not compare_digest(tag, expected.to_bytes(16, "little")):
            raise BadTag("a tag does not match")
        return text.to_bytes(whole, "little") + rest

    def _start(self, nonce: bytes) -> int:
        """offset[0], section 4.2: 128 of 192 bits, shifted by the last six bits of the nonce."""
        if len(nonce) != _NONCE:
            raise ValueError(f"a nonce of OCB has {_NONCE} bytes here, not {len(nonce)}")
        bottom = nonce[-1] & 0x3F
        top = self._encrypt_block(b"\0\0\0\1" + nonce[:-1] + bytes((nonce[-1] & 0xC0,)))
        stretched = int.from_bytes(top + exclusive_or(top[:8], top[1:9]), "big")
        return _number((stretched >> 64 - bottom & _BLOCK).to_bytes(16, "big"))

    def _hash(self, data: bytes) -> int:
        """HASH of section 4.1: the sum of E over the masked blocks, for offset[0] = 0."""
        if not data:
            return 0
        whole = len(data) & -16
        offsets, last = self._masks(0, whole // 16)
        inputs = (_number(data[:whole]) ^ offsets).to_bytes(whole, "little")
        if whole < len(data):
            inputs += (_padded(data[whole:]) ^ last ^ self._rest).to_bytes(16, "little")
        return _sum(_number(self._encrypt(inputs)), len(inputs) // 16)

    # --- offsets ---------------------------------------------------------------------------------
    def _masks(self, start: int, blocks: int) -> tuple[int, int]:
        """offset[1] to offset[blocks], and the last of them once more, which is offset[0] if there are none.

        start  offset[0]
        Within a span of 1024 the table repeats itself: ntz(1024 c + i) = ntz(i) for 0 < i < 1024.
        """
        if blocks < _SPAN:
            offsets = self._span(start, blocks + 1)
            return offsets >> 128, offsets >> 128 * blocks
        parts = []
        for at in range(0, blocks + 1, _SPAN):
            count = min(_SPAN, blocks + 1 - at)
            offsets = self._span(start, count)
            parts.append(offsets.to_bytes(16 * count, "little"))
            start = offsets >> 128 * (count - 1) ^ self._step(at + count)
        together = b"".join(parts)
        return _number(together[16:]), _number(together[-16:])

    def _span(self, start: int, count: int) -> int:
        """The first entries of the table, for another offset[0]."""
        while self._entries < count:
            entries = self._entries
            step = self._table >> 128 * (entries - 1) ^ self._step(entries)
            self._table |= (self._table ^ _repeated(step, entries)) << 128 * entries
            self._entries = 2 * entries
        return self._table & (1 << 128 * count) - 1 ^ _repeated(start, count)

    def _step(self, number: int) -> int:
        """L[ntz(number)]"""
        zeros = (number & -number).bit_length() - 1
        while len(self._ladder) <= zeros:
            self._ladder.append(_double(self._ladder[-1]))
        return self._ladder[zeros]


def _number(blocks: bytes) -> int:
    return int.from_bytes(blocks, "little")


def _repeated(block: int, count: int) -> int:
    return _number(block.to_bytes(16, "little") * count)


def _double(element: int) -> int:
    """Times x in GF(2**128), section 2, where the most significant byte comes first."""
    element = int.from_bytes(element.to_bytes(16, "little"), "big")
    doubled = (element << 1 ^ (element >> 127) * 0x87) & _BLOCK
    return _number(doubled.to_bytes(16, "big"))


def _padded(rest: bytes) -> int:
    """Less than a block, with a bit that marks its end."""
    return _number(rest + b"\x80")


def _sum(blocks: int, count: int) -> int:
    """Exclusive or of all blocks: the upper half onto the lower one, until one is left."""
    while count > 1:
        half = (count + 1) // 2
        blocks = blocks >> 128 * half ^ blocks & (1 << 128 * half) - 1
        count = half
    return blocks
