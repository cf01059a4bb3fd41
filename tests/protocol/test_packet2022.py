"""AEAD-2022 datagrams: the format, sessions and their ends, order and replay, time, and the counters."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from helpers import reference_packets as reference
from helpers.codecs import FEW_2022, METHODS_2022, NOW, Salts, bytes_of, keyring_of, password_of
from helpers.packets import NAMED, PEER, SIX, TARGET, Ends, Server, Time, ends, new_client, new_server, status_of, taken
from helpers.reference_codec import key_of
from helpers.reference_packets import Packet
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.address import Address
from pyss.crypto.backends import Buffer
from pyss.errors import BadHeader, BadTag, BadTime, Congested, Replayed
from pyss.limits import LEAST_2022, WINDOW
from pyss.protocol import packet2022
from pyss.protocol.aead2022 import MOST_PADDING, TOLERANCE
from pyss.protocol.packet import client_packets
from pyss.protocol.packet2022 import KEPT, MOST_PACKETS, MOST_SERVERS, PADDED, Client2022, Server2022
from pyss.protocol.window import SlidingWindow

each = pytest.mark.parametrize("name", METHODS_2022)
each_form = pytest.mark.parametrize("name", FEW_2022)

ID, OTHER = b"session1", b"session2"
DNS = Address.of("9.9.9.9", 53)


def secret(name: str) -> bytes:
    return key_of(name, password_of(name))


def up(name: str, number: int, payload: bytes = b"payload", **changes: Any) -> bytes:
    """From a client, by the reference."""
    packet = Packet(ID, number, 0, NOW, TARGET.wire, payload)
    return reference.write(name, secret(name), packet._replace(**changes), bytes_of(("nonce", number, payload), 24))


def down(name: str, end: Any, number: int, payload: bytes = b"payload", **changes: Any) -> bytes:
    """To this client, by the reference."""
    packet = Packet(OTHER, number, 1, NOW, NAMED.wire, payload, end._headers.session_id)
    return reference.write(name, secret(name), packet._replace(**changes), bytes_of(("nonce", number, payload), 24))


# --- the format ----------------------------------------------------------------------------------
@each
def test_both_ends_beside_the_reference(name: str) -> None:
    both, key = ends(name), secret(name)
    for number, target in enumerate((TARGET, NAMED, SIX)):
        sent = reference.read(name, key, both.client.seal(target, b"payload"))
        assert sent == Packet(both.client._headers.session_id, number, 0, NOW, target.wire, b"payload")
        session, *found = taken(both.server, up(name, number, address=target.wire, padding=bytes(number)))
        assert found == [target, b"payload"]
        sent = reference.read(name, key, both.server.seal(session, target, b"answer"))
        assert sent == Packet(session.known.headers.session_id, number, 1, NOW, target.wire, b"answer", ID)
        answer = down(name, both.client, number, address=target.wire, padding=bytes(number))
        assert taken(both.client, answer) == (target, b"payload")


@each
def test_a_peer_may_count_from_one(name: str) -> None:
    both = ends(name)
    assert [status_of(both.server, up(name, number)) for number in (1, 2, 3)] == [None] * 3
    assert [status_of(both.client, down(name, both.client, number)) for number in (1, 2, 3)] == [None] * 3


@each_form
@pytest.mark.parametrize("size", [0, 1, 16, MOST_PADDING, 40_000])
def test_any_padding_that_fits_is_read(name: str, size: int) -> None:
    both = ends(name)
    assert taken(both.server, up(name, 0, padding=bytes_of("padding", size)))[1:] == (TARGET, b"payload")
    assert taken(both.client, down(name, both.client, 0, padding=bytes_of("padding", size))) == (NAMED, b"payload")


@each_form
def test_dns_is_padded_and_nothing_else(name: str) -> None:
    both, key, sizes = ends(name), secret(name), set()
    session = taken(both.server, up(name, 0))[0]
    for number in range(200):
        for packet in (both.client.seal(DNS, b"question"), both.server.seal(session, DNS, b"answer")):
            padding = reference.read(name, key, packet).padding
            assert 1 <= len(padding) <= MOST_PADDING
            sizes.add(len(padding))
        other = Address.of("9.9.9.9", (52, 54, 5353, 443)[number % 4])
        assert reference.read(name, key, both.client.seal(other, b"question")).padding == b""
        assert reference.read(name, key, both.server.seal(session, other, b"answer")).padding == b""
    assert len(sizes) > 200 and min(sizes) < 100 and max(sizes) > 800


@each_form
@pytest.mark.parametrize("size", [PADDED - MOST_PADDING - 1, PADDED - 2, PADDED - 1, PADDED, PADDED + 1, 4000])
def test_padding_makes_no_packet_too_large(name: str, size: int) -> None:
    both, key = ends(name), secret(name)
    session = taken(both.server, up(name, 0))[0]
    for _ in range(20):
        for packet in (both.client.seal(DNS, bytes(size)), both.server.seal(session, DNS, bytes(size))):
            padding = len(reference.read(name, key, packet).padding)
            assert (1 <= padding <= PADDED - size) if size < PADDED else padding == 0


@each
def test_main_headers_that_are_cut(name: str) -> None:
    """Genuine, and too short at every point of header, padding and address."""
    both, key = ends(name), secret(name)
    header = ID + bytes(8)
    for kind, client, end in ((0, b"", both.server), (1, both.client._headers.session_id, both.client)):
        body = Packet(ID, 0, kind, NOW, TARGET.wire, b"", client, b"pad").body
        for size in range(len(body)):
            assert status_of(end, reference.write_raw(name, key, header, body[:size])) == "bad-header", size
        longer = body[: -len(TARGET.wire) - 5] + b"\xff\xff" + body[-len(TARGET.wire) - 3 :]
        assert status_of(end, reference.write_raw(name, key, header, longer)) == "bad-header"
        assert status_of(end, reference.write_raw(name, key, header, body)) is None, "none of them has counted"


@each
def test_packets_that_go_the_wrong_way(name: str) -> None:
    """What a client said comes back to it, what a server said to the server; and from another client of the same."""
    both, other = ends(name), new_client(name, Time(), "another")
    question = both.client.seal(TARGET, b"payload")
    session = taken(both.server, question)[0]
    answer = both.server.seal(session, TARGET, b"payload")
    for end, packet in ((both.client, question), (both.server, answer), (other, answer)):
        with pytest.raises(BadHeader):
            taken(end, packet)
    assert len(both.server.packets) == 1 and both.client._sessions == {}
    assert taken(both.client, answer)[-1] == b"payload"


@each_form
@pytest.mark.parametrize("kind", [2, 0x80, 0xFF])
def test_types_that_do_not_exist(name: str, kind: int) -> None:
    both = ends(name)
    assert status_of(both.server, up(name, 0, kind=kind)) == "bad-header"
    assert status_of(both.client, down(name, both.client, 0, kind=kind)) == "bad-header"


# --- time ----------------------------------------------------------------------------------------
@each_form
@pytest.mark.parametrize(
    ("off", "status"),
    [
        (-TOLERANCE, None),
        (TOLERANCE, None),
        (-TOLERANCE - 1, "bad-time"),
        (TOLERANCE + 1, "bad-time"),
        (-NOW, "bad-time"),
        (2**64 - 1 - NOW, "bad-time"),
    ],
)
def test_clocks_may_differ_by_half_a_minute(name: str, off: int, status: Any) -> None:
    """And what is refused for its time has not been seen: neither as a number nor as a session."""
    both = ends(name)
    assert status_of(both.server, up(name, 0, time=NOW + off)) == status
    assert status_of(both.client, down(name, both.client, 0, time=NOW + off)) == status
    assert len(both.server.packets) == len(both.client._sessions) == (status is None)
    again = "replay" if status is None else None
    assert status_of(both.server, up(name, 0)) == again
    assert status_of(both.client, down(name, both.client, 0)) == again


# --- order and replay ----------------------------------------------------------------------------
@each
def test_no_packet_is_taken_twice(name: str) -> None:
    both = ends(name)
    questions = [both.client.seal(TARGET, bytes([number])) for number in range(5)]
    session = taken(both.server, questions[0])[0]
    answers = [both.server.seal(session, TARGET, bytes([number])) for number in range(5)]
    for packet in questions[1:]:
        assert taken(both.server, packet)[0] is session
    for packet in answers:
        assert status_of(both.client, packet) is None
    for _ in range(2):
        assert [status_of(both.server, packet) for packet in questions] == ["replay"] * 5
        assert [status_of(both.client, packet) for packet in answers] == ["replay"] * 5


@settings(max_examples=40)
@given(st.sampled_from(FEW_2022), st.permutations(range(12)))
def test_any_order_will_do(name: str, order: list[int]) -> None:
    both = ends(name)
    questions = [both.client.seal(TARGET, bytes([number])) for number in range(12)]
    sessions = {taken(both.server, questions[number])[0] for number in order}
    assert len(sessions) == 1
    (session,) = sessions
    answers = [both.server.seal(session, TARGET, bytes([number])) for number in range(12)]
    assert [taken(both.client, answers[number])[-1][0] for number in order] == list(order)


@each_form
def test_what_is_older_than_the_window_is_refused(name: str) -> None:
    both = ends(name)
    for take, write in (
        (both.server, lambda number: up(name, number)),
        (both.client, lambda number: down(name, both.client, number)),
    ):
        assert status_of(take, write(10_000)) is None
        assert status_of(take, write(10_000 - WINDOW + 1)) is None
        assert status_of(take, write(10_000 - WINDOW)) == "replay"
        assert status_of(take, write(0)) == "replay"
        assert status_of(take, write(2**64 - 1)) is None
        assert status_of(take, write(10_001)) == "replay"


@each_form
def test_a_forged_packet_moves_no_window_and_makes_no_session(name: str) -> None:
    """Not even one with a number far ahead, from somebody who does not have the key."""
    both = ends(name)
    session = taken(both.server, up(name, 5))[0]
    assert status_of(both.client, down(name, both.client, 5)) is None
    server_session = both.client._sessions[OTHER]

    def marks() -> list[object]:
        known = (session.known, server_session)
        return [(one.window._top, one.window._bits, one.seen, one.kept) for one in known]

    before = marks()
    for change in ({"packet_id": 10**6}, {"packet_id": 6}, {"session_id": b"unheard!"}, {"time": NOW + 31}):
        question, answer = (packet[:-1] + bytes([packet[-1] ^ 1]) for packet in packets_with(name, both, change))
        assert status_of(both.server, question) == status_of(both.client, answer) == "bad-tag"
    for change in (
        {"time": NOW + 31, "packet_id": 10**6},
        {"kind": 7, "packet_id": 10**6},
        {"session_id": b"unheard!", "kind": 7},
    ):
        question, answer = packets_with(name, both, change)
        assert status_of(both.server, question) in ("bad-time", "bad-header")
        assert status_of(both.client, answer) in ("bad-time", "bad-header")
    assert marks() == before
    assert (len(both.server.packets), list(both.client._sessions)) == (1, [OTHER])
    assert status_of(both.server, up(name, 6)) is None


def packets_with(name: str, both: Ends, change: dict[str, Any]) -> tuple[bytes, bytes]:
    return up(name, 6, **change), down(name, both.client, 6, **change)


@each_form
def test_an_address_that_cannot_be_read_makes_no_session(name: str) -> None:
    both = ends(name)
    for address in (b"\x09", b"\x03\x00\x00\x50", b"\x01\x02"):
        assert status_of(both.server, up(name, 0, address=address, payload=b"")) in (
            "bad-header",
            "bad-address",
            "unsupported-address",
        )
    assert len(both.server.packets) == 0
    assert status_of(both.server, up(name, 0)) is None


# --- the life of a session at the server ---------------------------------------------------------
@each_form
def test_a_session_is_one_whoever_it_comes_from(name: str) -> None:
    """Clients move between networks; where answers go is for the relay to know."""
    both = ends(name)
    first = taken(both.server, both.client.seal(TARGET, b"a"), PEER)[0]
    assert taken(both.server, both.client.seal(TARGET, b"b"), ("192.0.2.77", 1))[0] is first
    other = taken(both.server, new_client(name, both.time, "other").seal(TARGET, b"c"), PEER)[0]
    assert other is not first and len({first, other}) == 2


@each_form
def test_each_side_has_a_session_id_of_its_own(name: str) -> None:
    key, both = secret(name), ends(name)
    sessions = [taken(both.server, new_client(name, both.time, seed).seal(TARGET, b""))[0] for seed in range(20)]
    ids = {reference.read(name, key, both.server.seal(one, TARGET, b"")).session_id for one in sessions}
    ids |= {one.known.client_id for one in sessions}
    assert len(ids) == 40


@each_form
def test_even_entropy_that_repeats_gives_another_id(name: str) -> None:
    """Under one id both sides would use the same nonces with the same key."""
    time = Time()
    server = Server2022(keyring_of(name, clock=time.wall, entropy=lambda size: (ID * 3)[:size]), time.monotonic)
    session = taken(Server(server), up(name, 0))[0]
    assert reference.read(name, secret(name), server.seal(session, TARGET, b"")).session_id != ID


def test_it_is_remembered_for_longer_than_its_packets_are_valid() -> None:
    assert KEPT >= LEAST_2022 and KEPT > 2 * TOLERANCE + 1


def others_come(both: Ends) -> None:
    """Whenever a session begins, old ones are looked for."""
    taken(both.server, new_client(both.keyring.method.name, both.time, both.time.now).seal(TARGET, b""))


@each_form
def test_replay_after_the_relay_has_let_go(name: str) -> None:
    """The session is known as long as the packet's time would do, and then the time does not."""
    both = ends(name)
    packet = up(name, 0, time=NOW + TOLERANCE)  # from a clock that is ahead: valid for longest
    assert status_of(both.server, packet) is None
    for _ in range(2 * TOLERANCE):
        both.time.passes(1)
        gc.collect()
        others_come(both)
        assert status_of(both.server, packet) == "replay"
    while ID in both.server.packets._known:
        both.time.passes(1)
        assert status_of(both.server, packet) in ("replay", "bad-time")
        gc.collect()
        others_come(both)
    assert KEPT <= both.time.now - NOW <= 2 * KEPT + 2
    assert status_of(both.server, packet) == "bad-time"


