"""What a finished handshake says, and the transform that changes nothing."""

from __future__ import annotations

from helpers.codecs import run
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address
from pyss.errors import DialError
from pyss.protocol.request import Request, silence
from pyss.protocol.transform import Plain

TARGET = Address.of("example.org", 80)


def test_a_request_without_words_answers_with_silence() -> None:
    request = Request(TARGET)
    assert request.accepted(("192.0.2.1", 80)) == b""
    assert request.refused(DialError("no")) == b""
    assert request.payload == b""
    assert request.upstream is None and request.downstream is None
    assert silence("anything") == b""


def test_a_request_shows_neither_payload_nor_transforms() -> None:
    request = Request(TARGET, b"hidden", upstream=Plain(b"hidden"))
    assert "hidden" not in repr(request) + str(request)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.binary(max_size=20))
def test_plain_bytes_stay_as_they_are_behind_what_leads_them(pieces: list[bytes], lead: bytes) -> None:
    transform = Plain(lead)
    passed = run(transform, pieces)
    expected = b"".join(pieces)
    assert passed.data == (lead + expected if pieces else b"")
    assert passed.fault is None
    assert transform.residue == b""
    assert transform.finish() == (b"" if pieces else lead)
    assert transform.finish() == b""
