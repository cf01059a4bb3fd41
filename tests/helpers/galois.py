"""GHASH as the standard has it, bit by bit (NIST SP 800-38D section 6.3): the yardstick of the quick ways."""

from __future__ import annotations

ONE = 1 << 127  # the most significant bit is the coefficient of x**0


def multiply(x: int, y: int) -> int:
    """Algorithm 1."""
    product, power = 0, y
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= power
        power = power >> 1 ^ (0xE1 << 120 if power & 1 else 0)
    return product


def ghash(h: int, data: bytes) -> int:
    """Algorithm 2, of whole blocks."""
    value = 0
    for at in range(0, len(data), 16):
        value = multiply(value ^ int.from_bytes(data[at : at + 16], "big"), h)
    return value
