"""Accepting connections, and stopping to do so in time.

Without descriptors `accept` fails and the listening socket stays readable: a loop that just tried again
would spin.  So a listener pauses, says so once a minute, and resumes when a session ended or a second
has passed.  It pauses likewise while its service is full (`has_room`), which leaves descriptors for the
sessions that already run.
"""

from __future__ import annotations

import socket
from typing import Callable, Optional

from .channel import Channel
from .loop import READ, Loop
from .socket_options import inherits, keep_alive_of, prepare_accepted
from .sockets import EXHAUSTED, MORE_SOCKETS, WOULD_BLOCK, Socket, SocketAddress, acceptor, errno_text
from .timers import Timer

RETRY_AFTER = 1.0  # seconds
COMPLAIN_EVERY = 60.0  # seconds

Accepted = Callable[[Socket, SocketAddress], None]


class Listener:
    """One listening socket under the loop; it stays open whatever goes wrong with one connection.

    accepted  called with each new non-blocking socket and the peer's address; if it raises, the socket
              is closed, so nothing that can fail may follow its `watch`
    has_room  whether one more session may start
    complain  called with one sentence when descriptors run out
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        accepted: Accepted,
        *,
        has_room: Callable[[], bool] = lambda: True,
        complain: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._loop = loop
        self._accepted = accepted
        self._has_room = has_room
        self._complain = complain
        self._channel = Channel(sock, self._on_ready, self)
        self._accept = acceptor(sock)
        self._retry: Optional[Timer] = None
        self._complained = -COMPLAIN_EVERY
        # Systems differ in what accepted sockets inherit; the first one shows it.
        self._inherits: Optional[bool] = None
        self._keep_alive = keep_alive_of(sock)
        self.address: SocketAddress = sock.getsockname()
        loop.watch(self._channel, READ)

    def abort(self, error: BaseException) -> None:
        """A fault while accepting ends that one connection; the port stays open."""
        self._loop.on_fault(error)

    def resume(self) -> None:
        """A session ended: there may be room again."""
        if self._retry is not None and self._has_room():
            self._retry.cancel()
            self._retry = None
            self._loop.watch(self._channel, READ)

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._loop.retire(self._channel)

    def _on_ready(self, channel: Channel, mask: int) -> None:
        if not self._has_room():
            self._pause("as many sessions as this process has sockets for")
            return
        try:
            sock, peer = self._accept()
        except WOULD_BLOCK:
            return
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._pause(errno_text(error.errno))
            return  # else the peer was gone before it was taken
        try:
            if self._inherits is None:
                self._inherits = inherits(sock, self._keep_alive)
            if not self._inherits:
                prepare_accepted(sock, self._keep_alive)
        except OSError:  # macOS: EINVAL when the peer has reset the connection already
            sock.close()
            return
        try:
            self._accepted(sock, peer)
        except BaseException:
            sock.close()
            raise

    def _pause(self, reason: str) -> None:
        self._loop.watch(self._channel, 0)
        self._retry = self._loop.call_later(RETRY_AFTER, self._try_again, self)
        if self._loop.now - self._complained >= COMPLAIN_EVERY:
            self._complained = self._loop.now
            self._complain(f"accepting pauses until sessions end: {reason}; {MORE_SOCKETS}")

    def _try_again(self) -> None:
        self._retry = None
        self._loop.watch(self._channel, READ)
