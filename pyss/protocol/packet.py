"""Datagrams, both ends, codec chosen by the family of the method.  Each stands for itself:

    none         |  address | payload  |
    stream       |    IV    | encrypt(address | payload)  |         nothing tells whether it is whole
    AEAD-2017    |   salt   | seal(address | payload)     |         SIP004: a subkey for each, nonce 0
    AEAD-2022    see `packet2022`: sessions of numbered packets

The address is the target on the way up, and where an answer comes from on the way down.

In the families up to 2017 nothing tells the age of a packet, nor the way it goes.  Their servers remember salts and
IVs, those of others so that no packet is taken twice and their own so that none is taken that was sent; a client has
nothing to lose by an answer that comes twice, as UDP itself allows.

What `open` raises is a PyssError and costs one packet: a codec is as it was before.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Callable, Optional, Protocol

from ..address import Address
from ..crypto.backends import Buffer
from ..crypto.methods import Family
from ..errors import BadHeader, BadTag, Replayed, Truncated
from .aead import TAG
from .keyring import Clock, Keyring
from .shadowsocks import SaltMemory

NONCE = bytes(12)  # of AEAD-2017: the subkey is for one packet


class ClientPackets(Protocol):
    """One association, the client's end.

    overhead  most bytes that sealing adds to address and payload, padding aside
    """

    overhead: int

    def seal(self, target: Address, payload: Buffer) -> bytes: ...

    def open(self, packet: memoryview) -> tuple[Address, Buffer]:
        """Where it came from, and the payload, which may be a view of the packet.  Raises PyssError."""


class ServerPackets(Protocol):
    """One port of a server."""

    overhead: int

    def open(self, packet: memoryview, peer: Hashable) -> tuple[Hashable, Address, Buffer]:
        """What tells associations apart (the peer, or a session of AEAD-2022), target, payload.  Raises PyssError."""

    def seal(self, association: Hashable, source: Address, payload: Buffer) -> bytes:
        """To the association, which is the very object that `open` gave."""


def client_packets(keyring: Keyring, monotonic: Clock) -> ClientPackets:
    """Raises ConfigError when no backend, or not the forced one, can do datagrams of this method."""
    if keyring.method.family is Family.AEAD_2022:
        from .packet2022 import Client2022  # for those who use it

        return Client2022(keyring, monotonic)
    return _each_for_itself(keyring, None)


def server_packets(keyring: Keyring, memory: SaltMemory, monotonic: Clock) -> ServerPackets:
    """Raises as `client_packets`.

    memory  of salts, for families before 2022; one of its own, since datagrams bring many more salts than streams
    """
    if keyring.method.family is Family.AEAD_2022:
        from .packet2022 import Server2022

        return Server2022(keyring, monotonic)
    return ByPeer(_each_for_itself(keyring, lambda salt: memory.remember(salt, monotonic())))


Remember = Callable[[bytes], bool]


def _each_for_itself(keyring: Keyring, remember: Optional[Remember]) -> ClientPackets:
    family = keyring.method.family
    if family is Family.NONE:
        return PlainPackets()
    return (AeadPackets if family is Family.AEAD else StreamPackets)(keyring, remember)


class Addresses:
    """Reads addresses.  The one of the packet before is known again in a tenth of the time that reading takes."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Optional[Address] = None

    def read(self, data: bytes, start: int) -> tuple[Address, bytes]:
        """The address at `start` and what follows.  Raises BadHeader where it is cut, BadAddress."""
        last = self._last
        # The encoding says where it ends: bytes that begin with a whole address begin with this address.
        if last is not None and data.startswith(last.wire, start):
            return last, data[start + len(last.wire) :]
        parsed = Address.parse(data, start)
        if parsed is None:
            raise BadHeader("the packet ends inside its address")
        self._last, end = parsed
        return self._last, data[end:]


class PlainPackets:
    """The method `none`."""

    __slots__ = ()

    overhead = 0

    def seal(self, address: Address, payload: Buffer) -> bytes:
        return address.wire + payload

    def open(self, packet: memoryview) -> tuple[Address, Buffer]:
        parsed = Address.parse(packet)
        if parsed is None:
            raise BadHeader("the packet ends inside its address")
        address, end = parsed
        return address, packet[end:]


class StreamPackets:
    """The methods before AEAD: an IV for each packet.

    remember  for a server: what says whether an IV is new, and remembers it
    """

    __slots__ = ("_addresses", "_keyring", "_remember", "overhead")

    def __init__(self, keyring: Keyring, remember: Optional[Remember] = None) -> None:
        self._keyring = keyring
        self._addresses = Addresses()
        self.overhead = keyring.method.salt_size
        self._remember = remember if self.overhead else None  # some have no IV

    def seal(self, address: Address, payload: Buffer) -> bytes:
        iv = self._keyring.entropy(self.overhead)
        if self._remember is not None:
            self._remember(iv)
        return iv + self._keyring.stream(iv, encrypting=True).update(address.wire + payload)

    def open(self, packet: memoryview) -> tuple[Address, Buffer]:
        size = self.overhead
        if len(packet) < size:
            raise Truncated("the packet ends inside its IV")
        iv = bytes(packet[:size])
        plain = self._keyring.stream(iv, encrypting=False).update(packet[size:])
        address, payload = self._addresses.read(plain, 0)
        # After the address: it is all there is to tell a client from noise.
        if self._remember is not None and not self._remember(iv):
            raise Replayed("this IV was used before")
        return address, payload


class AeadPackets:
    """AEAD-2017: a salt, and so a subkey, for each packet.

    remember  as for `StreamPackets`
    """

    __slots__ = ("_addresses", "_keyring", "_remember", "_salt_size", "overhead")

    def __init__(self, keyring: Keyring, remember: Optional[Remember] = None) -> None:
        self._keyring = keyring
        self._addresses = Addresses()
        self._remember = remember
        self._salt_size = keyring.method.salt_size
        self.overhead = self._salt_size + TAG

    def seal(self, address: Address, payload: Buffer) -> bytes:
        keyring = self._keyring
        salt = keyring.entropy(self._salt_size)
        if self._remember is not None:
            self._remember(salt)
        return salt + keyring.session(salt).encrypt(NONCE, address.wire + payload, None)

    def open(self, packet: memoryview) -> tuple[Address, Buffer]:
        if len(packet) < self.overhead:
            raise Truncated("the packet is shorter than salt and tag")
        keyring = self._keyring
        size = self._salt_size
        salt = bytes(packet[:size])
        try:
            plain = keyring.session(salt).decrypt(NONCE, packet[size:], None)
        except keyring.rejected:
            raise BadTag("a packet does not carry a valid tag") from None
        # Only now: an unauthenticated salt would let anybody fill the memory.
        if self._remember is not None and not self._remember(salt):
            raise Replayed("this salt was used before")
        return self._addresses.read(plain, 0)


class ByPeer:
    """A server whose packets name no session: who sent them tells associations apart."""

    __slots__ = ("_packets", "overhead")

    def __init__(self, packets: ClientPackets) -> None:
        self._packets = packets
        self.overhead = packets.overhead

    def open(self, packet: memoryview, peer: Hashable) -> tuple[Hashable, Address, Buffer]:
        target, payload = self._packets.open(packet)
        return peer, target, payload

    def seal(self, association: Hashable, source: Address, payload: Buffer) -> bytes:
        return self._packets.seal(source, payload)
