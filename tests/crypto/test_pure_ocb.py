"""AES-OCB in Python: the vectors of RFC 7253, the RFC block by block, offsets of long messages, forgeries."""

from __future__ import annotations

import hashlib
from typing import Any, Optional

import pytest
from helpers.vectors import FILES, aead, of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure import ocb
from pyss.crypto.pure.aes import Aes
from pyss.crypto.pure.ocb import AesOcb
from pyss.errors import BadTag

KEY, NONCE = bytes(range(16)), bytes(range(200, 212))
ALGORITHMS = [f"aes-{bits}-ocb" for bits in (128, 192, 256)]
CASES = [pytest.param(case, id=case.name) for path in FILES for name in ALGORITHMS for case in aead(path, name)]


def text(size: int, name: bytes = b"text") -> bytes:
    return hashlib.shake_128(name).digest(size)


# --- the RFC, line by line -----------------------------------------------------------------------
def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other))


def double(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    return (number if number < 1 << 128 else number - (1 << 128) ^ 135).to_bytes(16, "big")


class ByTheBook:
    """Sections 4.1 and 4.2."""

    def __init__(self, key: bytes) -> None:
        self.encipher = Aes(key).encrypt_block
        self.star = self.encipher(bytes(16))
        self.dollar = double(self.star)

    def ladder(self, i: int) -> bytes:
        block = double(self.dollar)
        while i % 2 == 0:
            i, block = i // 2, double(block)
        return block

    def padded(self, rest: bytes) -> bytes:
        return rest + b"\x80" + bytes(15 - len(rest))

    def hash(self, data: bytes) -> bytes:
        total = offset = bytes(16)
        whole = len(data) // 16
        for i in range(1, whole + 1):
            offset = xor(offset, self.ladder(i))
            total = xor(total, self.encipher(xor(data[16 * i - 16 : 16 * i], offset)))
        if len(data) % 16:
            offset = xor(offset, self.star)
            total = xor(total, self.encipher(xor(self.padded(data[16 * whole :]), offset)))
        return total

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        first = bytes([0, 0, 0, 1]) + nonce
        bottom = first[15] % 64
        top = self.encipher(first[:15] + bytes([first[15] - bottom]))
        bits = "".join(f"{byte:08b}" for byte in top + xor(top[:8], top[1:9]))[bottom : bottom + 128]
        offset, checksum, made = int(bits, 2).to_bytes(16, "big"), bytes(16), b""
        whole = len(data) // 16
        for i in range(1, whole + 1):
            block = data[16 * i - 16 : 16 * i]
            offset = xor(offset, self.ladder(i))
            made += xor(offset, self.encipher(xor(block, offset)))
            checksum = xor(checksum, block)
        rest = data[16 * whole :]
        if rest:
            offset = xor(offset, self.star)
            made += xor(rest, self.encipher(offset))
            checksum = xor(checksum, self.padded(rest))
        return made + xor(self.encipher(xor(xor(checksum, offset), self.dollar)), self.hash(associated_data))


def test_there_are_vectors() -> None:
    assert len(CASES) >= 16


# --- published -----------------------------------------------------------------------------------
@pytest.mark.parametrize("case", CASES)
def test_published_vectors(case: Any) -> None:
    cipher = AesOcb(case.key)
    if not case.valid:
        with pytest.raises(BadTag):
            cipher.decrypt(case.nonce, case.sealed, case.associated_data)
        return
    assert cipher.encrypt(case.nonce, case.plain, case.associated_data) == case.sealed
    assert cipher.decrypt(case.nonce, case.sealed, case.associated_data) == case.plain
    # The yardstick, too.
    assert ByTheBook(case.key).encrypt(case.nonce, case.plain, case.associated_data) == case.sealed


@pytest.mark.parametrize("case", of_kind("ocb-iterated"))
def test_published_result_over_many_nonces_and_lengths(case: Any) -> None:
    """RFC 7253 appendix A: messages of 0 to 127 bytes, with and without associated data, and a last one over all."""
    cipher = AesOcb(bytes(case["key_size"] - 1) + b"\x80")
    number, together = 0, b""
    for size in range(128):
        data = bytes(size)
        for plain, extra in ((data, data), (data, b""), (b"", data)):
            number += 1
            together += cipher.encrypt(number.to_bytes(12, "big"), plain, extra)
    assert cipher.encrypt((385).to_bytes(12, "big"), b"", together).hex() == case["output"]


# --- block by block ------------------------------------------------------------------------------
@given(
    st.sampled_from([16, 24, 32]), st.binary(min_size=12, max_size=12), st.binary(max_size=100), st.binary(max_size=70)
)
def test_it_is_what_the_rfc_says(size: int, nonce: bytes, data: bytes, extra: bytes) -> None:
    key = text(size)
    sealed = AesOcb(key).encrypt(nonce, data, extra)
    assert sealed == ByTheBook(key).encrypt(nonce, data, extra)
    assert AesOcb(key).decrypt(nonce, sealed, extra) == data


def test_every_last_six_bits_of_a_nonce_shift_the_offset() -> None:
    cipher, book = AesOcb(KEY), ByTheBook(KEY)
    for last in (*range(66), 127, 128, 191, 192, 255):
        nonce = NONCE[:11] + bytes([last])
        assert cipher.encrypt(nonce, bytes(17), None) == book.encrypt(nonce, bytes(17), b"")


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 1022, 1023, 1024, 1025, 2047, 2048, 2050, 4097])
def test_offsets_of_long_messages(blocks: int) -> None:
    """The table of the key ends at 1024, and begins anew."""
    book, offset, expected = ByTheBook(KEY), bytes(16), b""
    for i in range(1, blocks + 1):
        offset = xor(offset, book.ladder(i))
        expected += offset
    start = text(16)
    offsets, last = AesOcb(KEY)._masks(int.from_bytes(start, "little"), blocks)
    assert offsets.to_bytes(16 * blocks, "little") == xor(expected, start * blocks)
    assert last.to_bytes(16, "little") == xor(offset, start)


