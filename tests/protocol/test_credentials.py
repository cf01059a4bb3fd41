"""Who may use the proxy; and that nothing shows a name or a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.protocol.credentials import Credentials

TEXT = st.text(max_size=6)


def test_none_means_everybody() -> None:
    assert not Credentials()
    assert not Credentials().allow(b"", b"")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_each_account_counts(position: int) -> None:
    accounts = [("a", "1"), ("b", "2"), ("c", "3")]
    credentials = Credentials(accounts)
    assert credentials
    name, password = accounts[position]
    assert credentials.allow(name.encode(), password.encode())
    assert not credentials.allow(name.encode(), b"4")
    assert not credentials.allow(name.encode(), accounts[position - 1][1].encode())


def test_one_name_may_have_two_passwords() -> None:
    credentials = Credentials([("a", "old"), ("a", "new")])
    assert credentials.allow(b"a", b"old") and credentials.allow(b"a", b"new")


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4), TEXT, TEXT)
def test_exactly_the_accounts_that_are_set(accounts: list[tuple[str, str]], name: str, password: str) -> None:
    credentials = Credentials(accounts)
    assert credentials.allow(name.encode(), password.encode()) == ((name, password) in accounts)
    assert all(credentials.allow(name.encode(), password.encode()) for name, password in accounts)


def test_bytes_that_are_no_text_match_nothing() -> None:
    assert not Credentials([("a", "b")]).allow(b"\xff", b"\xfe\0")


def test_nothing_is_shown() -> None:
    credentials = Credentials([("hidden-name", "hidden-password")])
    for shown in (repr(credentials), str(credentials), f"{credentials}", f"{[credentials]}"):
        assert "hidden" not in shown
        assert "1 account" in shown
