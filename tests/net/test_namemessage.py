"""Messages of DNS as bytes: the questions, and what is believed of what comes back."""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

import pytest
from helpers.nameserver import SOA, dns, reply
from hypothesis import given
from hypothesis import strategies as st

from pyss.net.namemessage import (
    AAAA,
    FORMERR,
    MOST_POINTERS,
    MOST_RECORDS,
    NXDOMAIN,
    PADDING,
    PAYLOAD,
    A,
    Malformed,
    Reply,
    name_of,
    question,
    read,
)

WWW = name_of("www.example")
IDENTITY = 0x1234
QUERY = question(WWW, A, IDENTITY, extended=True)
FULL = (
    *("www.example. 60 CNAME web.example.", "web.example. 50 A 192.0.2.1", "web.example. 50 A 192.0.2.2"),
    "www.example. 60 TXT text",
)


def message(*records: str, **options: Any) -> dns.message.Message:
    return reply(dns.message.from_wire(QUERY), *records, **options)


def heard(data: bytes) -> Optional[Reply]:
    return read(data, IDENTITY, WWW, A)


def understood(data: bytes) -> Reply:
    found = heard(data)
    assert found is not None
    return found


# --- questions -----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [A, AAAA])
def test_a_question_asks_one_thing_and_wants_recursion(kind: int) -> None:
    asked = dns.message.from_wire(question(WWW, kind, 7, extended=True))
    assert asked.id == 7
    assert [(each.name, int(each.rdtype), int(each.rdclass)) for each in asked.question] == [(WWW, kind, 1)]
    assert asked.flags == 0x0100  # RD alone
    assert (asked.edns, asked.payload) == (0, PAYLOAD)
    assert asked.opcode() == 0


def test_without_edns_there_is_nothing_more() -> None:
    data = question(WWW, A, 7, extended=False)
    assert dns.message.from_wire(data).edns == -1
    assert len(data) == 12 + len(b"\3www\7example\0") + 4


@pytest.mark.parametrize("name", ["a", "www.example", ".".join(["x" * 63] * 3)])
def test_a_padded_question_does_not_tell_the_length_of_its_name(name: str) -> None:
    assert len(question(name_of(name), A, 7, extended=True, padded=True)) % PADDING == 0


# --- answers -------------------------------------------------------------------------------------
def test_addresses_and_aliases_are_taken_with_their_owners() -> None:
    found = understood(message(*FULL, "other.example. 9 A 192.0.2.9").to_wire())
    web, other = name_of("web.example"), name_of("other.example")
    assert found.aliases == {WWW: (web, 60)}
    assert found.addresses == {web: [("192.0.2.1", 50), ("192.0.2.2", 50)], other: [("192.0.2.9", 9)]}
    assert (found.code, found.truncated, found.denials) == (0, False, {})


def test_addresses_of_the_other_family_are_not_taken() -> None:
    data = message("www.example. 60 AAAA 2001:db8::1").to_wire()
    assert understood(data).addresses == {}


def test_records_of_another_class_are_not_taken() -> None:
    data = message("www.example. 1 A 192.0.2.1").to_wire()
    chaos = data.replace(b"\0\1\0\1\0\0\0\1\0\4", b"\0\1\0\3\0\0\0\1\0\4")
    assert chaos != data
    assert understood(chaos).addresses == {}


def test_a_denial_is_kept_for_the_shorter_of_two_times() -> None:
    """RFC 2308 section 5: the TTL of the SOA, and its MINIMUM."""
    for ttl, minimum in ((30, 20), (20, 30)):
        found = understood(message(code="NXDOMAIN", authority=[SOA.format(ttl, minimum)]).to_wire())
        assert found.code == NXDOMAIN
        assert found.denials == {name_of("example"): 20}


def test_letters_may_change_their_case_on_the_way() -> None:
    data = message(*FULL).to_wire().replace(b"\3www\7example", b"\3wWw\7EXAMPLE")
    assert understood(data).aliases[WWW][0] == name_of("web.example")


def test_a_time_to_live_with_its_first_bit_set_is_none() -> None:
    """RFC 2181 section 8."""
    data = message("www.example. 1 A 192.0.2.1").to_wire()
    data = data.replace(b"\0\0\0\1\0\4", b"\x80\0\0\1\0\4")
    assert understood(data).addresses == {WWW: [("192.0.2.1", 0)]}


def changed(position: int, *values: int) -> Callable[[], bytes]:
    def change() -> bytes:
        data = bytearray(message(*FULL).to_wire())
        data[position : position + len(values)] = bytes(values)
        return bytes(data)

    return change


def about(name: str, kind: str, group: str = "IN") -> Callable[[], bytes]:
    def ask() -> bytes:
        query = dns.message.make_query(name, kind, group, id=IDENTITY)
        return reply(query, f"{name} 60 A 192.0.2.1").to_wire()

    return ask


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(changed(0, 0x12, 0x35), id="another id"),
        pytest.param(changed(2, 0x01), id="a question"),
        pytest.param(changed(2, 0xA1), id="another opcode"),
        pytest.param(changed(4, 0, 0), id="no question in it"),
        pytest.param(changed(4, 0, 2), id="two questions"),
        pytest.param(changed(12, 0xC0, 12), id="its name points to itself"),
        pytest.param(changed(12, 0x80), id="a label of no known sort"),
        pytest.param(about("www.example.com.", "A"), id="another name"),
        pytest.param(about("ww.example.", "A"), id="a similar name"),
        pytest.param(about("www.example.", "AAAA"), id="another type"),
        pytest.param(about("www.example.", "A", "CH"), id="another class"),
        pytest.param(lambda: QUERY, id="our own question"),
        pytest.param(lambda: b"", id="nothing"),
    ],
)
def test_what_does_not_fit_is_no_answer(lie: Callable[[], bytes]) -> None:
    assert heard(lie()) is None


