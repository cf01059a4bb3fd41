"""Whatever is sent to a UDP port: the process lives, and associations that were there go on."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Callable, Optional

import pytest
from helpers.datagrams import SocksAssociation, packet_target
from helpers.relay import HOST, KEY_2022, PASSWORD, PATIENT, SELECTORS, RunningRelay, SelectorFactory, relay

from pyss.address import Address
from pyss.errors import DialError
from pyss.limits import PacketLimits
from pyss.net.clock import monotonic, wall
from pyss.net.dialer import Cancellable, Endpoint
from pyss.protocol.keyring import Keyring
from pyss.protocol.packet import client_packets

METHODS = ("aes-256-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305", "aes-256-cfb")
COUNT = 10_000
BATCH = 40  # what the receive buffer of any port holds

every_selector = pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
every_method = pytest.mark.parametrize("method", METHODS)

Send = Callable[[bytes], object]


class Nowhere:
    """No name has an address: of a stream cipher noise is a target now and then, and no test sends to strangers."""

    def known(self, host: str, port: int) -> list[Endpoint]:
        return []

    def resolve(self, host: str, port: int, done: Callable[[list[Endpoint], Optional[DialError]], None]) -> Cancellable:
        raise AssertionError("it is known that there are none")


def to_the_server(running: RunningRelay, stack: ExitStack) -> Send:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect((HOST, running.server_port))
    return sock.send


def to_the_tunnel(running: RunningRelay, stack: ExitStack) -> Send:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect((HOST, int(running.ports[1].address[1])))
    return sock.send


def to_the_association(running: RunningRelay, stack: ExitStack) -> Send:
    """Its own client sends rubbish."""
    client = stack.enter_context(SocksAssociation(running.local_port))
    return lambda packet: client.udp.sendto(packet, client.where)


PLACES = {"server": to_the_server, "tunnel": to_the_tunnel, "local": to_the_association}


@contextmanager
def going_on(
    selector: SelectorFactory, method: str, place: str
) -> Iterator[tuple[Send, Callable[[], None], RunningRelay]]:
    """What sends to the place, and what asks an association that was there before."""
    with ExitStack() as stack:
        target = stack.enter_context(packet_target(lambda packet: packet[:100]))
        tunnel = Address.of(HOST, target.port) if place == "tunnel" else None
        # Only that target: rubbish that a stream cipher makes an address of must not leave this machine.
        allowed = ["127.0.0.1"]
        running = stack.enter_context(
            relay(
                *(selector,),
                method=method,
                packets=PacketLimits(),
                tunnel=tunnel,
                names=Nowhere(),
                forbidden=["0.0.0.0/0", "::/0"],
                allowed=allowed,
            )
        )
        if place == "tunnel":
            survivor = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            survivor.settimeout(PATIENT)
            survivor.connect((HOST, int(running.ports[1].address[1])))

            def ask() -> None:
                survivor.send(b"still there?")
                assert survivor.recv(100) == b"still there?"

        else:
            client = stack.enter_context(SocksAssociation(running.local_port))

            def ask() -> None:
                assert client.ask(Address.of(HOST, target.port), b"still there?") == b"still there?"

        ask()
        yield PLACES[place](running, stack), ask, running
        ask()


@every_selector
@every_method
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.load
def test_ten_thousand_random_datagrams(selector: SelectorFactory, method: str, place: str) -> None:
    noise = random.Random(f"{method} {place}")
    with going_on(selector, method, place) as (send, ask, _):
        for number in range(COUNT):
            send(noise.randbytes(noise.randrange(2001)))
            if number % BATCH == 0:  # until what is before it in the port has been read
                ask()


@every_method
def test_random_datagrams_at_the_server(method: str) -> None:
    noise = random.Random(method)
    with going_on(SELECTORS["default"], method, "server") as (send, ask, running):
        for number in range(400):
            send(noise.randbytes(noise.randrange(200)))
            if number % BATCH == 0:
                ask()
        assert running.server_packets is not None
        assert sum(running.server_packets.statistics.dropped.values()) >= 300


@every_method
def test_every_truncation_and_every_changed_byte_at_the_server(method: str) -> None:
    keyring = Keyring.of(method, KEY_2022 if method.startswith("2022") else PASSWORD, wall)
    packets = client_packets(keyring, monotonic)
    with going_on(SELECTORS["select"], method, "server") as (send, ask, running):
        whole = packets.seal(Address.of("198.51.100.7", 9), bytes(range(60)))
        spoilt = [whole[:size] for size in range(len(whole))]
        spoilt += [whole[:at] + bytes((whole[at] ^ 0x41,)) + whole[at + 1 :] for at in range(len(whole))]
        for number, packet in enumerate(spoilt):
            send(packet)
            if number % BATCH == 0:
                ask()
        ask()
        if method != "aes-256-cfb":  # which cannot tell what has been changed
            assert running.server_packets is not None
            assert len(running.server_packets) == 1
            assert sum(running.server_packets.statistics.dropped.values()) == len(spoilt)


def test_every_truncation_and_every_changed_byte_at_the_local_port() -> None:
    with going_on(SELECTORS["poll" if "poll" in SELECTORS else "select"], "aes-256-gcm", "local") as (send, ask, _):
        whole = bytes(3) + Address.of("name.test", 9).wire + b"payload"
        for size in range(len(whole)):
            send(whole[:size])
        for at in range(len(whole)):
            send(whole[:at] + bytes((whole[at] ^ 0x41,)) + whole[at + 1 :])
        ask()


@pytest.mark.load
@every_method
def test_twenty_thousand_sources(method: str) -> None:
    """At one server: the cap holds, and the associations that are used are not those that end."""
    keyring = Keyring.of(method, KEY_2022 if method.startswith("2022") else PASSWORD, wall)
    limits = PacketLimits(associations=512, of_client=100_000)
    with ExitStack() as stack:
        target = stack.enter_context(packet_target(lambda packet: packet if packet == b"still there?" else None))
        running = stack.enter_context(relay(method=method, packets=limits))
        assert running.server_packets is not None
        table = running.server_packets
        client = stack.enter_context(SocksAssociation(running.local_port))
        to = Address.of(HOST, target.port)
        assert client.ask(to, b"still there?") == b"still there?"
        most = 0
        for number in range(20_000):
            packets = client_packets(keyring, monotonic)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
                source.sendto(packets.seal(to, b"x"), (HOST, running.server_port))
            if number % BATCH == 0:
                assert client.ask(to, b"still there?") == b"still there?"
                most = max(most, running.thread.call(lambda: len(table)))
        assert most <= 512
        assert running.thread.call(lambda: len(table._of_host)) <= 2
        assert running.thread.call(lambda: table.statistics.associations) > 15_000
