"""Datagrams between SOCKS and tunnel clients and their targets, over real sockets and any selector."""

from __future__ import annotations

import base64
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional

import pytest
from helpers.datagrams import SocksAssociation, associated, packet_target
from helpers.relay import HOST, KEY_2022, PATIENT, SELECTORS, RunningRelay, SelectorFactory, relay

from pyss.address import Address
from pyss.crypto.methods import METHODS
from pyss.errors import DialTimeout, NameNotFound
from pyss.limits import PacketLimits
from pyss.net.clock import monotonic, wall
from pyss.net.sockets import datagram_socket
from pyss.protocol.keyring import Keyring
from pyss.protocol.packet import client_packets
from pyss.relay import datagrams
from pyss.relay.datagrams import Associations, PacketPort
from pyss.relay.packet_inbounds import ServedPackets, SocksPackets
from pyss.relay.packet_ways import DirectWay, ServerWay

every_selector = pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
UDP = PacketLimits()
METHOD_2022 = "2022-blake3-aes-256-gcm"


def password(method: str) -> str:
    return base64.b64encode(bytes(range(METHODS[method].key_size))).decode() if method.startswith("2022") else ""


def dropped(running: RunningRelay, side: str) -> dict[str, int]:
    table = getattr(running, f"{side}_packets")
    return running.thread.call(lambda: dict(table.statistics.dropped))


def until_dropped(running: RunningRelay, side: str, status: str, count: int = 1) -> None:
    table = getattr(running, f"{side}_packets")
    running.thread.until(lambda: table.statistics.dropped[status] >= count)


def associations(running: RunningRelay, side: str) -> int:
    return running.thread.call(lambda: len(getattr(running, f"{side}_packets")))


# --- the way there and back ----------------------------------------------------------------------
@every_selector
def test_there_and_back(selector: SelectorFactory) -> None:
    with relay(selector, packets=UDP, debug=True) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            for payload in (b"hello", b"", bytes(1400), b"x" * 60_000):
                assert client.ask(Address.of(HOST, target.port), payload) == payload
        running.until_idle()
        assert associations(running, "local") == 0
        assert not dropped(running, "local") and not dropped(running, "server")


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method: str) -> None:
    with associated(method=method, packets=UDP, password=password(method)) as (_, client, target):
        for payload in (b"one", b"", b"two", bytes(1200)):
            assert client.ask(Address.of(HOST, target.port), payload) == payload


@every_selector
def test_a_tunnel_has_one_target_for_all(selector: SelectorFactory) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(packet_target())
        tunnel = Address.of(HOST, target.port)
        running = stack.enter_context(relay(selector, packets=UDP, tunnel=tunnel, debug=True))
        port = running.ports[1].address[1]
        clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(PATIENT)
            client.connect((HOST, port))
            client.send(b"from %d" % number)
        for number, client in enumerate(clients):
            assert client.recv(100) == b"from %d" % number
        assert associations(running, "local") == associations(running, "server") == 3


def test_the_line_at_the_end_has_what_was_carried() -> None:
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.ask(Address.of(HOST, target.port), b"12345")
        running.log.wait_for(r"^info 127.0.0.1:\d+ -> - ok up 5 down 5 bytes .* s: UDP$")
        running.log.wait_for(rf"^debug connecting 127.0.0.1:{target.port} from 127.0.0.1:\d+$", 2)


