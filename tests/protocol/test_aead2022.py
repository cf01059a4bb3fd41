"""AEAD-2022 streams (SIP022) against the reference codec: both headers, time, padding and first payloads."""

from __future__ import annotations

import pytest
from helpers import reference_codec as reference
from helpers.codecs import (
    FEW_2022,
    METHODS_2022,
    NOW,
    Salts,
    bytes_of,
    flipped,
    in_pieces_of,
    keyring_of,
    masks,
    now,
    password_of,
    run,
)

from pyss.address import Address
from pyss.errors import BadAddress, BadHeader, BadTime, Truncated
from pyss.protocol.aead import OVERHEAD, TAG
from pyss.protocol.aead2022 import (
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
    check_time,
    parse_fixed_header,
    parse_variable_header,
)

NAME = "2022-blake3-chacha20-poly1305"
TARGET = Address.of("example.org", 80)
LEAD = TARGET.wire
LARGEST = 0xFFFF
REQUEST_SALT = bytes_of("request", 32)


def key_of(name: str = NAME) -> bytes:
    return reference.key_of(name, password_of(name))


def read_request(wire: bytes, name: str = NAME) -> reference.RequestParts:
    return reference.read_request_2022(name, key_of(name), wire)


# --- what a client writes ------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2022)
def test_the_reference_reads_a_request(name: str) -> None:
    pieces = [b"first", b"second", bytes_of(1, 70_000)]
    entropy = Salts()
    parts = read_request(run(RequestSealer(keyring_of(name, entropy=entropy), LEAD), pieces).data, name)
    assert parts.salt == entropy.given[0]
    assert len(parts.salt) == reference.SIZES[name]
    assert parts.time == NOW
    assert parts.address == LEAD
    assert parts.padding == b""
    assert parts.initial == b"first"
    assert b"".join(parts.chunks) == b"".join(pieces[1:])
    assert max(map(len, parts.chunks)) == LARGEST


ROOM = LARGEST - len(LEAD) - 2  # for an initial payload


@pytest.mark.parametrize("size", [1, 1000, ROOM - 1, ROOM, ROOM + 1, ROOM + LARGEST, ROOM + LARGEST + 1, 200_000])
def test_salt_headers_and_first_payload_leave_in_one_write(size: int) -> None:
    """As much as fits into the header, and the rest in chunks behind it."""
    payload = bytes_of(size, size)
    first, second = run(RequestSealer(keyring_of(NAME), LEAD), [payload, b"second"]).outputs
    parts = read_request(first)
    assert parts.initial == payload[:ROOM]
    assert b"".join(parts.chunks) == payload[ROOM:]
    assert all(parts.chunks)
    assert len(second) == OVERHEAD + 6


@pytest.mark.parametrize(("drawn", "padding"), [(0, 1), (1, 2), (899, 900), (900, 1), (2**32 - 1, 796)])
def test_a_request_without_payload_has_padding(drawn: int, padding: int) -> None:
    """SIP022 section 3.1.2: 1 to 900 bytes, from entropy."""
    salt = bytes_of("salt", 32)
    entropy = {4: drawn.to_bytes(4, "big"), 32: salt}
    for write in (
        lambda sealer: sealer.finish(),
        lambda sealer: bytes(sealer.apply(memoryview(b""), 0, memoryview(bytearray(2048)))),
    ):
        parts = read_request(write(RequestSealer(keyring_of(NAME, entropy=entropy.__getitem__), LEAD)))
        assert (len(parts.padding), parts.initial, parts.chunks) == (padding, b"", [])
        assert parts.address == LEAD


def test_padding_varies() -> None:
    keyring = keyring_of(NAME)
    sizes = {len(RequestSealer(keyring, LEAD).finish()) for _ in range(60)}
    assert len(sizes) > 30
    assert max(sizes) - min(sizes) < 900


def test_the_longest_address_and_padding_fit() -> None:
    longest = Address.of("a" * 255, 1).wire
    entropy = {4: (899).to_bytes(4, "big"), 32: bytes(32)}
    parts = read_request(RequestSealer(keyring_of(NAME, entropy=entropy.__getitem__), longest).finish())
    assert (parts.address, len(parts.padding)) == (longest, 900)


def test_a_request_is_headed_once() -> None:
    sealer = RequestSealer(keyring_of(NAME), LEAD)
    headers = sealer.finish()
    assert sealer.finish() == b""
    later = run(sealer, [b"payload"]).data
    assert read_request(headers + later).chunks == [b"payload"]


