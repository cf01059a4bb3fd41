"""AEAD-2017 streams against the reference codec: framing, salts, limits of a chunk, faults and ends."""

from __future__ import annotations

import pytest
from helpers import reference_codec as reference
from helpers.codecs import METHODS_2017, Salts, bytes_of, flipped, in_pieces_of, keyring_of, masks, password_of, run

from pyss.address import Address
from pyss.errors import Truncated
from pyss.protocol.aead import OVERHEAD, SMALL, TAG, Opener, Sealer

NAME = "chacha20-ietf-poly1305"  # where one method is as good as another
LEAD = Address.of("example.org", 80).wire
LARGEST = 0x3FFF


def key_of(name: str) -> bytes:
    return reference.key_of(name, password_of(name))


def stream(payloads: list[bytes], name: str = NAME) -> bytes:
    return reference.write_2017(name, key_of(name), bytes_of("peer", reference.SIZES[name]), payloads)


def opener(name: str = NAME) -> Opener:
    return Opener(keyring_of(name))


# --- sealing -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2017)
def test_the_reference_reads_what_is_sealed(name: str) -> None:
    pieces = [b"x", bytes_of(1, 300), bytes_of(2, 20_000), b"y"]
    sealed = run(Sealer(keyring_of(name), LEAD), pieces)
    chunks = reference.read_2017(name, key_of(name), sealed.data)
    assert b"".join(chunks) == LEAD + b"".join(pieces)
    assert sealed.fault is None


@pytest.mark.parametrize("size", [1, 100, LARGEST - len(LEAD), 70_000])
def test_salt_address_and_first_payload_leave_in_one_write(size: int) -> None:
    payload = bytes_of(size, size)
    first, second = run(Sealer(keyring_of(NAME), LEAD), [payload, b"second"]).outputs
    chunks = reference.read_2017(NAME, key_of(NAME), first)
    assert b"".join(chunks) == LEAD + payload
    assert chunks[0].startswith(LEAD + payload[:1])
    assert len(second) == OVERHEAD + 6


