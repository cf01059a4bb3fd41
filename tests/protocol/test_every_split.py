"""Every inbound dialogue in every way that TCP may cut it: the same request, payload and replies each time."""

from __future__ import annotations

import pytest
from helpers.codecs import cut, every_split
from helpers.dialogues import ACCEPTED, BOUND, REFUSED, Case, Outcome, named
from hypothesis import given
from hypothesis import strategies as st

from pyss.protocol import http, socks4, socks5

FIRST_READS = [case for case in ACCEPTED + REFUSED if case.first > 1]


def expected_answer(case: Case) -> bytes:
    """What the client is told when its target is reached."""
    if case.name.startswith("socks5"):
        return socks5.accepted(BOUND)
    if case.name.startswith("socks4"):
        return socks4.accepted(BOUND)
    return http.accepted(BOUND) if case.name.startswith("http") else b""


def check(case: Case, outcome: Outcome) -> None:
    assert outcome.status == "ok"
    assert outcome.target == (b"" if case.target is None else case.target.wire)
    assert outcome.delivered == case.payload
    assert outcome.replies == case.replies
    assert outcome.accepted == expected_answer(case)
    assert outcome.fault is None


@pytest.mark.parametrize(**named(ACCEPTED))
def test_every_split_names_the_same_target(case: Case) -> None:
    outcomes = set()
    for pieces in every_split(case.wire + case.behind, case.first):
        outcome = case.run(pieces)
        check(case, outcome)
        outcomes.add(outcome)
    assert len(outcomes) == 1


@pytest.mark.parametrize(**named(ACCEPTED))
def test_the_handshake_alone_suffices(case: Case) -> None:
    """Nothing behind it is needed for the target to be known."""
    for pieces in every_split(case.wire, case.first):
        outcome = case.run(pieces)
        assert outcome.status == "ok"
        assert outcome.replies == case.replies


@pytest.mark.parametrize(**named(REFUSED))
def test_every_split_is_refused_alike(case: Case) -> None:
    outcomes = set()
    for pieces in every_split(case.wire, case.first):
        outcome = case.run(pieces)
        assert (outcome.status, outcome.replies) == (case.status, case.replies)
        outcomes.add(outcome)
    assert len(outcomes) == 1  # the memory of salts is the same, too


@given(st.sampled_from(ACCEPTED + REFUSED), st.lists(st.integers(1, 400), max_size=12))
def test_random_splits(case: Case, points: list[int]) -> None:
    whole = case.wire + case.behind
    pieces = cut(whole, [point for point in points if point >= case.first])
    if case.status == "ok":
        check(case, case.run(pieces))
    else:
        outcome = case.run(pieces)
        assert (outcome.status, outcome.replies) == (case.status, case.replies)


@pytest.mark.parametrize(**named(FIRST_READS))
def test_2022_a_short_first_read_is_refused_whatever_follows(case: Case) -> None:
    """SIP022 section 3.1.3: and a prober sees no difference between one length and another."""
    for point in range(1, case.first):
        for pieces in ([case.wire[:point]], [case.wire[:point], case.wire[point:]]):
            outcome = case.run(pieces)
            assert outcome.status == "bad-request"
            assert outcome.replies == b""
            assert outcome.remembered == len(case.known) * 2


def test_no_two_cases_share_a_name() -> None:
    names = [case.name for case in ACCEPTED + REFUSED]
    assert len(set(names)) == len(names)
