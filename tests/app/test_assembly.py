"""Services put together from a configuration: each port, limit, policy and name in its place, and clear refusals."""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from helpers.datagrams import SocksAssociation, packet_target
from helpers.double_target import double_target
from helpers.processes import free_port
from helpers.relay import HOST, PATIENT, LoopThread
from helpers.traffic import echo, receive_all, receive_exactly, socks5_connect, target

from pyss.address import Address
from pyss.app import assembly as module
from pyss.app.assembly import Assembly, announce, plain_http_forward, salt_memory
from pyss.app.config import LocalConfig, Server, ServerConfig, Timeouts
from pyss.app.config_locals import Redirect, Tunnel
from pyss.app.journal import open_journal
from pyss.app.settings import BOTH, TCP_ONLY, UDP_ONLY, Mode
from pyss.crypto import backends
from pyss.crypto.methods import METHODS, Family
from pyss.errors import ConfigError
from pyss.limits import PacketLimits
from pyss.net.loop import Loop
from pyss.net.names import NameServer
from pyss.net.resolver import Resolver
from pyss.net.sockets import datagram_socket, listening_socket
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.relay.outbounds import Shadowsocks
from pyss.relay.service import RESERVED_DESCRIPTORS, Service
from pyss.relay.transparent import Intercepted, InterceptedPackets, Redirected

GCM = "aes-256-gcm"
FIRST = Server(HOST, 0, GCM, "a password")
SECOND = Server(HOST, 0, "chacha20-ietf-poly1305", "another one")
PLAIN = Server(HOST, 0, "none", "")


@pytest.fixture
def assembly() -> Iterator[Assembly]:
    made = Assembly(Loop())
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    open_journal(1, str(tmp_path / "log"))
    return tmp_path / "log"


# --- what is put together ------------------------------------------------------------------------
def test_one_service_and_one_port_for_each_server(assembly: Assembly) -> None:
    made = assembly.server(ServerConfig((FIRST, SECOND, PLAIN)))
    assert made == assembly.services and len(made) == 3
    numbers = [number_of(one) for one in made]
    assert len(set(numbers)) == 3 and 0 not in numbers
    assert [port.address[1] for port in assembly.ports] == numbers  # whatever the system chose, for both


def test_one_proxy_for_all_addresses_and_servers(assembly: Assembly) -> None:
    reached = (Server("h", 1, GCM, "a"), Server("::1", 2, "none", ""))
    (made,) = assembly.local(LocalConfig(((HOST, 0), (HOST, 0)), reached))
    assert [listener.address[0] for listener in made.listeners] == [HOST, HOST]
    assert isinstance(made.outbound, Shadowsocks)
    assert (assembly.services, assembly.ports) == ([made], [])  # clients of UDP get their ports when they ask


def number_of(service: Service) -> int:
    """Of its one port."""
    (listener,) = service.listeners
    return int(listener.address[1])


MODES = pytest.mark.parametrize("mode", [BOTH, TCP_ONLY, UDP_ONLY], ids=["both", "TCP", "UDP"])


@MODES
def test_modes_of_servers_and_tunnels(assembly: Assembly, mode: Mode) -> None:
    assembly.server(ServerConfig((Server(HOST, 0, GCM, "x", mode=mode),)))
    target = ("192.0.2.53", 53)
    assembly.local(LocalConfig((), (FIRST,), tunnels=(Tunnel(HOST, 0, target, mode), Tunnel(HOST, 0, target, mode))))
    names = ["server", "tunnel to 192.0.2.53:53", "tunnel to 192.0.2.53:53"]
    assert [service.name for service in assembly.services] == (names if mode.tcp else [])
    assert [port.name for port in assembly.ports] == (names if mode.udp else [])
    numbers = [number_of(service) for service in assembly.services]
    if mode == BOTH:
        assert [port.address[1] for port in assembly.ports] == numbers
    numbers += [port.address[1] for port in assembly.ports]
    assert len(set(numbers)) == 3 and 0 not in numbers


