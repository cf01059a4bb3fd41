"""pyss against other implementations, each as client and as server, in every method that both know."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.peers import LIBEV, PYSS, Pair, RunningPair, pairs
from helpers.traffic import (
    LIMIT,
    Background,
    answer_after_eof,
    echo,
    receive_all,
    receive_digest,
    receive_exactly,
    send_blocks,
    socks5_connect,
    target,
)

MIB = 1024 * 1024
WHOLE = 64 * MIB
AT_ONCE = 100

# 70,000 chunks at the very least: none can hold more than 0x3FFF bytes of payload (SIP004).  Two nonces
# for each of them, so that the counter goes past 16 bits, and past 12 where an implementation masks it.
LONG = 70_000 * 0x3FFF

every_pair = pytest.mark.parametrize("relay", pairs(), indirect=True, ids=str)


def exchange(relay: RunningPair, size: int) -> None:
    """`size` bytes up and as many down on one connection, both at the same time.

    The last byte down says that all has arrived: a peer that ends both directions at the first EOF
    would otherwise cut off what is still under way.
    """

    def serve(sock: socket.socket) -> tuple[object, object]:
        sending = Background(lambda: send_blocks(sock, size, b"down"))
        received = receive_digest(sock, size)
        sent = sending.result()
        sock.sendall(b"!")
        return received, sent

    with target(serve) as server, socks5_connect(relay.port, server.port) as client:
        sending = Background(lambda: send_blocks(client, size, b"up"))
        received_down = receive_digest(client, size)
        sent_up = sending.result()
        assert receive_exactly(client, 1) == b"!"
    assert not server.errors
    assert server.results == [(sent_up, received_down)]


@every_pair
def test_64_mib_both_ways_at_once(relay: RunningPair) -> None:
    exchange(relay, WHOLE)


@every_pair
def test_100_connections_at_once(relay: RunningPair) -> None:
    everybody_connected = threading.Barrier(AT_ONCE, timeout=LIMIT)

    def talk(number: int) -> bool:
        message = os.urandom(1 + number * 997)
        with socks5_connect(relay.port, server.port, "localhost" if number % 2 else "127.0.0.1") as client:
            client.sendall(b"?")
            assert receive_exactly(client, 1) == b"?"
            everybody_connected.wait()
            sending = Background(lambda: client.sendall(message))
            answer = receive_exactly(client, len(message))
            sending.result()
        return answer == message

    with target(echo) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(pool.map(talk, range(AT_ONCE)))


def half_close(relay: RunningPair) -> None:
    message = os.urandom(1000)
    with target(answer_after_eof) as server, socks5_connect(relay.port, server.port) as client:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        answer = receive_all(client)
    assert answer == b"1000 " + hashlib.sha256(message).hexdigest().encode()
    assert server.results == [message]


@pytest.mark.parametrize("relay", [pair for pair in pairs() if not pair.loses_half_close], indirect=True, ids=str)
def test_answer_after_the_clients_end(relay: RunningPair) -> None:
    half_close(relay)


@pytest.mark.parametrize(
    "relay",
    [Pair(LIBEV, LIBEV, "aes-256-gcm")] + [pair for pair in pairs() if pair.loses_half_close],
    indirect=True,
    ids=str,
)
def test_answer_after_the_clients_end_is_lost_by_the_peer(relay: RunningPair) -> None:
    """Also without pyss (the first pair): if a release of the peer mends it, this test says so."""
    with pytest.raises((AssertionError, OSError, EOFError)):
        half_close(relay)


@pytest.mark.load
@pytest.mark.parametrize(
    "relay",
    [
        pair
        for method in ("aes-256-gcm", "chacha20-ietf-poly1305")
        for pair in (Pair(PYSS, LIBEV, method), Pair(LIBEV, PYSS, method))
    ],
    indirect=True,
    ids=str,
)
def test_70000_chunks_on_one_stream(relay: RunningPair) -> None:
    exchange(relay, LONG)
