"""From passwords and pre-shared keys to subkeys; an error about a key never shows it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from typing import Any

import pytest
from helpers.vectors import of_kind
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.keys import decode_psk, hmac_sha1, password_key, session_subkey, session_subkey_2022
from pyss.crypto.methods import METHODS, Family
from pyss.crypto.pure.blake3 import key_deriver
from pyss.errors import ConfigError

METHODS_2022 = [row for row in METHODS.values() if row.family is Family.AEAD_2022]
CONTEXT = "shadowsocks 2022 session subkey"  # SIP022


# --- EVP_BytesToKey ------------------------------------------------------------------------------
@pytest.mark.parametrize("case", of_kind("evp-bytestokey"))
def test_a_password_gives_the_key_that_openssl_makes(case: Any) -> None:
    assert password_key(case["password"].encode(), case["size"]).hex() == case["key"]


@given(st.binary(max_size=200), st.integers(0, 100))
def test_shorter_keys_are_beginnings_of_longer_ones(password: bytes, size: int) -> None:
    key = password_key(password, size)
    assert len(key) == size
    assert password_key(password, 100).startswith(key)


# --- HMAC and HKDF -------------------------------------------------------------------------------
@pytest.mark.parametrize("case", of_kind("hmac-sha1"))
def test_hmac_of_rfc_2202(case: Any) -> None:
    key, message = bytes.fromhex(case["key"]), bytes.fromhex(case["message"])
    assert hmac.new(key, message, hashlib.sha1).hexdigest() == case["digest"]
    if len(key) <= 64:  # salts are never longer, and hmac_sha1 is for no others
        assert hmac_sha1(key, message).hex() == case["digest"]


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_hmac_agrees_with_the_standard_library(key: bytes, message: bytes) -> None:
    assert hmac_sha1(key, message) == hmac.new(key, message, hashlib.sha1).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 section 2, after its formulas."""
    pseudorandom_key = hmac.new(salt, secret, hashlib.sha1).digest()
    output = block = b""
    for number in range(1, -(-size // 20) + 1):
        block = hmac.new(pseudorandom_key, block + info + bytes([number]), hashlib.sha1).digest()
        output += block
    return output[:size]


@pytest.mark.parametrize("case", of_kind("hkdf-sha1"))
def test_the_yardstick_of_the_next_test_is_right(case: Any) -> None:
    secret, salt, info = (bytes.fromhex(case[field]) for field in ("secret", "salt", "info"))
    assert hmac.new(salt, secret, hashlib.sha1).hexdigest() == case["pseudorandom_key"]
    assert hkdf(secret, salt, info, case["size"]).hex() == case["output"]


@given(st.sampled_from([16, 24, 32]), st.data())
def test_the_session_subkey_is_hkdf(size: int, data: st.DataObject) -> None:
    key, salt = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    assert session_subkey(key, salt) == hkdf(key, salt, b"ss-subkey", size)


# --- BLAKE3 --------------------------------------------------------------------------------------
@given(st.sampled_from([16, 32]), st.data())
def test_the_2022_session_subkey_is_blake3(size: int, data: st.DataObject) -> None:
    """`key_deriver` has vectors of its own; this is what goes into it, and how much comes out."""
    key, salt = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    assert session_subkey_2022(key, salt) == key_deriver(CONTEXT)(key + salt)[:size]


def test_the_2022_session_subkey_agrees_with_the_package_of_its_authors() -> None:
    blake3 = pytest.importorskip("blake3", reason="the package blake3 is a second opinion")
    for size in (16, 32):
        key, salt = bytes(range(size)), bytes(range(100, 100 + size))
        expected = blake3.blake3(key + salt, derive_key_context=CONTEXT).digest()[:size]
        assert session_subkey_2022(key, salt) == expected


# --- pre-shared keys -----------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS_2022, ids=lambda method: method.name)
def test_a_key_of_the_right_length_is_decoded(method: Any) -> None:
    key = bytes(range(224, 224 + method.key_size))
    assert decode_psk(base64.b64encode(key).decode(), method) == key


@pytest.mark.parametrize("method", METHODS_2022, ids=lambda method: method.name)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 24, 31, 32, 33, 64, 1000])
def test_a_key_of_another_length_is_refused(method: Any, size: int) -> None:
    if size == method.key_size:
        return
    text = base64.b64encode(b"\xfb" * size).decode()
    error = refused(text, method)
    assert f"the key has {size} bytes, and {method.name} takes {method.key_size}" in str(error)
    assert f"pyss genkey -m {method.name}" in str(error)


SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I"  # 32 bytes without their padding


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        SECRET + "==",
        SECRET[:-1] + "_=",
        SECRET[:-1] + "-=",
        SECRET[:20] + "\n" + SECRET[20:] + "=",
        " " + SECRET + "=",
        SECRET + "=\n",
        SECRET + "=" + SECRET + "=",
        SECRET[:-1] + "é=",
        SECRET[:-1] + "\ud800=",
        SECRET[:-1] + "\0=",
        "a plain password of somebody",
    ],
)
@pytest.mark.parametrize("method", METHODS_2022, ids=lambda method: method.name)
def test_what_is_not_base64_is_refused(text: str, method: Any) -> None:
    error = refused(text, method)
    assert f"{method.name} takes a key of {method.key_size} bytes in base64" in str(error)
    assert f"pyss genkey -m {method.name}" in str(error)


def refused(text: str, method: Any) -> ConfigError:
    """The error, once it is clear that neither it nor its traceback shows the text or what it stands for."""
    with pytest.raises(ConfigError) as caught:
        decode_psk(text, method)
    error = caught.value
    shown = f"{error} {error!r} " + "".join(traceback.format_exception(type(error), error, None))
    assert error.__suppress_context__ or error.__context__ is None
    assert str(error).isprintable()
    for secret in (text, text[:12], "secret", "somebody"):
        if len(secret) > 4:
            assert secret not in shown
    return error