@pytest.fixture
def transparent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this were Linux, and we had the rights."""
    monkeypatch.setattr(module.transparent, "available", lambda: None)
    monkeypatch.setattr(module.transparent, "transparent_listener", listening_socket)
    monkeypatch.setattr(module.transparent, "transparent_datagrams", datagram_socket)


@MODES
@pytest.mark.parametrize("tproxy", [False, True])
def test_modes_of_redirects(assembly: Assembly, transparent: None, mode: Mode, tproxy: bool) -> None:
    made = assembly.local(LocalConfig((), (FIRST,), redirects=(Redirect(HOST, 0, mode, tproxy),)))
    assert made == assembly.services and len(made) == mode.tcp and len(assembly.ports) == mode.udp
    for service in made:
        assert service.name == ("redirect by TPROXY" if tproxy else "redirect")
        assert type(service.inbound) is (Intercepted if tproxy else Redirected)
    for port in assembly.ports:
        assert port.name == "redirect by TPROXY" and isinstance(port.inbound, InterceptedPackets)
        # Who sends to this very port is turned away, so it has to be known.
        assert port.inbound._port == port.address[1] == (number_of(made[0]) if made else port.address[1])


def test_where_nothing_can_be_redirected_a_proxy_is_suggested(
    assembly: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.transparent, "available", lambda: "redirection needs Linux; use `pyss local`")
    with pytest.raises(ConfigError, match=r"^redirection needs Linux; use `pyss local`$"):
        assembly.local(LocalConfig((), (FIRST,), redirects=(Redirect(HOST, 0),)))
    assert not assembly.services


def test_time_limits_arrive(assembly: Assembly) -> None:
    times = Timeouts(greeting=1.0, dial=2.0, idle=3.0, half_closed=4.0)
    assembly.local(LocalConfig(((HOST, 0),), (FIRST,), tunnels=(Tunnel(HOST, 0, ("t", 1)),), timeouts=times))
    assembly.server(ServerConfig((FIRST,), timeouts=times))
    assert len(assembly.services) == 3
    for limits in [service.limits for service in assembly.services]:
        assert (limits.greeting, limits.dial, limits.idle, limits.half_closed) == (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("descriptors", "asked", "associations"),
    [(1000, 4096, 250), (1000, 5000, 250), (1000, 100, 100), (2, 4096, 1), (1 << 20, 4096, 4096)],
)
def test_descriptors_are_shared(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, asked: int, associations: int
) -> None:
    """Every association may need a socket, and so do both ends of a session."""
    monkeypatch.setattr(module, "raise_descriptor_limit", lambda: descriptors)
    made = Assembly(Loop(), packets=PacketLimits(associations=asked, idle=7.0))
    try:
        assert made.table.limits == PacketLimits(associations=associations, idle=7.0)
        (server,) = made.server(ServerConfig((PLAIN,)))
        left = descriptors - associations - RESERVED_DESCRIPTORS
        assert server.capacity == max(1, left // 2)
        # Who asked for more is told.
        short = asked != PacketLimits().associations and asked > associations
        notes = [f"the system gives {descriptors} descriptors: {associations} UDP associations at most, not {asked}"]
        assert made.notes == (notes if short else [])
    finally:
        made.close()


@pytest.mark.parametrize(("verbosity", "verbose", "quiet"), [(2, True, False), (0, False, False), (-1, False, True)])
def test_verbosity_arrives(verbosity: int, verbose: bool, quiet: bool) -> None:
    made = Assembly(Loop(), verbosity=verbosity)
    try:
        (server,) = made.server(ServerConfig((PLAIN,)))
        assert (server.verbose, server.quiet) == (verbose, quiet)
    finally:
        made.close()


def test_backends_in_use_are_named_once(assembly: Assembly) -> None:
    assembly.server(ServerConfig((PLAIN,)))
    assert assembly.backends() == ""
    assembly.server(ServerConfig((FIRST, SECOND), crypto="pure"))
    assert assembly.backends() == "pure"


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].family is not Family.NONE])
def test_each_family_has_its_memory_of_salts(name: str) -> None:
    expected = SaltMemory2022 if name.startswith("2022-") else SaltFilter2017
    assert isinstance(salt_memory(METHODS[name].family), expected)


def test_plain_http_needs_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyss.relay.http_forward", None)  # what makes its import fail
    assert plain_http_forward() is None
    monkeypatch.undo()
    pytest.importorskip("h11", reason="plain HTTP is not forwarded without it")
    assert callable(plain_http_forward())


def status_of_a_session(config: ServerConfig, log: Path) -> str:
    """What became of one request for a target on loopback."""
    thread = LoopThread()
    made = thread.call(lambda: Assembly(thread.loop))
    try:
        (server,) = thread.call(lambda: made.server(config))
        with target(echo) as place:
            with socket.create_connection((HOST, server.listeners[0].address[1]), 30) as sock:
                sock.sendall(b"\x01" + socket.inet_aton(HOST) + struct.pack(">H", place.port))
                try:
                    sock.shutdown(socket.SHUT_WR)
                    receive_all(sock)
                except OSError:  # a refused one is reset, at once
                    pass
            thread.until(lambda: not server.sessions)
            found = re.search(rf"-> {HOST}:{place.port} (\S+) up", log.read_text("utf-8"))
    finally:
        thread.end()
        made.close()
    assert not thread.faults
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("forbidden", "allowed", "status"),
    [
        (None, (), "forbidden"),
        (None, ("127.0.0.0/8",), "ok"),
        ((), (), "ok"),
        (("127.0.0.0/8",), (), "forbidden"),
        (("10.0.0.0/8",), (), "ok"),
    ],
)
def test_the_policy_arrives(
    log: Path, forbidden: Optional[tuple[str, ...]], allowed: tuple[str, ...], status: str
) -> None:
    assert status_of_a_session(ServerConfig((PLAIN,), forbidden, allowed), log) == status


def test_the_first_lines_of_the_log(assembly: Assembly, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_faults", {("x", "y"): "the crypto backend x is not used: it is bad"})
    assembly.server(ServerConfig((FIRST,), crypto="pure"))
    tunnels = (Tunnel(HOST, 0, ("game.example", 27015), UDP_ONLY),)
    assembly.local(LocalConfig(((HOST, 0), (HOST, 0)), (FIRST,), tunnels=tunnels, crypto="pure"))
    announce(assembly, ("a note", "another one"))
    ports = [listener.address[1] for one in assembly.services for listener in one.listeners]
    assert assembly.ports[0].address[1] == ports[0]
    *lines, speed = [line[20:] for line in log.read_text("utf-8").splitlines()]
    assert re.fullmatch(
        r"INFO     crypto in pure Python: aes-256-gcm carries about \d+ MB/s on this machine; "
        r"pip install cryptography makes that many times as much",
        speed,
    )
    assert lines == [
        "WARNING  a note",
        "WARNING  another one",
        "WARNING  the crypto backend x is not used: it is bad",
        f"INFO     server on {HOST}:{ports[0]}, crypto by pure",
        f"INFO     local proxy on {HOST}:{ports[1]}, crypto by pure",
        f"INFO     local proxy on {HOST}:{ports[2]}, crypto by pure",
        f"INFO     server on {HOST}:{ports[0]} (UDP), crypto by pure",
        f"INFO     tunnel to game.example:27015 on {HOST}:{assembly.ports[1].address[1]} (UDP), crypto by pure",
    ]


def test_a_proxy_for_udp_alone_says_so(assembly: Assembly, log: Path) -> None:
    (made,) = assembly.local(LocalConfig(((HOST, 0),), (PLAIN,), mode=UDP_ONLY))
    announce(assembly, ())
    assert log.read_text("utf-8").endswith(f" INFO     local proxy for UDP on {HOST}:{number_of(made)}\n")


def test_no_cipher_no_backend_in_the_log(assembly: Assembly, log: Path) -> None:
    (server,) = assembly.server(ServerConfig((PLAIN,)))
    announce(assembly, ())
    lines = [line[20:] for line in log.read_text("utf-8").splitlines()]
    where = f"{HOST}:{number_of(server)}"
    assert lines == [f"INFO     server on {where}", f"INFO     server on {where} (UDP)"]


# --- what runs -----------------------------------------------------------------------------------
@contextmanager
def running(**options: Any) -> Iterator[tuple[LoopThread, Assembly]]:
    """An assembly under a loop that turns; no fault may come up in it."""
    thread = LoopThread()
    made = thread.call(lambda: Assembly(thread.loop, **options))
    try:
        yield thread, made
    finally:
        thread.end()
        made.close()
    assert not thread.faults


def chain(thread: LoopThread, made: Assembly, mode: Mode = BOTH, mtu: int = 0, **local: Any) -> None:
    """A server, and what goes through it: services[0] and ports[0] are the server's."""
    (server,) = thread.call(lambda: made.server(ServerConfig((FIRST,), forbidden_ip=(), mtu=mtu)))
    reached = Server(HOST, number_of(server), FIRST.method, FIRST.password)
    thread.call(lambda: made.local(LocalConfig(servers=(reached,), mode=mode, **{"listen": (), **local})))