@each_form
def test_a_session_is_known_as_long_as_a_relay_holds_it(name: str) -> None:
    """An association that is idle for minutes goes on as the same, window and all."""
    both = ends(name)
    session = taken(both.server, up(name, 7))[0]
    before = reference.read(name, secret(name), both.server.seal(session, TARGET, b"answer"))
    for _ in range(4):
        both.time.passes(KEPT + 1)
        others_come(both)
    now = int(both.time.now)
    assert status_of(both.server, up(name, 7, time=now)) == "replay"
    assert taken(both.server, up(name, 8, time=now))[0] is session
    after = reference.read(name, secret(name), both.server.seal(session, TARGET, b"answer"))
    assert after == before._replace(packet_id=1, time=now)
    del session
    for _ in range(2):
        both.time.passes(KEPT + 1)
        gc.collect()
        others_come(both)
    assert ID not in both.server.packets._known
    assert len(both.server.packets) == len(both.server.packets._queue) <= 3


@each_form
def test_a_session_that_comes_back_to_the_relay_goes_on(name: str) -> None:
    """For a resolver behind a client: each question a new association, all of one session, of which the client sees one
    session of the server; another for each question would soon be one too many.  And no number is used again."""
    both, key, numbers = ends(name), secret(name), []
    for _ in range(3 * MOST_SERVERS):
        session = taken(both.server, both.client.seal(TARGET, b"question"))[0]
        answer = both.server.seal(session, TARGET, b"answer")
        assert status_of(both.client, answer) is None
        numbers.append(reference.read(name, key, answer)[:2])
        del session
        gc.collect()
        (known,) = both.server.packets._known.values()
        assert known.session() is None, "its ciphers are held by nobody"
        both.time.passes(6)
    assert numbers == [(numbers[0][0], number) for number in range(3 * MOST_SERVERS)]
    assert list(both.client._sessions) == [numbers[0][0]]


