"""All backends that are here say the same of the same bytes, refuse the same forgeries, and show no key."""

from __future__ import annotations

import os
from typing import Any

import pytest
from helpers.vectors import (
    AEADS,
    BLOCKS,
    HERE,
    STREAMS,
    WRITE_LAST,
    each_aead,
    each_stream,
    key_size,
    new_aead,
    new_block,
    new_stream,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.crypto.backends import Aead, nonce_size
from pyss.crypto.known_answers import STREAM_ANSWERS

BLANK = 0xA5

two_at_least = pytest.mark.skipif(len(HERE) < 2, reason="there is one backend only, nothing to compare it with")


def ciphers(algorithm: str, key: bytes) -> dict[str, Aead]:
    return {name: new_aead(name, algorithm, key) for name, module in HERE.items() if algorithm in module.ALGORITHMS}


def agree(algorithm: str, key: bytes, nonce: bytes, extra: Any, text: bytes) -> None:
    """All seal alike, by either operation, and each opens what that is."""
    sealers = ciphers(algorithm, key)
    sealed = {name: cipher.encrypt(nonce, text, extra) for name, cipher in sealers.items()}
    one = next(iter(sealed.values()))
    assert all(other == one for other in sealed.values()), f"{algorithm}: {list(sealed)} differ at {len(text)} bytes"
    for name, cipher in sealers.items():
        room = bytearray(len(one))
        cipher.encrypt_into(nonce, memoryview(text), extra, memoryview(room))
        assert room == one, name
        opened = bytearray(len(text))
        cipher.decrypt_into(nonce, memoryview(one), extra, memoryview(opened))
        assert opened == text, name


@two_at_least
@given(st.sampled_from(AEADS), st.none() | st.binary(max_size=70), st.data())
def test_backends_agree_on_small_messages(algorithm: str, extra: Any, data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=key_size(algorithm), max_size=key_size(algorithm)))
    nonce = data.draw(st.binary(min_size=nonce_size(algorithm), max_size=nonce_size(algorithm)))
    agree(algorithm, key, nonce, extra, data.draw(st.binary(max_size=300)))


@two_at_least
@settings(max_examples=40)
@given(st.sampled_from(AEADS), st.integers(0, 3000), st.integers(0, 300))
def test_backends_agree_on_lengths(algorithm: str, size: int, extra: int) -> None:
    key, nonce = os.urandom(key_size(algorithm)), os.urandom(nonce_size(algorithm))
    agree(algorithm, key, nonce, os.urandom(extra), os.urandom(size))


# The chunks of AEAD-2017 and AEAD-2022 at their largest, and more than scratch holds.
SIZES = (0x3FFF, 0x3FFF + 1, 0xFFFF, 0x10000, 70_000)


@two_at_least
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", AEADS)
def test_backends_agree_on_large_messages(algorithm: str, size: int) -> None:
    agree(algorithm, os.urandom(key_size(algorithm)), os.urandom(nonce_size(algorithm)), b"data", os.urandom(size))


@pytest.mark.load
@two_at_least
@pytest.mark.parametrize("algorithm", AEADS)
def test_backends_agree_on_every_length_up_to_a_few_blocks(algorithm: str) -> None:
    key = os.urandom(key_size(algorithm))
    for size in range(600):
        nonce = size.to_bytes(nonce_size(algorithm), "little")
        agree(algorithm, key, nonce, os.urandom(size % 37), os.urandom(size))