def test_whoever_answers_is_heard() -> None:
    """A full cone: an answer may come from where nothing was sent to."""
    with associated(answer=lambda packet: None) as (_, client, target):
        client.send(Address.of(HOST, target.port), b"hello")
        target.wait_for(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((HOST, 0))
            stranger.sendto(b"from elsewhere", target.heard[0][1])
            assert client.receive() == (Address.of(*stranger.getsockname()), b"from elsewhere")


def test_all_targets_of_an_association_see_one_address() -> None:
    with relay(packets=UDP) as running, packet_target() as one, packet_target() as other:
        with SocksAssociation(running.local_port) as client:
            for target in (one, other, one):
                client.ask(Address.of(HOST, target.port), b"hello")
        assert len({where for _, where in one.heard + other.heard}) == 1


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_both_families_in_one_association() -> None:
    with associated() as (_, client, four), packet_target(host="::1") as six:
        for target in (four, six, four):
            host = target.sock.getsockname()[0]
            assert client.ask(Address.of(host, target.port), host.encode()) == host.encode()


# --- the connection of an association ----------------------------------------------------------
@every_selector
@pytest.mark.parametrize("ending", ["fin", "reset"])
def test_an_association_ends_with_its_connection(selector: SelectorFactory, ending: str) -> None:
    with relay(selector, packets=UDP) as running, packet_target() as target:
        client = SocksAssociation(running.local_port)
        client.ask(Address.of(HOST, target.port), b"hello")
        if ending == "reset":
            client.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.tcp.close()
        running.until_idle()
        assert associations(running, "local") == 0
        client.udp.connect(client.where)
        client.udp.send(b"anybody there?")
        with pytest.raises(ConnectionRefusedError):
            client.udp.recv(1)
        client.udp.close()


def test_what_is_said_on_the_connection_does_not_matter() -> None:
    with relay(packets=UDP) as running, packet_target() as target, SocksAssociation(running.local_port) as client:
        client.tcp.sendall(b"noise" * 1000)
        assert client.ask(Address.of(HOST, target.port), b"hello") == b"hello"


def test_no_udp_no_association() -> None:
    with relay() as running, SocksAssociation(running.local_port) as client:
        assert client.code == 7


def test_no_socket_no_association(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(host: str, port: int) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with relay(packets=UDP) as running:
        assert running.local is not None
        inbound: Any = running.local.inbound
        monkeypatch.setattr(inbound._associate, "_bind", broken)
        with SocksAssociation(running.local_port) as client:
            assert client.code == 1
        monkeypatch.undo()
        with SocksAssociation(running.local_port) as client:
            assert client.code == 0


def test_when_the_proxy_ends_associations_end_at_once() -> None:
    with associated() as (running, client, _):
        assert running.local is not None
        running.thread.call(running.local.close)
        assert client.tcp.recv(1) == b""
        running.until_idle()


# --- datagrams that are dropped ------------------------------------------------------------------
BAD_HEADERS = {
    "fragment": (b"\0\0\1" + Address.of(HOST, 7).wire + b"x", "fragment"),
    "last fragment": (b"\0\0\x80" + Address.of(HOST, 7).wire + b"x", "fragment"),
    "address type": (b"\0\0\0\2" + bytes(6), "unsupported-address"),
    "no address": (b"\0\0\0", "bad-address"),
    "nothing": (b"", "bad-address"),
    "half a name": (b"\0\0\0\3\x20name", "bad-address"),
    "bad name": (b"\0\0\0\3\3a b\0\7", "bad-address"),
}


@pytest.mark.parametrize(("packet", "status"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_bad_header_costs_its_datagram(packet: bytes, status: str) -> None:
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.udp.sendto(packet, client.where)
            assert client.ask(Address.of(HOST, target.port), b"hello") == b"hello"
        assert dropped(running, "local") == {status: 1}


def test_another_client_is_not_heard() -> None:
    """Neither from another port once the first datagram came, nor from another address at all."""
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.ask(Address.of(HOST, target.port), b"hello")
            packet = bytes(3) + Address.of(HOST, target.port).wire + b"spoofed"
            for host in (HOST, "127.0.0.2"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind((host, 0))
                    stranger.sendto(packet, client.where)
            until_dropped(running, "local", "sender", 2)
            assert client.ask(Address.of(HOST, target.port), b"again") == b"again"
        assert target.wait_for(2) == [b"hello", b"again"]


def test_an_announced_address_is_enforced() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as announced:
        announced.bind(("127.0.0.3", 0))
        announced.settimeout(PATIENT)
        host, port = announced.getsockname()
        said = socket.inet_aton(host) + port.to_bytes(2, "big")
        with associated(announced=said) as (running, client, target):
            client.send(Address.of(HOST, target.port), b"not from there")
            until_dropped(running, "local", "sender")
            announced.sendto(bytes(3) + Address.of(HOST, target.port).wire + b"from there", client.where)
            assert announced.recv(100).endswith(b"from there")
        assert target.wait_for(1) == [b"from there"]


def test_what_the_server_cannot_have_sealed_is_dropped() -> None:
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.ask(Address.of(HOST, target.port), b"hello")
            table = running.local_packets
            assert table is not None

            def way_of_the_only_one() -> tuple[int, Any]:
                (association,) = next(iter(table._queues.values()))
                way = association.way
                assert isinstance(way, ServerWay) and way._channel is not None
                return way._channel.sock.getsockname()[1], running.ports[0]._channel.sock

            port, server_sock = running.thread.call(way_of_the_only_one)
            running.thread.call(lambda: server_sock.sendto(os.urandom(100), (HOST, port)))
            until_dropped(running, "local", "bad-tag")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:  # the socket is connected
                stranger.sendto(os.urandom(100), (HOST, port))
            assert client.ask(Address.of(HOST, target.port), b"again") == b"again"
        assert dropped(running, "local") == {"bad-tag": 1}


def test_an_answer_that_fits_no_packet_is_dropped() -> None:
    """65,507 bytes is the most over IPv4; sealing and address come on top."""
    with associated(answer=lambda packet: bytes(int(packet))) as (running, client, target):
        client.send(Address.of(HOST, target.port), b"65507")
        until_dropped(running, "server", "system")
        client.send(Address.of(HOST, target.port), b"65430")
        assert client.receive()[1] == bytes(65430)


def test_a_datagram_that_fits_no_packet_is_dropped() -> None:
    with relay(packets=UDP) as running, packet_target() as target, SocksAssociation(running.local_port) as client:
        client.send(Address.of(HOST, target.port), bytes(65_480))
        until_dropped(running, "local", "system")
        assert client.ask(Address.of(HOST, target.port), b"hello") == b"hello"


def test_a_server_that_is_not_there_costs_datagrams() -> None:
    """ICMP says so on a connected socket; when the server is back, so is the association."""
    with packet_target() as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        nobody = taken.getsockname()[1]
        taken.close()
        with relay(packets=UDP, server_at=(HOST, nobody), with_server=False) as running:
            with SocksAssociation(running.local_port) as client:
                client.send(Address.of(HOST, target.port), b"hello")
                until_dropped(running, "local", "system")
                client.send(Address.of(HOST, target.port), b"hello")
                until_dropped(running, "local", "system", 2)
            said = rf"^warning a UDP packet was dropped \(UDP of .*\): {HOST}:{nobody}: Connection refused$"
            assert len(running.log.wait_for(said)) == 1, "once a minute"


class Refusing:
    """A socket whose sending fails with an errno until it is told otherwise."""

    def __init__(self, sock: Any, number: int) -> None:
        self.sock = sock
        self.number = number

    def _fail(self, *arguments: Any) -> Any:
        raise OSError(self.number, os.strerror(self.number))

    send = sendto = _fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EMSGSIZE, errno.ENETUNREACH, errno.EPERM, errno.EAGAIN])
@pytest.mark.parametrize("place", ["way up", "answer", "local way"])
def test_what_the_system_refuses_is_dropped(number: int, place: str) -> None:
    with relay(packets=UDP) as running, packet_target() as target, SocksAssociation(running.local_port) as client:
        client.ask(Address.of(HOST, target.port), b"before")
        side, channel = running.thread.call(lambda: _channel(running, place))
        status = "congested" if number == errno.EAGAIN and place != "answer" else "system"
        sock = channel.sock
        running.thread.call(lambda: setattr(channel, "sock", Refusing(sock, number)))
        client.send(Address.of(HOST, target.port), b"lost")
        until_dropped(running, side, status)
        running.thread.call(lambda: setattr(channel, "sock", sock))
        assert client.ask(Address.of(HOST, target.port), b"after") == b"after"


def _channel(running: RunningRelay, place: str) -> tuple[str, Any]:
    def way(table: Optional[Associations]) -> Any:
        assert table is not None
        (association,) = next(iter(table._queues.values()))
        return association.way

    if place == "answer":
        return "server", running.ports[0]._channel
    if place == "way up":
        direct = way(running.server_packets)
        assert isinstance(direct, DirectWay)
        return "server", direct._channels[socket.AF_INET]
    through = way(running.local_packets)
    assert isinstance(through, ServerWay)
    return "local", through._channel


class Resetting:
    """A socket as on Windows: receiving fails when what was sent before could not be delivered."""

    def __init__(self, sock: Any, times: int) -> None:
        self.sock = sock
        self.times = times

    def recvfrom_into(self, room: Any) -> Any:
        if self.times:
            self.times -= 1
            raise ConnectionResetError(10054, "an existing connection was forcibly closed")
        return self.sock.recvfrom_into(room)

    def recv_into(self, room: Any) -> Any:
        if self.times:
            self.times -= 1
            raise ConnectionResetError(10054, "an existing connection was forcibly closed")
        return self.sock.recv_into(room)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("place", ["way up", "answer", "local way"])
def test_10054_is_counted_and_forgotten(place: str) -> None:
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.ask(Address.of(HOST, target.port), b"before")
            side, channel = running.thread.call(lambda: _channel(running, place))
            running.thread.call(lambda: setattr(channel, "sock", Resetting(channel.sock, 40)))  # more than a batch
            assert client.ask(Address.of(HOST, target.port), b"after") == b"after"
        assert dropped(running, side) == {"system": 40}


@pytest.mark.parametrize("side", ["local", "server"])
@pytest.mark.parametrize("place", ["read", "write", "way"])
def test_a_bug_costs_a_datagram_or_an_association(side: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bug(Exception):
        pass

    def broken(*arguments: Any) -> Any:
        if place == "read":
            arguments[1].recvfrom_into(arguments[2])
        raise Bug(place)

    inbound = ServedPackets if side == "server" else SocksPackets
    way = DirectWay if side == "server" else ServerWay
    with relay(packets=UDP) as running, packet_target() as target:
        with SocksAssociation(running.local_port) as client:
            client.ask(Address.of(HOST, target.port), b"before")
            with monkeypatch.context() as patch:
                patch.setattr(*((way, "send") if place == "way" else (inbound, place)), broken)
                client.send(Address.of(HOST, target.port), b"lost")
                running.thread.until(lambda: bool(running.thread.faults))
            assert client.ask(Address.of(HOST, target.port), b"after") == b"after"
        faults, running.thread.faults[:] = list(running.thread.faults), []
        assert all(isinstance(fault, Bug) for fault in faults)


# --- where clients may not go --------------------------------------------------------------------
@pytest.mark.parametrize("by", ["ip", "name"])
def test_forbidden_is_forbidden_for_every_packet(by: str) -> None:
    def lookup(host: str, *arguments: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (HOST if host == "inside.test" else "127.0.0.2", 0))]

    with packet_target() as inside, packet_target(host="127.0.0.2") as open_to_all:
        with associated(forbidden=["127.0.0.1"], lookup=lookup) as (running, client, _):
            place = HOST if by == "ip" else "inside.test"
            for count in (1, 2, 3):
                client.send(Address.of(place, inside.port), b"let me in")
                until_dropped(running, "server", "forbidden", count)
            assert client.ask(Address.of("127.0.0.2", open_to_all.port), b"hello") == b"hello"
            client.send(Address.of(place, inside.port), b"and now?")
            until_dropped(running, "server", "forbidden", 4)
        assert not inside.heard


# --- names ---------------------------------------------------------------------------------------
class Names:
    """A resolver whose answers come when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, Callable[..., None]]] = []

    def known(self, host: str, port: int) -> None:
        return None

    def resolve(self, host: str, port: int, done: Callable[..., None]) -> Any:
        entry = (host, port, done)
        self.asked.append(entry)
        names = self

        class Flight:
            def cancel(self) -> None:
                names.asked.remove(entry)

        return Flight()

    def answer(self, running: RunningRelay, host: str, *ips: str, error: Any = None) -> None:
        def run() -> None:
            for entry in [entry for entry in self.asked if entry[0] == host]:
                self.asked.remove(entry)
                entry[2]([(socket.AF_INET, (ip, entry[1])) for ip in ips], error)

        running.thread.call(run)


def test_what_waits_for_a_name_keeps_its_order_and_others_pass() -> None:
    names: Any = Names()
    with associated(names=names) as (running, client, target), packet_target() as other:
        place = Address.of("slow.test", target.port)
        for number in range(5):
            client.send(place, b"%d" % number)
        running.thread.until(lambda: len(names.asked) == 1)
        assert client.ask(Address.of(HOST, other.port), b"passes") == b"passes"
        assert not target.heard
        names.answer(running, "slow.test", HOST)
        assert target.wait_for(5) == [b"0", b"1", b"2", b"3", b"4"]


def test_so_many_packets_wait_and_no_more() -> None:
    names: Any = Names()
    limits = PacketLimits(waiting=8)
    with associated(packets=limits, names=names) as (running, client, target):
        for number in range(12):
            client.send(Address.of(f"{number % 3}.test", target.port), b"%d" % number)
        until_dropped(running, "server", "congested", 4)
        for number in range(3):
            names.answer(running, f"{number}.test", HOST)
        assert sorted(map(int, target.wait_for(8))) == list(range(8))
        client.send(Address.of("3.test", target.port), b"later")
        running.thread.until(lambda: len(names.asked) == 1)
        names.answer(running, "3.test", HOST)
        assert target.wait_for(9)[-1] == b"later"


@every_selector
def test_ten_names_that_never_resolve_stall_nobody(selector: SelectorFactory) -> None:
    """Neither another client nor other targets of the same one; nor do they keep a place for good."""
    names: Any = Names()
    with associated(selector, names=names) as (running, client, target), SocksAssociation(running.local_port) as other:
        for number in range(10):
            client.send(Address.of(f"never{number}.test", 7), b"lost")
        running.thread.until(lambda: len(names.asked) == 10)
        for _ in range(20):
            assert client.ask(Address.of(HOST, target.port), b"the same client") == b"the same client"
            assert other.ask(Address.of(HOST, target.port), b"another") == b"another"
        for number in range(10):
            names.answer(running, f"never{number}.test", error=DialTimeout("no name server answers"))
        until_dropped(running, "server", "dial-timeout", 10)


def test_a_name_that_is_not_found_costs_its_packets() -> None:
    names: Any = Names()
    with associated(names=names) as (running, client, target):
        client.send(Address.of("no.test", 7), b"1")
        client.send(Address.of("no.test", 7), b"2")
        running.thread.until(lambda: len(names.asked) == 1)
        # Both must be waiting before the answer; a third target shows that they were read.
        client.ask(Address.of(HOST, target.port), b"read")
        names.answer(running, "no.test", error=NameNotFound("no.test: no such name"))
        until_dropped(running, "server", "name-not-found", 2)


def test_who_goes_asks_no_more() -> None:
    names: Any = Names()
    with relay(packets=UDP, names=names) as running:
        assert running.server_packets is not None
        with SocksAssociation(running.local_port) as client:
            client.send(Address.of("slow.test", 7), b"hello")
            running.thread.until(lambda: len(names.asked) == 1)
            table = running.server_packets
            running.thread.call(table.close)
            assert not names.asked


def test_a_server_by_name() -> None:
    def lookup(host: str, *arguments: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (HOST, 0))]

    with relay(packets=UDP, with_local=False) as server:
        at = ("server.test", server.server_port)
        with associated(with_server=False, server_at=at, lookup=lookup) as (_, client, target):
            for number in range(3):
                client.send(Address.of(HOST, target.port), b"%d" % number)
            assert [client.receive()[1] for _ in range(3)] == [b"0", b"1", b"2"]


# --- how long associations last ------------------------------------------------------------------
@contextmanager
def at_a_server(limits: PacketLimits) -> Iterator[tuple[RunningRelay, Any]]:
    with associated(packets=limits) as (running, client, target):
        yield running, lambda payload=b"hello": client.ask(Address.of(HOST, target.port), payload)


def test_an_idle_association_ends_and_the_next_packet_begins_another() -> None:
    with at_a_server(PacketLimits(idle=0.05)) as (running, ask):
        assert ask() == b"hello"
        running.thread.until(lambda: not len(running.server_packets) and not len(running.local_packets))  # type: ignore[arg-type]
        assert ask(b"again") == b"again"
        assert running.server_packets is not None
        assert running.thread.call(lambda: running.server_packets.statistics.associations) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_both_directions_keep_it_alive(direction: str) -> None:
    """The loop's clock is moved by hand: packets in one direction alone, each before the limit."""
    with associated(packets=PacketLimits(idle=300.0), answer=lambda packet: None) as (running, client, target):
        client.send(Address.of(HOST, target.port), b"hello")
        target.wait_for(1)
        table = running.server_packets
        assert table is not None

        def age(seconds: float) -> float:
            (association,) = next(iter(table._queues.values()))
            association.seen -= seconds
            return float(association.seen)

        before = running.thread.call(lambda: age(299.0))
        if direction == "up":
            client.send(Address.of(HOST, target.port), b"more")
            target.wait_for(2)
        else:
            target.sock.sendto(b"answer", target.heard[0][1])
            client.receive()
        assert running.thread.call(lambda: age(0)) > before + 200


def test_an_answered_question_for_a_name_ends_soon() -> None:
    """Port 53 needs rights; the constant stands for it here."""
    with packet_target() as target, pytest.MonkeyPatch.context() as patch:
        patch.setattr(datagrams, "DNS_PORT", target.port)
        with relay(packets=PacketLimits(idle=300.0, answered_dns=0.05)) as running:
            assert running.server_packets is not None
            with SocksAssociation(running.local_port) as client:
                client.ask(Address.of(HOST, target.port), b"question")
                running.thread.until(lambda: not len(running.server_packets))  # type: ignore[arg-type]
                client.ask(Address.of(HOST, target.port), b"another")


def test_an_unanswered_question_and_other_ports_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with packet_target(lambda packet: packet if packet != b"silence" else None) as target, packet_target() as other:
        monkeypatch.setattr(datagrams, "DNS_PORT", target.port)
        with relay(packets=PacketLimits(idle=300.0, answered_dns=0.02)) as running:
            assert running.server_packets is not None
            with SocksAssociation(running.local_port) as client:
                client.send(Address.of(HOST, target.port), b"silence")
                client.ask(Address.of(HOST, target.port), b"question")  # one of two is answered
                assert _limits_in_use(running) == [300.0]
            with SocksAssociation(running.local_port) as client:
                client.ask(Address.of(HOST, other.port), b"a game")
                client.ask(Address.of(HOST, target.port), b"question")
                assert _limits_in_use(running) == [300.0, 300.0]


def _limits_in_use(running: RunningRelay) -> list[float]:
    def find() -> list[float]:
        table = running.server_packets
        assert table is not None
        return [idle for idle, queue in table._queues.items() for _ in queue]

    return running.thread.call(find)


def test_a_client_with_too_many_loses_its_longest_idle_one() -> None:
    with ExitStack() as stack:
        target = stack.enter_context(packet_target())
        running = stack.enter_context(
            relay(packets=PacketLimits(of_client=3), tunnel=Address.of(HOST, target.port))
        )
        port = running.ports[1].address[1]
        clients = []
        for number in (0, 1, 2, 0, 3):  # 0 is used again: 1 is idle for longest when 3 comes
            if number == len(clients):
                clients.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
                clients[-1].settimeout(PATIENT)
                clients[-1].connect((HOST, port))
            clients[number].send(b"%d" % number)
            assert clients[number].recv(10) == b"%d" % number
        kept = running.thread.call(lambda: {key[1] for key in running.ports[1].associations})  # type: ignore[index]
        assert kept == {clients[number].getsockname()[1] for number in (0, 2, 3)}
        running.log.wait_for("^warning 127.0.0.1 has 3 UDP associations")


def test_too_many_in_all() -> None:
    with ExitStack() as stack:
        target = stack.enter_context(packet_target())
        running = stack.enter_context(
            relay(packets=PacketLimits(associations=3), tunnel=Address.of(HOST, target.port))
        )
        port = running.ports[1].address[1]
        for number in range(1, 7):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.bind((f"127.0.0.{number}", 0))
            client.settimeout(PATIENT)
            client.connect((HOST, port))
            client.send(b"hello")
            assert client.recv(10) == b"hello"
            assert associations(running, "local") == min(number, 3)
        running.log.wait_for("^warning there are 3 UDP associations")
        kept = running.thread.call(lambda: {key[0] for key in running.ports[1].associations})  # type: ignore[index]
        assert kept == {"127.0.0.4", "127.0.0.5", "127.0.0.6"}


# --- AEAD-2022 -----------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305"])
def test_a_client_that_moves_keeps_its_session(method: str) -> None:
    """Answers go where its last valid datagram came from; one that was forged moves nothing."""
    with relay(method=method, packets=UDP, with_local=False) as running, ExitStack() as stack:
        target = stack.enter_context(packet_target())
        packets = client_packets(Keyring.of(method, KEY_2022, wall), monotonic)
        server = (HOST, running.server_port)
        where = set()
        for number in range(4):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind((f"127.0.0.{number + 1}", 0))
            sock.settimeout(PATIENT)
            sock.sendto(packets.seal(Address.of(HOST, target.port), b"%d" % number), server)
            source, payload = packets.open(memoryview(sock.recv(2000)))
            assert (source, bytes(payload)) == (Address.of(HOST, target.port), b"%d" % number)
            where = {each for _, each in target.heard}
            sock.sendto(os.urandom(80), server)
        assert len(where) == 1, "one socket for the session, wherever its client is"
        assert associations(running, "server") == 1


@pytest.mark.parametrize("method", ["aes-256-gcm", METHOD_2022, "2022-blake3-chacha20-poly1305"])
def test_a_server_that_restarts_in_mid_session(method: str) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(packet_target())
        first = stack.enter_context(ExitStack())
        server = first.enter_context(relay(method=method, packets=UDP, with_local=False))
        at = (HOST, server.server_port)
        running = stack.enter_context(relay(method=method, packets=UDP, with_server=False, server_at=at))
        with SocksAssociation(running.local_port) as client:
            assert client.ask(Address.of(HOST, target.port), b"before") == b"before"
            first.close()
            again = stack.enter_context(relay(method=method, packets=UDP, with_local=False))

            def take_the_port() -> None:
                port = again.ports[0]
                moved = datagram_socket(*at)
                again.ports.append(PacketPort(port.table, moved, port.inbound, port.outbound, "the same port"))

            again.thread.call(take_the_port)
            assert client.ask(Address.of(HOST, target.port), b"after") == b"after"
