"""All backends that are here say the same of the same bytes, refuse the same forgeries, and show no key."""

from __future__ import annotations

import os
from typing import Any

import pytest
from helpers.vectors import ALGORITHMS, WRITE_LAST, backend
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.crypto.backends import BACKENDS, KNOWN_ANSWERS, Aead, Backend

KEY_SIZES = {name: len(answer.key) // 2 for name, answer in KNOWN_ANSWERS.items()}
NONCES = st.binary(min_size=12, max_size=12)
BLANK = 0xA5


def here() -> dict[str, Backend]:
    found = {}
    for name in BACKENDS:
        try:
            found[name] = backend(name)
        except pytest.skip.Exception:
            continue
    return found


HERE = here()
two_at_least = pytest.mark.skipif(len(HERE) < 2, reason="there is one backend only, nothing to compare it with")


def ciphers(algorithm: str, key: bytes) -> dict[str, Aead]:
    return {name: module.ALGORITHMS[algorithm](key) for name, module in HERE.items()}


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
@given(st.sampled_from(ALGORITHMS), NONCES, st.none() | st.binary(max_size=70), st.data())
def test_backends_agree_on_small_messages(algorithm: str, nonce: bytes, extra: Any, data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=KEY_SIZES[algorithm], max_size=KEY_SIZES[algorithm]))
    agree(algorithm, key, nonce, extra, data.draw(st.binary(max_size=300)))


@two_at_least
@settings(max_examples=40)
@given(st.sampled_from(ALGORITHMS), st.integers(0, 3000), st.integers(0, 300))
def test_backends_agree_on_lengths(algorithm: str, size: int, extra: int) -> None:
    material = os.urandom(KEY_SIZES[algorithm] + 12)
    agree(algorithm, material[12:], material[:12], os.urandom(extra), os.urandom(size))


# The chunks of AEAD-2017 and AEAD-2022 at their largest, and more than scratch holds.
SIZES = [
    *((algorithm, 0x3FFF) for algorithm in ALGORITHMS),
    *(("chacha20-poly1305", size) for size in (0x3FFF + 1, 0xFFFF, 0x10000, 70_000)),
    ("aes-128-gcm", 70_000),  # AES in Python does a megabyte in a second, or less
]


@two_at_least
@pytest.mark.parametrize(("algorithm", "size"), SIZES)
def test_backends_agree_on_large_messages(algorithm: str, size: int) -> None:
    agree(algorithm, os.urandom(KEY_SIZES[algorithm]), os.urandom(12), b"data", os.urandom(size))


@pytest.mark.load
@two_at_least
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_backends_agree_on_every_length_up_to_a_few_blocks(algorithm: str) -> None:
    key = os.urandom(KEY_SIZES[algorithm])
    for size in range(600):
        agree(algorithm, key, size.to_bytes(12, "little"), os.urandom(size % 37), os.urandom(size))


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


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_flipped_bit_anywhere_is_refused(name: str, algorithm: str) -> None:
    """Every single bit of text, tag, nonce and associated data; more than two blocks of AES."""
    nonce, extra = bytes(range(12)), b"some data"
    cipher = HERE[name].ALGORITHMS[algorithm](bytes(range(KEY_SIZES[algorithm])))
    sealed = cipher.encrypt(nonce, b"thirty-five bytes of text to forge.", extra)
    assert not refused(name, cipher, nonce, sealed, extra)
    for bit in range(8 * len(sealed)):
        assert refused(name, cipher, nonce, flipped(sealed, bit), extra), f"bit {bit} of the text or tag"
    for bit in range(8 * len(nonce)):
        assert refused(name, cipher, flipped(nonce, bit), sealed, extra), f"bit {bit} of the nonce"
    for bit in range(8 * len(extra)):
        assert refused(name, cipher, nonce, sealed, flipped(extra, bit)), f"bit {bit} of the associated data"


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_moved_cut_or_longer_is_refused(name: str, algorithm: str) -> None:
    nonce, extra = bytes(range(12)), b"some data"
    size = KEY_SIZES[algorithm]
    cipher = HERE[name].ALGORITHMS[algorithm](bytes(range(size)))
    sealed = cipher.encrypt(nonce, b"a text", extra)
    for forged in (sealed[:-1], sealed[1:], sealed + b"\0", b"\0" + sealed, sealed[-16:] + sealed[:-16], bytes(22)):
        assert refused(name, cipher, nonce, forged, extra)
    for data in (b"", extra + b"\0", extra[:-1], b"\0" + extra):
        assert refused(name, cipher, nonce, sealed, data)
    other = HERE[name].ALGORITHMS[algorithm](bytes(range(1, size + 1)))
    assert refused(name, other, nonce, sealed, extra)


@settings(max_examples=25)
@given(st.sampled_from(ALGORITHMS), st.integers(1, 2000), st.data())
def test_a_flipped_bit_in_a_larger_message_is_refused_by_all(algorithm: str, size: int, data: st.DataObject) -> None:
    nonce = os.urandom(12)
    for name, cipher in ciphers(algorithm, os.urandom(KEY_SIZES[algorithm])).items():
        sealed = cipher.encrypt(nonce, os.urandom(size), None)
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        assert refused(name, cipher, nonce, flipped(sealed, bit), b"")


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_rejection_does_not_spoil_the_cipher(name: str, algorithm: str) -> None:
    """An Aead holds no state: after a forgery it opens what is genuine."""
    cipher = HERE[name].ALGORITHMS[algorithm](bytes(KEY_SIZES[algorithm]))
    sealed = cipher.encrypt(bytes(12), b"genuine", None)
    for _ in range(3):
        assert refused(name, cipher, bytes(12), flipped(sealed, 0), b"")
        assert cipher.decrypt(bytes(12), sealed, None) == b"genuine"
        assert cipher.encrypt(bytes(12), b"genuine", None) == sealed


# --- secrets -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cipher_does_not_show_its_key(name: str, algorithm: str) -> None:
    key = b"SECRET-key-of-a-certain-length-!"[: KEY_SIZES[algorithm]]
    text = b"PLAINTEXT of somebody"
    cipher = HERE[name].ALGORITHMS[algorithm](key)
    sealed = cipher.encrypt(bytes(12), text, None)
    with pytest.raises(HERE[name].REJECTED) as caught:
        cipher.decrypt(bytes(12), flipped(sealed, 3), None)
    objects = [cipher, getattr(cipher, "_primitive", None), getattr(cipher, "_begin", None), caught.value]
    shown = " ".join(f"{thing} {thing!r}" for thing in objects)
    for secret in (key, text, sealed):
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown
    assert "SECRET" not in shown and "PLAINTEXT" not in shown