def test_a_clock_that_stands_before_1970_or_far_away_is_written_as_it_is() -> None:
    for time in (0, 1, 2**40):
        sealer = RequestSealer(keyring_of(NAME, clock=lambda time=time: float(time)), LEAD)
        assert read_request(run(sealer, [b"x"]).data).time == time


# --- what a server writes ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in METHODS_2022 for size in (1, 1000)]
    + [(NAME, size) for size in (LARGEST, LARGEST + 1, 150_000)],
)
def test_the_reference_reads_a_response(name: str, size: int) -> None:
    request_salt = REQUEST_SALT[: reference.SIZES[name]]
    payload = bytes_of(size, size)
    first, second = run(ResponseSealer(keyring_of(name), request_salt), [payload, b"second"]).outputs
    time, salt, payloads = reference.read_response_2022(name, key_of(name), first + second)
    assert (time, salt) == (NOW, request_salt)
    assert payloads[0] == payload[:LARGEST]  # its length stands in the header
    assert b"".join(payloads) == payload + b"second"
    assert len(second) == OVERHEAD + 6


def test_nothing_is_sent_before_the_first_byte() -> None:
    """A chunk of no bytes must never be written: a target that says nothing gives a bare end."""
    entropy = Salts()
    assert ResponseSealer(keyring_of(NAME, entropy=entropy), REQUEST_SALT).finish() == b""
    assert entropy.given == []


def test_responses_have_salts_of_their_own() -> None:
    keyring = keyring_of(NAME)
    wires = [run(ResponseSealer(keyring, REQUEST_SALT), [b"same"]).data for _ in range(5)]
    assert len({wire[:32] for wire in wires}) == 5


# --- what a client reads -------------------------------------------------------------------------
def response(
    payloads: list[bytes], *, name: str = NAME, time: int = NOW, salt: bytes = REQUEST_SALT, kind: int = 1
) -> bytes:
    size = reference.SIZES[name]
    return reference.write_response_2022(
        name, key_of(name), bytes_of("response", size), time, salt[:size], payloads, kind=kind
    )


def response_opener(name: str = NAME) -> ResponseOpener:
    """Of a client whose request went out under REQUEST_SALT."""
    size = reference.SIZES[name]
    keyring = keyring_of(name, entropy=lambda count: REQUEST_SALT[:size] if count == size else bytes(count))
    request = RequestSealer(keyring, LEAD)
    run(request, [b"question"])
    return ResponseOpener(keyring, request)


@pytest.mark.parametrize("name", METHODS_2022)
def test_a_response_is_read(name: str) -> None:
    payloads = [b"first", b"second", bytes_of(1, LARGEST if name == NAME else 3000), b"l"]
    for size in (90, 1000, 100_000):
        passed = run(response_opener(name), in_pieces_of(response(payloads, name=name), size))
        assert (passed.data, passed.fault) == (b"".join(payloads), None)


@pytest.mark.parametrize("off", [-30, -1, 0, 1, 30])
def test_a_response_within_30_seconds(off: int) -> None:
    passed = run(response_opener(), [response([b"x"], time=NOW + off)])
    assert (passed.data, passed.fault) == (b"x", None)