def test_the_table_of_offsets_is_bounded() -> None:
    cipher = AesOcb(KEY)
    assert cipher._entries == 1
    cipher.encrypt(NONCE, bytes(100_000), bytes(50_000))
    assert cipher._entries == ocb._SPAN and cipher._table.bit_length() <= 128 * ocb._SPAN


def test_one_object_serves_many_messages_in_any_order() -> None:
    cipher = AesOcb(KEY)
    for size in (40, 0, 20_000, 16, 300, 40):
        for nonce in (NONCE, bytes(12)):
            sealed = cipher.encrypt(nonce, text(size), b"extra")
            assert sealed == AesOcb(KEY).encrypt(nonce, text(size), b"extra")
            assert cipher.decrypt(nonce, sealed, b"extra") == text(size)


# --- forgeries -----------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 16, 33])
def test_any_change_is_seen(size: int) -> None:
    cipher = AesOcb(KEY)
    sealed = cipher.encrypt(NONCE, text(size), b"extra")
    for at in range(len(sealed)):
        for bit in (1, 128):
            changed = sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]
            with pytest.raises(BadTag):
                cipher.decrypt(NONCE, changed, b"extra")
    changes: list[tuple[bytes, bytes, Optional[bytes]]] = [
        (NONCE, sealed, None),
        (NONCE, sealed, b"extrb"),
        (NONCE, sealed, b"extra\0"),
        (bytes(12), sealed, b"extra"),
        (NONCE, sealed + b"\0", b"extra"),
        (NONCE, b"\0" + sealed, b"extra"),
        (NONCE, sealed[:-1], b"extra"),
    ]
    for nonce, message, extra in changes:
        with pytest.raises(BadTag):
            cipher.decrypt(nonce, message, extra)
    assert cipher.decrypt(NONCE, sealed, b"extra") == text(size)


