"""Which targets are the proxy itself: by the address that a client reached it at, and by every name of loopback."""

from __future__ import annotations

import socket

import pytest
from helpers.relay import HOST, SelectorFactory, relay
from helpers.traffic import LIMIT, echo, target
from helpers.wire import ASK, GRANTED, Wire, ask_connect, ask_socks5, every_selector, socks5_reply, talk

from pyss.address import Address
from pyss.errors import ProxyLoop
from pyss.net.channel import Channel, ignore
from pyss.net.loop import Loop
from pyss.relay.inbounds import refuse_loop


class Reached:
    """In place of the socket of a client that came in at an address which this machine may not have."""

    def __init__(self, *address: object) -> None:
        self.address = address

    def fileno(self) -> int:
        return -1

    def getsockname(self) -> tuple[object, ...]:
        return self.address


@pytest.mark.parametrize(
    ("reached", "host"),
    [
        (("192.0.2.7", 1080), "192.0.2.7"),
        (("192.0.2.7", 1080), "localhost"),
        (("192.0.2.7", 1080), "127.0.0.1"),
        (("192.0.2.7", 1080), "::1"),
        (("2001:db8::7", 1080, 0, 0), "2001:db8::7"),
        (("2001:db8::7", 1080, 0, 0), "2001:0db8:0:0::7"),
        (("2001:db8::7", 1080, 0, 0), "LOCALHOST"),
    ],
)
def test_the_address_a_client_came_in_at_is_the_proxy_itself(reached: tuple[object, ...], host: str) -> None:
    channel = Channel(Reached(*reached), ignore, Loop.__new__(Loop))  # type: ignore[arg-type]
    with pytest.raises(ProxyLoop, match="is this proxy itself"):
        refuse_loop(channel, Address.of(host, 1080))
    refuse_loop(channel, Address.of(host, 1081))
    refuse_loop(channel, Address.of("192.0.2.8", 1080))
    refuse_loop(channel, Address.of("2001:db8::8", 1080))
    refuse_loop(channel, Address.of("localhost.example", 1080))


@every_selector
def test_a_proxy_that_listens_on_ipv6(selector: SelectorFactory) -> None:
    with relay(selector, direct=True) as running, target(echo) as server:
        local = running.local
        assert local is not None
        try:
            listener = running.thread.call(lambda: local.listen("::1", 0))
        except OSError as error:
            pytest.skip(f"no IPv6 on loopback here: {error}")
        port = listener.address[1]
        for host in ("::1", "localhost", "127.0.0.1"):
            with socket.create_connection(("::1", port), LIMIT) as sock:
                assert ask_connect(Wire(sock), f"[{host}]" if ":" in host else host, port) == 508
            with socket.create_connection(("::1", port), LIMIT) as sock:
                assert ask_socks5(Wire(sock), host, port) == 2
        with socket.create_connection(("::1", port), LIMIT) as sock:
            assert ask_connect(Wire(sock), HOST, server.port) == 200


@every_selector
def test_the_success_reply_of_socks5_can_hold_an_ipv6_address(selector: SelectorFactory) -> None:
    try:
        serving = target(echo, "::1")
        server = serving.__enter__()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback here: {error}")
    try:
        with relay(selector, direct=True) as running:
            with talk(running) as wire:
                wire.send(b"\x05\x01\x00\x05\x01\x00\x04", socket.inet_pton(socket.AF_INET6, "::1"))
                wire.send(server.port.to_bytes(2, "big"), b"hello")
                assert wire.exactly(2) == b"\x05\x00"
                assert socks5_reply(wire)[:2] == (0, "::1")
                assert wire.exactly(5) == b"hello"
            # SOCKS4 has no room for it, and says only that the connection stands.
            with talk(running) as wire:
                wire.send(b"\x04\x01", server.port.to_bytes(2, "big"), b"\0\0\0\x01\0::1\0hello")
                reply = wire.exactly(8)
                assert (reply[:2], reply[4:]) == (b"\x00\x5a", bytes(4))
                assert wire.exactly(5) == b"hello"
    finally:
        serving.__exit__(None, None, None)


def test_every_protocol_grants_where_nothing_is_wrong() -> None:
    with target(echo) as server, relay() as running:
        for name, ask in ASK.items():
            with talk(running) as wire:
                assert ask(wire, HOST, server.port) == GRANTED[name]