@each_form
def test_a_session_in_use_is_not_forgotten(name: str) -> None:
    """Though nobody holds it for longer than a packet; and it stands in the queue once."""
    both = ends(name)
    for number in range(12):
        assert status_of(both.server, up(name, number, time=int(both.time.now))) is None
        assert status_of(both.server, up(name, 0, time=int(both.time.now))) == "replay"
        gc.collect()
        others_come(both)
        assert ID in both.server.packets._known
        both.time.passes(KEPT / 3)
    queued = [known for _, known in both.server.packets._queue]
    assert len(set(map(id, queued))) == len(queued) == len(both.server.packets)
    assert [due for due, _ in both.server.packets._queue] == sorted(due for due, _ in both.server.packets._queue)


@each_form
def test_at_the_bound_new_sessions_are_refused_and_old_ones_go_on(name: str) -> None:
    time = Time()
    packets = Server2022(keyring_of(name, clock=time.wall), time.monotonic, most=3)
    server = Server(packets)
    clients = [new_client(name, time, seed) for seed in range(5)]
    for client in clients[:3]:
        assert status_of(server, client.seal(TARGET, b"")) is None
    late = clients[3].seal(TARGET, b"late")
    with pytest.raises(Congested, match="there are 3 UDP sessions already"):
        taken(server, late)
    for client in clients[:3]:
        assert status_of(server, client.seal(TARGET, b"")) is None
    assert len(packets) == 3
    time.passes(20)
    assert status_of(server, clients[0].seal(TARGET, b"")) is None
    time.passes(KEPT - 10)  # the other two have been idle for long enough
    gc.collect()
    assert status_of(server, clients[4].seal(TARGET, b"")) is None
    assert status_of(server, clients[3].seal(TARGET, b"")) is None
    assert status_of(server, clients[0].seal(TARGET, b"")) is None
    assert len(packets) == 3 == len(packets._queue)
    time.now = NOW
    assert [status_of(server, late) for _ in range(2)] == [None, "replay"], "to be refused did not count as a packet"


