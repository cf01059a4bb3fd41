"""Which addresses are this machine's own.

No portable call lists them, but routing tells: when a UDP socket is connected to an address of this
machine, the source that the system chooses for it is that very address.  Connecting a UDP socket sends
nothing.  This also finds what no list of interfaces holds, such as networks routed to the machine itself.
"""

from __future__ import annotations

import errno
import socket
from typing import Callable

from .clock import monotonic

LIFETIME = 10.0  # seconds an answer is believed: interfaces come and go
MOST_KNOWN = 4096

_ANY_PORT = 9  # "discard"; connect() wants one, nothing is sent to it

# No way leads to such an address, so it is not here either.
_NO_WAY = frozenset(
    {
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL),
        *(errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EINVAL, errno.EACCES, errno.EPERM),
        *(10013, 10022),  # WSAEACCES and WSAEINVAL, which older Pythons for Windows leave as they are
    }
)


def is_own_address(ip: str) -> bool:
    """Whether packets to `ip`, an IP address without a zone, stay on this machine.

    Raises OSError when that cannot be told (no descriptor is free), ValueError when `ip` is no IP address.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        socket.inet_pton(family, ip)  # connect() would look up a name
    except OSError:
        raise ValueError(f"{ip[:60]!r} is not an IP address") from None
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((ip, _ANY_PORT))
            source, target = probe.getsockname()[0], probe.getpeername()[0]
    except OSError as error:
        if error.errno in _NO_WAY:
            return False
        raise
    # All of 127/8 is here, but is reached from 127.0.0.1.
    return bool(source == target or source == "::1" or source.startswith("127."))


class OwnAddresses:
    """`is_own_address` with a memory: a system call or five for each new address, none for a known one.

    All is forgotten when the oldest answer is LIFETIME seconds old, or MOST_KNOWN are held.
    """

    __slots__ = ("_clock", "_known", "_probe", "_since")

    def __init__(self, probe: Callable[[str], bool] = is_own_address, clock: Callable[[], float] = monotonic) -> None:
        self._probe = probe
        self._clock = clock
        self._known: dict[str, bool] = {}
        self._since = clock()

    def __call__(self, ip: str) -> bool:
        """Raises what the probe raises, and remembers nothing then."""
        now = self._clock()
        if now - self._since > LIFETIME:
            self._known.clear()
        own = self._known.get(ip)
        if own is None:
            own = self._probe(ip)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            if not self._known:
                self._since = now
            self._known[ip] = own
        return own
