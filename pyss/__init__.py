"""pyss: a portable Shadowsocks relay on the standard library's `selectors`.

Five words explain the whole package.  A *session* joins a client and a target.  An *inbound* is the
dialogue by which a client names its target, an *outbound* is the way there.  Between their two
*channels* (sockets under one loop) run two *pumps*, each with a *transform* that seals, opens or
leaves the bytes alone.  `docs/architecture.md` draws the map.
"""

__version__ = "0.1.0"