def test_blocks_that_change_places_are_seen() -> None:
    cipher = AesOcb(KEY)
    sealed = cipher.encrypt(NONCE, text(64), None)
    with pytest.raises(BadTag):
        cipher.decrypt(NONCE, sealed[16:32] + sealed[:16] + sealed[32:], None)


def test_what_is_shorter_than_a_tag_is_refused() -> None:
    cipher = AesOcb(KEY)
    sealed = cipher.encrypt(NONCE, b"", None)
    assert len(sealed) == 16 and cipher.decrypt(NONCE, sealed, None) == b""
    for size in range(16):
        with pytest.raises(BadTag):
            cipher.decrypt(NONCE, sealed[:size], None)


def test_padding_is_no_part_of_the_message() -> None:
    cipher = AesOcb(KEY)
    texts = [b"", b"\x80", b"\x80\0", b"\0", bytes(15), bytes(16), b"\x80" + bytes(15), bytes(17)]
    assert len({cipher.encrypt(NONCE, plain, None)[-16:] for plain in texts}) == len(texts)
    assert len({cipher.encrypt(NONCE, b"", extra) for extra in texts}) == len(texts)


# --- edges ---------------------------------------------------------------------------------------
def test_no_associated_data_is_the_same_as_empty() -> None:
    assert AesOcb(KEY).encrypt(NONCE, b"text", None) == AesOcb(KEY).encrypt(NONCE, b"text", b"")


def test_any_buffer_will_do_and_is_left_alone() -> None:
    cipher = AesOcb(KEY)
    sealed = cipher.encrypt(NONCE, text(70), None)
    area = bytearray(b"<" + text(70) + b">")
    for data in (bytearray(text(70)), memoryview(text(70)), memoryview(area)[1:-1]):
        assert cipher.encrypt(NONCE, data, None) == sealed
    assert area == b"<" + text(70) + b">"
    for data in (bytearray(sealed), memoryview(sealed)):
        plain = cipher.decrypt(NONCE, data, None)
        assert type(plain) is bytes and plain == text(70)


@pytest.mark.parametrize("size", [0, 8, 11, 13, 15, 16])
def test_nonces_of_another_size_are_refused(size: int) -> None:
    for attempt in (AesOcb(KEY).encrypt, AesOcb(KEY).decrypt):
        with pytest.raises(ValueError, match=f"12 bytes here, not {size}"):
            attempt(bytes(size), bytes(16), None)


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError):
        AesOcb(bytes(20))


# --- second opinions -----------------------------------------------------------------------------
LENGTHS = (*range(301), 16_367, 16_368, 16_383, 16_384, 16_400, 33_000)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_every_length_agrees_with_openssl(size: int) -> None:
    package = pytest.importorskip(
        "cryptography.hazmat.primitives.ciphers.aead", reason="the package cryptography is a second opinion"
    )
    key = text(size)
    try:
        other = package.AESOCB3(key)
    except (AttributeError, ImportError, ValueError, RuntimeError) as error:
        pytest.skip(f"this OpenSSL has no OCB: {error}")
    cipher = AesOcb(key)
    for length in LENGTHS[:: 1 if size == 16 else 7]:
        nonce, data, extra = text(12, bytes([length % 256])), text(length), text(length // 3, b"extra")
        sealed = cipher.encrypt(nonce, data, extra)
        assert sealed == other.encrypt(nonce, data, extra), length
        assert cipher.decrypt(nonce, sealed, extra) == data, length


def test_every_length_agrees_with_pycryptodome() -> None:
    other = pytest.importorskip("Crypto.Cipher.AES", reason="pycryptodome is a second opinion")
    cipher = AesOcb(KEY)
    for length in LENGTHS[::3]:
        message = other.new(KEY, other.MODE_OCB, nonce=NONCE)
        message.update(text(length // 2, b"extra"))
        made, tag = message.encrypt_and_digest(text(length))
        assert cipher.encrypt(NONCE, text(length), text(length // 2, b"extra")) == made + tag