def test_the_bound_in_use() -> None:
    assert Server2022(keyring_of(FEW_2022[0]), Time().monotonic)._most == packet2022.MOST_SESSIONS == 65_536


# --- the life of a session at the client ---------------------------------------------------------
@each
def test_a_server_that_was_started_anew(name: str) -> None:
    """In mid-session: it knows nothing of the client, goes on with it, and what the old one still sends is taken."""
    both = ends(name)
    old = taken(both.server, both.client.seal(TARGET, b"a"))[0]
    late = [both.server.seal(old, TARGET, bytes([number])) for number in range(3)]
    assert status_of(both.client, late[0]) is None
    anew = new_server(name, both.time, "anew")
    session, *found = taken(anew, both.client.seal(TARGET, b"b"))
    assert found == [TARGET, b"b"]
    answers = [anew.seal(session, TARGET, bytes([number])) for number in range(3)]
    for packet in (answers[1], late[2], answers[0], late[1], answers[2]):
        assert status_of(both.client, packet) is None
        assert status_of(both.client, packet) == "replay"
    assert status_of(both.client, late[0]) == status_of(both.client, answers[0]) == "replay"


@each_form
def test_a_client_keeps_old_sessions_of_a_server_for_a_minute_and_a_few_at_most(name: str) -> None:
    both = ends(name)
    client, time = both.client, both.time

    def said(number: int, packet_id: int = 0) -> bytes:
        return down(name, client, packet_id, session_id=b"server%02d" % number, time=int(time.now))

    for number in range(MOST_SERVERS):
        assert status_of(client, said(number)) is None
        time.passes(1)
    with pytest.raises(Congested):
        taken(client, said(90))
    assert status_of(client, said(0)) == "replay", "none was forgotten for it"
    assert status_of(client, said(0, 1)) is None
    time.passes(KEPT - MOST_SERVERS)
    assert status_of(client, said(90)) == "congested"
    time.passes(MOST_SERVERS)
    # Now 1 to 3 are old enough, and 0, which spoke last, is not.
    assert status_of(client, said(90)) is None
    assert sorted(client._sessions) == [b"server00", b"server90"]


