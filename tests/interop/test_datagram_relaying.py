"""Datagrams between pyss and other implementations, each as client and as server, in the methods that both know."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack

import pytest
from helpers.datagrams import SocksAssociation, packet_target
from helpers.peers import LEGACY, LIBEV, PYSS, RUST, Pair, RunningPair, pairs, password_for
from helpers.relay import HOST, PATIENT

from pyss.address import Address
from pyss.net.clock import monotonic, wall
from pyss.protocol.keyring import Keyring
from pyss.protocol.packet import client_packets

SIZES = (1, 512, 1400, 8000)
AT_ONCE = 16
STREAM = ("aes-256-cfb", "chacha20-ietf")  # what tells the others of LEGACY from these is tested with streams
READY = 10.0  # seconds that two programs may take until they relay
RESEND = 0.2  # seconds until a question that may have been lost is sent again
LAST = b"the last one"

PAIRS = [
    *(pair for pair in pairs() if pair.method not in LEGACY or pair.method in STREAM),
    # Only here: it is slow in Python, and streams are of megabytes.
    *(Pair(*ends, "2022-blake3-chacha8-poly1305") for ends in ((PYSS, RUST), (RUST, PYSS))),
]

every_pair = pytest.mark.parametrize("relay", PAIRS, indirect=True, ids=str)


@pytest.fixture(scope="module")
def datagrams(relay: RunningPair) -> RunningPair:
    """The pair, once it relays datagrams: it may listen for connections a moment earlier."""
    with packet_target() as target, SocksAssociation(relay.port) as client:
        until_answered(client, Address.of(HOST, target.port))
    return relay


def until_answered(client: SocksAssociation, place: Address) -> None:
    """Ask again and again.  Raises AssertionError when that does not help."""
    deadline = time.monotonic() + READY
    client.udp.settimeout(RESEND)
    while time.monotonic() < deadline:
        try:
            client.ask(place, b"are you there?")
        except OSError:
            continue
        client.udp.settimeout(PATIENT)
        return
    raise AssertionError(f"no datagram comes back after {READY:.0f} s")


@every_pair
def test_several_targets_of_one_association(datagrams: RunningPair) -> None:
    with packet_target() as one, packet_target() as other, packet_target(host="::1") as six:
        places = [("localhost", one, HOST), ("localhost", other, HOST)]
        places += [(HOST, one, HOST), (HOST, other, HOST), ("::1", six, "::1")]
        with SocksAssociation(datagrams.port) as client:
            for size in SIZES:
                for host, target, source in places:
                    payload = os.urandom(size)
                    client.send(Address.of(host, target.port), payload)
                    assert client.receive() == (Address.of(source, target.port), payload)
        assert len(one.heard) == len(other.heard) == 2 * len(SIZES)
        if datagrams.pair.server is PYSS:  # one socket for all; shadowsocks-libev has another one for names
            assert len({sender for _, sender in (*one.heard, *other.heard)}) == 1


@every_pair
def test_an_answer_from_where_nothing_was_sent_to(datagrams: RunningPair) -> None:
    with packet_target() as target, packet_target() as stranger, SocksAssociation(datagrams.port) as client:
        assert client.ask(Address.of(HOST, target.port), b"here I am") == b"here I am"
        (_, sender) = target.heard[0]
        stranger.sock.sendto(b"from a stranger", sender)
        assert client.receive() == (Address.of(HOST, stranger.port), b"from a stranger")


@every_pair
def test_associations_at_once(datagrams: RunningPair) -> None:
    with packet_target() as target, ExitStack() as stack:
        clients = [stack.enter_context(SocksAssociation(datagrams.port)) for _ in range(AT_ONCE)]
        messages = [b"%d " % number + os.urandom(500) for number in range(AT_ONCE)]
        place = Address.of(HOST, target.port)
        for client, message in zip(clients, messages):
            client.send(place, message)
        for client, message in zip(clients, messages):
            assert client.receive() == (place, message)
        assert len({sender for _, sender in target.heard}) == AT_ONCE


RESTARTED = [
    *(Pair(*ends, "aes-256-gcm") for ends in ((PYSS, LIBEV), (LIBEV, PYSS))),
    *(
        Pair(*ends, method)
        for method in ("2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")
        for ends in ((PYSS, RUST), (RUST, PYSS))
    ),
]


@pytest.mark.parametrize("relay", RESTARTED, indirect=True, ids=str)
def test_an_association_outlives_its_server(datagrams: RunningPair) -> None:
    """In AEAD-2022 the new server knows no session, and answers under an id of its own."""
    with packet_target() as target, SocksAssociation(datagrams.port) as client:
        place = Address.of(HOST, target.port)
        for number in range(10):
            assert client.ask(place, b"before %d" % number) == b"before %d" % number
        datagrams.restart_server()
        until_answered(client, place)
        client.send(place, LAST)
        while client.receive()[1] != LAST:  # questions that were asked more than once may be answered as often
            pass


@pytest.mark.parametrize("relay", [pair for pair in PAIRS if pair.method not in LEGACY], indirect=True, ids=str)
def test_who_does_not_know_the_key_gets_no_answer(datagrams: RunningPair) -> None:
    """The server takes one packet after the other: when it has answered the last, it has judged all before."""
    method = datagrams.pair.method
    keyring = Keyring.of(method, password_for(method), wall)
    with packet_target() as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        place = Address.of(HOST, target.port)
        stranger.connect((HOST, datagrams.server_port))
        for size in (0, 1, 15, 16, 24, 31, 32, 33, 48, 60, 1400):
            stranger.send(os.urandom(size))
        for number in range(4):
            stranger.send(client_packets(keyring, monotonic).seal(place, b"stranger %d" % number))
        with SocksAssociation(datagrams.port) as client:
            assert client.ask(place, LAST) == LAST
        assert [payload for payload, _ in target.heard] == [LAST]
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(65536)
    datagrams.check()
