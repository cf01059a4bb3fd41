"""ChaCha20 in Python: published vectors, every number of blocks, the ends of the counters, the AEADs, streams.

The second opinions are `cryptography` for what RFC 8439 describes and `pycryptodome` for nonces of 8 bytes.  The AEAD
from before RFC 7539 is in neither: ChaCha20_Poly1305 of pycryptodome takes a nonce of 8 bytes for the RFC's with four
zeros in front.  There the key stream is pycryptodome's, and the tag that of `cryptography` over what the draft says.
"""

from __future__ import annotations

import struct
from hashlib import shake_128
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure import chacha20, chacha20_lanes
from pyss.crypto.pure.chacha20 import (
    MOST_BLOCKS,
    ChaCha20,
    ChaCha20Ietf,
    ChaCha20Poly1305,
    OriginalChaCha20Poly1305,
)
from pyss.crypto.pure.poly1305 import poly1305
from pyss.errors import BadTag

KEY, NONCE = bytes(range(32)), bytes(range(100, 112))
KEYS = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=12, max_size=12)
AEADS = [ChaCha20Poly1305, OriginalChaCha20Poly1305]
NONCE_SIZES = {ChaCha20Poly1305: 12, OriginalChaCha20Poly1305: 8}
LONG = [4095, 4096, 5000, 16_384, 65_535, 65_536, 65_537, 140_001]  # bytes: rows, words, several evaluations


def material(size: int, of: str = "text") -> bytes:
    return shake_128(of.encode()).digest(size)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other))


