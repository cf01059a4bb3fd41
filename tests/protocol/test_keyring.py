"""A method and its key: made from what a configuration says, one cipher for each salt, and nowhere shown."""

from __future__ import annotations

import base64
import os
from typing import Optional

import pytest
from helpers import reference_codec as reference
from helpers.codecs import METHODS_2017, METHODS_2022, NOW, bytes_of, keyring_of, now, password_of

from pyss.address import Address
from pyss.crypto.methods import METHODS
from pyss.errors import ConfigError
from pyss.protocol.keyring import Keyring
from pyss.protocol.request import Request
from pyss.protocol.shadowsocks import client_transforms, server_script

SEALED = METHODS_2017 + METHODS_2022
NONCE = bytes(12)


@pytest.mark.parametrize("name", SEALED)
def test_a_session_is_what_the_specification_derives(name: str) -> None:
    """Password to key, key and salt to subkey, subkey to cipher; `reference_codec` does it again."""
    keyring = keyring_of(name)
    for seed in range(3):
        salt = bytes_of(("salt", seed), keyring.method.salt_size)
        way = reference.Direction(name, reference.key_of(name, password_of(name)), salt)
        assert bytes(keyring.session(salt).encrypt(NONCE, b"plain", None)) == way.seal(b"plain")


@pytest.mark.parametrize("name", SEALED)
def test_salts_differ_and_so_do_their_ciphers(name: str) -> None:
    keyring = keyring_of(name)
    size = keyring.method.salt_size
    sealed = {bytes(keyring.session(bytes_of(seed, size)).encrypt(NONCE, b"plain", None)) for seed in range(20)}
    assert len(sealed) == 20


def test_a_wrong_tag_raises_what_the_keyring_names() -> None:
    for name in SEALED:
        keyring = keyring_of(name)
        with pytest.raises(keyring.rejected):
            keyring.session(bytes(keyring.method.salt_size)).decrypt(NONCE, bytes(40), None)


def test_entropy_is_that_of_the_system() -> None:
    keyring = Keyring.of("aes-128-gcm", "anything", now)
    assert keyring.entropy is os.urandom
    assert keyring.clock() == NOW + 0.75


def test_aliases_and_libraries_name_the_same_method() -> None:
    for name in ("AEAD_CHACHA20_POLY1305", "sodium:chacha20-ietf-poly1305", " ChaCha20-IETF-Poly1305 "):
        assert Keyring.of(name, "anything", now).method is METHODS["chacha20-ietf-poly1305"]


def test_none_needs_no_cipher() -> None:
    keyring = Keyring.of("none", "", now)
    assert keyring.backend == ""


@pytest.mark.parametrize("name", METHODS_2022)
@pytest.mark.parametrize("password", ["", "hidden", "%%%", base64.b64encode(b"hidden" * 9).decode(), "ä"])
def test_2022_takes_nothing_but_a_key_and_does_not_show_what_it_got(name: str, password: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keyring.of(name, password, now)
    assert not password or password not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="not available"):
        Keyring.of("rot13", "anything", now)


@pytest.mark.parametrize("crypto", [None, "pure"])
@pytest.mark.parametrize("name", METHODS)
def test_nothing_shows_the_key(name: str, crypto: Optional[str]) -> None:
    keyring = keyring_of(name, crypto=crypto)
    key = keyring._key if keyring.method.key_size else b"\0" * 16
    secrets = [password_of(name), key.hex(), repr(key)[2:-1], base64.b64encode(key).decode()]
    shown = [repr(keyring), str(keyring), f"{keyring}", repr([keyring])]
    if name != "none":
        transforms = client_transforms(keyring, Address.of("x", 1))
        request = Request(Address.of("x", 1), b"hidden payload", upstream=transforms[0], downstream=transforms[1])
        shown += [repr(transforms), repr(request), str(request), repr(server_script)]
    assert f"Keyring({name})" in shown[0]
    for text in shown:
        assert not any(secret in text for secret in secrets)
        assert "hidden" not in text
