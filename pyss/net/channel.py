"""One socket under one loop.

`on_ready` is the present state of the channel, changed by plain assignment.  It is a plain function,
called with the channel: a bound method kept in a slot would be a reference cycle and 72 bytes for
each idle connection.
"""

from __future__ import annotations

from typing import Any, Callable, Protocol

from .sockets import Socket


class Failable(Protocol):
    """Who dies when a callback raises: one session, one dial, one listener; never the process."""

    def abort(self, error: BaseException) -> None: ...


class Channel:
    """A socket, what it is watched for, and what happens then.

    sock      non-blocking socket
    fd        its descriptor, kept because it is asked for at every change of `events`
    events    what the loop watches now: EVENT_READ | EVENT_WRITE, or 0 for unregistered
    on_ready  the present state
    owner     who is aborted when `on_ready` raises
    incoming  the layer above: what reads from this channel
    outgoing  the layer above: what writes to this channel
    """

    __slots__ = ("events", "fd", "incoming", "on_ready", "outgoing", "owner", "sock")

    def __init__(self, sock: Socket, on_ready: OnReady, owner: Failable) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.events = 0
        self.on_ready = on_ready
        self.owner = owner
        self.incoming: Any = None
        self.outgoing: Any = None


OnReady = Callable[[Channel, int], None]


def ignore(channel: Channel, mask: int) -> None:
    """The state of a retired channel: events of the same batch that come too late end here."""
