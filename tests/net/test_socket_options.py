"""What is asked of sockets, read back from those that listeners accept, dialers dial and datagrams go through."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar, Optional

import pytest
from helpers.dialing import Names
from helpers.looping import HOST, PATIENT, Wires, turn

from pyss.address import Address
from pyss.errors import PyssError
from pyss.net import listener as listener_module
from pyss.net import socket_options as module
from pyss.net.channel import Channel
from pyss.net.dialer import Dialer
from pyss.net.listener import Listener
from pyss.net.loop import Loop
from pyss.net.socket_options import NOTHING, SocketOptions
from pyss.net.sockets import Socket, datagram_socket, listening_socket, new_datagram, new_stream

LINUX = sys.platform == "linux"
linux = pytest.mark.skipif(not LINUX, reason="of Linux")
root = pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="of Linux, as root")
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none")

TCP, IP, IPV6, SOL = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
FAMILIES = {HOST: socket.AF_INET, "::1": socket.AF_INET6}
IDLE = module._IDLE
BIND_ADDRESS_NO_PORT, BIND_TO_DEVICE, MARK = 24, 25, 36  # Linux


@pytest.fixture
def loop() -> Iterator[Loop]:
    """One selector is enough: what is asked of sockets is the same for all."""
    faults: list[BaseException] = []
    made = Loop()
    made.on_fault = faults.append
    yield made
    made.close()
    assert not faults


@pytest.fixture
def open_sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def dialed(loop: Loop, where: Any, options: SocketOptions, stack: ExitStack) -> Any:
    """The socket of a connection that a dialer has made."""
    results: list[tuple[Optional[Channel], Optional[PyssError]]] = []
    Dialer(loop, Names(), options=options).dial(Address.of(*where[:2]), lambda *found: results.append(found))
    turn(loop, lambda: results)
    ((channel, error),) = results
    assert channel is not None, error
    stack.callback(channel.sock.close)
    stack.callback(loop.retire, channel)
    return channel.sock


def accepted(loop: Loop, sock: socket.socket, stack: ExitStack) -> Any:
    """What a listener hands out, of a socket that listens."""
    taken: list[Socket] = []
    listener = Listener(loop, sock, lambda sock, peer: taken.append(sock))
    stack.callback(loop.tick, 0)
    stack.callback(listener.close)
    stack.enter_context(socket.create_connection(listener.address[:2], PATIENT))
    turn(loop, lambda: taken)
    stack.callback(taken[0].close)
    return taken[0]


def size_of(sock: Any, name: int) -> int:
    """Linux says twice what it was asked for."""
    size = sock.getsockopt(SOL, name)
    assert isinstance(size, int)
    return size // 2 if LINUX else size


# --- nothing -------------------------------------------------------------------------------------
class Counting(Socket):
    calls: ClassVar[list[tuple[int, ...]]] = []

    def setsockopt(self, *arguments: Any) -> None:
        self.calls.append(arguments[:2])
        super().setsockopt(*arguments)


def test_where_nothing_is_asked_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyss.net import sockets

    monkeypatch.setattr(Counting, "calls", [])
    monkeypatch.setattr(sockets, "Socket", Counting)
    for options in (None, NOTHING):
        Counting.calls.clear()
        sockets.new_stream(socket.AF_INET, options).close()
        assert Counting.calls == [(TCP, socket.TCP_NODELAY)]
        sockets.new_datagram(socket.AF_INET).close()
        assert len(Counting.calls) == 1
    assert Dialer(None, Names(), options=SocketOptions()).options is None  # type: ignore[arg-type]


def test_accepting_calls_nothing_where_all_is_inherited(
    loop: Loop, open_sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(listener_module, "prepare_accepted", lambda sock, keep_alive: told.append(keep_alive))
    monkeypatch.setattr(listener_module, "inherits", lambda sock, keep_alive: True)
    accepted(loop, listening_socket(HOST, 0, options=SocketOptions(keep_alive=77)), open_sockets)
    assert not told


# --- keep-alive ----------------------------------------------------------------------------------
@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("inherits", [True, False])
def test_keep_alive_of_accepted_connections(
    loop: Loop, open_sockets: ExitStack, host: str, inherits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not inherits:  # as on a system that makes accepted sockets anew
        real = listener_module.inherits

        def forgetful(sock: Socket, keep_alive: int) -> bool:
            sock.setsockopt(SOL, socket.SO_KEEPALIVE, 0)
            sock.setsockopt(TCP, IDLE, 1)
            return real(sock, keep_alive)

        monkeypatch.setattr(listener_module, "inherits", forgetful)
    sock = accepted(loop, listening_socket(host, 0, options=SocketOptions(keep_alive=77)), open_sockets)
    assert sock.getsockopt(SOL, socket.SO_KEEPALIVE)
    assert sock.getsockopt(TCP, IDLE) == sock.getsockopt(TCP, module._INTERVAL) == 77
    assert sock.getsockopt(TCP, socket.TCP_NODELAY)


@linux
def test_linux_inherits_it(loop: Loop, open_sockets: ExitStack) -> None:
    """So accepting is as fast as ever."""
    with listening_socket(HOST, 0, options=SocketOptions(keep_alive=77)) as listening:
        listening.setblocking(True)
        with socket.create_connection(listening.getsockname(), PATIENT):
            sock, _ = listening.accept()
            with sock:
                assert module.inherits(sock, 77) and not module.inherits(sock, 78)


def test_no_keep_alive_by_default(loop: Loop, wires: Wires, open_sockets: ExitStack) -> None:
    for sock in (
        accepted(loop, listening_socket(HOST, 0), open_sockets),
        dialed(loop, wires.listening().getsockname(), NOTHING, open_sockets),
    ):
        assert not sock.getsockopt(SOL, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("host", FAMILIES)
def test_keep_alive_of_dialed_connections(loop: Loop, wires: Wires, open_sockets: ExitStack, host: str) -> None:
    sock = dialed(loop, wires.listening(host=host).getsockname(), SocketOptions(keep_alive=78), open_sockets)
    assert sock.getsockopt(SOL, socket.SO_KEEPALIVE)
    assert sock.getsockopt(TCP, IDLE) == 78
    assert sock.getsockopt(TCP, socket.TCP_NODELAY)
    assert sock.gettimeout() == 0


# --- Multipath TCP -------------------------------------------------------------------------------
@linux
@pytest.mark.parametrize("host", FAMILIES)
def test_multipath(loop: Loop, open_sockets: ExitStack, host: str) -> None:
    options = SocketOptions(mptcp=True, keep_alive=20)
    try:
        listening = listening_socket(host, 0, options=options)
    except OSError as error:
        pytest.skip(f"this kernel has none: {error}")
    listening.setblocking(True)
    with listening:
        sock = dialed(loop, listening.getsockname(), options, open_sockets)
        peer, _ = listening.accept()
        with peer:
            for end in (sock, listening, peer):
                assert end.getsockopt(SOL, socket.SO_PROTOCOL) == 262
                assert end.getsockopt(TCP, socket.TCP_NODELAY)
            sock.send(b"here")
            assert peer.recv(9) == b"here"


def test_multipath_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MPTCP", None)
    for call in (lambda: new_stream(socket.AF_INET, SocketOptions(mptcp=True)),
                 lambda: listening_socket(HOST, 0, options=SocketOptions(mptcp=True))):  # fmt: skip
        with pytest.raises(OSError, match="this system has none"):
            call()


# --- own address, interface, mark ----------------------------------------------------------------
@linux
def test_the_own_address_of_connections(loop: Loop, wires: Wires, open_sockets: ExitStack) -> None:
    listening = wires.listening()
    sock = dialed(loop, listening.getsockname(), SocketOptions(bind_ipv4="127.0.0.9"), open_sockets)
    assert sock.getsockname()[0] == "127.0.0.9"
    assert wires.accept(listening).getpeername()[0] == "127.0.0.9"
    assert sock.getsockopt(IP, BIND_ADDRESS_NO_PORT)


def test_each_family_has_an_own_address_of_its_own(loop: Loop, wires: Wires, open_sockets: ExitStack) -> None:
    """A target of a family for which none is given is reached as ever."""
    only_ipv6, only_ipv4 = SocketOptions(bind_ipv6="::1"), SocketOptions(bind_ipv4=HOST)
    assert dialed(loop, wires.listening().getsockname(), only_ipv6, open_sockets).getsockname()[0] == HOST
    assert dialed(loop, wires.listening(host="::1").getsockname(), only_ipv4, open_sockets).getsockname()[0] == "::1"
    sock = dialed(loop, wires.listening(host="::1").getsockname(), only_ipv6, open_sockets)
    assert sock.getsockname()[0] == "::1"
    if LINUX:
        assert sock.getsockopt(IP, BIND_ADDRESS_NO_PORT)


@linux
def test_one_port_serves_for_several_targets(wires: Wires, open_sockets: ExitStack) -> None:
    """Until connect() an address is bound and no port is, so ports do not run out."""
    sock: Any = new_stream(socket.AF_INET, SocketOptions(bind_ipv4=HOST))
    open_sockets.callback(sock.close)
    assert sock.getsockname() == (HOST, 0)


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(OSError) as failure:
        new_stream(socket.AF_INET, SocketOptions(bind_ipv4="192.0.2.1"))
    assert failure.value.errno in (errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", None))
    frames = [entry.frame.f_locals.get("sock") for entry in failure.traceback]
    assert all(sock.fileno() == -1 for sock in frames if sock is not None)  # and the socket is closed


@root
@pytest.mark.parametrize("host", FAMILIES)
def test_interface_and_mark(loop: Loop, wires: Wires, open_sockets: ExitStack, host: str) -> None:
    options = SocketOptions(interface="lo", mark=0x80000001)
    sock = dialed(loop, wires.listening(host=host).getsockname(), options, open_sockets)
    packets: Any = new_datagram(FAMILIES[host], options)
    open_sockets.callback(packets.close)
    for made in (sock, packets):
        assert made.getsockopt(SOL, BIND_TO_DEVICE, 16) == b"lo\0"
        assert struct.unpack("@I", made.getsockopt(SOL, MARK, 4)) == (0x80000001,)


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(OSError):
        new_stream(socket.AF_INET, SocketOptions(interface="there is no such one"))


# --- code point and buffers ----------------------------------------------------------------------
@not_windows
@pytest.mark.parametrize("host", FAMILIES)
def test_the_code_point(loop: Loop, open_sockets: ExitStack, host: str) -> None:
    options = SocketOptions(dscp=46)
    level, name = (IPV6, socket.IPV6_TCLASS) if host == "::1" else (IP, socket.IP_TOS)
    listening = listening_socket(host, 0, options=options)
    sock = dialed(loop, listening.getsockname(), options, open_sockets)
    made = [
        sock,
        accepted(loop, listening, open_sockets),
        new_datagram(FAMILIES[host], options),
        datagram_socket(host, 0, options),
    ]
    open_sockets.callback(made[2].close)
    open_sockets.callback(made[3].close)
    assert [one.getsockopt(level, name) & 0xFC for one in made] == [46 << 2] * 4


@linux
def test_the_code_point_of_a_listener_for_both_families() -> None:
    with listening_socket("::", 0, options=SocketOptions(dscp=10, ipv6_only=False)) as sock:
        assert sock.getsockopt(IPV6, socket.IPV6_TCLASS) == sock.getsockopt(IP, socket.IP_TOS) == 40


def test_buffers(loop: Loop, open_sockets: ExitStack) -> None:
    options = SocketOptions(
        incoming_send=20_000, incoming_receive=30_000, outgoing_send=40_000, outgoing_receive=50_000
    )
    listening = listening_socket(HOST, 0, options=options)
    out = dialed(loop, listening.getsockname(), options, open_sockets)
    assert (size_of(out, socket.SO_SNDBUF), size_of(out, socket.SO_RCVBUF)) == (40_000, 50_000)
    into = accepted(loop, listening, open_sockets)
    assert (size_of(into, socket.SO_SNDBUF), size_of(into, socket.SO_RCVBUF)) == (20_000, 30_000)


# --- listening -----------------------------------------------------------------------------------
def port_of_its_own(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@not_windows
@pytest.mark.parametrize("listen", [listening_socket, datagram_socket])
def test_a_shared_port(listen: Any, open_sockets: ExitStack) -> None:
    port = port_of_its_own(socket.SOCK_STREAM if listen is listening_socket else socket.SOCK_DGRAM)
    shared = SocketOptions(reuse_port=True)
    for _ in range(2):
        sock = open_sockets.enter_context(listen(HOST, port, options=shared))
        assert sock.getsockopt(SOL, socket.SO_REUSEPORT)
    with pytest.raises(OSError):
        listen(HOST, port)


@not_windows
@pytest.mark.parametrize("listen", [listening_socket, datagram_socket])
def test_a_port_that_the_system_chooses_is_not_shared(listen: Any) -> None:
    """It might be one that another socket of ours shares, and take its clients."""
    with listen(HOST, 0, options=SocketOptions(reuse_port=True)) as sock:
        assert not sock.getsockopt(SOL, socket.SO_REUSEPORT)


@pytest.mark.parametrize("listen", [listening_socket, datagram_socket])
@pytest.mark.parametrize("only", [True, False])
def test_ipv6_only(listen: Any, only: bool, open_sockets: ExitStack) -> None:
    with listen("::", 0, options=SocketOptions(ipv6_only=only)) as sock:
        assert bool(sock.getsockopt(IPV6, socket.IPV6_V6ONLY)) == only
        port = sock.getsockname()[1]
        if listen is listening_socket and not only:
            with socket.create_connection((HOST, port), PATIENT) as client:
                wait(sock)
                peer, address = sock.accept()
                peer.close()
                assert address[:2] == ("::ffff:" + HOST, client.getsockname()[1])
        elif listen is listening_socket:
            with pytest.raises(OSError):
                socket.create_connection((HOST, port), PATIENT)
        elif not only:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"four", (HOST, port))
                wait(sock)
                assert sock.recvfrom(9) == (b"four", ("::ffff:" + HOST, client.getsockname()[1], 0, 0))


def wait(sock: Any) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock.fileno(), selectors.EVENT_READ)
        assert selector.select(PATIENT)


# --- datagrams -----------------------------------------------------------------------------------
@pytest.mark.parametrize("host", FAMILIES)
def test_datagrams_there_and_back(host: str, open_sockets: ExitStack) -> None:
    served = open_sockets.enter_context(datagram_socket(host, 0))
    sock: Any = new_datagram(FAMILIES[host])
    open_sockets.callback(sock.close)
    for one in (served, sock):
        assert one.gettimeout() == 0 and one.type == socket.SOCK_DGRAM
        with pytest.raises(BlockingIOError):
            one.recv(1)
    sock.sendto(b"there", served.getsockname())
    wait(served)
    data, client = served.recvfrom(100)
    served.sendto(data + b" and back", client)
    wait(sock)
    assert sock.recvfrom(100)[0] == b"there and back"


def test_the_own_address_of_datagrams(open_sockets: ExitStack) -> None:
    for family, host in ((socket.AF_INET, HOST), (socket.AF_INET6, "::1")):
        sock: Any = new_datagram(family, SocketOptions(bind_ipv4=HOST, bind_ipv6="::1"))
        open_sockets.callback(sock.close)
        assert sock.getsockname()[0] == host


def test_the_port_of_clients_has_room(open_sockets: ExitStack) -> None:
    """More than a socket has by itself, where the system gives more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as usual, datagram_socket(HOST, 0) as sock:
        most = usual.getsockopt(SOL, socket.SO_RCVBUF)
        try:
            usual.setsockopt(SOL, socket.SO_RCVBUF, 1 << 20)
            most = max(most, usual.getsockopt(SOL, socket.SO_RCVBUF))
        except OSError:
            pass
        assert sock.getsockopt(SOL, socket.SO_RCVBUF) >= most


class Stingy:
    """A system that gives at most so much, and refuses to be asked for more, as macOS does."""

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, most

    def getsockopt(self, level: int, name: int) -> int:
        return self.size

    def setsockopt(self, level: int, name: int, value: int) -> None:
        if value > self.most:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        self.size = value


@pytest.mark.parametrize(
    ("usual", "most", "expected"),
    [(1000, 1 << 30, 1 << 20), (1000, 600_000, 1 << 19), (1000, 300_000, 1 << 18), (1000, 2000, 1000),
     (1 << 22, 1 << 30, 1 << 22), (1 << 19, 1000, 1 << 19)],
)  # fmt: skip
def test_as_much_room_as_the_system_gives(usual: int, most: int, expected: int) -> None:
    sock: Any = Stingy(usual, most)
    module.ask_for_room(sock)
    assert sock.size == expected


def test_a_udp_port_in_use_is_an_error() -> None:
    with datagram_socket(HOST, 0) as first, pytest.raises(OSError) as failure:
        datagram_socket(HOST, first.getsockname()[1])
    assert failure.traceback[-1].frame.f_locals["sock"].fileno() == -1  # and the socket is closed