@pytest.mark.parametrize("code", ["FORMERR", "SERVFAIL", "NOTIMP", "REFUSED"])
def test_a_failure_may_come_without_the_question(code: str) -> None:
    data = message(code=code).to_wire()[:12]
    found = understood(data[:4] + bytes(8))
    assert found.code == dns.rcode.from_text(code) != 0
    assert FORMERR == 1


def test_of_a_truncated_answer_nothing_is_taken() -> None:
    found = understood(message(*FULL, flags=0x0200).to_wire())
    assert found.truncated
    assert not found.addresses
    assert not found.aliases


def test_an_answer_that_was_cut_off_anywhere_is_not_believed_in_part() -> None:
    """The rest behind the answers is not needed, and so not read."""
    whole = message(*FULL)
    needed = len(whole.to_wire()) - 11  # without OPT, which stands at the end
    data = whole.to_wire()
    question_ends = len(QUERY) - 11
    for end in range(len(data)):
        if end < question_ends:
            assert heard(data[:end]) is None
        elif end < needed:
            with pytest.raises(Malformed):
                heard(data[:end])
        else:
            assert understood(data[:end]) == understood(data)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"\0\1\0\1\0\0\0\1\0\3\1\2\3", id="an address of three bytes"),
        pytest.param(b"\0\1\0\1\0\0\0\1\0\5\1\2\3\4\5", id="an address of five bytes"),
        pytest.param(b"\0\5\0\1\0\0\0\1\0\0", id="an alias of nothing"),
        pytest.param(b"\0\5\0\1\0\0\0\1\0\3\5ab", id="an alias that ends early"),
        pytest.param(b"\0\5\0\1\0\0\0\1\0\2\xff\xff", id="an alias that points forward"),
        pytest.param(b"\0\1\0\1\0\0\0\1\xff\xff\1\2\3\4", id="more than there is"),
    ],
)
def test_records_that_cannot_be_read(record: bytes) -> None:
    empty = bytearray(message().to_wire()[: len(QUERY) - 11])
    empty[6:12] = struct.pack("!HHH", 1, 0, 0)
    with pytest.raises(Malformed):
        heard(bytes(empty) + b"\xc0\x0c" + record)


# --- bounds --------------------------------------------------------------------------------------
def crowd(owners: bytes, count: int) -> bytes:
    """An answer of `count` address records with these owners by turns, each of two bytes."""
    start = bytearray(message().to_wire()[: len(QUERY) - 11])
    start[6:12] = struct.pack("!HHH", count, 0, 0)
    records = (
        owners[2 * number % len(owners) :][:2] + b"\0\1\0\1\0\0\0\1\0\4" + struct.pack("!I", number)
        for number in range(count)
    )
    return bytes(start) + b"".join(records)


def test_of_thousands_of_records_few_are_read() -> None:
    found = understood(crowd(b"\xc0\x0c", 4000))
    assert len(found.addresses[WWW]) == MOST_RECORDS


def test_behind_too_many_records_no_denial_is_looked_for() -> None:
    """What comes next is no authority, but the next of the answers."""
    soa = b"\0\6\0\1\0\0\0\1\0\x16\0\0" + struct.pack("!5I", 1, 2, 3, 4, 5)
    for count, denials in ((MOST_RECORDS, {WWW: 1}), (MOST_RECORDS + 1, {})):
        data = bytearray(crowd(b"\xc0\x0c", MOST_RECORDS) + b"\xc0\x0c" + soa)
        data[6:10] = struct.pack("!HH", count, 1)
        assert understood(bytes(data)).denials == denials


def test_pointers_that_lead_to_pointers_are_not_followed_for_ever() -> None:
    """Each record's name is a chain of pointers: short ones, but all together more than is allowed."""
    chain, start = b"", len(QUERY) - 11 + 12
    for number in range(14):  # in the data of a first record that nobody wants
        chain += struct.pack("!H", 0xC000 | (12 if not number else start + 2 * (number - 1)))
    records = MOST_RECORDS - 1
    assert records * 14 > MOST_POINTERS
    body = b"\xc0\x0c\0\x10\0\1\0\0\0\1" + struct.pack("!H", len(chain)) + chain
    last = struct.pack("!H", 0xC000 | (start + 2 * 13))
    data = bytearray(message().to_wire()[: len(QUERY) - 11])
    data[6:12] = struct.pack("!HHH", records + 1, 0, 0)
    data += body + (last + b"\0\1\0\1\0\0\0\1\0\4\1\2\3\4") * records
    with pytest.raises(Malformed):
        heard(bytes(data))
    few = bytearray(data)
    few[6:8] = struct.pack("!H", 50)
    assert len(understood(bytes(few)).addresses[WWW]) == 49


@given(st.data())
def test_whatever_comes_there_are_three_outcomes(data: st.DataObject) -> None:
    """An answer, none, or Malformed; no other exception."""
    wire = bytearray(message(*FULL, authority=[SOA.format(30, 20)]).to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = heard(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    except Malformed:
        return
    assert found is None or isinstance(found, Reply)


@given(st.binary(max_size=300))
def test_rubbish_behind_a_header_that_fits(rubbish: bytes) -> None:
    start = bytearray(message().to_wire()[: len(QUERY) - 11])
    start[6:12] = struct.pack("!HHH", 3, 3, 3)
    try:
        found = heard(bytes(start) + rubbish)
    except Malformed:
        return
    assert isinstance(found, Reply)
