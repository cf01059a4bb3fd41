"""AES in Galois/Counter Mode (NIST SP 800-38D), for nonces of 96 bits.

    counter block   nonce (12) || 1, 2, 3, ... (4): the first masks the tag, the others the text
    tag             GHASH(associated data, ciphertext, both lengths) ^ mask

GHASH multiplies by H = AES(0) in GF(2**128), one block after another.  An element is a number whose most
significant bit is the coefficient of x**0.  A product with H is put together from 16 tables of 256
entries, one for each byte of the other factor (Shoup's method): 16 looks and as many exclusive ors.
"""

from __future__ import annotations

from .aes import Aes

_POLYNOMIAL = 0xE1 << 120  # 1 + x + x**2 + x**7 + x**128, section 6.3

MOST_BLOCKS = (1 << 32) - 2  # of one message, section 5.2.1.1: then the counter would begin anew


class AesGcm:
    """One key; the multiplication tables are made when the first tag is."""

    __slots__ = ("_aes", "_tables")

    def __init__(self, key: bytes) -> None:
        self._aes = Aes(key)
        self._tables: list[list[int]] = []

    def crypt(self, nonce: bytes, data: bytes) -> bytes:
        """Raises OverflowError for a message that is longer than the mode allows."""
        size = len(data)
        blocks = (size + 15) // 16
        if blocks > MOST_BLOCKS:
            raise OverflowError("a GCM message has at most 2**36 - 32 bytes")
        encrypt = self._aes.encrypt_block
        stream = b"".join([encrypt(nonce + number.to_bytes(4, "big")) for number in range(2, blocks + 2)])
        mask = int.from_bytes(stream[:size], "big")
        return (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")

    def tag(self, nonce: bytes, associated_data: bytes, ciphertext: bytes) -> bytes:
        if not self._tables:
            self._tables = _multiples(int.from_bytes(self._aes.encrypt_block(bytes(16)), "big"))
        lengths = (len(associated_data) * 8).to_bytes(8, "big") + (len(ciphertext) * 8).to_bytes(8, "big")
        hashed = _ghash(self._tables, _padded(associated_data) + _padded(ciphertext) + lengths)
        mask = int.from_bytes(self._aes.encrypt_block(nonce + b"\0\0\0\1"), "big")
        return (hashed ^ mask).to_bytes(16, "big")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _times_x(element: int) -> int:
    return element >> 1 ^ (_POLYNOMIAL if element & 1 else 0)


def _multiples(h: int) -> list[list[int]]:
    """Sixteen tables: tables[i][b] = H times the element whose byte i is b and whose other bytes are 0."""
    tables = []
    power = h
    for _ in range(16):
        table = [0] * 256
        bit = 128  # the most significant bit of a byte has the lowest power
        while bit:
            table[bit] = power
            power = _times_x(power)
            bit >>= 1
        for byte in range(1, 256):
            low = byte & -byte
            table[byte] = table[low] ^ table[byte ^ low]
        tables.append(table)
    return tables


def _ghash(tables: list[list[int]], data: bytes) -> int:
    """`data` is a whole number of blocks."""
    a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q = tables
    value = 0
    for at in range(0, len(data), 16):
        s = (value ^ int.from_bytes(data[at : at + 16], "big")).to_bytes(16, "big")
        value = (
            (a[s[0]] ^ b[s[1]] ^ c[s[2]] ^ d[s[3]] ^ e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]])
            ^ (i[s[8]] ^ j[s[9]] ^ k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]] ^ q[s[15]])
        )  # fmt: skip
    return value
