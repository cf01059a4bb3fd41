"""One question to a name server as one datagram.

    new socket, connected ──► question ──► whatever comes back goes to `asker.heard`, until the asker ends it

A fresh socket for each question has a port that nobody else knows, and being connected it takes packets from that
server alone.  What an answer says is not judged here: the asker ends the exchange when it believes one.
"""

from __future__ import annotations

from functools import partial
from typing import Optional, Protocol

from .channel import Channel
from .loop import READ, Loop
from .names import NameServer
from .socket_options import SocketOptions
from .sockets import WOULD_BLOCK, new_datagram

_BATCH = 8  # datagrams of one event


class Asker(Protocol):
    """Who asked.  Never called out of the call that asked, nor after the exchange has ended."""

    def heard(self, message: bytes) -> None: ...

    def lost(self, why: str, *, used: bool) -> None:
        """No answer will come.  `used`: the connection had served others before, and may just have been closed."""
        ...

    def abort(self, error: BaseException) -> None: ...


class Exchange(Protocol):
    """A question that has been sent."""

    def end(self, *, late: bool = False) -> None:
        """Wait no longer; `late`: because it took too long."""
        ...


class Datagram:
    """One question over UDP."""

    __slots__ = ("_asker", "_channel", "_loop")

    def __init__(self, loop: Loop, server: NameServer, message: bytes, asker: Asker, options: SocketOptions) -> None:
        self._loop = loop
        self._asker: Optional[Asker] = asker
        self._channel: Optional[Channel] = None
        try:
            family, where = server.endpoint()
            sock = new_datagram(family, options)
            try:
                sock.connect(where)
                sock.send(message)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            loop.call_soon(partial(self._lost, error.strerror or str(error)), asker)
        else:
            self._channel = Channel(sock, _on_datagram, self)
            loop.watch(self._channel, READ)

    def end(self, *, late: bool = False) -> None:
        self._asker = None
        if self._channel is not None:
            self._loop.retire(self._channel)

    def abort(self, error: BaseException) -> None:
        if self._asker is not None:
            self._asker.abort(error)
        else:
            self._loop.on_fault(error)

    def read(self, channel: Channel) -> None:
        rx = self._loop.rx
        for _ in range(_BATCH):
            asker = self._asker
            if asker is None:
                return
            try:
                size = channel.sock.recv_into(rx)
            except WOULD_BLOCK:
                return
            except OSError as error:  # nobody listens there (ICMP)
                self._lost(error.strerror or str(error))
                return
            asker.heard(bytes(rx[:size]))

    def _lost(self, why: str) -> None:
        asker = self._asker
        self.end()
        if asker is not None:
            asker.lost(why, used=False)


def _on_datagram(channel: Channel, mask: int) -> None:
    datagram = channel.owner
    assert isinstance(datagram, Datagram)
    datagram.read(channel)