@pytest.mark.parametrize("size", [1, SMALL - 1, SMALL, SMALL + 1, LARGEST, LARGEST + 1, 2 * LARGEST, 2 * LARGEST + 1])
@pytest.mark.parametrize("lead", [b"", LEAD], ids=["server", "client"])
def test_no_chunk_is_empty_or_longer_than_allowed(size: int, lead: bytes) -> None:
    payload = bytes_of(size, size)
    sealed = run(Sealer(keyring_of(NAME), lead), [payload, payload])
    chunks = reference.read_2017(NAME, key_of(NAME), sealed.data)
    assert b"".join(chunks) == lead + payload + payload
    assert all(1 <= len(chunk) <= LARGEST for chunk in chunks)
    assert len(chunks) == -(-(len(lead) + size) // LARGEST) - (-size // LARGEST)  # no more than needed


@pytest.mark.parametrize("name", METHODS_2017)
def test_each_stream_has_a_salt_of_its_own_from_entropy(name: str) -> None:
    entropy = Salts()
    keyring = keyring_of(name, entropy=entropy)
    wires = [run(Sealer(keyring), [b"same"]).data for _ in range(5)]
    size = keyring.method.salt_size
    assert [wire[:size] for wire in wires] == entropy.given
    assert {len(salt) for salt in entropy.given} == {size}
    assert len(set(entropy.given)) == 5
    assert len({wire[size:] for wire in wires}) == 5


def test_a_salt_is_taken_when_the_first_byte_leaves_and_once() -> None:
    entropy = Salts()
    sealer = Sealer(keyring_of(NAME, entropy=entropy), LEAD)
    assert entropy.given == []
    run(sealer, [b"a", b"b", bytes(5000)])
    assert len(entropy.given) == 1
    assert sealer.salt == entropy.given[0]


def test_a_client_that_says_nothing_still_names_its_target() -> None:
    sealer = Sealer(keyring_of(NAME), LEAD)
    assert reference.read_2017(NAME, key_of(NAME), sealer.finish()) == [LEAD]
    assert sealer.finish() == b""


def test_the_address_may_go_alone_and_the_payload_later() -> None:
    """For protocols in which the server speaks first."""
    sealer = Sealer(keyring_of(NAME), LEAD)
    alone = bytes(sealer.apply(memoryview(b""), 0, memoryview(bytearray(400))))
    later = run(sealer, [b"payload"]).data
    assert reference.read_2017(NAME, key_of(NAME), alone + later) == [LEAD, b"payload"]
    assert sealer.finish() == b""


def test_a_server_that_says_nothing_sends_nothing() -> None:
    assert Sealer(keyring_of(NAME)).finish() == b""


# --- opening -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2017)
def test_what_the_reference_writes_is_read(name: str) -> None:
    payloads = [b"x", bytes_of(1, 300), bytes_of(2, LARGEST), b"y"]
    for size in (100, 1000, 100_000):
        passed = run(opener(name), in_pieces_of(stream(payloads, name), size))
        assert (passed.data, passed.fault) == (b"".join(payloads), None)


@pytest.mark.parametrize("name", METHODS_2017)
def test_another_password_opens_nothing(name: str) -> None:
    salt = bytes_of("peer", reference.SIZES[name])
    wire = reference.write_2017(name, reference.key_of(name, "another"), salt, [b"hello"])
    passed = run(opener(name), [wire])
    assert (passed.data, passed.status) == (b"", "bad-tag")


BAD_LENGTHS = {"empty": b"", "too-long": bytes(LARGEST + 1), "longest": bytes(0xFFFF)}


@pytest.mark.parametrize("bad", sorted(BAD_LENGTHS))
@pytest.mark.parametrize("good", [[], [b"first"], [b"first", b"second"]], ids=len)
@pytest.mark.parametrize("behind", [[], [b"third"]], ids=["last", "not-last"])
@pytest.mark.parametrize("alone", [True, False], ids=["own-read", "one-read"])
def test_a_chunk_of_a_length_that_is_not_allowed(bad: str, good: list[bytes], behind: list[bytes], alone: bool) -> None:
    """It kills the stream, whether it comes in a read of its own or not; what was good is delivered first."""
    wire = stream([*good, BAD_LENGTHS[bad], *behind])
    at = len(stream(good))
    pieces = [wire[:at], wire[at:]] if alone else [wire]
    passed = run(opener(), pieces)
    assert (passed.data, passed.status) == (b"".join(good), "bad-header")


@pytest.mark.parametrize("length", [1, LARGEST])
def test_the_shortest_and_the_longest_chunk(length: int) -> None:
    payload = bytes_of("longest", length)
    assert run(opener(), [stream([payload])]).data == payload


def test_a_changed_byte_never_gives_wrong_plaintext() -> None:
    """At every byte of a stream: chunks before it are delivered, then the stream is faulty."""
    payloads = [b"first", bytes_of(1, 40), b"l"]
    wire = stream(payloads)
    salt = reference.SIZES[NAME]
    ends = [salt]  # where each chunk ends
    for payload in payloads:
        ends.append(ends[-1] + OVERHEAD + len(payload))
    for at, mask in zip(range(len(wire)), masks()):
        good = b"".join(payload for payload, end in zip(payloads, ends[1:]) if end <= at)
        changed = flipped(wire, at, mask)
        for pieces in ([changed], in_pieces_of(changed, 1), [changed[: ends[1]], changed[ends[1] :]]):
            passed = run(opener(), pieces)
            assert (passed.data, passed.status) == (good, "bad-tag")


def test_chunks_cannot_change_places_or_be_left_out() -> None:
    wire = stream([b"aaa", b"bbb", b"ccc"])
    start, size = reference.SIZES[NAME], OVERHEAD + 3
    salt, chunks = wire[:start], [wire[start + size * number :][:size] for number in range(3)]
    for order in ((1, 0, 2), (0, 2, 1), (0, 2), (0, 0, 1), (0, 1, 1)):
        passed = run(opener(), [salt + b"".join(chunks[number] for number in order)])
        assert passed.status == "bad-tag"
        assert b"aaabbbccc".startswith(passed.data)


def test_what_is_kept_is_never_more_than_one_chunk() -> None:
    keeper = opener()
    wire = stream([bytes(LARGEST), bytes(LARGEST)])
    most = 0
    for piece in in_pieces_of(wire, 97):
        run(keeper, [piece])
        most = max(most, len(keeper.residue))
    assert LARGEST - 97 < most < LARGEST + TAG


# --- ends ----------------------------------------------------------------------------------------
def test_the_end_is_clean_only_between_chunks() -> None:
    """No byte at all is an empty answer, and so is a salt with nothing behind it."""
    payloads = [b"first", b"second", b"l"]
    wire = stream(payloads)
    salt = reference.SIZES[NAME]
    clean = {0, salt} | {salt + len(b"".join(payloads[:count])) + OVERHEAD * count for count in (1, 2, 3)}
    for size in range(len(wire) + 1):
        for pieces in ([wire[:size]] if size else [], in_pieces_of(wire[:size], 1)):
            reader = opener()
            assert run(reader, pieces).fault is None
            if size in clean:
                assert reader.finish() == b""
            else:
                with pytest.raises(Truncated):
                    reader.finish()


def test_authenticated_means_that_something_was_opened() -> None:
    wire = stream([b"first"])
    salt = reference.SIZES[NAME]
    for size in range(len(wire)):
        reader = opener()
        run(reader, [wire[:size]] if size else [])
        assert reader.authenticated == (size >= salt + 2 + TAG)
