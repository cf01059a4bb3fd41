"""TLS without a socket, for the connections to name servers (RFC 7858).

    what the socket brought ──receive──► plain text                      send ◄── plain text
                                 └────────────── take: what the socket is to carry ──┘

The TLS library has a buffer on each side instead of the socket, so that the loop alone reads and writes.
The certificate is verified, always: a name server that anybody could stand in for would be worth no TLS.
"""

from __future__ import annotations

import ssl
from typing import Optional

_AT_ONCE = 16384  # bytes, the most of one TLS record


def name_server_context() -> ssl.SSLContext:
    """Certificates as the system trusts them, TLS 1.2 at least (RFC 8310 section 5)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Tls:
    """The client's side of one connection.  Every method raises ssl.SSLError, which is an OSError.

    name   whom the certificate has to be for: a name, or an IP address
    ready  whether the handshake is done
    """

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._unsent: Optional[bytearray] = bytearray()  # plain text that waits for the handshake
        self.receive(b"")  # which makes the first message

    @property
    def ready(self) -> bool:
        return self._unsent is None

    def receive(self, data: bytes) -> bytes:
        """What the socket brought; returns as much plain text as that makes."""
        self._incoming.write(data)
        plain = bytearray()
        try:
            if self._unsent is not None:
                self._object.do_handshake()
                unsent, self._unsent = self._unsent, None
                self.send(unsent)
            while some := self._object.read(_AT_ONCE):
                plain += some
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # no more yet; no more at all, and the end of the connection comes next
        return bytes(plain)

    def send(self, plain: bytes | bytearray) -> None:
        if self._unsent is not None:
            self._unsent += plain
        elif plain:
            self._object.write(plain)

    def take(self) -> bytes:
        return self._outgoing.read()


def tls_error_text(error: OSError) -> str:
    """A few words for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {error.reason or error.args[-1]}"
    return error.strerror or str(error)
