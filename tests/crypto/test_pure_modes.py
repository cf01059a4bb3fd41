"""Stream modes in Python: the vectors of SP 800-38A, the standard bit by bit, all lengths, all splits, counters."""

from __future__ import annotations

import hashlib
from typing import Any, Callable

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.aes import Aes
from pyss.crypto.pure.modes import Cfb, Cfb1, Cfb8, Ctr, Ofb

MODES = {"cfb1": Cfb1, "cfb8": Cfb8, "cfb128": Cfb, "ofb": Ofb, "ctr": Ctr}
BITS = {Cfb1: 1, Cfb8: 8}
KEY, IV = bytes(range(32)), bytes(range(200, 216))


class OneByOne:
    """No cipher, for it cannot be undone, and no mode undoes it.  Of any block size, without `encrypt_blocks`."""

    def __init__(self, size: int) -> None:
        self.block_size = size
        self.calls = 0

    def encrypt_block(self, block: bytes) -> bytes:
        assert type(block) is bytes and len(block) == self.block_size
        self.calls += 1
        return hashlib.sha256(KEY + block).digest()[: self.block_size]


class AtOnce(OneByOne):
    """The same, with `encrypt_blocks`, whose calls are not counted as those of single blocks."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.sizes: list[int] = []

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        assert type(blocks) is bytes and len(blocks) % self.block_size == 0
        self.sizes.append(len(blocks) // self.block_size)
        one = OneByOne(self.block_size).encrypt_block
        return b"".join(one(blocks[at : at + self.block_size]) for at in range(0, len(blocks), self.block_size))


def text(size: int) -> bytes:
    return hashlib.shake_128(b"text").digest(size)


def in_pieces(stream: Any, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cuts), len(data)]
    return b"".join(stream.update(data[start:end]) for start, end in zip(edges, edges[1:]))


def feedback(encrypt: Callable[[bytes], bytes], iv: bytes, data: bytes, encrypting: bool, segment: int) -> bytes:
    """CFB with segments of so many bits, as section 6.3 writes it, on strings of "0" and "1"."""

    def bits(octets: bytes) -> str:
        return "".join(f"{octet:08b}" for octet in octets)

    def octets(string: str) -> bytes:
        return bytes(int(string[at : at + 8], 2) for at in range(0, len(string), 8))

    register, source, result = bits(iv), bits(data), ""
    for at in range(0, len(source), segment):
        mask = bits(encrypt(octets(register)))
        given = source[at : at + segment]
        made = "".join("01"[a != b] for a, b in zip(given, mask))
        register = (register + (made if encrypting else given))[-len(register) :]
        result += made
    return octets(result)


# --- published -----------------------------------------------------------------------------------
@pytest.mark.parametrize("case", of_kind("aes-mode"))
def test_published_vectors(case: Any) -> None:
    mode = MODES[case["mode"]]
    key, iv, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "iv", "plain", "cipher"))
    assert mode(Aes(key), iv, True).update(plain) == cipher
    assert mode(Aes(key), iv, False).update(cipher) == plain


# --- the standard, bit by bit --------------------------------------------------------------------
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("mode", [Cfb, Cfb8, Cfb1])
def test_feedback_is_what_the_standard_says(mode: Any, size: int) -> None:
    encrypt = OneByOne(size).encrypt_block
    for length in (*range(2 * size + 3), 50):
        for encrypting in (True, False):
            expected = feedback(encrypt, IV[:size], text(length), encrypting, BITS.get(mode, 8 * size))
            for cipher in (OneByOne(size), AtOnce(size)):
                assert mode(cipher, IV[:size], encrypting).update(text(length)) == expected, length


@pytest.mark.parametrize("size", [8, 16])
def test_output_feedback_is_a_chain(size: int) -> None:
    block, stream = IV[:size], b""
    for _ in range(7):
        block = OneByOne(size).encrypt_block(block)
        stream += block
    for encrypting in (True, False):
        assert Ofb(OneByOne(size), IV[:size], encrypting).update(bytes(7 * size)) == stream


@pytest.mark.parametrize("cipher", [OneByOne, AtOnce])
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("before_the_end", [0, 1, 2, 3, 20, 2**16, 2**32, 2**64 // 3])
def test_a_counter_begins_anew_after_its_last_number(cipher: Any, size: int, before_the_end: int) -> None:
    limit = 1 << 8 * size
    start = limit - 1 - before_the_end
    encrypt = OneByOne(size).encrypt_block
    expected = b"".join(encrypt(((start + number) % limit).to_bytes(size, "big")) for number in range(40))
    stream = Ctr(cipher(size), start.to_bytes(size, "big"), True)
    assert stream.update(bytes(5 * size)) + stream.update(bytes(35 * size)) == expected


@pytest.mark.parametrize("start", [0, 0xFE, 0xFFFE, 0xFF_FFFF, 0xFFFF_FFFF, 2**64 - 2, 2**127 - 1])
def test_a_carry_goes_through_all_bytes_of_a_counter(start: int) -> None:
    encrypt = OneByOne(16).encrypt_block
    expected = b"".join(encrypt((start + number).to_bytes(16, "big")) for number in range(4))
    assert Ctr(AtOnce(16), start.to_bytes(16, "big"), True).update(bytes(64)) == expected


def test_a_counter_of_many_blocks_passes_two_limits_of_its_low_bytes() -> None:
    """Long enough to pass a multiple of 65536 twice within one call."""
    count, start = 0x10000 + 20, 0x1_FFF7

    class Same(OneByOne):
        def encrypt_blocks(self, blocks: bytes) -> bytes:
            return blocks

    stream = Ctr(Same(8), start.to_bytes(8, "big"), True).update(bytes(8 * count))
    assert stream == b"".join((start + number).to_bytes(8, "big") for number in range(count))


# --- splits --------------------------------------------------------------------------------------
@pytest.mark.parametrize("encrypting", [True, False])
@pytest.mark.parametrize("cipher", [OneByOne, AtOnce])
@pytest.mark.parametrize("mode", MODES.values())
def test_every_split_in_two_gives_the_same(mode: Any, cipher: Any, encrypting: bool) -> None:
    data = text(37)
    whole = mode(cipher(16), IV, encrypting).update(data)
    for cut in range(38):
        assert in_pieces(mode(cipher(16), IV, encrypting), data, [cut]) == whole
    assert in_pieces(mode(cipher(16), IV, encrypting), data, list(range(37))) == whole


@given(st.sampled_from(list(MODES)), st.booleans(), st.integers(0, 200), st.lists(st.integers(0, 200)))
def test_any_split_gives_the_same(name: str, encrypting: bool, length: int, cuts: list[int]) -> None:
    mode, data = MODES[name], text(length)
    cuts = [cut for cut in cuts if cut <= length]
    whole = mode(OneByOne(8), IV[:8], encrypting).update(data)
    assert in_pieces(mode(AtOnce(8), IV[:8], encrypting), data, cuts) == whole
    assert len(whole) == length


@pytest.mark.parametrize("mode", MODES.values())
def test_what_one_direction_makes_the_other_undoes(mode: Any) -> None:
    data = text(3000)
    made = in_pieces(mode(AtOnce(16), IV, True), data, [1, 17, 100, 1999])
    assert made != data
    assert in_pieces(mode(AtOnce(16), IV, False), made, [2, 16, 1000, 2999]) == data


# --- many blocks at once -------------------------------------------------------------------------
@pytest.mark.parametrize(("mode", "blocks"), [(Cfb, 300), (Ctr, 300), (Cfb8, 4800), (Cfb1, 38400)])
def test_blocks_that_are_known_are_given_to_the_cipher_together(mode: Any, blocks: int) -> None:
    cipher = AtOnce(16)
    data = text(4800)
    decrypted = mode(cipher, IV, False).update(data)
    assert decrypted == mode(OneByOne(16), IV, False).update(data)
    assert cipher.calls == 0 and sum(cipher.sizes) == blocks
    assert len(cipher.sizes) <= blocks // 1024 + 1


def test_no_block_is_encrypted_that_is_not_needed() -> None:
    """Not even the one after a whole number of blocks: a datagram may end there."""
    for mode in (Cfb, Ofb, Ctr):
        for encrypting in (True, False):
            cipher = OneByOne(16)
            stream = mode(cipher, IV, encrypting)
            assert stream.update(b"") == b"" and cipher.calls == 0
            stream.update(bytes(32))
            assert cipher.calls == 2
            stream.update(bytes(1))
            assert cipher.calls == 3
            stream.update(bytes(15))
            assert cipher.calls == 3


# --- edges ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES.values())
def test_an_iv_of_another_length_is_refused(mode: Any) -> None:
    for size in (0, 8, 15, 17):
        with pytest.raises(ValueError) as caught:
            mode(OneByOne(16), bytes(size), True)
        assert str(caught.value) == f"an IV is as long as a block, 16 bytes, not {size}"


@pytest.mark.parametrize("encrypting", [True, False])
@pytest.mark.parametrize("mode", MODES.values())
def test_any_buffer_will_do_and_is_left_alone(mode: Any, encrypting: bool) -> None:
    expected = mode(OneByOne(16), IV, encrypting).update(text(70))
    area = bytearray(b"<" + text(70) + b">")
    for data in (bytearray(text(70)), memoryview(text(70)), memoryview(area)[1:-1]):
        made = mode(AtOnce(16), IV, encrypting).update(data)
        assert type(made) is bytes and made == expected
    assert area == b"<" + text(70) + b">"


@pytest.mark.parametrize("mode", MODES.values())
def test_zeros_at_either_end_are_kept(mode: Any) -> None:
    """Texts become numbers on the way."""
    stream = mode(AtOnce(16), IV, True).update(bytes(64))
    assert mode(AtOnce(16), IV, False).update(stream) == bytes(64)


@pytest.mark.parametrize("mode", [Cfb, Cfb8, Cfb1])
def test_what_is_kept_after_an_update_is_a_block_and_not_the_text(mode: Any) -> None:
    stream = mode(AtOnce(16), IV, False)
    for size in (1, 15, 16, 17, 1000):
        stream.update(bytes(size))
        assert len(stream._register) + len(getattr(stream, "_mask", b"")) == 16


# --- second opinions -----------------------------------------------------------------------------
@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("name", ["cfb8", "cfb128", "ofb", "ctr"])
def test_every_length_agrees_with_openssl(name: str, size: int) -> None:
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers", reason="cryptography is a second opinion")
    try:
        from cryptography.hazmat.decrepit.ciphers import modes as old
    except ImportError:  # before they were moved
        old = ciphers.modes
    theirs = {"cfb8": "CFB8", "cfb128": "CFB", "ofb": "OFB"}
    mode = getattr(old, theirs[name]) if name in theirs else ciphers.modes.CTR
    aes = Aes(KEY[:size])
    lengths = range(0, 301, 1 if name != "cfb8" else 13)
    for length in (*lengths, 5001):
        other = ciphers.Cipher(ciphers.algorithms.AES(KEY[:size]), mode(IV))
        made = other.encryptor().update(text(length))
        if length < 5000:
            assert MODES[name](aes, IV, True).update(text(length)) == made, length
        assert MODES[name](aes, IV, False).update(made) == text(length), length


@pytest.mark.parametrize("name", ["cfb8", "cfb128", "ofb", "ctr"])
def test_aes_agrees_with_pycryptodome(name: str) -> None:
    other = pytest.importorskip("Crypto.Cipher.AES", reason="pycryptodome is a second opinion")
    options: dict[str, Any] = {
        "cfb8": {"mode": other.MODE_CFB, "iv": IV, "segment_size": 8},
        "cfb128": {"mode": other.MODE_CFB, "iv": IV, "segment_size": 128},
        "ofb": {"mode": other.MODE_OFB, "iv": IV},
        "ctr": {"mode": other.MODE_CTR, "nonce": b"", "initial_value": int.from_bytes(IV, "big")},
    }
    for length in (0, 1, 15, 16, 17, 100, 333):
        made = other.new(KEY, **options[name]).encrypt(text(length))
        assert MODES[name](Aes(KEY), IV, True).update(text(length)) == made
        assert MODES[name](Aes(KEY), IV, False).update(made) == text(length)


def test_the_end_of_a_counter_is_that_of_openssl() -> None:
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers", reason="cryptography is a second opinion")
    iv = b"\xff" * 15 + b"\xfd"
    other = ciphers.Cipher(ciphers.algorithms.AES(KEY), ciphers.modes.CTR(iv)).encryptor()
    assert Ctr(Aes(KEY), iv, True).update(bytes(100)) == other.update(bytes(100))


@pytest.mark.parametrize("name", ["cfb", "ofb"])
def test_blocks_of_64_bits_agree_with_pycryptodome(name: str) -> None:
    des = pytest.importorskip("Crypto.Cipher.DES", reason="pycryptodome is a second opinion")
    ecb = des.new(KEY[:8], des.MODE_ECB)

    class Des:
        block_size = 8

        def encrypt_block(self, block: bytes) -> bytes:
            return bytes(ecb.encrypt(block))

    for length in (*range(30), 300):
        options = {"mode": des.MODE_CFB, "segment_size": 64} if name == "cfb" else {"mode": des.MODE_OFB}
        made = des.new(KEY[:8], iv=IV[:8], **options).encrypt(text(length))
        mode: Any = Cfb if name == "cfb" else Ofb
        assert mode(Des(), IV[:8], True).update(text(length)) == made
        assert mode(Des(), IV[:8], False).update(made) == text(length)
