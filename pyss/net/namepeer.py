"""One name server as this process knows it: the ways to it, and what it has shown so far.

    ask ──► udp ──────────────► Datagram, a new one each time
       └──► tcp, tls, or what was truncated over udp ──► Stream, one for all while it lasts

What is learnt of a server, that it is silent or does not know EDNS0, holds for all names that are asked.
"""

from __future__ import annotations

import ssl
from typing import Optional

from .loop import Loop
from .names import NameServer
from .namestream import Stream
from .nametls import Tls
from .namewire import Asker, Datagram, Exchange
from .socket_options import SocketOptions


class Peer:
    """Asks one server.

    patience     seconds until a connection must stand
    context      of TLS; None for a server without
    extended     whether questions go with EDNS0; not any more after answers came only to those without
    rests_until  loop time; until then it is asked after the others, for it was silent
    """

    def __init__(
        self, loop: Loop, server: NameServer, patience: float, context: Optional[ssl.SSLContext], options: SocketOptions
    ) -> None:
        self.server = server
        self.extended = True
        self.rests_until = 0.0
        self._loop = loop
        self._patience = patience
        self._context = context
        self._options = options
        self._stream: Optional[Stream] = None  # the one that takes questions
        self._streams: list[Stream] = []  # with those that only wait for their last answers

    def free_identity(self, identity: int) -> int:
        """This id, or the next that no question on the connection has."""
        while self._stream is not None and identity in self._stream.questions:
            identity = (identity + 1) & 0xFFFF
        return identity

    def ask(self, identity: int, message: bytes, asker: Asker, *, streaming: bool) -> Exchange:
        """Send a question; `identity` is the id that stands in it."""
        if not streaming:
            return Datagram(self._loop, self.server, message, asker, self._options)
        if self._stream is None:
            self._stream = self._connect()
        return self._stream.ask(identity, message, asker)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def _connect(self) -> Stream:
        tls = None
        if self._context is not None:
            tls = Tls(self._context, self.server.name or self.server.host.partition("%")[0])
        stream = Stream(self._loop, self.server, tls, self._patience, self._ended, self._options)
        self._streams = [*(old for old in self._streams if not old.closed), stream]
        return stream

    def _ended(self, stream: Stream) -> None:
        if stream is self._stream:
            self._stream = None
