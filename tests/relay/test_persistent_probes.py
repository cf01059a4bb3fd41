"""Probers that go on: they talk later, send megabytes, never stop, close their half.  A server reads all of it,
says nothing, and neither resets the connection nor ends it at another moment."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from helpers.forging import (
    FIXED_2022,
    METHOD_2022,
    METHODS,
    Request,
    connect,
    exchange,
    port_of,
    read_answer,
    said,
)
from helpers.relay import SelectorFactory, relay
from helpers.traffic import echo, target

from pyss.address import Address
from pyss.relay.service import Limits

PATIENT = Limits(greeting=120.0)  # far away: what ends before, ended for another reason
MEGABYTES = 4


@contextmanager
def talking(sock: socket.socket, words: bytes, pause: float) -> Iterator[None]:
    """Another thread sends the same words over and over until it is told to stop, or cannot any more."""
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(pause):
            try:
                sock.sendall(words)
            except OSError:
                return

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.load  # for the time it waits
def test_what_comes_later_does_not_put_off_the_end(selector: SelectorFactory) -> None:
    with relay(selector, method=METHOD_2022, with_local=False, limits=Limits(greeting=0.6)) as running:
        with connect(running.server_port) as prober, connect(running.server_port) as silent:
            with talking(prober, bytes(100), 0.2):  # the first words are late, too
                assert prober.recv(1) == silent.recv(1) == b""
            order = [f":{port_of(prober)} -> ", f":{port_of(silent)} -> "]
        running.until_idle()
        ends = running.log.matching(" -> - ")
        assert [words in line for words, line in zip(order, ends)] == [True, True]


@pytest.mark.parametrize("method", METHODS)
def test_megabytes_are_read_and_discarded(selector: SelectorFactory, method: str) -> None:
    with relay(
        selector, method=method, with_local=False, limits=PATIENT
    ) as running, connect(running.server_port) as prober:
        block = os.urandom(1 << 20)
        for _ in range(MEGABYTES):
            prober.sendall(block)  # more than the buffers of both sockets hold
        running.log.wait_for(f"draining 127.0.0.1:{port_of(prober)}: ")
        with target(echo) as echoing:
            exchange(running.server_port, method, echoing.port)
        assert said(prober) is None
        assert len(running.log.matching("draining ")) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_half_closing_prober_is_treated_as_a_silent_one(selector: SelectorFactory, method: str) -> None:
    """Both have said their last, and both connections end at once."""
    whole = Request(method, salt=bytes(32)).start()
    probes = [b"", b"x", bytes(58), bytes(59), bytes(1000), os.urandom(1 << 20), whole, whole[:-1]]
    with relay(selector, method=method, with_local=False, limits=PATIENT) as running:
        with connect(running.server_port) as once:
            once.sendall(whole)
            running.log.wait_for(" connection-refused ")
        for data in probes:
            with connect(running.server_port) as prober:
                prober.sendall(data)
                prober.shutdown(socket.SHUT_WR)
                assert prober.recv(1) == b""
                running.log.wait_for(f":{port_of(prober)} -> - ")


@pytest.mark.parametrize("size", [1, 32, FIXED_2022 - 1])
def test_2022_a_short_first_read_is_not_made_good(selector: SelectorFactory, size: int) -> None:
    """SIP022 section 3.1.3: nobody may find out by sending byte after byte how many a server wants."""
    with relay(selector, method=METHOD_2022, with_local=False, limits=PATIENT) as running, target(echo) as echoing:
        request = Request(METHOD_2022)
        start = request.start(Address.of("127.0.0.1", echoing.port), b"hello")
        with connect(running.server_port) as sock:
            sock.sendall(start[:size])
            running.log.wait_for("draining .*: the first read was too short")
            sock.sendall(start[size:])
            sock.sendall(request.chunk(b"and more"))
            exchange(running.server_port, METHOD_2022, echoing.port)
            assert said(sock) is None
        running.until_idle()
        assert len(echoing.results) == 1  # that of the exchange


def test_2022_the_rest_of_a_long_enough_first_read_may_come_later(selector: SelectorFactory) -> None:
    with relay(selector, method=METHOD_2022, with_local=False, limits=PATIENT) as running, target(echo) as echoing:
        request = Request(METHOD_2022)
        start = request.start(Address.of("127.0.0.1", echoing.port), b"hello")
        with connect(running.server_port) as sock:
            sock.sendall(start[:FIXED_2022])
            running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 1)
            for at in range(FIXED_2022, len(start)):
                sock.sendall(start[at : at + 1])
            assert read_answer(sock, request)[0] == b"hello"
