"""Block ciphers as stream ciphers (NIST SP 800-38A): CFB, CFB8, CFB1, OFB and CTR over any of them.

    CFB    C[j] = P[j] ^ E(C[j-1]), C[0] = IV     a whole block is fed back
    CFB8   the same byte by byte, CFB1 bit by bit: what is fed back shifts into a register as long as a
           block, and of E(register) only the first byte, or bit, is used
    OFB    C[j] = P[j] ^ O[j], O[j] = E(O[j-1]), O[0] = IV
    CTR    C[j] = P[j] ^ E(IV + j - 1)            a number as long as a block, most significant byte first

Only E is used, in both directions.  Where its inputs are known beforehand, which is in CTR and whenever CFB
decrypts, a cipher that can do many blocks at once is given all of them.  None of this authenticates: whoever
changes a bit of the ciphertext changes the text, and nobody notices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from struct import pack
from typing import Any, Callable, Protocol

from ..backends import Buffer

_AT_ONCE = 1024  # blocks, where a byte of text takes several of them: bounds the memory


class BlockCipher(Protocol):
    """One key; `block_size` is in bytes.

    If it has `encrypt_blocks(blocks)`, for a whole number of them, or `counter_blocks(first, count, bits)`, for
    successive numbers, these are used where they can be.
    """

    block_size: int

    def encrypt_block(self, block: bytes) -> bytes: ...


def encrypting_blocks(cipher: Any) -> Callable[[bytes], bytes]:
    """E on a whole number of blocks, none of which depends on another: the cipher's own, or one by one."""
    try:
        many: Callable[[bytes], bytes] = cipher.encrypt_blocks
    except AttributeError:
        one, size = cipher.encrypt_block, cipher.block_size

        def many(blocks: bytes) -> bytes:
            return b"".join([one(blocks[at : at + size]) for at in range(0, len(blocks), size)])

    return many


def counting_blocks(cipher: Any) -> Callable[[bytes, int, int], bytes]:
    """E on successive counter blocks: which is the first, how many, how many of their bits count (here, all)."""
    try:
        counting: Callable[[bytes, int, int], bytes] = cipher.counter_blocks
    except AttributeError:
        many = encrypting_blocks(cipher)

        def counting(first: bytes, count: int, bits: int) -> bytes:
            return many(_numbers(first, count, bits))

    return counting


def _numbers(first: bytes, count: int, bits: int) -> bytes:
    """Blocks that count from `first` on, and from 0 again after the last number of so many bits."""
    size, number, parts = len(first), int.from_bytes(first, "big"), []
    while count:
        # Only the last two bytes differ, up to the next multiple of 65536.
        low = number & 0xFFFF
        run = min(count, 0x10000 - low)
        blocks = bytearray(number.to_bytes(size, "big") * run)
        ramp = pack(f">{run}H", *range(low, low + run))
        blocks[size - 2 :: size] = ramp[::2]
        blocks[size - 1 :: size] = ramp[1::2]
        parts.append(blocks)
        number = (number + run) % (1 << bits)
        count -= run
    return b"".join(parts)


def exclusive_or(data: bytes, mask: bytes) -> bytes:
    """As long as `data`; the mask may be longer."""
    size = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask[:size], "little")).to_bytes(size, "little")


def _size(cipher: BlockCipher, iv: bytes) -> int:
    if len(iv) != cipher.block_size:
        raise ValueError(f"an IV is as long as a block, {cipher.block_size} bytes, not {len(iv)}")
    return cipher.block_size


# --- the ciphertext is fed back ------------------------------------------------------------------
class _Feedback(ABC):
    """What the three have in common.  An IV is as long as a block; ValueError otherwise.

    Feedback has no counter, and so no end: the register depends on the texts, and does not come back in practice.
    """

    __slots__ = ("_encrypt", "_encrypting", "_many", "_register", "_size")

    def __init__(self, cipher: BlockCipher, iv: bytes, encrypting: bool) -> None:
        self._size = _size(cipher, iv)
        self._encrypt = cipher.encrypt_block
        self._many = encrypting_blocks(cipher)
        self._encrypting = encrypting
        self._register = iv  # what E has to see next

    def update(self, data: Buffer) -> bytes:
        """The next bytes of the stream, as many as are given."""
        return self._encipher(bytes(data)) if self._encrypting else self._decipher(bytes(data))

    @abstractmethod
    def _encipher(self, data: bytes) -> bytes: ...

    @abstractmethod
    def _decipher(self, data: bytes) -> bytes: ...


class Cfb(_Feedback):
    """CFB with feedback of a whole block (section 6.3, s = b), of 64 or 128 bits."""

    __slots__ = ("_mask",)

    def __init__(self, cipher: BlockCipher, iv: bytes, encrypting: bool) -> None:
        super().__init__(cipher, iv, encrypting)
        # What is left of the last E.  With the ciphertext that E has not seen, or the IV, it is always one block long.
        self._mask = b""

    def _encipher(self, data: bytes) -> bytes:
        size, encrypt, number = self._size, self._encrypt, int.from_bytes
        begun = exclusive_or(data[: len(self._mask)], self._mask)
        done = len(begun)
        block, mask, pieces = self._register + begun, self._mask[done:], [begun]
        whole = done + (len(data) - done) // size * size
        for at in range(done, whole, size):
            masked = number(encrypt(block), "big") ^ number(data[at : at + size], "big")
            block = masked.to_bytes(size, "big")
            pieces.append(block)
        if whole < len(data):
            mask = encrypt(block)
            block = exclusive_or(data[whole:], mask)
            mask = mask[len(block) :]
            pieces.append(block)
        self._register, self._mask = block, mask
        return b"".join(pieces)

    def _decipher(self, data: bytes) -> bytes:
        text, mask, size = self._register + data, self._mask, self._size
        missing = len(data) - len(mask)
        if missing > 0:
            cut = (missing + size - 1) // size * size
            mask += self._many(text[:cut])
            text = text[cut:]
        self._register, self._mask = text, mask[len(data) :]
        return exclusive_or(data, mask)