@each_form
def test_an_answer_for_another_session(name: str) -> None:
    both = ends(name)
    for client in (OTHER, bytes(8), b""):
        assert status_of(both.client, down(name, both.client, 0, client=client, payload=bytes(20))) == "bad-header"
    assert both.client._sessions == {}


# --- counters ------------------------------------------------------------------------------------
@each
def test_before_its_counter_ends_a_client_begins_a_new_session(name: str) -> None:
    both, key = ends(name), secret(name)
    first = both.client._headers.session_id
    session = taken(both.server, both.client.seal(TARGET, b""))[0]
    both.client._headers.number = MOST_PACKETS - 1
    last = both.client.seal(TARGET, b"last")
    assert reference.read(name, key, last)[:2] == (first, MOST_PACKETS - 1)
    assert taken(both.server, last)[0] is session
    packet = both.client.seal(TARGET, b"next")
    assert reference.read(name, key, packet).packet_id == 0
    assert reference.read(name, key, packet).session_id == both.client._headers.session_id != first
    following = taken(both.server, packet)[0]
    assert following is not session
    assert status_of(both.client, both.server.seal(session, TARGET, b"under way")) == "bad-header"
    assert status_of(both.client, both.server.seal(following, TARGET, b"answer")) is None


@each
def test_before_its_counter_ends_a_server_begins_a_new_session(name: str) -> None:
    both, key = ends(name), secret(name)
    session = taken(both.server, both.client.seal(TARGET, b""))[0]
    first = reference.read(name, key, both.server.seal(session, TARGET, b"")).session_id
    session.known.headers.number = MOST_PACKETS - 1
    last, following = (both.server.seal(session, TARGET, text) for text in (b"last", b"next"))
    assert reference.read(name, key, last)[:2] == (first, MOST_PACKETS - 1)
    assert reference.read(name, key, following).packet_id == 0
    assert reference.read(name, key, following).session_id not in (first, session.known.client_id)
    assert taken(both.client, following)[-1] == b"next"
    assert taken(both.client, last)[-1] == b"last"


