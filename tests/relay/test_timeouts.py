"""Time limits of every phase, by a clock that the test sets: when a session ends, how, and what its one line says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.relay import HOST, SelectorFactory, relay
from helpers.streaming import (
    Bench,
    HandMadeClient,
    Mailbox,
    every_selector,
    keyring_for,
    receive_until_reset,
    reset,
)
from helpers.traffic import LIMIT, receive_all, socks5_connect, target

from pyss.net.clock import monotonic
from pyss.protocol.credentials import Credentials
from pyss.protocol.replay import SaltFilter2017
from pyss.relay.inbounds import Mixed, ShadowsocksServed
from pyss.relay.service import Limits
from pyss.relay.session import STATES

LIMITS = Limits(greeting=60.0, dial=10.0, idle=300.0, half_closed=60.0, linger=5.0)
BIT = 0.01


class Scene:
    """A service without Shadowsocks on the bench, one client of it, and a target that the test accepts itself."""

    def __init__(self, bench: Bench, limits: Limits = LIMITS) -> None:
        self.bench = bench
        self.service = bench.service(Mixed(Credentials(())), limits)
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(LIMIT)
        self.client = socket.create_connection(self.service.listeners[0].address[:2], LIMIT)
        self.target: Any = None
        bench.turn(lambda: self.service.sessions)

    def ask(self, request: bytes) -> None:
        """The whole dialogue of SOCKS5 in one go."""
        self.client.sendall(b"\x05\x01\x00\x05\x01\x00" + request)

    def connect(self) -> None:
        port = self.listener.getsockname()[1].to_bytes(2, "big")
        self.ask(b"\x01\x7f\x00\x00\x01" + port)
        self.bench.turn(lambda: any(session.up is not None for session in self.service.sessions))
        self.target, _ = self.listener.accept()
        self.target.settimeout(LIMIT)
        assert len(self.client.recv(12)) == 12

    def moves(self, source: socket.socket, sink: socket.socket) -> None:
        source.sendall(b"x")
        sink.setblocking(False)

        def came() -> bool:
            try:
                return sink.recv(1) == b"x"
            except BlockingIOError:
                return False

        self.bench.turn(came)
        sink.settimeout(LIMIT)

    def lasts(self, seconds: float) -> None:
        """After almost so long the session is still there; after a bit more it is not."""
        self.bench.pass_time(seconds - BIT)
        assert self.service.sessions
        self.bench.pass_time(2 * BIT)
        assert not self.service.sessions

    def line(self) -> str:
        """The one line that the session has left."""
        (line,) = self.bench.log.matching("^info ")
        return line

    def close(self) -> None:
        for sock in (self.client, self.listener, self.target):
            if sock is not None:
                sock.close()


@pytest.fixture
def scene(bench: Bench) -> Iterator[Scene]:
    made = Scene(bench)
    yield made
    made.close()


# --- greeting ------------------------------------------------------------------------------------
@pytest.mark.parametrize("said", [b"", b"\x05", b"\x05\x01\x00\x05\x01"], ids=["nothing", "a byte", "half"])
def test_a_client_without_a_request_is_closed_after_the_greeting_limit(scene: Scene, said: bytes) -> None:
    if said:
        scene.client.sendall(said)
        scene.bench.loop.tick(1.0)
    scene.lasts(LIMITS.greeting)
    assert " -> - timeout up 0 down 0 bytes 60." in scene.line()
    assert scene.line().endswith(": no request in time")
    receive_all(scene.client)  # FIN, not RST


def test_bytes_that_trickle_in_do_not_prolong_the_greeting(scene: Scene) -> None:
    scene.client.sendall(b"\x05\xff")
    for _ in range(59):
        scene.bench.pass_time(1.0)
        scene.client.sendall(b"\x01")
        scene.bench.loop.tick(1.0)
    scene.bench.pass_time(1.0 - BIT)
    assert scene.service.sessions
    scene.bench.pass_time(2 * BIT)
    assert not scene.service.sessions


def test_input_that_nobody_has_read_does_not_turn_the_fin_into_rst(scene: Scene) -> None:
    """The kernel sends RST for a socket that is closed with unread input."""
    scene.bench.pass_time(30.0)
    scene.bench.loop.rx = memoryview(bytearray(4096))  # so that one read does not take it all
    scene.client.sendall(b"\x16" + bytes(100))
    scene.bench.turn(lambda: "DRAINING" in states(scene))
    scene.client.sendall(bytes(32 * 1024))
    scene.bench.pass_time(LIMITS.linger + BIT)
    assert not scene.service.sessions
    assert receive_all(scene.client) == b""


# --- dialing -------------------------------------------------------------------------------------
def test_a_dial_that_hangs_is_given_up_and_the_client_is_told(scene: Scene) -> None:
    scene.ask(b"\x03\x0cslow.example\x00\x50")
    scene.bench.turn(lambda: scene.bench.names.asked)
    scene.bench.pass_time(LIMITS.dial - BIT)
    assert not scene.bench.names.cancelled
    scene.bench.pass_time(2 * BIT)
    assert scene.bench.names.cancelled == 1
    assert scene.client.recv(64)[2:4] == b"\x05\x06"  # TTL expired
    assert scene.client.recv(64) == b""
    scene.client.close()
    scene.bench.turn(lambda: not scene.service.sessions)
    assert " -> slow.example:80 dial-timeout up 0 down 0 bytes" in scene.line()
    assert scene.line().endswith("slow.example:80: no connection within 10 s")


def test_a_dial_has_its_whole_time_however_late_the_request_came(scene: Scene) -> None:
    scene.bench.pass_time(55.0)
    scene.ask(b"\x03\x0cslow.example\x00\x50")
    scene.bench.turn(lambda: scene.bench.names.asked)
    scene.bench.pass_time(LIMITS.dial - BIT)
    assert not scene.bench.names.cancelled
    scene.bench.pass_time(2 * BIT)
    assert scene.bench.names.cancelled == 1


def test_the_dial_of_a_client_that_is_gone_is_given_up(scene: Scene) -> None:
    scene.ask(b"\x03\x0cslow.example\x00\x50")
    scene.bench.turn(lambda: scene.bench.names.asked)
    reset(scene.client)
    scene.bench.turn(lambda: not scene.service.sessions)
    assert scene.bench.names.cancelled == 1
    assert " -> slow.example:80 reset up 0 down 0 bytes" in scene.line()


# --- draining ------------------------------------------------------------------------------------
def test_a_refused_client_that_does_not_go_is_closed_after_lingering(scene: Scene) -> None:
    scene.ask(b"\x01\x7f\x00\x00\x01\x00\x00")  # port 0 cannot be asked for
    scene.bench.turn(lambda: "DRAINING" in states(scene))
    assert len(scene.client.recv(64)) == 12
    assert scene.client.recv(64) == b""
    scene.client.sendall(b"and yet it talks")
    scene.bench.loop.tick(1.0)
    assert not scene.bench.log.matching("^info ")
    scene.lasts(LIMITS.linger)
    scene.line()


def test_a_prober_is_closed_when_a_silent_peer_would_be(bench: Bench) -> None:
    keyring = keyring_for("aes-256-gcm")
    service = bench.service(ShadowsocksServed(keyring, SaltFilter2017(), monotonic), LIMITS)
    with socket.create_connection(service.listeners[0].address[:2], LIMIT) as prober:
        bench.turn(lambda: service.sessions)
        bench.pass_time(20.0)
        prober.sendall(bytes(100))
        bench.turn(lambda: bench.log.matching("^warning draining"))
        bench.pass_time(40.0 - BIT)
        assert service.sessions
        bench.pass_time(2 * BIT)
        assert not service.sessions
        assert prober.recv(1) == b""
    (line,) = bench.log.matching("^info ")
    assert " -> - bad-tag up 0 down 0 bytes 60." in line


# --- streaming -----------------------------------------------------------------------------------
def test_silence_ends_a_session_with_resets_after_the_idle_limit(scene: Scene) -> None:
    scene.connect()
    scene.lasts(LIMITS.idle)
    assert " timeout up 0 down 0 bytes 300." in scene.line()
    assert scene.line().endswith(": nothing moved for too long")
    assert receive_until_reset(scene.client) == receive_until_reset(scene.target) == b""


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_byte_either_way_arms_the_idle_limit_anew(scene: Scene, way: str) -> None:
    scene.connect()
    for _ in range(5):
        scene.bench.pass_time(LIMITS.idle - BIT)
        if way == "up":
            scene.moves(scene.client, scene.target)
        else:
            scene.moves(scene.target, scene.client)
    scene.lasts(LIMITS.idle)
    assert f" timeout up {5 * (way == 'up')} down {5 * (way == 'down')} bytes 1799." in scene.line()


@pytest.mark.parametrize("idle", [0.5, 3.0, 9.0])
def test_an_idle_limit_below_the_others_is_kept_too(bench: Bench, idle: float) -> None:
    scene = Scene(bench, Limits(idle=idle))
    scene.connect()
    scene.lasts(idle)
    scene.close()


@pytest.mark.parametrize("again", [False, True], ids=["silent", "moving once more"])
@pytest.mark.parametrize("first", ["client", "target"])
def test_after_one_fin_a_shorter_limit_of_silence_holds(scene: Scene, first: str, again: bool) -> None:
    scene.connect()
    scene.bench.pass_time(200.0)
    ending, going_on = (scene.client, scene.target) if first == "client" else (scene.target, scene.client)
    scene.moves(going_on, ending)
    ending.shutdown(socket.SHUT_WR)
    scene.bench.turn(lambda: "HALF_CLOSED" in states(scene))
    assert going_on.recv(1) == b""
    if again:
        scene.bench.pass_time(LIMITS.half_closed - BIT)
        scene.moves(going_on, ending)
    scene.lasts(LIMITS.half_closed)
    assert " timeout up " in scene.line()
    assert receive_until_reset(ending) == b""  # the other has had its FIN


def states(scene: Scene) -> list[str]:
    return [STATES[session.state] for session in scene.service.sessions]


# --- on the clock of the wall --------------------------------------------------------------------
@every_selector
def test_a_relay_on_any_selector_keeps_its_idle_limit(selector: SelectorFactory) -> None:
    heard = Mailbox()
    limits = Limits(idle=0.2)
    with relay(selector, local_limits=limits) as running, target(lambda s: heard.put(receive_until_reset(s))) as server:
        with socks5_connect(running.local_port, server.port) as client:
            assert receive_until_reset(client) == heard.get() == b""
        running.until_idle()
        lines = running.log.matching("^info ")
        assert [" timeout " in line or " reset " in line for line in lines] == [True, True]
        assert sum(" timeout " in line for line in lines) == 1


@every_selector
def test_a_relay_on_any_selector_keeps_its_greeting_limit(selector: SelectorFactory) -> None:
    with relay(selector, limits=Limits(greeting=0.2)) as running:
        addresses = [(HOST, running.local_port), (HOST, running.server_port)]
        clients = [socket.create_connection(address, LIMIT) for address in addresses]
        for client in clients:
            with client:
                assert client.recv(1) == b""
        running.until_idle()
        assert len(running.log.matching("^info .* timeout .*: no request in time$")) == 2


@every_selector
def test_a_server_that_gives_up_a_dial_resets(selector: SelectorFactory) -> None:
    class Silent:
        def resolve(self, host: str, port: int, done: object) -> Silent:
            return self

        def cancel(self) -> None:
            pass

    with relay(selector, with_local=False, names=Silent(), limits=Limits(dial=0.2)) as running:
        with HandMadeClient("aes-256-gcm", running.server_port, 80, "slow.example") as client:
            client.send(b"hello")
            assert receive_until_reset(client.sock) == b""
        running.until_idle()
        (line,) = running.log.matching("^info ")
        assert " slow.example:80 dial-timeout " in line


def test_every_limit_is_seen_in_time_by_the_first_look() -> None:
    for name in ("greeting", "dial", "idle"):
        assert Limits(**{name: 0.5}).first == 0.5
