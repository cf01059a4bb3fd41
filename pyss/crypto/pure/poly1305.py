"""Poly1305 (RFC 8439 section 2.5): the message as coefficients of a polynomial, its value at r, plus s.

Four blocks are taken at a time, each with its own power of r, and reduced once: what costs is the reduction.
"""

from __future__ import annotations

_PRIME = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC_0FFFFFFC_0FFFFFFC_0FFFFFFF
_TOP = 1 << 128  # stands above each whole block


def poly1305(key: bytes, message: bytes) -> bytes:
    """The tag of a message under a key of 32 bytes that serves this once."""
    r = int.from_bytes(key[:16], "little") & _CLAMP
    r2 = r * r % _PRIME
    r3 = r2 * r % _PRIME
    r4 = r2 * r2 % _PRIME
    number = int.from_bytes
    value = 0
    fours = len(message) & -64
    for at in range(0, fours, 64):
        value = (
            (value + _TOP + number(message[at : at + 16], "little")) * r4
            + (_TOP + number(message[at + 16 : at + 32], "little")) * r3
            + (_TOP + number(message[at + 32 : at + 48], "little")) * r2
            + (_TOP + number(message[at + 48 : at + 64], "little")) * r
        ) % _PRIME
    for at in range(fours, len(message), 16):
        block = message[at : at + 16] + b"\1"
        value = (value + number(block, "little")) * r % _PRIME
    return (value + number(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")