def one_block(key: bytes, nonce: bytes, counter: int, rounds: int = 20) -> bytes:
    """The block function of RFC 8439 section 2.3, word by word: slow, and nothing to go wrong.

    The counter has what the nonce leaves of 16 bytes.
    """
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key)]
    start += struct.unpack("<4I", counter.to_bytes(16 - len(nonce), "little") + nonce)
    state = list(start)

    def mix(a: int, b: int, d: int, turn: int) -> None:
        state[a] = (state[a] + state[b]) & 0xFFFFFFFF
        mixed = state[d] ^ state[a]
        state[d] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(rounds // 2):
        for shift in (0, 1):  # columns, then diagonals
            for i in range(4):
                a, b, c, d = (i, 4 + (i + shift) % 4, 8 + (i + 2 * shift) % 4, 12 + (i + 3 * shift) % 4)
                mix(a, b, d, 16)
                mix(c, d, b, 12)
                mix(a, b, d, 8)
                mix(c, d, b, 7)
    return struct.pack("<16I", *((word + first) & 0xFFFFFFFF for word, first in zip(state, start)))


def blocks_one_by_one(key: bytes, nonce: bytes, size: int, first: int = 0, rounds: int = 20) -> bytes:
    return b"".join(one_block(key, nonce, first + n, rounds) for n in range((size + 63) // 64))[:size]


def stream_from(key: bytes, nonce: bytes, counter: int, blocks: int) -> bytes:
    """Key stream from block `counter` on, which the stream cipher is told to take next."""
    cipher = ChaCha20Ietf(key, nonce, True)
    cipher._block = counter
    return cipher.update(bytes(64 * blocks))


def state_of(key: bytes, nonce: bytes, counter: int = 0) -> tuple[int, ...]:
    last = struct.unpack("<4I", counter.to_bytes(16 - len(nonce), "little") + nonce)
    return (*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), *last)


@pytest.mark.parametrize("case", of_kind("chacha20"))
def test_published_vectors(case: Any) -> None:
    key, nonce, plain, cipher = (bytes.fromhex(case[field]) for field in ("key", "nonce", "plain", "cipher"))
    skipped = 64 * case["counter"]
    assert ChaCha20Ietf(key, nonce, True).update(bytes(skipped) + plain)[skipped:] == cipher
    assert ChaCha20Ietf(key, nonce, False).update(bytes(skipped) + cipher)[skipped:] == plain
    assert xor(stream_from(key, nonce, case["counter"], (len(plain) + 63) // 64), plain) == cipher
    assert xor(one_block(key, nonce, case["counter"]), plain[:64]) == cipher[:64]  # the yardstick, too


@pytest.mark.parametrize("case", of_kind("chacha"))
def test_published_vectors_of_every_number_of_rounds(case: Any) -> None:
    key, iv, stream = (bytes.fromhex(case[field]) for field in ("key", "iv", "stream"))
    assert chacha20_lanes.key_stream(state_of(key, iv), len(stream) // 64, case["rounds"]) == stream
    assert blocks_one_by_one(key, iv, len(stream), rounds=case["rounds"]) == stream
    if case["rounds"] == 20:
        assert ChaCha20(key, iv, True).update(bytes(len(stream))) == stream


# --- lanes ---------------------------------------------------------------------------------------
@given(KEYS, NONCES, st.integers(0, MOST_BLOCKS - 20), st.integers(0, 20))
def test_each_lane_is_the_block_of_its_counter(key: bytes, nonce: bytes, counter: int, blocks: int) -> None:
    together = stream_from(key, nonce, counter, blocks)
    assert together == b"".join(one_block(key, nonce, counter + lane) for lane in range(blocks))


@pytest.mark.parametrize("rounds", [8, 12, 20])
def test_every_number_of_blocks_in_both_layouts(rounds: int) -> None:
    """Each layout also where the other is faster, with words that carry as far as they can."""
    for key, nonce in ((KEY, NONCE), (b"\xff" * 32, b"\xff" * 12)):
        expected = blocks_one_by_one(key, nonce, 64 * 70, 7, rounds)
        state = state_of(key, nonce, 7)
        for blocks in range(1, 71):
            assert chacha20_lanes.key_stream(state, blocks, rounds) == expected[: 64 * blocks]
            assert chacha20_lanes._from_words(state, blocks, rounds) == expected[: 64 * blocks]
            assert chacha20_lanes._from_rows(state, blocks, rounds) == expected[: 64 * blocks]


@pytest.mark.parametrize("counter", [255, 256, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 3])
def test_a_carry_stays_in_its_lane(counter: int) -> None:
    expected = b"".join(one_block(KEY, NONCE, counter + lane) for lane in range(3))
    assert stream_from(KEY, NONCE, counter, 3) == expected


@pytest.mark.parametrize("blocks", [1024, 1025, 1026, 2050, 2051, 2100])
def test_many_lanes_at_once_and_more_than_one_evaluation(blocks: int) -> None:
    stream = stream_from(KEY, NONCE, 1, blocks)
    assert len(stream) == 64 * blocks
    for block in (0, 1, 255, 256, 1023, blocks - 1025, blocks - 2, blocks - 1):
        if block >= 0:
            assert stream[64 * block : 64 * block + 64] == one_block(KEY, NONCE, 1 + block)


def test_the_last_block_is_given_out_and_none_after_it() -> None:
    last = one_block(KEY, NONCE, 2**32 - 1)
    assert stream_from(KEY, NONCE, 2**32 - 1, 1) == last
    assert stream_from(KEY, NONCE, 2**32 - 2, 2)[64:] == last
    assert stream_from(KEY, NONCE, 2**32 - 50, 50)[-64:] == last
    assert stream_from(KEY, NONCE, 2**32 - 1030, 1030)[-64:] == last
    for counter, blocks in ((2**32, 1), (2**32 - 1, 2), (2**32 - 10, 11)):
        with pytest.raises(OverflowError):
            stream_from(KEY, NONCE, counter, blocks)


def test_a_stream_longer_than_the_counter_is_refused_before_anything_is_computed() -> None:
    """The length is all that is looked at, so a range will do; and nothing has changed."""
    cipher: Any = ChaCha20Ietf(KEY, NONCE, True)
    for used in (0, 1):
        with pytest.raises(OverflowError):
            cipher.update(range(2**38 - 64 * used + 1))
        assert cipher.update(bytes(64)) == one_block(KEY, NONCE, used)


# --- the AEAD ------------------------------------------------------------------------------------
def second_opinion(aead: type, key: bytes, nonce: bytes, text: bytes, extra: bytes) -> bytes:
    """What another implementation seals it as."""
    pytest.importorskip("cryptography", reason="the second opinion on tags is the package cryptography")
    from cryptography.hazmat.primitives.ciphers import aead as theirs
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    if aead is ChaCha20Poly1305:
        return theirs.ChaCha20Poly1305(key).encrypt(nonce, text, extra)
    pycryptodome = pytest.importorskip(
        "Crypto.Cipher.ChaCha20", reason="the second opinion on nonces of 8 bytes is the package pycryptodome"
    )
    sealed: bytes = pycryptodome.new(key=key, nonce=nonce).encrypt(bytes(64) + text)
    lengths = struct.pack("<Q", len(extra)), struct.pack("<Q", len(text))
    tag = Poly1305.generate_tag(sealed[:32], extra + lengths[0] + sealed[64:] + lengths[1])
    return sealed[64:] + tag


@pytest.mark.parametrize("aead", AEADS)
def test_every_length_and_long_ones(aead: Any) -> None:
    cipher, nonce = aead(KEY), NONCE[: NONCE_SIZES[aead]]
    for size in [*range(301), *LONG]:
        text, extra = material(size), material(size % 37, "extra")
        sealed = cipher.encrypt(nonce, text, extra)
        assert sealed == second_opinion(aead, KEY, nonce, text, extra), size
        assert cipher.decrypt(nonce, sealed, extra) == text, size


@pytest.mark.parametrize("aead", AEADS)
@given(key=KEYS, nonce=NONCES, text=st.binary(max_size=200), extra=st.none() | st.binary(max_size=100))
def test_another_implementation_agrees(aead: Any, key: bytes, nonce: bytes, text: bytes, extra: Any) -> None:
    nonce = nonce[: NONCE_SIZES[aead]]
    sealed = aead(key).encrypt(nonce, text, extra)
    assert sealed == second_opinion(aead, key, nonce, text, extra or b"")
    assert aead(key).decrypt(nonce, sealed, extra) == text


@pytest.mark.parametrize("rounds", [8, 12, 20])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200, 3000])
def test_other_numbers_of_rounds_make_the_key_of_the_tag_too(rounds: int, size: int) -> None:
    text, extra = material(size), b"extra"
    stream = blocks_one_by_one(KEY, NONCE, 64 + size, rounds=rounds)
    masked = xor(text, stream[64:])
    covered = extra + bytes(11) + masked + bytes(-size % 16) + struct.pack("<2Q", 5, size)
    cipher = ChaCha20Poly1305(KEY, rounds)
    sealed = cipher.encrypt(NONCE, text, extra)
    assert sealed == masked + poly1305(stream[:32], covered)
    assert cipher.decrypt(NONCE, sealed, extra) == text


@pytest.mark.parametrize("aead", AEADS)
@pytest.mark.parametrize("size", [2, 100, 3000])
def test_any_buffer_will_do(aead: Any, size: int) -> None:
    cipher, nonce, text = aead(KEY), bytes(NONCE_SIZES[aead]), material(size)
    sealed = cipher.encrypt(nonce, text, b"x")
    wide = bytearray(b"<" + sealed + b">")
    for kind in (bytes, bytearray, memoryview):
        assert cipher.encrypt(nonce, kind(text), b"x") == sealed
        assert cipher.decrypt(nonce, kind(sealed), b"x") == text
    assert cipher.decrypt(nonce, memoryview(wide)[1:-1], b"x") == text
    assert type(sealed) is type(cipher.decrypt(nonce, memoryview(wide)[1:-1], b"x")) is bytes
    assert wide == b"<" + sealed + b">"


@pytest.mark.parametrize("aead", AEADS)
@pytest.mark.parametrize("size", [0, 2, 70, 3000])
def test_what_was_changed_is_refused_before_anything_is_decrypted(
    aead: Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cipher, nonce = aead(KEY), bytes(NONCE_SIZES[aead])
    sealed = cipher.encrypt(nonce, material(size), b"extra")

    def touched(data: bytes, stream: bytes) -> bytes:
        raise AssertionError("a text was decrypted")

    monkeypatch.setattr(chacha20, "_xor", touched)
    for place in {0, size // 2, size, size + 8, size + 15}:
        changed = bytearray(sealed)
        changed[place] ^= 0x10
        with pytest.raises(BadTag):
            cipher.decrypt(nonce, changed, b"extra")
    for wrong in (b"extrb", b"", None):
        with pytest.raises(BadTag):
            cipher.decrypt(nonce, sealed, wrong)
    with pytest.raises(BadTag):
        cipher.decrypt(bytes(len(nonce) - 1) + b"\1", sealed, b"extra")
    for short in range(16):
        with pytest.raises(BadTag):
            cipher.decrypt(nonce, sealed[:short], b"extra")
    with pytest.raises(AssertionError, match="a text was decrypted"):
        cipher.decrypt(nonce, sealed, b"extra")  # the trap would have been sprung


@pytest.mark.parametrize("aead", AEADS)
def test_a_text_longer_than_the_counter_is_refused_before_anything_is_computed(aead: Any) -> None:
    """RFC 8439 section 2.8: at most 2**38 - 64 bytes.  The length is all that is looked at, so a range will do."""
    too_long: Any = range(2**38 - 63)
    with pytest.raises(OverflowError):
        aead(KEY).encrypt(bytes(NONCE_SIZES[aead]), too_long, None)


@pytest.mark.parametrize("aead", AEADS)
def test_the_longest_text_is_sealed_and_opened_and_none_after_it(aead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the counter ended after three blocks: block 0 leaves two of them for the text."""
    assert MOST_BLOCKS == 2**32
    cipher, nonce = aead(KEY), bytes(NONCE_SIZES[aead])
    longest, too_long = (cipher.encrypt(nonce, material(size), None) for size in (128, 129))
    monkeypatch.setattr(chacha20, "MOST_BLOCKS", 3)
    assert cipher.encrypt(nonce, material(128), None) == longest
    assert cipher.decrypt(nonce, longest, None) == material(128)
    with pytest.raises(OverflowError):
        cipher.encrypt(nonce, material(129), None)
    with pytest.raises(OverflowError):
        cipher.decrypt(nonce, too_long, None)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000])
def test_the_text_is_masked_with_the_blocks_from_one_on(size: int) -> None:
    text = bytes(i * 7 & 0xFF for i in range(size))
    cipher = ChaCha20Poly1305(KEY)
    sealed = cipher.encrypt(NONCE, text, None)
    assert sealed[:-16] == xor(text, blocks_one_by_one(KEY, NONCE, size, 1))
    assert cipher.decrypt(NONCE, sealed, None) == text


def test_leading_and_trailing_zeros_are_kept() -> None:
    """The text becomes a number on the way: zeros at either end of it, or of what comes out, must not be lost."""
    stream = blocks_one_by_one(KEY, NONCE, 100, 1)
    cipher = ChaCha20Poly1305(KEY)
    for text in (bytes(100), stream, stream[:50] + bytes(50), bytes(50) + stream[50:]):
        sealed = cipher.encrypt(NONCE, text, None)
        assert sealed[:-16] == xor(text, stream)
        assert cipher.decrypt(NONCE, sealed, None) == text


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_the_tag_is_over_padded_data_and_lengths(extra: bytes, masked: bytes) -> None:
    def padded(data: bytes) -> bytes:
        while len(data) % 16:
            data += b"\0"
        return data

    lengths = len(extra).to_bytes(8, "little") + len(masked).to_bytes(8, "little")
    tag = poly1305(one_block(KEY, NONCE, 0)[:32], padded(extra) + padded(masked) + lengths)
    text = xor(masked, blocks_one_by_one(KEY, NONCE, len(masked), 1))
    assert ChaCha20Poly1305(KEY).encrypt(NONCE, text, extra) == masked + tag
    assert ChaCha20Poly1305(KEY).decrypt(NONCE, masked + tag, extra) == text


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_the_tag_of_the_original_is_over_data_and_lengths_without_padding(extra: bytes, masked: bytes) -> None:
    """draft-agl-tls-chacha20poly1305-04 section 5."""
    covered = extra + len(extra).to_bytes(8, "little") + masked + len(masked).to_bytes(8, "little")
    tag = poly1305(one_block(KEY, NONCE[:8], 0)[:32], covered)
    text = xor(masked, blocks_one_by_one(KEY, NONCE[:8], len(masked), 1))
    assert OriginalChaCha20Poly1305(KEY).encrypt(NONCE[:8], text, extra) == masked + tag
    assert OriginalChaCha20Poly1305(KEY).decrypt(NONCE[:8], masked + tag, extra) == text


# --- sizes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused_and_not_shown(size: int) -> None:
    makers: list[Any] = [
        ChaCha20Poly1305,
        OriginalChaCha20Poly1305,
        lambda key: ChaCha20(key, bytes(8), True),
        lambda key: ChaCha20Ietf(key, bytes(12), True),
    ]
    for new in makers:
        with pytest.raises(ValueError) as caught:
            new(b"K" * size)
        assert str(caught.value) == f"a ChaCha20 key has 32 bytes, not {size}"


@pytest.mark.parametrize("size", range(26))
def test_a_nonce_of_another_size_is_refused(size: int) -> None:
    uses: list[tuple[int, Any]] = [
        (12, lambda nonce: ChaCha20Poly1305(KEY).encrypt(nonce, b"text", None)),
        (12, lambda nonce: ChaCha20Ietf(KEY, nonce, True)),
        (8, lambda nonce: OriginalChaCha20Poly1305(KEY).encrypt(nonce, b"text", None)),
        (8, lambda nonce: ChaCha20(KEY, nonce, True)),
    ]
    for right, use in uses:
        if size == right:
            assert use(bytes(size))
        else:
            with pytest.raises(ValueError, match=f"this nonce has {right} bytes, not {size}"):
                use(bytes(size))


@pytest.mark.parametrize("rounds", [0, 1, 7, 10, 19, 21, 24])
def test_other_numbers_of_rounds_are_refused(rounds: int) -> None:
    with pytest.raises(ValueError, match="8, 12 or 20"):
        ChaCha20Poly1305(KEY, rounds)


# --- streams -------------------------------------------------------------------------------------
STREAMS: list[tuple[Any, bytes]] = [(ChaCha20, NONCE[:8]), (ChaCha20Ietf, NONCE)]
each_stream = pytest.mark.parametrize(("stream", "iv"), STREAMS, ids=["original", "ietf"])


@each_stream
def test_streams_of_every_length_and_long_ones(stream: Any, iv: bytes) -> None:
    theirs = pytest.importorskip("Crypto.Cipher.ChaCha20", reason="the second opinion is the package pycryptodome")
    for size in [*range(301), *LONG]:
        text = material(size)
        masked = stream(KEY, iv, True).update(text)
        assert masked == theirs.new(key=KEY, nonce=iv).encrypt(text), size
        assert stream(KEY, iv, False).update(masked) == text, size


@each_stream
def test_every_split_of_a_stream(stream: Any, iv: bytes) -> None:
    text = material(200)
    whole = xor(text, blocks_one_by_one(KEY, iv, 200))
    for split in range(201):
        cipher = stream(KEY, iv, True)
        assert cipher.update(text[:split]) + cipher.update(text[split:]) == whole


@each_stream
@given(sizes=st.lists(st.integers(0, 150), max_size=12), encrypting=st.booleans())
def test_any_pieces_of_a_stream(stream: Any, iv: bytes, sizes: list[int], encrypting: bool) -> None:
    text = material(sum(sizes))
    cipher, done = stream(KEY, iv, encrypting), b""
    for size, kind in zip(sizes, (bytes, bytearray, memoryview) * 4):
        part = cipher.update(kind(text[len(done) : len(done) + size]))
        assert len(part) == size
        done += part
    assert done == xor(text, blocks_one_by_one(KEY, iv, len(text)))


@pytest.mark.parametrize(
    ("stream", "iv", "end"), [(ChaCha20, NONCE[:8], 2**64), (ChaCha20Ietf, NONCE, 2**32)], ids=["original", "ietf"]
)
def test_a_stream_ends_with_its_counter(stream: Any, iv: bytes, end: int) -> None:
    """The last block is given out, to its last byte, and a refusal changes nothing."""
    cipher = stream(KEY, iv, True)
    cipher._block = end - 2
    last = one_block(KEY, iv, end - 2) + one_block(KEY, iv, end - 1)
    assert cipher.update(bytes(10)) == last[:10]
    with pytest.raises(OverflowError):
        cipher.update(bytes(119))
    assert cipher.update(bytes(60)) == last[10:70]
    assert cipher.update(bytes(58)) == last[70:]
    assert cipher.update(b"") == b""
    for _ in range(2):
        with pytest.raises(OverflowError):
            cipher.update(b"x")


def test_a_counter_of_64_bits_carries_into_its_upper_word() -> None:
    """Within one update and from one to the next."""
    iv = NONCE[:8]
    for blocks in (1, 2, 3, 5, 60):
        cipher = ChaCha20(KEY, iv, True)
        cipher._block = 2**32 - 2
        got = b"".join(cipher.update(bytes(64 * blocks)) for _ in range(3))
        assert got == blocks_one_by_one(KEY, iv, 192 * blocks, 2**32 - 2)