REFUSED = {
    "31-behind": (response([b"x"], time=NOW - 31), "bad-time"),
    "31-ahead": (response([b"x"], time=NOW + 31), "bad-time"),
    "1970": (response([b"x"], time=0), "bad-time"),
    "never": (response([b"x"], time=2**64 - 1), "bad-time"),
    "type-request": (response([b"x"], kind=0), "bad-header"),
    "type-2": (response([b"x"], kind=2), "bad-header"),
    "another-request": (response([b"x"], salt=flipped(REQUEST_SALT, 31)), "bad-header"),
    "another-request-at-its-first-byte": (response([b"x"], salt=flipped(REQUEST_SALT, 0)), "bad-header"),
    "empty": (response([b"", b"x"]), "bad-header"),
    "empty-and-no-more": (response([b""]), "bad-header"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_a_response_that_is_refused(what: str) -> None:
    wire, status = REFUSED[what]
    for pieces in ([wire], in_pieces_of(wire, 1), [wire[:91], wire[91:]]):
        passed = run(response_opener(), pieces)
        assert (passed.data, passed.status) == (b"", status)


def test_a_response_before_the_request_belongs_to_nothing() -> None:
    keyring = keyring_of(NAME)
    opener = ResponseOpener(keyring, RequestSealer(keyring, LEAD))
    assert run(opener, [response([b"x"])]).status == "bad-header"


def test_a_chunk_of_no_bytes_ends_a_response() -> None:
    passed = run(response_opener(), [response([b"first", b"", b"third"])])
    assert (passed.data, passed.status) == (b"first", "bad-header")


@pytest.mark.parametrize("name", FEW_2022)
def test_a_changed_byte_never_gives_wrong_plaintext(name: str) -> None:
    payloads = [b"first", bytes_of(1, 30), b"l"]
    wire = response(payloads, name=name)
    ends = [reference.SIZES[name] * 2 + 11 + TAG + 5 + TAG]
    for payload in payloads[1:]:
        ends.append(ends[-1] + OVERHEAD + len(payload))
    assert ends[-1] == len(wire)
    for at, mask in zip(range(len(wire)), masks()):
        good = b"".join(payload for payload, end in zip(payloads, ends) if end <= at)
        changed = flipped(wire, at, mask)
        for pieces in ([changed], in_pieces_of(changed, 7)):
            passed = run(response_opener(name), pieces)
            assert (passed.data, passed.status) == (good, "bad-tag")


def test_the_end_of_a_response_is_clean_only_between_chunks() -> None:
    """Before its first byte it is an empty answer."""
    payloads = [b"first", b"second"]
    wire = response(payloads)
    header = 2 * 32 + 11 + TAG
    clean = {0, header + 5 + TAG, len(wire)}
    for size in range(len(wire) + 1):
        for pieces in ([wire[:size]] if size else [], in_pieces_of(wire[:size], 1)):
            opener = response_opener()
            assert run(opener, pieces).fault is None
            if size in clean:
                assert opener.finish() == b""
            else:
                with pytest.raises(Truncated):
                    opener.finish()


# --- headers by themselves -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("off", "words"), [(31, "31 s ahead of"), (-31, "31 s behind"), (2**60, "billions of s ahead")]
)
def test_a_clock_that_is_off_is_told_how_far(off: int, words: str) -> None:
    with pytest.raises(BadTime, match=words):
        check_time((NOW + off).to_bytes(8, "big"), now())


def test_only_whole_seconds_count() -> None:
    check_time((NOW - 30).to_bytes(8, "big"), NOW + 0.999)
    check_time((NOW + 30).to_bytes(8, "big"), NOW + 0.001)
    with pytest.raises(BadTime):
        check_time((NOW - 30).to_bytes(8, "big"), NOW + 1.0)


def test_the_fixed_header() -> None:
    stamp = NOW.to_bytes(8, "big")
    assert parse_fixed_header(b"\0" + stamp + b"\x12\x34", now()) == 0x1234
    for kind in range(1, 256):
        with pytest.raises(BadHeader, match=f"type {kind} "):
            parse_fixed_header(bytes((kind,)) + stamp + b"\0\x01", now())


@pytest.mark.parametrize("padding", [0, 1, 900, 901, 5000, LARGEST - len(LEAD) - 2 - 1, LARGEST - len(LEAD) - 2])
def test_any_padding_that_fits_is_read(padding: int) -> None:
    header = LEAD + padding.to_bytes(2, "big") + bytes(padding)
    for payload in (b"", b"x"):
        if len(header + payload) > LARGEST or not (padding or payload):
            continue
        assert parse_variable_header(header + payload) == (TARGET, payload)


def test_a_header_that_is_cut_anywhere_is_refused() -> None:
    for payload in (b"", b"payload"):
        header = LEAD + b"\0\x05" + bytes(5) + payload
        for size in range(len(LEAD) + 2 + 5):
            with pytest.raises(BadHeader):
                parse_variable_header(header[:size])


def test_padding_that_reaches_beyond_the_header_is_refused() -> None:
    for padding in (3, 900, 0xFFFF):
        with pytest.raises(BadHeader, match="padding"):
            parse_variable_header(LEAD + padding.to_bytes(2, "big") + b"xx")


def test_a_request_with_neither_payload_nor_padding_is_refused() -> None:
    with pytest.raises(BadHeader, match="payload or padding"):
        parse_variable_header(LEAD + b"\0\0")


def test_an_address_that_is_none_is_refused() -> None:
    for address in (b"\x02" + bytes(6), b"\x03\x00\x00\x50", b"\x03\x03a b\x00\x50"):
        with pytest.raises(BadAddress):
            parse_variable_header(address + b"\0\x01x")
