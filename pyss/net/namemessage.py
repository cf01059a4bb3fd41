"""Questions to name servers and what comes back, as bytes (RFC 1035 section 4); dnspython knows the records.

     0      2       4         6         8         10        12
    +------+-------+---------+---------+---------+---------+----------+--------+-----------+---
    |  ID  | flags | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT | question | answer | authority | ...
    +------+-------+---------+---------+---------+---------+----------+--------+-----------+---
            QR opcode TC rcode                               name type  records: name type class TTL
                                                             class      size data

An answer is read as far as it is needed and no further, for it may be anybody's: header and question first,
and what does not fit those that were sent is not looked at any more.  Of the records only addresses, aliases
and the SOA of a denial are taken; the number of records and of compression pointers is bounded, because 64 KiB
of pointers to pointers would keep a reader busy for seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire

Name = dns.name.Name

PAYLOAD = 1232  # bytes of an answer over UDP that pass everywhere in one piece (DNS flag day 2020)
PADDING = 128  # bytes; a question through TLS is a multiple of it (RFC 8467 section 4.1)
MOST_RECORDS = 256  # read of one answer
MOST_POINTERS = 2048  # followed in one answer

A, AAAA = int(dns.rdatatype.A), int(dns.rdatatype.AAAA)
NOERROR, FORMERR, NXDOMAIN, NOTIMP = (
    int(code) for code in (dns.rcode.NOERROR, dns.rcode.FORMERR, dns.rcode.NXDOMAIN, dns.rcode.NOTIMP)
)
_ALIAS, _SOA, _IN = int(dns.rdatatype.CNAME), int(dns.rdatatype.SOA), int(dns.rdataclass.IN)
_QR, _TC = int(dns.flags.QR), int(dns.flags.TC)
_HEADER = 12
_MOST_TTL = 0x7FFFFFFF


class Malformed(Exception):
    """Header and question fit, and the rest cannot be read."""


class Reply(NamedTuple):
    """An answer to the question that was asked.

    code       RCODE
    truncated  TC: the answer did not fit, and nothing of it was read
    addresses  owner: addresses in text with their time to live, in seconds
    aliases    owner: CNAME target, time to live
    denials    owner of each SOA: seconds that the absence of something may be remembered (RFC 2308 section 5)
    """

    code: int
    truncated: bool
    addresses: dict[Name, list[tuple[str, int]]]
    aliases: dict[Name, tuple[Name, int]]
    denials: dict[Name, int]


def name_of(text: str) -> Name:
    """A canonical name (see `names.canonical`) in the form that dnspython has for it."""
    return Name([*(label.encode() for label in text.split(".")), b""])


def question(name: Name, kind: int, identity: int, *, extended: bool, padded: bool = False) -> bytes:
    """A message that asks one thing; with `extended` as EDNS0 does (RFC 6891)."""
    message = dns.message.make_query(name, dns.rdatatype.RdataType(kind), id=identity)
    if extended:
        message.use_edns(0, payload=PAYLOAD, pad=PADDING if padded else 0)
    return message.to_wire()


def code_text(code: int) -> str:
    return dns.rcode.to_text(dns.rcode.Rcode(code))


class _Reader(dns.wire.Parser):
    """Goes through a message; each pointer of a compressed name is one `seek`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._pointers = 0

    def seek(self, where: int) -> None:
        self._pointers += 1
        if self._pointers > MOST_POINTERS:
            raise ValueError("too many compression pointers")
        super().seek(where)


def read(data: bytes, identity: int, name: Name, kind: int) -> Optional[Reply]:
    """What a message says to the question that was sent; None when it is no answer to that.

    Raises Malformed.
    """
    if len(data) < _HEADER:
        return None
    reader = _Reader(data)
    number, flags, questions, answers, authorities, _ = reader.get_struct("!HHHHHH")
    if number != identity or not flags & _QR or dns.opcode.from_flags(flags) != dns.opcode.QUERY:
        return None
    reply = Reply(flags & 0xF, bool(flags & _TC), {}, {}, {})
    if questions == 0 and reply.code not in (NOERROR, NXDOMAIN):
        return reply  # servers that did not understand the question do not repeat it
    if questions != 1 or not _repeats(reader, name, kind):
        return None
    if not reply.truncated and reply.code in (NOERROR, NXDOMAIN):
        try:
            _collect(reader, answers, authorities, kind, reply)
        except (dns.exception.DNSException, ValueError) as error:
            raise Malformed(f"unreadable ({type(error).__name__})") from None
    return reply


def _repeats(reader: _Reader, name: Name, kind: int) -> bool:
    """Whether the question is the one that was asked, in whatever case its letters are."""
    try:
        asked = dns.name.from_wire_parser(reader)
        return asked == name and reader.get_struct("!HH") == (kind, _IN)
    except (dns.exception.DNSException, ValueError):
        return False


def _collect(reader: _Reader, answers: int, authorities: int, kind: int, reply: Reply) -> None:
    for owner, found, ttl, data in _records(reader, answers, (kind, _ALIAS)):
        if found == kind:
            reply.addresses.setdefault(owner, []).append((data.address, ttl))
        else:
            reply.aliases.setdefault(owner, (data.target, ttl))
    if answers <= MOST_RECORDS:
        for owner, _, ttl, data in _records(reader, authorities, (_SOA,)):
            reply.denials[owner] = min(ttl, data.minimum)


def _records(reader: _Reader, count: int, wanted: tuple[int, ...]) -> Iterator[tuple[Name, int, int, Any]]:
    """Owner, type, time to live and data of the wanted ones among the next `count` records."""
    for _ in range(min(count, MOST_RECORDS)):
        owner = dns.name.from_wire_parser(reader)
        kind, group, ttl, size = reader.get_struct("!HHIH")
        if group != _IN or kind not in wanted:
            reader.get_bytes(size)
            continue
        with reader.restrict_to(size):
            data = dns.rdata.from_wire_parser(group, kind, reader)
        yield owner, kind, ttl if ttl <= _MOST_TTL else 0, data  # RFC 2181 section 8
