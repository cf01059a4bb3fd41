"""RC4, alone and with an IV through MD5.

    s    a permutation of 0..255 that the key has shuffled, two indices i and j into it
    step i += 1; j += s[i]; s[i] and s[j] change places; the next byte of key stream is s[s[i] + s[j]]

All modulo 256.  RC4 is broken: the first bytes of its key stream say something about the key, and so do
streams from related keys.  What is alone here has no IV either, so that two streams under one key can be
subtracted from each other.  It is here for servers that offer nothing else.

Each step needs the one before, so that the loop over them is the whole cost.  Written out for all 256 values of
i it would be 8 % faster, which is not worth the text.
"""

from __future__ import annotations

from hashlib import md5

from ..backends import Buffer
from .modes import exclusive_or

_ROUND = bytes(range(256))


class Rc4:
    """Key of 1 to 256 bytes; ValueError otherwise, and for an IV that is not empty.  Both directions are the same.

    The state has no counter: a stream comes back to its beginning after a number of bytes that nobody reaches.
    """

    __slots__ = ("_i", "_j", "_s")

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        if not 1 <= len(key) <= 256:
            raise ValueError(f"an RC4 key has 1 to 256 bytes, not {len(key)}")
        if iv:
            raise ValueError(f"RC4 has no IV, and this one has {len(iv)} bytes")
        s = list(_ROUND)
        j = 0
        for i, byte in enumerate((key * (256 // len(key) + 1))[:256]):
            t = s[i]
            j = j + t + byte & 255
            s[i] = s[j]
            s[j] = t
        self._s = s
        self._i = self._j = 0  # of the last step

    def update(self, data: Buffer) -> bytes:
        """The next bytes of the stream, as many as are given."""
        data = bytes(data)
        s, j = self._s, self._j
        stream = bytearray()
        append = stream.append
        first = self._i + 1
        for i in (_ROUND * (len(data) // 256 + 2))[first : first + len(data)]:
            t = s[i]
            j = j + t & 255
            u = s[i] = s[j]
            s[j] = t
            append(s[t + u & 255])
        self._i = self._i + len(data) & 255
        self._j = j
        return exclusive_or(data, bytes(stream))


class Rc4Md5(Rc4):
    """RC4 under MD5(key || IV): key and IV of 16 bytes each with Shadowsocks, of any size here."""

    __slots__ = ()

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        super().__init__(md5(key + iv, usedforsecurity=False).digest(), b"", encrypting)
