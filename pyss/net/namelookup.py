"""The addresses of one name in one family: ask, judge, follow, ask the next.

    server 1 ──silent for `attempt`──► server 2 ──SERVFAIL, garbage, refused──► server 1 ──► ... `attempts` in all
       │ fits the question?  no: waited on
       ├── truncated ──────► the same over TCP
       ├── FORMERR ────────► the same without EDNS0 (RFC 6891 section 7)
       ├── an alias alone ─► its target, as a question of its own
       └── addresses, or a denial ──► Outcome

A server that was silent is asked again in its turn; one that failed is not, for this name.  Silent servers are asked
after the others for a while, so that a dead one costs its time once and not for each name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

from ..errors import DialError, DialTimeout, NameNotFound
from ..limits import NameLimits
from .loop import Loop
from .namemessage import FORMERR, NOERROR, NOTIMP, NXDOMAIN, Malformed, Reply, code_text, name_of, question, read
from .namepeer import Peer
from .namewire import Exchange
from .timers import Timer

REST = 15.0  # seconds that a silent server is asked after the others

SILENT = "is silent"


class Outcome(NamedTuple):
    """What became of it: addresses in text, or a failure.

    lifetime  seconds for which the servers vouch for it; None when none of them does
    """

    addresses: tuple[str, ...]
    lifetime: Optional[int]
    failure: Optional[tuple[type[DialError], str]] = None


class Circle:
    """The name servers and how they are asked.

    entropy   gives so many random bytes
    complain  called with a server that cannot be reached, and the reason
    """

    def __init__(
        self,
        loop: Loop,
        peers: Sequence[Peer],
        limits: NameLimits,
        entropy: Callable[[int], bytes],
        complain: Callable[[Peer, str], None],
    ) -> None:
        self.loop = loop
        self.peers = peers
        self.limits = limits
        self.entropy = entropy
        self.complain = complain

    def in_turn(self) -> deque[Peer]:
        """All of them, those first that have not been silent lately."""
        now = self.loop.now
        return deque(sorted(self.peers, key=lambda peer: peer.rests_until > now))


class Lookup:
    """One family of one name.

    landed   called once with this, never out of `begin`; not after `cancel`
    begun    whether it was given one of the places of those that ask at the same time
    outcome  None until it has landed
    """

    __slots__ = (
        "_circle", "_exchange", "_extended", "_host", "_identity", "_kind", "_landed", "_name", "_over", "_peers",
        "_seen", "_streaming", "_timer", "_tries", "_ttl", "_why", "begun", "outcome",
    )  # fmt: skip

    def __init__(self, circle: Circle, host: str, kind: int, landed: Callable[[Lookup], None]) -> None:
        self._circle = circle
        self._host = host
        self._name = name_of(host)  # what is asked for at present: the host, or what it is an alias of
        self._kind = kind
        self._landed = landed
        self._peers: deque[Peer] = deque()  # the first is being asked
        self._why: dict[Peer, str] = {}
        self._seen = {self._name}  # along the chain of aliases
        self._ttl: Optional[int] = None  # the least along that chain
        self._tries = 0
        self._identity = 0
        self._extended = self._streaming = self._over = False
        self._exchange: Optional[Exchange] = None
        self._timer: Optional[Timer] = None
        self.begun = False
        self.outcome: Optional[Outcome] = None

    def begin(self) -> None:
        if not self._over:
            self._peers = self._circle.in_turn()
            self._turn()

    def cancel(self) -> None:
        self._over = True
        self._stop()

    def abort(self, error: BaseException) -> None:
        """A fault inside: this lookup fails, nothing else."""
        self._circle.loop.on_fault(error)
        self._land(Outcome((), None, (DialError, f"{self._host}: internal error")))

    def give_up(self) -> None:
        """Its time is over."""
        if self._peers:
            self._why[self._peers[0]] = SILENT
            self._fail(DialTimeout)
        else:
            self._land(Outcome((), None, (DialTimeout, f"{self._host}: not resolved in time, too many names at once")))

    # --- asking ----------------------------------------------------------------------------------
    def _turn(self) -> None:
        """Ask whoever comes first now."""
        if not self._peers or self._tries >= self._circle.limits.attempts:
            self._fail(DialTimeout if all(why == SILENT for why in self._why.values()) else DialError)
            return
        self._tries += 1
        self._ask(self._peers[0].extended, streaming=self._peers[0].server.transport != "udp")

    def _ask(self, extended: bool, *, streaming: bool) -> None:
        self._stop()
        circle, peer = self._circle, self._peers[0]
        self._extended, self._streaming = extended, streaming
        self._identity = peer.free_identity(int.from_bytes(circle.entropy(2), "big"))
        padded = peer.server.transport == "tls"
        message = question(self._name, self._kind, self._identity, extended=extended, padded=padded)
        self._timer = circle.loop.call_later(circle.limits.attempt, self._late, self)
        self._exchange = peer.ask(self._identity, message, self, streaming=streaming)

    def _stop(self, *, late: bool = False) -> None:
        """Wait for no answer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._exchange is not None:
            self._exchange.end(late=late)
            self._exchange = None

    def _late(self) -> None:
        peer = self._peers[0]
        peer.rests_until = self._circle.loop.now + REST
        self._why[peer] = SILENT
        self._stop(late=True)
        self._peers.rotate(-1)
        self._turn()

    def _failed(self, why: str) -> None:
        """Not this server, then."""
        self._stop()
        self._why[self._peers.popleft()] = why
        self._turn()

    def lost(self, why: str, *, used: bool) -> None:
        """The way to the server is closed; an old connection may just have been, and is made anew."""
        self._exchange = None
        if used:
            self._why[self._peers[0]] = f"fails ({why})"
            self._turn()
        else:
            self._circle.complain(self._peers[0], why)
            self._failed(f"fails ({why})")

    # --- judging ---------------------------------------------------------------------------------
    def heard(self, message: bytes) -> None:
        """A message that may be the answer; what does not fit is not believed, and waited on."""
        try:
            reply = read(message, self._identity, self._name, self._kind)
        except Malformed as error:
            self._failed(f"answers what is {error}")
            return
        if reply is None:
            return
        peer = self._peers[0]
        if reply.code in (FORMERR, NOTIMP) and self._extended:
            self._ask(False, streaming=self._streaming)
        elif reply.code not in (NOERROR, NXDOMAIN):
            self._failed(f"says {code_text(reply.code)}")
        elif not reply.truncated:
            peer.rests_until = 0.0
            peer.extended = self._extended
            self._follow(reply)
        elif not self._streaming:
            self._ask(self._extended, streaming=True)
        else:
            self._failed("answers only in part")

    def _follow(self, reply: Reply) -> None:
        """Along the aliases (RFC 1034 section 3.6.2) to addresses, to a denial, or to what has to be asked next."""
        limits, name = self._circle.limits, self._name
        while name not in reply.addresses and name in reply.aliases:
            name, ttl = reply.aliases[name]
            self._bound(ttl)
            if name in self._seen:
                self._miss("its aliases lead in a circle")
                return
            self._seen.add(name)
            if len(self._seen) > limits.aliases + 1:
                self._miss(f"it leads through more than {limits.aliases} aliases")
                return
        found = reply.addresses.get(name)
        if found:
            self._bound(min(ttl for _, ttl in found))
            self._land(Outcome(tuple(address for address, _ in found), self._ttl))
            return
        denials = [ttl for owner, ttl in reply.denials.items() if name.is_subdomain(owner)]
        if reply.code == NXDOMAIN:
            self._miss("there is no such name", denials)
        elif denials or name == self._name:
            self._miss("the name has neither an IPv4 nor an IPv6 address", denials)
        else:
            self._name = name
            self._tries = 0
            self._turn()

    def _bound(self, ttl: int) -> None:
        self._ttl = ttl if self._ttl is None else min(ttl, self._ttl)

    # --- landing ---------------------------------------------------------------------------------
    def _miss(self, why: str, denials: Sequence[int] = ()) -> None:
        """There is no address; without a SOA nobody says for how long (RFC 2308 section 5)."""
        if denials:
            self._bound(min(denials))
        self._land(Outcome((), self._ttl if denials else None, (NameNotFound, f"{self._host}: {why}")))

    def _fail(self, error: type[DialError]) -> None:
        """Nobody answered."""
        said = ", ".join(f"name server {peer.server} {why}" for peer, why in self._why.items())
        self._land(Outcome((), None, (error, f"{self._host}: not resolved, {said}")))

    def _land(self, outcome: Outcome) -> None:
        if self._over:
            return
        self.cancel()
        self.outcome = outcome
        self._landed(self)
