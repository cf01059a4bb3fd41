"""Datagram clients and targets for the tests: blocking sockets that know nothing of pyss."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional

from helpers.relay import HOST, PATIENT, RunningRelay, SelectorFactory, relay
from helpers.traffic import receive_exactly
from pyss.address import Address
from pyss.limits import PACKET_LIMITS, PacketLimits
from pyss.net.epoll import default_selector

Answer = Callable[[bytes], Optional[bytes]]
Where = tuple[str, int]


class SocksAssociation:
    """UDP ASSOCIATE of SOCKS5 (RFC 1928 section 7): `udp` sends to `where`, as long as `tcp` stands.

    code  of the answer, 0 for success
    """

    def __init__(self, proxy_port: int, announced: bytes = bytes(6), host: str = HOST) -> None:
        self.tcp = socket.create_connection((host, proxy_port), PATIENT)
        self.tcp.sendall(b"\x05\x01\x00")
        assert receive_exactly(self.tcp, 2) == b"\x05\x00"
        self.tcp.sendall(b"\x05\x03\x00\x01" + announced)
        self.code = receive_exactly(self.tcp, 4)[1]
        answer = receive_exactly(self.tcp, 6)
        self.where = (socket.inet_ntoa(answer[:4]), int.from_bytes(answer[4:], "big"))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HOST, 0))
        self.udp.settimeout(PATIENT)

    def send(self, target: Address, payload: bytes) -> None:
        self.udp.sendto(bytes(3) + target.wire + payload, self.where)

    def receive(self) -> tuple[Address, bytes]:
        packet, where = self.udp.recvfrom(65536)
        assert where == self.where
        assert packet[:3] == bytes(3)
        parsed = Address.parse(packet, 3)
        assert parsed is not None
        return parsed[0], packet[parsed[1] :]

    def ask(self, target: Address, payload: bytes) -> bytes:
        """Send, and the next answer, which must come from the target's port."""
        self.send(target, payload)
        source, answer = self.receive()
        assert source.port == target.port
        return answer

    def __enter__(self) -> SocksAssociation:
        return self

    def __exit__(self, *exception: object) -> None:
        self.tcp.close()
        self.udp.close()


class PacketTarget:
    """Answers datagrams in a thread.

    heard  payloads, in order, with the address each came from
    """

    def __init__(self, sock: socket.socket, answer: Answer) -> None:
        self.sock = sock
        self.heard: list[tuple[bytes, Where]] = []
        self._answer = answer
        self._ended = False
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    def wait_for(self, count: int) -> list[bytes]:
        """Until so many packets have come; returns the payloads of all."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.heard) >= count, PATIENT), self.heard
            return [payload for payload, _ in self.heard]

    def _serve(self) -> None:
        while True:
            packet, where = self.sock.recvfrom(65536)
            if self._ended:
                return
            with self._more:
                self.heard.append((packet, where[:2]))
                self._more.notify_all()
            answer = self._answer(packet)
            if answer is not None:
                self.sock.sendto(answer, where)

    def end(self) -> None:
        self._ended = True
        host, port = self.sock.getsockname()[:2]
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", (host, port))
        self._thread.join(PATIENT)
        self.sock.close()


def echo_packet(packet: bytes) -> bytes:
    return packet


@contextmanager
def packet_target(answer: Answer = echo_packet, host: str = HOST, port: int = 0) -> Iterator[PacketTarget]:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    running = PacketTarget(sock, answer)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def associated(
    selector: SelectorFactory = default_selector,
    *,
    answer: Answer = echo_packet,
    announced: bytes = bytes(6),
    packets: PacketLimits = PACKET_LIMITS,
    **options: Any,
) -> Iterator[tuple[RunningRelay, SocksAssociation, PacketTarget]]:
    """A relay, a client of it that has an association, and a target."""
    with ExitStack() as stack:
        running = stack.enter_context(relay(selector, packets=packets, **options))
        target = stack.enter_context(packet_target(answer))
        yield running, stack.enter_context(SocksAssociation(running.local_port, announced)), target
