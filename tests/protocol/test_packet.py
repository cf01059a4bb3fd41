"""Datagrams of all methods, both ends: round trips, what is cut, changed or made up, and what comes twice."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import reference_packets as reference
from helpers.codecs import METHODS_2017, METHODS_2022, SLOW, bytes_of, flipped, keyring_of, masks, now, password_of
from helpers.packets import NAMED, PEER, SIX, TARGET, Server, Time, ends, new_client, new_server, status_of, taken
from helpers.reference_codec import key_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.address import Address
from pyss.crypto import backend_pure, backends
from pyss.crypto.methods import METHODS, Family
from pyss.errors import BadAddress, BadHeader, ConfigError, PyssError, Truncated
from pyss.protocol.packet import Addresses, client_packets, server_packets

STREAMS = [name for name, method in METHODS.items() if method.family is Family.STREAM]
WITH_IV = [name for name in STREAMS if METHODS[name].salt_size]
SEALED = METHODS_2017 + METHODS_2022
ADDRESSES = (TARGET, NAMED, SIX)


# --- round trips ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS)
def test_there_and_back(name: str) -> None:
    """Every kind of address and buffer, an empty payload, and as much as a frame holds; nothing waits for anything."""
    both = ends(name)
    for number, size in enumerate((5, 0, 1, 16, 1400)):
        target, payload = ADDRESSES[number % 3], bytes_of(number, size)
        kind = (bytes, bytearray, memoryview)[number % 3]
        packet = both.client.seal(target, kind(payload))
        assert type(packet) is bytes
        assert len(packet) == len(target.wire) + size + both.client.overhead
        association, *found = taken(both.server, packet)
        assert found == [target, payload]
        source = ADDRESSES[(number + 1) % 3]
        answer = both.server.seal(association, source, kind(payload))
        assert len(answer) == len(source.wire) + size + both.server.packets.overhead
        assert taken(both.client, answer) == (source, payload)


@pytest.mark.parametrize("name", ["none", "aes-128-ctr", "aes-256-gcm", *METHODS_2022])
def test_the_largest_datagram(name: str) -> None:
    if SLOW and name != "none":
        pytest.skip("64 KiB on AES in Python")
    both = ends(name)
    payload = bytes_of("large", 65_507 - both.client.overhead - 7)
    packet = both.client.seal(TARGET, payload)
    assert len(packet) == 65_507
    association, *found = taken(both.server, packet)
    assert found == [TARGET, payload]
    assert taken(both.client, both.server.seal(association, TARGET, payload[:-8])) == (TARGET, payload[:-8])


@pytest.mark.parametrize("name", [*METHODS_2017, "aes-256-cfb", "none"])
def test_associations_are_told_apart_by_their_peer(name: str) -> None:
    both = ends(name)
    for peer in (PEER, ("192.0.2.1", 9), "anything that can be hashed"):
        assert taken(both.server, both.client.seal(TARGET, b"payload"), peer)[0] is peer


@pytest.mark.parametrize("name", SEALED)
def test_two_packets_with_the_same_text_have_nothing_in_common(name: str) -> None:
    both = ends(name)
    first, second = (both.client.seal(TARGET, bytes(40)) for _ in range(2))
    assert all(first[at : at + 8] not in second for at in range(len(first) - 7))
    association = taken(both.server, first)[0]
    first, second = (both.server.seal(association, TARGET, bytes(40)) for _ in range(2))
    assert all(first[at : at + 8] not in second for at in range(len(first) - 7))


# --- the specification ---------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2017)
def test_2017_beside_the_reference(name: str) -> None:
    key, both = key_of(name, password_of(name)), ends(name)
    for number, target in enumerate(ADDRESSES):
        plain = target.wire + b"payload"
        assert reference.open_2017(name, key, both.client.seal(target, b"payload")) == plain
        assert reference.open_2017(name, key, both.server.seal(PEER, target, b"payload")) == plain
        packet = reference.seal_2017(name, key, bytes_of(number, METHODS[name].salt_size), plain)
        assert taken(both.server, packet) == (PEER, target, b"payload")
        assert taken(both.client, packet) == (target, b"payload")


@pytest.mark.parametrize("name", STREAMS)
def test_a_packet_of_a_stream_method_is_a_stream_of_its_own(name: str) -> None:
    """IV, then text; the codec of streams, which has peers, reads it."""
    from pyss.protocol.stream import StreamOpener

    both = ends(name)
    for packet in (both.client.seal(NAMED, b"payload"), both.server.seal(PEER, NAMED, b"payload")):
        opener = StreamOpener(keyring_of(name))
        plain = opener.apply(memoryview(packet), len(packet), memoryview(bytearray(2000)))
        assert bytes(plain) == NAMED.wire + b"payload"


def test_none_is_address_and_payload() -> None:
    both = ends("none")
    assert both.client.seal(TARGET, b"payload") == b"\x01\xcb\x00\x71\x09\x0f\xa0payload"
    assert both.server.seal(PEER, TARGET, b"payload") == b"\x01\xcb\x00\x71\x09\x0f\xa0payload"


# --- what cannot be taken ------------------------------------------------------------------------
def packets_of(name: str) -> list[tuple[Any, bytes]]:
    """Each end of a conversation, and a packet that it is about to take."""
    both = ends(name)
    association = taken(both.server, both.client.seal(TARGET, b"first"))[0]
    assert taken(both.client, both.server.seal(association, NAMED, b"first"))
    return [
        (both.server, both.client.seal(TARGET, b"a text")),
        (both.client, both.server.seal(association, NAMED, b"a text")),
    ]


@pytest.mark.parametrize("name", SEALED)
def test_what_is_cut_anywhere_is_refused_and_spoils_nothing(name: str) -> None:
    for end, packet in packets_of(name):
        for size in range(len(packet)):
            assert status_of(end, packet[:size]) in ("truncated", "bad-tag"), size
        assert status_of(end, packet + b"\0") == "bad-tag"
        assert taken(end, packet)[-1] == b"a text"


@pytest.mark.parametrize("name", SEALED)
def test_a_change_of_any_byte_is_refused_and_spoils_nothing(name: str) -> None:
    for end, packet in packets_of(name):
        for at, mask in zip(range(len(packet)), masks()):
            assert status_of(end, flipped(packet, at, mask)) == "bad-tag", at
        assert taken(end, packet)[-1] == b"a text"


@pytest.mark.parametrize("name", ["none", *STREAMS])
def test_what_is_cut_inside_its_address_is_refused(name: str) -> None:
    """Without authentication a shorter payload is a payload."""
    both = ends(name)
    for end, packet in ((both.server, both.client.seal(NAMED, b"")), (both.client, both.server.seal(PEER, NAMED, b""))):
        for size in range(len(packet)):
            assert status_of(end, packet[:size]) in ("truncated", "bad-header"), size
        assert taken(end, packet)[-1] == b""


@pytest.mark.parametrize("name", ["none", "aes-256-ctr", "aes-128-gcm", "chacha20-ietf-poly1305"])
@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (b"", BadHeader),
        (b"\x01\x01\x02\x03\x04\x05", BadHeader),
        (b"\x03", BadHeader),
        (b"\x03\x05abcd", BadHeader),
        (b"\x04" + bytes(17), BadHeader),
        (b"\x03\x00\x00\x50", BadAddress),
        (b"\x03\x03a b\x00\x50", BadAddress),
        (b"\x03\x02\xff\xfe\x00\x50", BadAddress),
        (b"\x00" + bytes(30), BadAddress),
        (b"\x11" + bytes(30), BadAddress),
    ],
)
def test_addresses_that_cannot_be_read(name: str, plain: bytes, error: type[PyssError]) -> None:
    """Genuine packets of a peer that is wrong."""

    class Wire:
        wire = plain
        port = 1

    both = ends(name)
    packet = both.client.seal(Wire, b"")
    for end in (both.server, both.client):
        with pytest.raises(error):
            taken(end, packet)
        assert taken(both.server, both.client.seal(TARGET, b"good"))[-1] == b"good"


@settings(max_examples=300)
@given(st.sampled_from(list(METHODS)), st.integers(0, 2000), st.integers(0, 2**32))
def test_rubbish_raises_what_is_documented(name: str, size: int, seed: int) -> None:
    client, server = BOTH.setdefault(name, ends(name))[:2]
    rubbish = bytes_of(seed, size)
    for end in (server, client):
        status = status_of(end, rubbish)
        if name in SEALED:
            assert status == ("truncated" if size < end_overhead(name) else "bad-tag")


BOTH: dict[str, Any] = {}


def end_overhead(name: str) -> int:
    """Bytes without which there is nothing that could have a tag."""
    if name in METHODS_2017:
        return METHODS[name].salt_size + 16
    return 32 if "aes" in name else 56


@settings(max_examples=200)
@given(st.sampled_from(["none", "table", "rc4", "aes-256-ctr"]), st.binary(max_size=40))
def test_short_rubbish_where_nothing_is_authenticated(name: str, rubbish: bytes) -> None:
    client, server = BOTH.setdefault(name, ends(name))[:2]
    for end in (server, client):
        status_of(end, rubbish)


def test_too_short_says_so() -> None:
    for name in ("aes-256-gcm", "aes-256-cfb", *METHODS_2022):
        both = ends(name)
        for end in (both.server, both.client):
            with pytest.raises(Truncated):
                taken(end, b"")


# --- what comes twice ----------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS_2017 + WITH_IV)
def test_a_server_takes_nothing_twice(name: str) -> None:
    both = ends(name)
    packets = [both.client.seal(TARGET, bytes([number])) for number in range(5)]
    for packet in packets:
        assert status_of(both.server, packet) is None
    for packet in packets * 2:
        assert status_of(both.server, packet) == "replay"
    assert status_of(both.server, both.client.seal(TARGET, b"new")) is None


@pytest.mark.parametrize("name", METHODS_2017 + WITH_IV)
def test_what_a_server_said_cannot_be_sent_back_to_it(name: str) -> None:
    both = ends(name)
    answer = both.server.seal(PEER, TARGET, b"answer")
    assert status_of(both.server, answer) == "replay"
    assert taken(both.client, answer) == (TARGET, b"answer")


@pytest.mark.parametrize("name", ["none", "table", "rc4"])
def test_without_an_iv_there_is_nothing_to_remember(name: str) -> None:
    both = ends(name)
    packet = both.client.seal(TARGET, b"payload")
    assert [status_of(both.server, packet) for _ in range(3)] == [None] * 3


class Memory:
    """Remembers what it was asked to, and when."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, float]] = []

    def remember(self, salt: bytes, now: float) -> bool:
        self.asked.append((salt, now))
        return True


