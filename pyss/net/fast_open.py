"""Connections whose first data leave with the SYN (TCP Fast Open, RFC 7413), as Linux makes them.

    connect()          send(first data)                          first visit: no cookie, an ordinary handshake
       │ cookie known     │ SYN + cookie + first data ──►        later: one round trip less
       └── nothing sent ──┘                    ◄── SYN ACK

The price is a state that nothing else has: connected as far as anybody can see, and no packet has left.  Two things
would go wrong in it.  A client that waits for the server's words would wait for ever, since there is nothing to send:
so after a moment the SYN goes alone.  And shutdown() before the answer to the SYN gives the connection up, data and
all, rather than sending FIN behind them: so FIN waits until the handshake is complete.
"""

from __future__ import annotations

import socket

Socket = socket.SocketType

FIRST_DATA = 0.02  # seconds that a SYN waits for data: longer than salt and address wait for a payload
LOOK_AGAIN = 1.0  # seconds, at most, between two looks at a handshake

_TCP = int(socket.IPPROTO_TCP)
_TCP_INFO = 11  # whose first byte is the state (Linux)
_SYN_SENT = 2  # also of a connection whose SYN has not left


class FastStream(Socket):
    """A TCP socket with TCP_FASTOPEN_CONNECT.

    fin_waits  whether shutdown() was called before the handshake was complete
    """

    __slots__ = ("fin_waits",)

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.fin_waits = False

    @property
    def opening(self) -> bool:
        """Whether the handshake is still to come, or under way."""
        try:
            return self.getsockopt(_TCP, _TCP_INFO, 1)[0] == _SYN_SENT
        except OSError:  # closed
            return False

    def shutdown(self, how: int) -> None:
        """For SHUT_WR: FIN, now or when it can be sent.  Raises OSError."""
        if self.opening:
            self.fin_waits = True
        else:
            super().shutdown(how)

    def settled(self) -> bool:
        """Whether the handshake has ended, one way or the other; before, let the SYN leave, and behind it FIN."""
        try:
            if self.opening:
                # With nothing to send this is the SYN alone, and nothing at all when one has left already.  Where
                # the connection has failed it is not done, for it would take the error from whoever reads.
                self.send(b"")
                return False
            if self.fin_waits:
                self.fin_waits = False
                super().shutdown(socket.SHUT_WR)
        except BlockingIOError:  # under way: what it says of a SYN
            return False
        except OSError:  # closed or broken: others see that
            pass
        return True
