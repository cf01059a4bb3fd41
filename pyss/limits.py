"""The numbers that bound datagrams and names, in one place: memory, descriptors and time are finite.

What users may want to change is an option (`app`); the rest is fixed here.
"""

from __future__ import annotations

from dataclasses import dataclass

# Of AEAD-2022 (SIP022 section 3.2).
WINDOW = 2048  # packet numbers that a sliding window remembers
LEAST_2022 = 60.0  # seconds that a session is kept at least
MOST_SESSIONS = 65_536  # known at once to one port of a server; less than 1 KB each, and with ciphers of AES 6 KB
MOST_SERVERS = 4  # server sessions that answer one client session at once: a server seldom starts anew

# Packets of one session.  Far before the end of the counter at 2**64, and no more than SP 800-38D section 8.3 allows in
# any case.
MOST_PACKETS = 1 << 32

# Of redirection by TPROXY.
MOST_SENDERS = 256  # sockets that answers leave from; the one not used for longest is closed for another

PADDED = 1200  # bytes that payload and padding have at most: padding must not make fragments


@dataclass(frozen=True)
class PacketLimits:
    """Of one UDP service.

    associations         in all; beyond, the one that has been idle longest ends
    of_client            associations of one client address, counted alike
    waiting              packets of one association that wait for a name
    idle                 seconds without a packet in either direction until an association ends
    answered_dns         the same for an association that was for port 53 alone and has had its answer
    batch                datagrams of one event; the loop sees to others in between
    """

    associations: int = 4096
    of_client: int = 512
    waiting: int = 32
    idle: float = 300.0
    answered_dns: float = 5.0
    batch: int = 32


PACKET_LIMITS = PacketLimits()


@dataclass(frozen=True)
class NameLimits:
    """Of the client of name servers.

    deadline      seconds until a name counts as not resolved
    attempt       seconds until the next server is asked, or the same one again
    attempts      questions of each kind for one name
    least_ttl     seconds; a shorter time to live is raised to it
    most_ttl      seconds; a longer one is lowered to it
    negative_ttl  most seconds that a failure is kept
    names         in the cache
    aliases       CNAMEs that are followed in one answer
    addresses     of one name
    """

    deadline: float = 8.0
    attempt: float = 1.5
    attempts: int = 4
    least_ttl: float = 5.0
    most_ttl: float = 3600.0
    negative_ttl: float = 60.0
    names: int = 4096
    aliases: int = 16
    addresses: int = 64
