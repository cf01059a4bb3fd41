"""AEAD-2022 streams (SIP022): the chunks of `aead`, up to 0xFFFF long, behind headers that carry time.

Request (client to server); salt, headers and first payload leave in one write:

    +------+---------------------------------------+--------------------------------------------+--------+
    | salt | seal(type 0 | time 8 | length 2)      | seal(address | padding length 2 | padding  | chunks |
    |      |  nonce 0                              |      | initial payload)            nonce 1 |        |
    +------+---------------------------------------+--------------------------------------------+--------+

Response (server to client); the first payload has no length chunk, its length stands in the header:

    +------+-------------------------------------------------------+---------------+--------+
    | salt | seal(type 1 | time 8 | request salt | length 2)       | seal(payload) | chunks |
    +------+-------------------------------------------------------+---------------+--------+

Time is in seconds since 1970, 64 bits, big-endian, and may be off by 30.  A length of 0 is never written
and never accepted: peers disagree whether an empty chunk follows.
"""

from __future__ import annotations

import hmac
from typing import Optional

from ..address import Address
from ..crypto.backends import Aead
from ..errors import BadHeader, BadTag, BadTime
from .aead import TAG, Opener, Sealer
from .keyring import Keyring
from .transform import Output

REQUEST = 0
RESPONSE = 1
TOLERANCE = 30  # seconds; SIP022 section 3.1.3
MOST_PADDING = 900  # bytes; SIP022 section 3.1.2
FIXED = 1 + 8 + 2  # of a request's first header, without its tag
CHUNK_SIZE = 0xFFFF
FIRST, SECOND = bytes(12), b"\x01" + bytes(11)  # nonces of the headers


def check_time(stamp: bytes, now: float) -> None:
    """Raises BadTime for a big-endian time stamp more than 30 s from `now`."""
    off = int.from_bytes(stamp, "big") - int(now)
    if abs(off) > TOLERANCE:
        ahead = "ahead of" if off > 0 else "behind"
        shown = abs(off) if abs(off) < 10**9 else "billions of"
        raise BadTime(f"the peer's clock is {shown} s {ahead} ours; {TOLERANCE} s are allowed")


def parse_fixed_header(header: bytes, now: float) -> int:
    """The length of the variable header.  Raises BadHeader, BadTime."""
    if header[0] != REQUEST:
        raise BadHeader(f"header type {header[0]} is not {REQUEST} (request)")
    check_time(header[1:9], now)
    return int.from_bytes(header[9:11], "big")


def parse_variable_header(header: bytes) -> tuple[Address, bytes]:
    """Target and initial payload.  Raises BadHeader, BadAddress."""
    parsed = Address.parse(header)
    if parsed is None:
        raise BadHeader("the header ends inside the address")
    target, at = parsed
    padding = int.from_bytes(header[at : at + 2], "big")
    start = at + 2 + padding
    if start > len(header):
        raise BadHeader("the header ends inside its padding")
    if not padding and start == len(header):
        raise BadHeader("a request needs a payload or padding")
    return target, header[start:]


class RequestSealer(Sealer):
    """What a client sends."""

    __slots__ = ()

    chunk_size = CHUNK_SIZE

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        lead, self._lead = self._lead, b""
        padding = 0 if size else 1 + int.from_bytes(self.keyring.entropy(4), "big") % MOST_PADDING
        initial = min(size, CHUNK_SIZE - len(lead) - 2)
        variable = lead + padding.to_bytes(2, "big") + bytes(padding) + bytes(rx[:initial])
        aead = self._start()
        at = len(self.salt)
        tx[:at] = self.salt
        time = int(self.keyring.clock()).to_bytes(8, "big")
        fixed = bytes((REQUEST,)) + time + len(variable).to_bytes(2, "big")
        middle = at + FIXED + TAG
        end = middle + len(variable) + TAG
        aead.encrypt_into(FIRST, fixed, None, tx[at:middle])
        aead.encrypt_into(SECOND, variable, None, tx[middle:end])
        self._nonce = 2
        return tx[: self._seal(aead, rx[initial:size], size - initial, tx, end)]


class RequestOpener(Opener):
    """What a server reads once the handshake has taken both headers."""

    __slots__ = ()

    chunk_size = CHUNK_SIZE

    def __init__(self, keyring: Keyring, aead: Aead) -> None:
        super().__init__(keyring, aead, nonce=2)


class ResponseSealer(Sealer):
    """What a server sends; nothing at all before the target's first byte."""

    __slots__ = ("_request_salt",)

    chunk_size = CHUNK_SIZE

    def __init__(self, keyring: Keyring, request_salt: bytes) -> None:
        super().__init__(keyring)
        self._request_salt = request_salt

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        first = min(size, CHUNK_SIZE)
        aead = self._start()
        at = len(self.salt)
        tx[:at] = self.salt
        time = int(self.keyring.clock()).to_bytes(8, "big")
        header = bytes((RESPONSE,)) + time + self._request_salt + first.to_bytes(2, "big")
        middle = at + len(header) + TAG
        end = middle + first + TAG
        aead.encrypt_into(FIRST, header, None, tx[at:middle])
        aead.encrypt_into(SECOND, rx[:first], None, tx[middle:end])
        self._nonce = 2
        return tx[: self._seal(aead, rx[first:size], size - first, tx, end)]


class ResponseOpener(Opener):
    """What a client reads; `request` is the sealer whose salt the answer must name."""

    __slots__ = ("_request",)

    chunk_size = CHUNK_SIZE

    def __init__(self, keyring: Keyring, request: Sealer) -> None:
        super().__init__(keyring)
        self._request: Optional[Sealer] = request

    def _begin(self, rx: memoryview, size: int, tx: memoryview) -> Output:
        if self.fault is not None:
            return b""
        keyring = self.keyring
        salt_size = keyring.method.salt_size
        header_end = salt_size + FIXED + salt_size + TAG
        if size < header_end:
            self.residue = bytes(rx[:size])
            return b""
        aead = keyring.session(bytes(rx[:salt_size]))
        try:
            header = aead.decrypt(FIRST, bytes(rx[salt_size:header_end]), None)
            self._length = self._parse(header)
        except keyring.rejected:
            return self._fail(BadTag("the answer does not carry a valid tag"))
        except (BadHeader, BadTime) as fault:
            return self._fail(fault)
        self._aead = aead
        self._nonce = 1
        return self._open(aead, rx, size, tx, header_end)

    def _parse(self, header: bytes) -> int:
        request, self._request = self._request, None
        if header[0] != RESPONSE:
            raise BadHeader(f"header type {header[0]} is not {RESPONSE} (response)")
        check_time(header[1:9], self.keyring.clock())
        if request is None or not hmac.compare_digest(header[9:-2], request.salt):
            raise BadHeader("the answer belongs to another request")
        return self._checked(int.from_bytes(header[-2:], "big"))