@pytest.mark.parametrize("name", ["aes-128-gcm", "chacha20-ietf-poly1305", "aes-256-cfb", "chacha20"])
def test_nothing_that_is_refused_enters_the_memory(name: str) -> None:
    """Strangers could fill it, and what it knows would be forgotten."""
    memory, time, client = Memory(), Time(), new_client(name, Time())
    server = Server(server_packets(keyring_of(name), memory, time.monotonic))
    size = METHODS[name].salt_size
    packet = client.seal(NAMED, b"payload")
    for bad in (packet[: size + 3], bytes(size + 40), packet[: size - 1]):
        assert status_of(server, bad) is not None
    assert memory.asked == []
    time.passes(5)
    assert status_of(server, packet) is None
    assert memory.asked == [(packet[:size], 1005.0)]
    answer = server.seal(PEER, NAMED, b"payload")
    assert memory.asked[1:] == [(answer[:size], 1005.0)]


def test_a_memory_that_refuses_is_obeyed() -> None:
    class Full(Memory):
        def remember(self, salt: bytes, now: float) -> bool:
            return False

    for name in ("aes-128-gcm", "aes-256-cfb"):
        server = Server(server_packets(keyring_of(name), Full(), Time().monotonic))
        assert status_of(server, new_client(name, Time()).seal(TARGET, b"payload")) == "replay"
        assert server.seal(PEER, TARGET, b"an answer goes out all the same")


