"""The table of methods, and the names under which people know them."""

from __future__ import annotations

import pytest

from pyss.crypto.backends import KNOWN_ANSWERS
from pyss.crypto.methods import DEFAULT_METHOD, METHODS, Family, Method, _table, find_method
from pyss.errors import ConfigError


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("library", ["", "openssl:", "mbedtls:", "sodium:", "OpenSSL:"])
def test_a_name_is_found_whatever_its_case_and_library(name: str, library: str) -> None:
    row = METHODS[name]
    for written in (name, name.upper(), name.title(), f"  {name}\n"):
        assert find_method(written.replace(name, library + name)) is row
        assert find_method((library + name).upper()) is row


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("AEAD_AES_128_GCM", "aes-128-gcm"),
        ("AEAD_AES_192_GCM", "aes-192-gcm"),
        ("AEAD_AES_256_GCM", "aes-256-gcm"),
        ("AEAD_CHACHA20_POLY1305", "chacha20-ietf-poly1305"),
        ("aead_chacha20_poly1305", "chacha20-ietf-poly1305"),
        ("plain", "none"),
        ("NONE", "none"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert find_method(alias) is METHODS[name]


def test_the_default_is_a_method() -> None:
    assert find_method(DEFAULT_METHOD).family is Family.AEAD


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_rows_are_whole(row: Method) -> None:
    assert METHODS[row.name] is row
    assert row.name == row.name.lower() and all(alias == alias.lower() for alias in row.aliases)
    assert row.key_size == row.salt_size  # SIP004 and SIP022
    if row.family is Family.NONE:
        assert (row.algorithm, row.key_size) == ("", 0)
        return
    assert row.algorithm in KNOWN_ANSWERS
    assert row.key_size == len(KNOWN_ANSWERS[row.algorithm].key) // 2
    assert (row.family is Family.AEAD_2022) == row.name.startswith("2022-blake3-")


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("aes-256-gcn", "aes-256-gcm"),
        ("AES-128-GCM2", "aes-128-gcm"),
        ("aes256gcm", "aes-256-gcm"),
        ("openssl:aes-192-gmc", "aes-192-gcm"),
        ("chacha20-poly1305", "chacha20-ietf-poly1305"),  # not an alias: another construction
        ("2022-blake3-chacha20-poly1306", "2022-blake3-chacha20-poly1305"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(name: str, guess: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_method(name)
    assert str(caught.value) == f"the method {name!r} is not available; did you mean {guess}?"


@pytest.mark.parametrize("name", ["", "rc4-md5", "xyzzy", "\x1b[31mred\nline", "a" * 100_000, "openssl:", "aes"])
def test_an_unknown_name_gets_one_sentence_with_all_names(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_method(name)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500
    assert f"{name[:60]!r}" in text
    assert text.endswith("; there are " + ", ".join(METHODS))


GCM = Method("aes-128-gcm", Family.AEAD, "aes-128-gcm", 16, 16, ("other",))


@pytest.mark.parametrize(
    ("name", "aliases", "twice"),
    [
        ("aes-128-gcm", (), "aes-128-gcm"),
        ("other", (), "other"),
        ("new", ("aes-128-gcm",), "aes-128-gcm"),
        ("new", ("more", "other"), "other"),
        ("new", ("new",), "new"),
        ("new", ("more", "more"), "more"),
    ],
)
def test_no_name_stands_twice(name: str, aliases: tuple[str, ...], twice: str) -> None:
    with pytest.raises(ValueError, match=f"two methods are called {twice}"):
        _table([GCM, Method(name, Family.AEAD, "aes-128-gcm", 16, 16, aliases)])


def test_different_names_make_a_table() -> None:
    other = GCM._replace(name="new", aliases=())
    assert _table([GCM, other]) == {"aes-128-gcm": GCM, "new": other}