class Cfb8(_Feedback):
    """CFB with feedback of a byte (section 6.3, s = 8): one E for each byte."""

    __slots__ = ()

    def _encipher(self, data: bytes) -> bytes:
        size, encrypt = self._size, self._encrypt
        stream = bytearray(self._register)
        for at, byte in enumerate(data):
            stream.append(byte ^ encrypt(bytes(stream[at:]))[0])
        self._register = bytes(stream[-size:])
        return bytes(stream[size:])

    def _decipher(self, data: bytes) -> bytes:
        size, stream = self._size, self._register + data
        masks = []
        for at in range(0, len(data), _AT_ONCE):
            count = min(_AT_ONCE, len(data) - at)
            registers = bytearray(count * size)
            for place in range(size):
                registers[place::size] = stream[at + place : at + place + count]
            masks.append(self._many(bytes(registers))[::size])
        self._register = stream[-size:]
        return exclusive_or(data, b"".join(masks))


class Cfb1(_Feedback):
    """CFB with feedback of a bit (section 6.3, s = 1): eight E for each byte, the most significant bit first."""

    __slots__ = ()

    def _encipher(self, data: bytes) -> bytes:
        size, encrypt = self._size, self._encrypt
        register, limit = int.from_bytes(self._register, "big"), (1 << 8 * size) - 1
        out = bytearray()
        for byte in data:
            for place in range(7, -1, -1):
                mask = encrypt(register.to_bytes(size, "big"))[0] >> 7
                register = (register << 1 | mask ^ byte >> place & 1) & limit
            out.append(register & 0xFF)
        self._register = register.to_bytes(size, "big")
        return bytes(out)

    def _decipher(self, data: bytes) -> bytes:
        size, stream = self._size, self._register + data
        masks = []
        for at in range(0, len(data), _AT_ONCE // 8):
            count = min(_AT_ONCE // 8, len(data) - at)
            registers = _windows(stream[at : at + size + count], count, size)
            bits = self._many(registers)[::size].translate(_FIRST_BIT)
            masks.append(int(bits, 2).to_bytes(count, "big"))
        self._register = stream[-size:]
        return exclusive_or(data, b"".join(masks))


_FIRST_BIT = b"0" * 128 + b"1" * 128


def _windows(stream: bytes, count: int, size: int) -> bytes:
    """The registers of CFB1 before each bit of the last `count` bytes: windows of `size` bytes, a bit apart."""
    registers = bytearray(8 * count * size)
    number = int.from_bytes(stream, "big")
    for bit in range(8):
        shifted = (number << bit).to_bytes(len(stream) + 1, "big")  # the first byte has been shifted out
        for place in range(size):
            registers[bit * size + place :: 8 * size] = shifted[place + 1 : place + 1 + count]
    return bytes(registers)


# --- the key stream does not depend on the text --------------------------------------------------
class KeyStream(ABC):
    """A key stream that is made in whole blocks; both directions are the same.

    A subclass sets `block_size`, in bytes, and has `_blocks`, which gives the next blocks: as many as it is asked
    for, or more.
    """

    __slots__ = ("_rest",)

    block_size: int

    def __init__(self) -> None:
        self._rest = b""  # made, and not used yet

    def update(self, data: Buffer) -> bytes:
        """The next bytes of the stream, as many as are given."""
        data = bytes(data)
        stream, size = self._rest, len(data)
        if size > len(stream):
            stream += self._blocks((size - len(stream) - 1) // self.block_size + 1)
        self._rest = stream[size:]
        return exclusive_or(data, stream)

    @abstractmethod
    def _blocks(self, count: int) -> bytes: ...


class Ofb(KeyStream):
    """OFB (section 6.4): one E after the other, in both directions.

    The key stream comes back to its beginning on average after half as many blocks as a block has values, that is
    after 2**63 or 2**127; nothing here looks for that.
    """

    __slots__ = ("_encrypt", "_last", "block_size")

    def __init__(self, cipher: BlockCipher, iv: bytes, encrypting: bool) -> None:
        super().__init__()
        self.block_size = _size(cipher, iv)
        self._encrypt = cipher.encrypt_block
        self._last = iv

    def _blocks(self, count: int) -> bytes:
        encrypt, block = self._encrypt, self._last
        blocks = []
        for _ in range(count):
            block = encrypt(block)
            blocks.append(block)
        self._last = block
        return b"".join(blocks)


class Ctr(KeyStream):
    """CTR (section 6.5); the IV is the first counter block, a number of 64 or 128 bits.

    After the block of all ones comes that of all zeros, as in OpenSSL: for a random IV the end of the number
    means nothing.  A stream repeats itself after 2**64 or 2**128 blocks, and no sooner.
    """

    __slots__ = ("_counting", "_next", "block_size")

    def __init__(self, cipher: BlockCipher, iv: bytes, encrypting: bool) -> None:
        super().__init__()
        self.block_size = _size(cipher, iv)
        self._counting = counting_blocks(cipher)
        self._next = iv

    def _blocks(self, count: int) -> bytes:
        first, bits = self._next, 8 * self.block_size
        number = int.from_bytes(first, "big") + count & (1 << bits) - 1
        self._next = number.to_bytes(self.block_size, "big")
        return self._counting(first, count, bits)