@pytest.mark.parametrize("name", SEALED)
def test_another_password_is_a_bad_tag(name: str) -> None:
    time = Time()
    stranger = keyring_of(name)
    stranger._key = bytes(METHODS[name].key_size)
    packet = client_packets(stranger, time.monotonic).seal(TARGET, b"payload")
    assert status_of(new_server(name, time), packet) == "bad-tag"
    assert status_of(new_client(name, time), packet) == "bad-tag"


# --- addresses -----------------------------------------------------------------------------------
ENCODED = st.one_of(
    st.sampled_from([address.wire for address in ADDRESSES]),
    st.binary(max_size=12),
    st.builds(lambda name: bytes((3, len(name))) + name + b"\0\x50", st.binary(max_size=6)),
    st.sampled_from([b"\x03\x071.2.3.4\x00\x50", b"\x03\x03abc\x00\x50", b"\x03\x04abcd\x00\x50"]),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(ENCODED, st.binary(max_size=5)), max_size=6), st.integers(0, 3))
def test_a_reader_of_addresses_says_what_a_parser_says(texts: list[tuple[bytes, bytes]], start: int) -> None:
    """Whatever came before, known again or not."""
    reader = Addresses()
    for wire, rest in texts:
        data = b"\x03" * start + wire + rest
        try:
            parsed = Address.parse(data, start)
        except BadAddress as error:
            with pytest.raises(type(error)):
                reader.read(data, start)
            continue
        if parsed is None:
            with pytest.raises(BadHeader):
                reader.read(data, start)
        else:
            address, payload = reader.read(data, start)
            assert (address, address.host, address.port, payload) == (
                parsed[0], parsed[0].host, parsed[0].port, data[parsed[1] :]
            )  # fmt: skip