@MODES
def test_what_a_proxy_does_for_its_clients(mode: Mode) -> None:
    """It needs TCP in any case: UDP is asked for over a connection."""
    with running() as (thread, made), target(echo) as place, packet_target() as answering:
        chain(thread, made, mode, listen=((HOST, 0),))
        port = number_of(made.services[1])
        if mode.tcp:
            with socks5_connect(port, place.port) as sock:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
        else:
            with pytest.raises(AssertionError, match="SOCKS5 reply 7"):
                socks5_connect(port, place.port).close()
            with socket.create_connection((HOST, port), PATIENT) as sock:
                sock.sendall(b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
                assert receive_all(sock).startswith(b"HTTP/1.1 501 ")
            with socket.create_connection((HOST, port), PATIENT) as sock:
                sock.sendall(b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
                assert receive_all(sock).startswith(b"HTTP/1.1 501 ")
        with SocksAssociation(port) as client:
            assert client.code == (0 if mode.udp else 7)
            if mode.udp:
                assert client.ask(Address.of(HOST, answering.port), b"hello") == b"hello"
        thread.until(lambda: not any(service.sessions for service in made.services))


@MODES
def test_what_goes_through_a_tunnel(mode: Mode) -> None:
    with running() as (thread, made), double_target() as (_, answering):
        chain(thread, made, tunnels=(Tunnel(HOST, 0, (HOST, answering.port), mode),))
        assert len(made.services) == 1 + mode.tcp and len(made.ports) == 1 + mode.udp
        for service in made.services[1:]:
            with socket.create_connection((HOST, number_of(service)), PATIENT) as sock:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
        for port in made.ports[1:]:
            assert ask_packet(port.address, b"hello") == b"hello"
        thread.until(lambda: not any(service.sessions for service in made.services))


def ask_packet(where: Any, payload: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENT)
        sock.sendto(payload, where)
        return sock.recv(65536)


def test_each_kind_has_its_servers() -> None:
    """One that relays TCP and another that relays UDP are enough for both."""
    with running() as (thread, made), target(echo) as place, packet_target() as answering:
        pair = (Server(HOST, 0, GCM, "a", mode=TCP_ONLY), Server(HOST, 0, GCM, "b", mode=UDP_ONLY))
        thread.call(lambda: made.server(ServerConfig(pair, forbidden_ip=())))
        numbers = number_of(made.services[0]), made.ports[0].address[1]
        reached = tuple(replace(server, port=port) for server, port in zip(pair, numbers))
        (local,) = thread.call(lambda: made.local(LocalConfig(((HOST, 0),), reached)))
        for _ in range(3):  # they would take turns
            with socks5_connect(number_of(local), place.port) as sock:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
            with SocksAssociation(number_of(local)) as client:
                assert client.ask(Address.of(HOST, answering.port), b"hello") == b"hello"
        thread.until(lambda: not any(service.sessions for service in made.services))


def test_the_policy_holds_for_datagrams(log: Path) -> None:
    with running() as (thread, made), packet_target() as answering:
        (server,) = thread.call(lambda: made.server(ServerConfig((FIRST,))))
        reached = Server(HOST, number_of(server), FIRST.method, FIRST.password)
        tunnel = Tunnel(HOST, 0, (HOST, answering.port), UDP_ONLY)
        thread.call(lambda: made.local(LocalConfig((), (reached,), tunnels=(tunnel,))))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", made.ports[1].address)
            thread.until(lambda: made.table.statistics.dropped["forbidden"] == 1)
        assert not answering.heard
    assert "a UDP packet was dropped (server, " in log.read_text("utf-8")


def test_who_talks_with_whom_is_logged_if_wanted(log: Path) -> None:
    for verbosity in (0, 1):
        with running(verbosity=verbosity) as (thread, made), packet_target() as answering:
            chain(thread, made, tunnels=(Tunnel(HOST, 0, (HOST, answering.port), UDP_ONLY),))
            before = len(log.read_text("utf-8"))
            assert ask_packet(made.ports[1].address, b"hello") == b"hello"
            said = re.findall(rf"connecting {HOST}:{answering.port} from {HOST}:\d+", log.read_text("utf-8")[before:])
            assert len(said) == 2 * verbosity  # at each end


def test_what_does_not_fit_into_the_mtu_is_complained_about_and_sent(log: Path) -> None:
    with running() as (thread, made), packet_target() as answering:
        chain(thread, made, mtu=1400, tunnels=(Tunnel(HOST, 0, (HOST, answering.port)),))
        assert ask_packet(made.ports[1].address, bytes(1000)) == bytes(1000)
        assert "MTU" not in log.read_text("utf-8")
        assert ask_packet(made.ports[1].address, bytes(1400)) == bytes(1400)
    assert re.search(r"WARNING  a datagram of \d+ bytes does not fit into the MTU of 1400: ", log.read_text("utf-8"))


def test_the_end_closes_ports_and_their_associations() -> None:
    with running() as (thread, made), packet_target() as answering:
        chain(thread, made, tunnels=(Tunnel(HOST, 0, (HOST, answering.port), UDP_ONLY),))
        assert ask_packet(made.ports[1].address, b"hello") == b"hello"
        addresses = [port.address for port in made.ports]
        assert thread.call(lambda: len(made.table)) == 2  # one at each end
    assert len(made.table) == 0
    for address in addresses:
        datagram_socket(*address).close()  # it is free again


# --- names ---------------------------------------------------------------------------------------
NAME_SERVER = NameServer("tls", "192.0.2.53", 853, "dns.example")


def test_who_asks_for_names() -> None:
    with running() as (_, made):
        assert type(made.resolver) is Resolver
    pytest.importorskip("dns", reason="name servers of one's choice are asked with the package dnspython")
    with running(name_servers=[NAME_SERVER]) as (_, made):
        assert type(made.resolver).__name__ == "NameClient"


def test_name_servers_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyss.net.nameclient", None)  # what makes its import fail
    loop = Loop()
    with pytest.raises(ConfigError, match=r"^to ask name servers needs the package dnspython: pip install dnspython$"):
        Assembly(loop, name_servers=[NAME_SERVER])
    loop.close()


# --- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["TCP", "UDP"])
def test_a_port_that_another_program_has(assembly: Assembly, kind: str) -> None:
    """The sentence names the options of this end, and UDP where it is UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM) as other:
        other.bind((HOST, free_port()))
        if kind == "TCP":
            other.listen()
        port = other.getsockname()[1]
        where = f"cannot listen on {HOST}:{port}{' (UDP)' if kind == 'UDP' else ''}: "
        tunnel = LocalConfig((), (FIRST,), tunnels=(Tunnel(HOST, port, ("t", 1)),))
        for call, option in (
            (lambda: assembly.server(ServerConfig((Server(HOST, port, GCM, "x"),))), "-p PORT"),
            (lambda: assembly.local(tunnel), "-l PORT"),
        ):
            with pytest.raises(ConfigError) as caught:
                call()
            assert str(caught.value).startswith(where)
            assert str(caught.value).endswith(f"choose another one ({option})")
        if kind == "UDP":  # which a proxy has no port of
            assembly.local(LocalConfig(((HOST, port),), (FIRST,)))
        else:
            with pytest.raises(ConfigError, match=re.escape(where)):
                assembly.local(LocalConfig(((HOST, port),), (FIRST,)))


def test_an_address_that_this_machine_does_not_have(assembly: Assembly) -> None:
    elsewhere = "192.0.2.1"  # TEST-NET-1, RFC 5737
    with pytest.raises(ConfigError, match=rf"^cannot listen on {elsewhere}:0: .*\(-s HOST\), or 0\.0\.0\.0 for all"):
        assembly.server(ServerConfig((Server(elsewhere, 0, GCM, "x"),)))
    with pytest.raises(ConfigError, match=rf"^cannot listen on {elsewhere}:0 \(UDP\): .*\(-b HOST\), or 0\.0\.0\.0"):
        assembly.local(LocalConfig((), (FIRST,), tunnels=(Tunnel(elsewhere, 0, ("t", 1), UDP_ONLY),)))


def test_what_was_opened_before_a_refusal_is_closed(assembly: Assembly) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on {HOST}:{taken}"):
            assembly.server(ServerConfig((FIRST, Server(HOST, taken, GCM, "x"))))
    first = assembly.services[0].listeners[0].address[1]
    assembly.close()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, first)) != 0
    datagram_socket(HOST, first).close()  # it is free again


def test_a_backend_that_does_not_exist(assembly: Assembly) -> None:
    with pytest.raises(ConfigError, match="there is no crypto backend 'bogus'"):
        assembly.server(ServerConfig((FIRST,), crypto="bogus"))
