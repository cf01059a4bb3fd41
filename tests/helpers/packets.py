"""Both ends of datagrams with clocks that tests set, for the tests of all families."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from pyss.address import Address
from pyss.errors import PyssError
from pyss.protocol.keyring import Keyring
from pyss.protocol.packet import ClientPackets, ServerPackets, client_packets, server_packets
from pyss.protocol.replay import SaltFilter2017

from .codecs import NOW, Salts, keyring_of

PEER = ("198.51.100.7", 4321)
TARGET = Address.of("203.0.113.9", 4000)
NAMED = Address.of("game.example", 27015)
SIX = Address.of("2001:db8::5", 443)


class Time:
    """The clock on the wall and the one that never runs backwards, which tests move."""

    def __init__(self, wall: float = NOW + 0.75, monotonic: float = 1000.0) -> None:
        self.now = wall
        self.ticks = monotonic

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.ticks += seconds


def taken(end: Any, packet: bytes, peer: object = PEER) -> tuple[Any, ...]:
    """What `open` gives for a packet in scratch that is overwritten afterwards."""
    scratch = bytearray(packet)
    arguments = (memoryview(scratch), peer) if hasattr(end, "served") else (memoryview(scratch),)
    found = end.open(*arguments)
    found = (*found[:-1], bytes(found[-1]))
    scratch[:] = b"\xdd" * len(scratch)
    return tuple(found)


class Server:
    """A server with what it has told apart; the attribute `served` is its mark."""

    served = True

    def __init__(self, packets: ServerPackets) -> None:
        self.packets: Any = packets

    def open(self, packet: memoryview, peer: Any = PEER) -> tuple[Any, Address, Any]:
        return self.packets.open(packet, peer)  # type: ignore[no-any-return]

    def seal(self, association: Any, source: Address, payload: Any) -> bytes:
        return bytes(self.packets.seal(association, source, payload))


class Ends(NamedTuple):
    """One client and one server with the same key."""

    client: Any
    server: Server
    keyring: Keyring
    time: Time


def new_client(name: str, time: Time, seed: object = "client", crypto: Optional[str] = None) -> ClientPackets:
    return client_packets(keyring_of(name, clock=time.wall, entropy=Salts(seed), crypto=crypto), time.monotonic)


def new_server(name: str, time: Time, seed: object = "server", crypto: Optional[str] = None) -> Server:
    keyring = keyring_of(name, clock=time.wall, entropy=Salts(seed), crypto=crypto)
    return Server(server_packets(keyring, SaltFilter2017(), time.monotonic))


def ends(name: str, crypto: Optional[str] = None) -> Ends:
    time = Time()
    server = new_server(name, time, crypto=crypto)
    return Ends(new_client(name, time, crypto=crypto), server, keyring_of(name), time)


def status_of(end: Any, packet: bytes) -> Optional[str]:
    """Why a packet is refused, None when it is not.  Any exception but a PyssError is a fault."""
    try:
        taken(end, packet)
    except PyssError as error:
        return error.status
    return None