# --- streams -------------------------------------------------------------------------------------
def stream_material(algorithm: str) -> tuple[bytes, bytes]:
    """A key and an IV, fresh."""
    answer = STREAM_ANSWERS[algorithm]
    return os.urandom(len(answer.key) // 2), os.urandom(len(answer.iv) // 2)


def carried(name: str, algorithm: str, key: bytes, iv: bytes, encrypting: bool, pieces: list[bytes]) -> bytes:
    cipher = new_stream(name, algorithm, key, iv, encrypting)
    out = [cipher.update(piece) for piece in pieces]
    assert [len(part) for part in out] == [len(piece) for piece in pieces]
    return b"".join(out)


def cut(data: bytes, points: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[start:end] for start, end in zip(ends, ends[1:])]


@given(st.sampled_from(STREAMS), st.integers(0, 700), st.lists(st.integers(0, 700), max_size=6), st.booleans())
@settings(max_examples=150)
def test_backends_agree_on_streams_in_any_pieces(
    algorithm: str, size: int, points: list[int], encrypting: bool
) -> None:
    key, iv = stream_material(algorithm)
    data = os.urandom(size)
    names = [name for name, module in HERE.items() if algorithm in module.STREAMS]
    whole = carried(names[0], algorithm, key, iv, encrypting, [data])
    for name in names:
        assert carried(name, algorithm, key, iv, encrypting, cut(data, points)) == whole, name
        assert carried(name, algorithm, key, iv, not encrypting, cut(whole, points[::-1])) == data, name


@pytest.mark.load  # for the time it takes
@pytest.mark.parametrize("algorithm", STREAMS)
def test_backends_agree_on_long_streams(algorithm: str) -> None:
    """As long as one read of scratch would be too slow in Python for some; this is more than any buffer of theirs."""
    key, iv = stream_material(algorithm)
    slow = algorithm.endswith(("cfb1", "cfb8"))
    data = os.urandom(3_000 if slow else 70_000)
    names = [name for name, module in HERE.items() if algorithm in module.STREAMS]
    texts = {carried(name, algorithm, key, iv, True, cut(data, [1, 999, 40_001])) for name in names}
    assert len(texts) == 1
    for name in names:
        assert carried(name, algorithm, key, iv, False, cut(texts.copy().pop(), [77, 20_000])) == data, name


@each_stream
def test_a_stream_takes_nothing_and_every_kind_of_buffer(name: str, algorithm: str) -> None:
    key, iv = stream_material(algorithm)
    data = bytes(range(100))
    expected = carried(name, algorithm, key, iv, True, [data])
    for kind in (bytes, bytearray, memoryview):
        cipher = new_stream(name, algorithm, key, iv, True)
        assert bytes(cipher.update(kind(data[:33]))) + bytes(cipher.update(kind(b""))) + bytes(
            cipher.update(kind(data[33:]))
        ) == expected


# --- blocks --------------------------------------------------------------------------------------
@two_at_least
@given(st.sampled_from(BLOCKS), st.integers(0, 40), st.booleans())
def test_backends_agree_on_blocks(algorithm: str, count: int, encrypting: bool) -> None:
    """And each takes back what it has done, in one go or block by block."""
    key, data = os.urandom(key_size(algorithm)), os.urandom(16 * count)
    whole = new_block("pure", algorithm, key, encrypting).update(data)
    for name, module in HERE.items():
        if algorithm in module.BLOCKS:
            there, back = (new_block(name, algorithm, key, way) for way in (encrypting, not encrypting))
            assert there.update(memoryview(data)) == whole, name
            assert there.update(bytearray(data)) == whole, name
            assert b"".join(back.update(whole[at : at + 16]) for at in range(0, len(whole), 16)) == data, name


# --- forgeries -----------------------------------------------------------------------------------
def refused(name: str, cipher: Aead, nonce: bytes, sealed: bytes, extra: bytes) -> bool:
    """Whether neither operation opens it, and what must not write has not written."""
    rejected = HERE[name].REJECTED
    blank = bytes([BLANK]) * (len(sealed) - 16 + 2)
    room = bytearray(blank)
    for attempt in (
        lambda: cipher.decrypt(nonce, sealed, extra or None),
        lambda: cipher.decrypt_into(nonce, memoryview(sealed), extra or None, memoryview(room)[1:-1]),
    ):
        try:
            attempt()
        except rejected:
            continue
        return False
    if name in WRITE_LAST:
        return room == blank
    return (room[0], room[-1]) == (BLANK, BLANK)


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@each_aead
def test_a_flipped_bit_anywhere_is_refused(name: str, algorithm: str) -> None:
    """Every single bit of text, tag, nonce and associated data; more than two blocks of AES."""
    nonce, extra = bytes(range(nonce_size(algorithm))), b"some data"
    cipher = new_aead(name, algorithm, bytes(range(key_size(algorithm))))
    sealed = cipher.encrypt(nonce, b"thirty-five bytes of text to forge.", extra)
    assert not refused(name, cipher, nonce, sealed, extra)
    for bit in range(8 * len(sealed)):
        assert refused(name, cipher, nonce, flipped(sealed, bit), extra), f"bit {bit} of the text or tag"
    for bit in range(8 * len(nonce)):
        assert refused(name, cipher, flipped(nonce, bit), sealed, extra), f"bit {bit} of the nonce"
    for bit in range(8 * len(extra)):
        assert refused(name, cipher, nonce, sealed, flipped(extra, bit)), f"bit {bit} of the associated data"


@each_aead
def test_what_is_moved_cut_or_longer_is_refused(name: str, algorithm: str) -> None:
    nonce, extra = bytes(range(nonce_size(algorithm))), b"some data"
    cipher = new_aead(name, algorithm, bytes(range(key_size(algorithm))))
    sealed = cipher.encrypt(nonce, b"a text", extra)
    for forged in (sealed[:-1], sealed[1:], sealed + b"\0", b"\0" + sealed, sealed[-16:] + sealed[:-16], bytes(22)):
        assert refused(name, cipher, nonce, forged, extra)
    for data in (b"", extra + b"\0", extra[:-1], b"\0" + extra):
        assert refused(name, cipher, nonce, sealed, data)
    other = new_aead(name, algorithm, bytes(range(1, key_size(algorithm) + 1)))
    assert refused(name, other, nonce, sealed, extra)


@settings(max_examples=25)
@given(st.sampled_from(AEADS), st.integers(1, 2000), st.data())
def test_a_flipped_bit_in_a_larger_message_is_refused_by_all(algorithm: str, size: int, data: st.DataObject) -> None:
    nonce = os.urandom(nonce_size(algorithm))
    for name, cipher in ciphers(algorithm, os.urandom(key_size(algorithm))).items():
        sealed = cipher.encrypt(nonce, os.urandom(size), None)
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        assert refused(name, cipher, nonce, flipped(sealed, bit), b"")


@each_aead
def test_a_rejection_does_not_spoil_the_cipher(name: str, algorithm: str) -> None:
    """An Aead holds no state: after a forgery it opens what is genuine."""
    cipher, nonce = new_aead(name, algorithm, bytes(key_size(algorithm))), bytes(nonce_size(algorithm))
    sealed = cipher.encrypt(nonce, b"genuine", None)
    for _ in range(3):
        assert refused(name, cipher, nonce, flipped(sealed, 0), b"")
        assert cipher.decrypt(nonce, sealed, None) == b"genuine"
        assert cipher.encrypt(nonce, b"genuine", None) == sealed


# --- secrets -------------------------------------------------------------------------------------
@each_aead
def test_a_cipher_does_not_show_its_key(name: str, algorithm: str) -> None:
    key = b"SECRET-key-of-a-certain-length-!"[: key_size(algorithm)]
    text = b"PLAINTEXT of somebody"
    cipher, nonce = new_aead(name, algorithm, key), bytes(nonce_size(algorithm))
    sealed = cipher.encrypt(nonce, text, None)
    with pytest.raises(HERE[name].REJECTED) as caught:
        cipher.decrypt(nonce, flipped(sealed, 3), None)
    parts = [getattr(cipher, part, None) for part in ("_begin", "encrypt", "decrypt")]
    objects = [cipher, *parts, *(getattr(part, "__self__", None) for part in parts), caught.value]
    shown = " ".join(f"{thing} {thing!r}" for thing in objects)
    for secret in (key, text, sealed):
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown
    assert "SECRET" not in shown and "PLAINTEXT" not in shown
