"""The tree of errors: one root, a status of its own for each class, and tables that name only statuses there are."""

from __future__ import annotations

import inspect
import re

import pytest

from pyss import errors
from pyss.errors import CipherError, DialError, ProtocolError, PyssError
from pyss.protocol import http, socks5

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
STATUSES = {kind.status for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_belongs_to_the_tree_and_has_a_status(kind: type[PyssError]) -> None:
    assert issubclass(kind, PyssError)
    assert "status" in vars(kind)  # of its own, not inherited
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.status)


def test_no_two_classes_share_a_status() -> None:
    assert len(STATUSES) == len(CLASSES) > 20
    assert "ok" not in STATUSES


@pytest.mark.parametrize(("name", "table"), [("socks5", socks5.CODES), ("http", http.STATUS)])
def test_tables_name_only_statuses_that_exist(name: str, table: dict[str, object]) -> None:
    assert set(table) <= STATUSES


def test_what_the_reply_codes_mean() -> None:
    """RFC 1928 section 6; RFC 9110 section 15."""
    assert set(socks5.CODES.values()) == {2, 3, 4, 5, 6, 7, 8}
    assert {code for code, _ in http.STATUS.values()} == {400, 403, 407, 501, 504, 508}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_text_is_what_a_person_reads(kind: type[PyssError]) -> None:
    error = kind("a sentence")
    assert str(error) == "a sentence"
    with pytest.raises(PyssError, match="a sentence"):
        raise error


def test_three_families_that_sessions_tell_apart() -> None:
    protocol = {errors.BadAddress, errors.UnsupportedAddressType, errors.UnsupportedCommand, errors.Disconnected}
    protocol |= {errors.CredentialsRejected, errors.ProxyLoop, errors.Fragmented, errors.UnknownSender}
    cipher = {errors.BadTag, errors.BadHeader, errors.BadTime, errors.Replayed, errors.Truncated}
    dial = {errors.NetworkUnreachable, errors.HostUnreachable, errors.NameNotFound, errors.ConnectionRefused}
    dial |= {errors.DialTimeout}
    for family, members in ((ProtocolError, protocol), (CipherError, cipher), (DialError, dial)):
        assert {kind for kind in CLASSES if issubclass(kind, family) and kind is not family} == members
