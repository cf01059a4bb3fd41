"""Datagrams of AEAD-2022 (SIP022 sections 3.2 and 4.1): sessions of numbered packets.

`packet2022_forms` seals and opens them; what is inside begins with a header:

    main header up      type 0 | time 8 |                     padding length 2 | padding | address
    main header down    type 1 | time 8 | client session id 8 | padding length 2 | padding | address

Each direction has a session id, random and its sender's own, and counts its packets from 0.  The order of checks
decides what a stranger can do: tag, type, time, session, form of the rest.  Nothing changes before all of them have
passed; then the number is marked as seen and, if need be, the session kept.

    no session ──all checks passed──► known ──65 s without a packet, and no association──► forgotten

A session is known for longer than the time of any packet of it can be valid (30 s before to 30 s after), so that what
is replayed then is refused for its time; and as long as a relay holds on to it, whose association goes on.  What is
known is little: numbers and ids.  The ciphers are the association's, and end with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Optional
from weakref import ref

from ..address import Address
from ..crypto.backends import Aead, Buffer
from ..errors import BadHeader, Congested
from ..limits import LEAST_2022, MOST_PACKETS, MOST_SERVERS, MOST_SESSIONS, PADDED
from .aead2022 import MOST_PADDING, check_time
from .keyring import Clock, Keyring
from .packet2022_forms import Headers, Receiver, form_of
from .replay import KEPT as VALID
from .window import SlidingWindow

CLIENT, SERVER = 0, 1  # types of main headers; section 3.2.3
UP, DOWN = 1 + 8 + 2, 1 + 8 + 8 + 2  # main headers without padding and address

KEPT = max(LEAST_2022, VALID)  # seconds after the last packet of a session

DNS_PORT = 53
NO_PADDING = b"\0\0"


def time_of(keyring: Keyring) -> bytes:
    return int(keyring.clock()).to_bytes(8, "big")


def padding(keyring: Keyring, payload_size: int) -> bytes:
    """With its length before it.  For DNS, whose sizes tell much: 1 to 900 bytes, as far as they fit one packet."""
    most = min(MOST_PADDING, PADDED - payload_size)
    if most < 1:
        return NO_PADDING
    size = 1 + int.from_bytes(keyring.entropy(4), "big") % most
    return size.to_bytes(2, "big") + bytes(size)


def check_main_header(main: bytes, kind: int, size: int, keyring: Keyring) -> None:
    """Raises BadHeader, BadTime."""
    if len(main) < size:
        raise BadHeader("the packet ends inside its header")
    if main[0] != kind:
        raise BadHeader(f"header type {main[0]} is not {kind} ({'server' if kind else 'client'})")
    check_time(main[1:9], keyring.clock())


# --- client --------------------------------------------------------------------------------------
class ServerSession(Receiver):
    """One session of the server, at the client.

    kept  whether it is in the client's table
    seen  when its last packet was accepted
    """

    __slots__ = ("kept", "seen", "session_id")

    def __init__(self, session_id: bytes, aead: Aead) -> None:
        super().__init__(aead, SlidingWindow())
        self.session_id = session_id
        self.kept = False
        self.seen = 0.0


class Client2022:
    """One association, which is one client session.

    Answers come under the server's session ids: more than one when the server was started anew, each with a window of
    its own.  Of MOST_SERVERS that are younger than KEPT seconds none is forgotten for another.

    After MOST_PACKETS packets a new client session begins.  For the server that is a new client: answers to the
    session before, which are under way then, are refused.
    """

    __slots__ = ("_form", "_headers", "_keyring", "_monotonic", "_sealing", "_sessions", "overhead")

    def __init__(self, keyring: Keyring, monotonic: Clock) -> None:
        self._keyring = keyring
        self._monotonic = monotonic
        self._form = form_of(keyring)
        self._sessions: dict[bytes, ServerSession] = {}
        self.overhead = self._form.overhead + UP
        self._begin()

    def seal(self, target: Address, payload: Buffer) -> bytes:
        if self._headers.number >= MOST_PACKETS:
            self._begin()
        keyring = self._keyring
        padded = padding(keyring, len(payload)) if target.port == DNS_PORT else NO_PADDING
        body = b"\0" + time_of(keyring) + padded + target.wire + payload
        return self._form.seal(self._sealing, self._headers.next(), body)

    def open(self, packet: memoryview) -> tuple[Address, Buffer]:
        """Raises Congested for a server session too many; otherwise as `Form.open` and `check_main_header`."""
        session, number, main = self._form.open(packet, self._find)
        check_main_header(main, SERVER, DOWN, self._keyring)
        if main[9:17] != self._headers.session_id:
            raise BadHeader("the packet belongs to another session")
        source, payload = session.rest(main, DOWN)
        now = self._monotonic()
        if not session.kept:
            self._keep(session, now)
        session.window.accept(number)
        session.seen = now
        return source, payload

    def _begin(self) -> None:
        self._headers = Headers(self._keyring.entropy(8))
        self._sealing = self._form.session(self._headers.session_id)

    def _find(self, session_id: bytes) -> ServerSession:
        return self._sessions.get(session_id) or ServerSession(session_id, self._form.session(session_id))

    def _keep(self, session: ServerSession, now: float) -> None:
        sessions = self._sessions
        for old in [old for old in sessions.values() if now - old.seen > KEPT]:
            del sessions[old.session_id]
        if len(sessions) >= MOST_SERVERS:
            raise Congested(f"{MOST_SERVERS} sessions of the server answer at once already")
        sessions[session.session_id] = session
        session.kept = True


# --- server --------------------------------------------------------------------------------------
class Known:
    """What is known of one client session, without ciphers.

    headers  of the way back
    kept     whether it is in the server's table
    seen     when its last packet was accepted
    session  gives the session, None when nobody holds it
    """

    __slots__ = ("client_id", "headers", "kept", "seen", "session", "window")

    session: ref[ServedSession]

    def __init__(self, client_id: bytes, headers: Headers) -> None:
        self.client_id = client_id
        self.headers = headers
        self.window = SlidingWindow()
        self.kept = False
        self.seen = 0.0


class ServedSession(Receiver):
    """One client session that an association is about: what tells associations apart, by identity.

    sealing  the cipher of the way back
    """

    __slots__ = ("__weakref__", "known", "sealing")

    def __init__(self, known: Known, aead: Aead) -> None:
        super().__init__(aead, known.window)
        self.known = known
        self.sealing: Optional[Aead] = None
        known.session = ref(self)


class Server2022:
    """One port: its sessions, by client session id.

    most  sessions that are known; at this bound new ones are refused, for to forget another would let through what is
          replayed of it.  Only who has the key can fill it.

    The way back has a session id of the server's own, the same for as long as the session is known: there are clients
    that take no third one within a minute.  After MOST_PACKETS packets it is a new one all the same, which a client
    takes for a server that was started anew.

    What is known enters the queue once for each KEPT seconds that it is in use, so that to find what is not takes
    constant time in the long run.  It leaves between one and two times KEPT after its last packet.
    """

    __slots__ = ("_form", "_keyring", "_known", "_monotonic", "_most", "_queue", "overhead")

    def __init__(self, keyring: Keyring, monotonic: Clock, most: int = MOST_SESSIONS) -> None:
        self._keyring = keyring
        self._monotonic = monotonic
        self._most = most
        self._form = form_of(keyring)
        self._known: dict[bytes, Known] = {}
        self._queue: deque[tuple[float, Known]] = deque()  # when to look at which, earliest first
        self.overhead = self._form.overhead + DOWN

    def __len__(self) -> int:
        """Sessions that are known."""
        return len(self._known)

    def open(self, packet: memoryview, peer: Hashable) -> tuple[Hashable, Address, Buffer]:
        """Raises Congested for a session too many; otherwise as `Form.open` and `check_main_header`."""
        session, number, main = self._form.open(packet, self._find)
        check_main_header(main, CLIENT, UP, self._keyring)
        target, payload = session.rest(main, UP)
        now = self._monotonic()
        known = session.known
        if not known.kept:
            self._keep(known, now)
        session.window.accept(number)
        known.seen = now
        return session, target, payload

    def seal(self, association: Hashable, source: Address, payload: Buffer) -> bytes:
        assert isinstance(association, ServedSession)
        keyring = self._keyring
        known = association.known
        if known.headers.number >= MOST_PACKETS:
            known.headers = self._headers_to(known.client_id)
            association.sealing = None
        if association.sealing is None:
            association.sealing = self._form.session(known.headers.session_id)
        padded = padding(keyring, len(payload)) if source.port == DNS_PORT else NO_PADDING
        body = b"\1" + time_of(keyring) + known.client_id + padded + source.wire + payload
        return self._form.seal(association.sealing, known.headers.next(), body)

    def _headers_to(self, client_id: bytes) -> Headers:
        """With a random id that is not the client's (section 3.2.2): under one id both would use the same nonces."""
        own = self._keyring.entropy(8)
        return Headers(own if own != client_id else bytes(byte ^ 0xFF for byte in own))

    def _find(self, session_id: bytes) -> ServedSession:
        known = self._known.get(session_id)
        if known is not None:
            session = known.session()
            if session is not None:
                return session
        else:
            known = Known(session_id, self._headers_to(session_id))
        return ServedSession(known, self._form.session(session_id))

    def _keep(self, known: Known, now: float) -> None:
        self._forget_old(now)
        if len(self._known) >= self._most:
            raise Congested(f"there are {self._most} UDP sessions already")
        self._known[known.client_id] = known
        self._queue.append((now + KEPT, known))
        known.kept = True

    def _forget_old(self, now: float) -> None:
        queue = self._queue
        while queue and queue[0][0] < now:
            known = queue.popleft()[1]
            if now - known.seen <= KEPT or known.session() is not None:
                queue.append((now + KEPT, known))
            else:
                del self._known[known.client_id]
