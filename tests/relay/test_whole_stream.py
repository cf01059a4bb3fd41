"""Nothing is lost, doubled or swapped, with much data both ways at once and short writes forced."""

from __future__ import annotations

import socket
from typing import Optional

import pytest
from helpers.relay import SELECTORS, SelectorFactory, relay
from helpers.streaming import Shrink, every_method, every_selector
from helpers.traffic import Background, receive_all, receive_digest, send_blocks, socks5_connect, target

from pyss.relay.pump import Pump

MIB = 1024 * 1024


def both_ways(
    selector: SelectorFactory,
    method: str,
    size: int,
    shrink: Shrink,
    monkeypatch: pytest.MonkeyPatch,
    crypto: Optional[str] = None,
) -> None:
    """`size` bytes each way at the same time, each end with FIN behind its last byte."""
    flush = Pump.flush
    flushes = 0

    def counted(pump: Pump) -> None:
        nonlocal flushes
        flushes += 1
        flush(pump)

    monkeypatch.setattr(Pump, "flush", counted)

    def talk(sock: socket.socket, name: bytes) -> tuple[object, str]:
        def send() -> str:
            digest = send_blocks(sock, size, name)
            sock.shutdown(socket.SHUT_WR)
            return digest

        sending = Background(send)
        received = receive_digest(sock, size)
        assert receive_all(sock) == b""
        return sending.result(), received

    with relay(selector, method=method, crypto=crypto) as running, target(lambda sock: talk(sock, b"down")) as server:
        shrink(running)
        with socks5_connect(running.local_port, server.port) as client:
            sent_up, received_down = talk(client, b"up")
        running.until_idle()
        assert len(running.log.matching(f"^info .* ok up {size} down {size} bytes")) == 2
    assert not server.errors
    assert server.results == [(received_down, sent_up)]
    assert flushes  # else no write was short, and this test showed little


@every_selector
def test_two_mib_each_way_at_once(
    selector: SelectorFactory, shrink: Shrink, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_ways(selector, "chacha20-ietf-poly1305", 2 * MIB, shrink, monkeypatch)


@every_method
def test_some_hundred_kib_each_way_in_every_method(
    method: str, shrink: Shrink, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_ways(SELECTORS["default"], method, 300_000, shrink, monkeypatch)


@pytest.mark.load
@every_selector
@every_method
def test_64_mib_each_way_at_once(
    selector: SelectorFactory, method: str, shrink: Shrink, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_ways(selector, method, 64 * MIB, shrink, monkeypatch)


@pytest.mark.load
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-chacha20-poly1305", "aes-256-ctr"])
def test_64_mib_each_way_on_ciphers_in_python(
    method: str, shrink: Shrink, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_ways(SELECTORS["default"], method, 64 * MIB, shrink, monkeypatch, crypto="pure")
