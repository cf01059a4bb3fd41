"""The table of methods, and the names under which people know them."""

from __future__ import annotations

import pytest

from pyss.crypto.known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS
from pyss.crypto.methods import BEST_METHOD, DEFAULT_METHOD, METHODS, Family, Method, Status, _table, find_method
from pyss.errors import ConfigError


@pytest.mark.parametrize("library", ["", "openssl:", "mbedtls:", "sodium:", "OpenSSL:"])
def test_a_name_is_found_whatever_its_case_and_library(library: str) -> None:
    for name, row in METHODS.items():
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
        ("aes-128-cfb128", "aes-128-cfb"),
        ("AES-256-CFB128", "aes-256-cfb"),
        ("camellia-192-cfb128", "camellia-192-cfb"),
        ("mbedtls:bf-cfb128", "bf-cfb"),
        ("plain", "none"),
        ("NONE", "none"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert find_method(alias) is METHODS[name]


def test_the_default_is_a_method() -> None:
    assert find_method(DEFAULT_METHOD).family is Family.AEAD
    assert find_method(BEST_METHOD).family is Family.AEAD_2022
    assert find_method(DEFAULT_METHOD).status is find_method(BEST_METHOD).status is Status.RECOMMENDED


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_rows_are_whole(row: Method) -> None:
    assert METHODS[row.name] is row
    assert row.name == row.name.lower() and all(alias == alias.lower() for alias in row.aliases)
    assert (row.family is Family.AEAD_2022) == row.name.startswith("2022-blake3-")
    assert (row.status is Status.INSECURE) == (row.family in (Family.NONE, Family.STREAM))
    if row.family is Family.NONE:
        assert (row.algorithm, row.key_size, row.salt_size) == ("", 0, 0)
    elif row.family is Family.STREAM:
        answer = STREAM_ANSWERS[row.algorithm]
        assert row.salt_size == len(answer.iv) // 2
        assert row.key_size in (0, len(answer.key) // 2)  # 0: the password is the key
        assert (row.key_size == 0) == (row.name == "table")
    else:
        assert row.key_size == row.salt_size == len(AEAD_ANSWERS[row.algorithm].key) // 2  # SIP004 and SIP022


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_2022_has_one_of_two_forms_of_datagrams(row: Method) -> None:
    """SIP022 sections 3.2.1 and 4.1: the block cipher has the key of the method, and so has the other AEAD."""
    assert bool(row.block or row.extended) == (row.family is Family.AEAD_2022)
    assert not (row.block and row.extended)
    if row.block:
        assert (row.algorithm, row.block) == (f"aes-{8 * row.key_size}-gcm", f"aes-{8 * row.key_size}-ecb")
        assert len(BLOCK_ANSWERS[row.block].key) // 2 == row.key_size
    if row.extended:
        assert row.extended == f"x{row.algorithm}"
        assert len(AEAD_ANSWERS[row.extended].key) // 2 == row.key_size
        assert len(AEAD_ANSWERS[row.extended].nonce) // 2 == 24


# Protocol facts: shadowsocks.org's list of ciphers, and the original's table.
SIZES = {
    **{f"aes-{bits}-{mode}": (bits // 8, 16) for bits in (128, 192, 256) for mode in ("cfb", "cfb1", "cfb8")},
    **{f"aes-{bits}-{mode}": (bits // 8, 16) for bits in (128, 192, 256) for mode in ("ofb", "ctr")},
    **{f"camellia-{bits}-cfb": (bits // 8, 16) for bits in (128, 192, 256)},
    **{name: (16, 8) for name in ("bf-cfb", "cast5-cfb", "idea-cfb", "rc2-cfb")},
    **{"des-cfb": (8, 8), "seed-cfb": (16, 16), "rc4": (16, 0), "rc4-md5": (16, 16), "table": (0, 0), "none": (0, 0)},
    **{"chacha20": (32, 8), "salsa20": (32, 8), "chacha20-ietf": (32, 12), "xchacha20": (32, 24)},
    **{f"aes-{bits}-{mode}": (bits // 8, bits // 8) for bits in (128, 192, 256) for mode in ("gcm", "ocb")},
    **{name: (32, 32) for name in ("chacha20-ietf-poly1305", "xchacha20-ietf-poly1305", "chacha20-poly1305")},
    **{f"2022-blake3-{name}-poly1305": (32, 32) for name in ("chacha20", "chacha12", "chacha8")},
    **{"2022-blake3-aes-128-gcm": (16, 16), "2022-blake3-aes-256-gcm": (32, 32)},
}


def test_every_method_is_there_with_its_sizes() -> None:
    assert {name: (row.key_size, row.salt_size) for name, row in METHODS.items()} == SIZES


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("aes-256-gcn", "aes-256-gcm"),
        ("AES-128-GCM2", "aes-128-gcm"),
        ("aes256gcm", "aes-256-gcm"),
        ("openssl:aes-192-gmc", "aes-192-gcm"),
        ("chacha20-ietf-poly1303", "chacha20-ietf-poly1305"),
        ("2022-blake3-chacha20-poly1306", "2022-blake3-chacha20-poly1305"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(name: str, guess: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_method(name)
    assert str(caught.value) == f"the method {name!r} is not available; did you mean {guess}?"


@pytest.mark.parametrize("name", ["", "rot13", "xyzzy", "\x1b[31mred\nline", "a" * 100_000, "openssl:", "aes"])
def test_an_unknown_name_gets_one_sentence_that_says_what_to_use(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_method(name)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500
    assert f"{name[:60]!r}" in text
    assert text.endswith(f"; use {BEST_METHOD} or {DEFAULT_METHOD}; pyss ciphers lists all there are")


GCM = METHODS["aes-128-gcm"]._replace(aliases=("other",))


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
        _table([GCM, GCM._replace(name=name, aliases=aliases)])


def test_different_names_make_a_table() -> None:
    other = GCM._replace(name="new", aliases=())
    assert _table([GCM, other]) == {"aes-128-gcm": GCM, "new": other}
