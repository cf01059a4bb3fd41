"""The substitution table in Python, by its definition: 1023 sorts, one after the other."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure.table import Table, sorted_bytes, substitution


def by_definition(a: int) -> list[int]:
    """Sort after sort.  That they are stable is spelled out: among equals, the place before the sort decides."""
    table = list(range(256))
    for i in range(1, 1024):
        keyed = [(a % (x + i), place, x) for place, x in enumerate(table)]
        keyed.sort()
        table = [x for _, _, x in keyed]
    return table


@pytest.mark.parametrize("password", [b"", b"foobar!", "pässword".encode(), bytes(range(256)) * 3])
def test_the_table_of_a_password(password: bytes) -> None:
    a, _ = struct.unpack("<QQ", hashlib.md5(password).digest())
    assert list(substitution(password)) == by_definition(a)


@pytest.mark.parametrize("a", [0, 1, 255, 1023, 1024, 1100, 1278, 1279, 5000, 720720, 2**32, 2**64 - 1])
def test_ties_keep_the_order_of_before(a: int) -> None:
    """A small number has equal remainders, down to all of them: then every sort counts."""
    assert list(sorted_bytes(a)) == by_definition(a)


def test_tables_that_can_be_told_without_sorting() -> None:
    assert sorted_bytes(0) == bytes(range(256))  # all remainders are 0
    # In the last sort 1100 % (x + 1023) is 77 - x up to x = 77, and 1100 from then on; among those, x + i = 1100
    # gives 0 in the sort 1100 - x, the later the smaller x is.
    assert sorted_bytes(1100) == bytes(range(77, -1, -1)) + bytes(range(78, 256))


@given(st.binary(max_size=40), st.binary(max_size=300))
def test_one_direction_undoes_the_other(password: bytes, data: bytes) -> None:
    table = substitution(password)
    assert sorted(table) == list(range(256))
    made = Table(password, b"", True).update(data)
    assert made == bytes(table[byte] for byte in data)
    assert Table(password, b"", False).update(made) == data


@pytest.mark.parametrize("encrypting", [True, False])
def test_any_split_and_any_buffer(encrypting: bool) -> None:
    data = bytes(range(256)) * 2
    table = Table(b"secret", b"", encrypting)
    whole = table.update(data)
    assert type(whole) is bytes and table.update(b"") == b""
    for cut in (0, 1, 255, 256, 511, 512):
        assert table.update(bytearray(data[:cut])) + table.update(memoryview(data)[cut:]) == whole


def test_an_iv_is_refused() -> None:
    with pytest.raises(ValueError, match="no IV, and this one has 3 bytes"):
        Table(b"secret", b"abc", True)