def test_the_counter_itself_does_not_wrap() -> None:
    """Should the bound above ever be raised: no number is there twice."""
    assert MOST_PACKETS <= 2**32
    for name in FEW_2022:
        client: Any = ends(name).client
        client._headers.number = 2**64 - 1
        assert client._headers.next()[8:] == b"\xff" * 8
        for _ in range(2):
            with pytest.raises(OverflowError):
                client._headers.next()


class NoCipher:
    """In place of an AEAD: notes its nonces, and writes them as tags."""

    def __init__(self, used: list[bytes]) -> None:
        self._used = used

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: object) -> bytes:
        self._used.append(nonce)
        return bytes(data) + nonce[-12:] + b"\xaa\xbb\xcc\xdd"

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: object) -> bytes:
        if bytes(data[-16:]) != nonce[-12:] + b"\xaa\xbb\xcc\xdd":
            raise BadTag("another nonce")
        return bytes(data[:-16])


MANY = 70_000  # more than 2**16


@pytest.mark.parametrize("bound", [MOST_PACKETS, 20_000])
@pytest.mark.parametrize("name", ["2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305"])
def test_no_nonce_is_used_twice(name: str, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both directions of one association, under all keys there are, also where sessions follow each other."""
    monkeypatch.setattr(packet2022, "MOST_PACKETS", bound)
    used: dict[bytes, list[bytes]] = {}
    time, given = Time(), Salts("nonces")
    keyring = keyring_of(name, clock=time.wall, entropy=given)
    keyring._new = lambda key: NoCipher(used.setdefault(key, []))
    keyring._extended = NoCipher(used.setdefault(keyring._key, [])), BadTag  # type: ignore[assignment]
    keyring._blocks = {True: Same(), False: Same()}  # type: ignore[dict-item]
    keyring.rejected = BadTag
    client, server = Client2022(keyring, time.monotonic), Server2022(keyring, time.monotonic)
    session: Any = None
    for _ in range(MANY):
        session, _, payload = server.open(memoryview(client.seal(TARGET, b"up")), PEER)
        assert payload == b"up"
        if len(client._sessions) == MOST_SERVERS:
            time.passes(KEPT + 1)
        assert client.open(memoryview(server.seal(session, TARGET, b"down")))[1] == b"down"
    assert sum(map(len, used.values())) == 2 * MANY
    for nonces in used.values():
        assert len(set(nonces)) == len(nonces)
    if "aes" in name:
        assert len([nonces for nonces in used.values() if nonces]) == 2 * -(-MANY // min(bound, MANY))
    else:
        assert used[keyring._key] == [nonce for nonce in given.given if len(nonce) == 24]


class Same:
    """In place of the block cipher."""

    def update(self, data: Buffer) -> bytes:
        return bytes(data)


@each_form
def test_a_number_is_used_up_by_a_packet_that_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ends(name)

    class Broken:
        def encrypt(self, *arguments: object) -> bytes:
            raise RuntimeError("the library reports an error")

    working, both.client._sealing = both.client._sealing, Broken()
    with pytest.raises(RuntimeError):
        both.client.seal(TARGET, b"")
    both.client._sealing = working
    assert reference.read(name, secret(name), both.client.seal(TARGET, b"")).packet_id == 1


# --- cost ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"])
def test_a_session_derives_its_keys_once(name: str) -> None:
    both = ends(name)
    derived: list[bytes] = []
    for end in (both.client, both.server.packets):
        end._form._keyring = Counting(end._form._keyring, derived)
    for _ in range(50):
        session = taken(both.server, both.client.seal(TARGET, b"a"))[0]
        taken(both.client, both.server.seal(session, TARGET, b"b"))
    assert len(derived) == 3, "both directions at the server, the answers at the client"


class Counting:
    """A keyring that notes what it derives."""

    def __init__(self, keyring: Any, derived: list[bytes]) -> None:
        self._keyring, self._derived = keyring, derived

    def session(self, salt: bytes) -> Any:
        self._derived.append(salt)
        return self._keyring.session(salt)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keyring, name)


def test_associations_share_what_has_no_state() -> None:
    for name in FEW_2022:
        keyring, time = keyring_of(name), Time()
        first, second = (client_packets(keyring, time.monotonic) for _ in range(2))
        for part in ("_encrypt", "_decrypt") if "aes" in name else ("_aead",):
            one, other = (getattr(end._form, part) for end in (first, second))  # type: ignore[attr-defined]
            assert getattr(one, "__self__", one) is getattr(other, "__self__", other)


def test_a_copy_is_refused_before_it_is_opened() -> None:
    """Of the AES form, whose numbers stand outside of the seal."""
    name = "2022-blake3-aes-128-gcm"
    both = ends(name)
    packet = up(name, 0)
    session = taken(both.server, packet)[0]
    session.aead = None
    assert status_of(both.server, packet) == "replay"


@each_form
def test_errors_say_what_they_mean(name: str) -> None:
    both = ends(name)
    taken(both.server, up(name, 0))
    for error, packet in (
        (Replayed, up(name, 0)),
        (BadTime, up(name, 1, time=NOW - 31)),
        (BadHeader, up(name, 1, kind=1, client=ID)),
        (BadTag, up(name, 1)[:-1] + b"?"),
    ):
        with pytest.raises(error) as caught:
            taken(both.server, packet)
        assert str(caught.value) and "payload" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_windows_are_those_of_the_limits() -> None:
    assert SlidingWindow()._size == WINDOW >= 1024