def test_the_address_of_the_packet_before_is_known_again() -> None:
    """The same object: that is what it is for."""
    reader = Addresses()
    first, _ = reader.read(b"?" + NAMED.wire + b"one", 1)
    again, rest = reader.read(NAMED.wire + b"two", 0)
    assert again is first and rest == b"two"
    assert reader.read(TARGET.wire, 0)[0] == TARGET


def test_an_address_that_only_begins_like_the_one_before_is_another() -> None:
    reader = Addresses()
    for host, port in (("1.2.3.4", 80), ("1.2.3.4", 81), ("1.2.3.5", 81), ("abcd", 81), ("abcde", 81), ("abcd", 81)):
        address = Address.of(host, port)
        assert reader.read(address.wire + b"payload", 0) == (address, b"payload")
        for size in range(len(address.wire)):
            with pytest.raises(BadHeader):
                reader.read(address.wire[:size], 0)


# --- starting ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS)
def test_who_relays_no_datagrams_checks_nothing_for_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(backends, "_chosen", {})
    monkeypatch.setattr(backends, "check", lambda algorithm, *others: checked.append(algorithm))
    method = METHODS[name]
    keyring = keyring_of(name)
    assert checked == [name for name in [method.algorithm] if name]
    client_packets(keyring, now)
    server_packets(keyring, Memory(), now)
    assert checked == [name for name in (method.algorithm, method.block or method.extended) if name]


@pytest.mark.parametrize("name", METHODS_2022)
def test_a_backend_that_cannot_do_datagrams_is_refused_at_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_chosen", {})
    monkeypatch.setattr(backend_pure, "BLOCKS", {})
    monkeypatch.delitem(backend_pure.ALGORITHMS, METHODS[name].extended, raising=False)
    keyring = keyring_of(name, crypto="pure")
    needed = METHODS[name].block or METHODS[name].extended
    for make in (lambda: client_packets(keyring, now), lambda: server_packets(keyring, Memory(), now)):
        with pytest.raises(ConfigError, match=f"the crypto backend pure cannot be used: it has no {needed}"):
            make()


@pytest.mark.parametrize("name", METHODS)
def test_ciphers_in_python_say_the_same(name: str) -> None:
    free, pure = ends(name), ends(name, crypto="pure")
    packet = free.client.seal(TARGET, b"payload")
    assert pure.client.seal(TARGET, b"payload") == packet
    association, *found = taken(pure.server, packet)
    assert found == [TARGET, b"payload"]
    assert taken(free.client, pure.server.seal(association, NAMED, b"answer")) == (NAMED, b"answer")


@pytest.mark.parametrize("name", METHODS)
def test_nothing_shows_the_key_or_what_was_said(name: str) -> None:
    both = ends(name)
    association = taken(both.server, both.client.seal(TARGET, b"hidden"))[0]
    both.server.seal(association, TARGET, b"hidden")
    key = both.keyring._key if METHODS[name].key_size else b"no key at all"
    for thing in (both.client, both.server.packets, association):
        shown = f"{thing} {thing!r}"
        assert "hidden" not in shown and key.hex() not in shown and repr(key)[2:-1] not in shown
