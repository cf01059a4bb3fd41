"""Every way a session or a start can fail, as one tree.

Protocol code raises, the session catches once, counts once and logs once.  `status` is the word that
counters and log lines use; tables elsewhere translate it into a SOCKS reply code or an HTTP status.
Imports nothing: this is the ground floor.
"""

from __future__ import annotations


class PyssError(Exception):
    """Root of the tree.  The text is a sentence for a person and never holds a secret."""

    status = "error"


# --- before anything runs ------------------------------------------------------------------------
class UsageError(PyssError):
    """The command line cannot be understood (exit code 2)."""

    status = "usage"


class ConfigError(PyssError):
    """A value is wrong or not supported: what, where, and what to do (exit code 1)."""

    status = "config"


# --- the client's side of a dialogue -------------------------------------------------------------
class ProtocolError(PyssError):
    """The peer does not speak the protocol."""

    status = "bad-request"


class BadAddress(ProtocolError):
    """An address that cannot be read: empty or illegal host, port out of range."""

    status = "bad-address"


class UnsupportedAddressType(BadAddress):
    """ATYP is none of 1, 3, 4 (RFC 1928 section 5)."""

    status = "unsupported-address"


class UnsupportedCommand(ProtocolError):
    """A SOCKS command or HTTP feature that is not offered here."""

    status = "unsupported-command"


class CredentialsRejected(ProtocolError):
    """User name and password are missing or wrong."""

    status = "credentials"


class ProxyLoop(ProtocolError):
    """The request names the proxy itself."""

    status = "loop"


class Disconnected(ProtocolError):
    """The peer closed before its request was complete."""

    status = "disconnected"


class Fragmented(ProtocolError):
    """A fragment of a SOCKS datagram: FRAG is not 0 (RFC 1928 section 7)."""

    status = "fragment"


class UnknownSender(ProtocolError):
    """A datagram that is not from the client whose association it was sent to."""

    status = "sender"


# --- the cipher side -----------------------------------------------------------------------------
class CipherError(PyssError):
    """The encrypted stream cannot be trusted."""

    status = "cipher"


class BadTag(CipherError):
    """A tag does not match: wrong password, wrong method, or tampering."""

    status = "bad-tag"


class BadHeader(CipherError):
    """Authentic, but against the rules of the protocol (type, length, padding)."""

    status = "bad-header"


class BadTime(CipherError):
    """The time stamp is off by more than SIP022 allows: a clock is wrong, or a replay."""

    status = "bad-time"


class Replayed(CipherError):
    """The salt, or the packet of this number, was accepted before."""

    status = "replay"


class Truncated(CipherError):
    """The stream ended inside a chunk: bytes were cut off."""

    status = "truncated"


# --- the way to the target -----------------------------------------------------------------------
class DialError(PyssError):
    """No connection to the target, or to the Shadowsocks server that leads to it."""

    status = "dial-failed"


class NetworkUnreachable(DialError):
    status = "network-unreachable"


class HostUnreachable(DialError):
    status = "host-unreachable"


class NameNotFound(HostUnreachable):
    status = "name-not-found"


class ConnectionRefused(DialError):
    status = "connection-refused"


class DialTimeout(DialError):
    status = "dial-timeout"


class Forbidden(PyssError):
    """The destination policy says no."""

    status = "forbidden"


class Congested(PyssError):
    """There is so much already, packets that wait or sessions, that one more was dropped."""

    status = "congested"


# --- while bytes flow ----------------------------------------------------------------------------
class SilenceLimit(PyssError):
    """Nothing moved for longer than this phase of a session allows."""

    status = "timeout"


class PeerReset(PyssError):
    """The peer reset its connection; the other side gets a reset too."""

    status = "reset"


class Shutdown(PyssError):
    """The process is ending."""

    status = "shutdown"
