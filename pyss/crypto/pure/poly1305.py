"""Poly1305 (RFC 8439 section 2.5): the blocks of a message as coefficients of a polynomial, its value at r, plus s.

    value = (m1 * r**n + m2 * r**(n-1) + ... + mn * r) mod p,   p = 2**130 - 5,   m = block + 2**128

Horner's rule takes a multiplication and a reduction for each block of 16 bytes, and with numbers this short
the interpreter is what costs.  A long message is therefore cut into rows of 3*W blocks, one integer each.
Every third block of a row makes one integer with lanes of 384 bits, in which only the lower 128 are occupied:

    row        =  | m 3W-1 | m 3W-2 | m 3W-3 |  ...  | m5 | m4 | m3 | m2 | m1 | m0 |
    row & M0   =  |    0        0     m 3W-3 |  ...  |  0    0   m3 |  0    0   m0 |
    row & M1   =  |    0     m 3W-2      0   |  ...  |  0   m4    0 |  0   m1    0 |
    row & M2   =  | m 3W-1      0        0   |  ...  | m5    0    0 | m2    0    0 |

One multiplication by a power of r is that of all W blocks, and the products of 258 bits leave room for the sum over
as many rows as there can be.  With R = r**(3*W), the last row is taken once, the one before it R times, and so on:

    sums[k] = (last row & Mk) + (last but one & Mk) * R + (last but two & Mk) * R**2 + ...

Nothing is reduced in that loop but the power itself.  In the end Horner's rule is applied to the 3*W sums.
"""

from __future__ import annotations

_PRIME = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC_0FFFFFFC_0FFFFFFC_0FFFFFFF
_TOP = 1 << 128  # stands above each whole block

_THIRD = 48  # bytes of a lane: three blocks
_LONG = 4096  # bytes from which on a row has the greater number of lanes
_LANES_OF_LONG, _LANES_OF_SHORT = 16, 4
_SHORTEST = 2 * _THIRD * _LANES_OF_SHORT  # below two rows there is nothing to gain

# For the longest rows; `&` ends with the shorter of its operands, so that they serve all others.
_ONES = int.from_bytes((1).to_bytes(_THIRD, "little") * _LANES_OF_LONG, "little")
_FIRST = _ONES * (_TOP - 1)
_SECOND = _FIRST << 128
_LAST = _FIRST << 256
_LOW = _ONES * ((1 << 130) - 1)
_HIGH = _ONES * ((1 << 384 - 130) - 1)


def poly1305(key: bytes, message: bytes) -> bytes:
    """The tag (16 bytes) of a message of any length under a key of 32 bytes that serves this once."""
    number = int.from_bytes
    r = number(key[:16], "little") & _CLAMP
    value, at = _rows(r, message) if len(message) >= _SHORTEST else (0, 0)
    value = _blocks(value, r, message, at)
    return (value + number(key[16:], "little") & _TOP - 1).to_bytes(16, "little")


def _blocks(value: int, r: int, message: bytes, start: int) -> int:
    """Horner's rule for the blocks from `start` on: four at a time, then one by one; the last may be short."""
    number = int.from_bytes
    size = len(message)
    at = start
    if size - start >= 64:
        r2 = r * r % _PRIME
        r3 = r2 * r % _PRIME
        r4 = r2 * r2 % _PRIME
        tops = _TOP * (r4 + r3 + r2 + r) % _PRIME
        for at in range(start, size - 63, 64):
            value = (
                (value + number(message[at : at + 16], "little")) * r4
                + number(message[at + 16 : at + 32], "little") * r3
                + number(message[at + 32 : at + 48], "little") * r2
                + number(message[at + 48 : at + 64], "little") * r
                + tops
            ) % _PRIME
        at += 64
    for block in range(at, size, 16):
        value = (value + number(message[block : block + 16] + b"\1", "little")) * r % _PRIME
    return value


def _rows(r: int, message: bytes) -> tuple[int, int]:
    """The value of all whole rows at the beginning of the message, and how many bytes they are."""
    width = _THIRD * (_LANES_OF_LONG if len(message) >= _LONG else _LANES_OF_SHORT)
    end = len(message) // width * width
    r2 = r * r % _PRIME
    r3 = r2 * r % _PRIME
    step = pow(r3, width // _THIRD, _PRIME)
    first = second = last = powers = 0
    power = 1
    for at in range(end - width, -1, -width):
        row = int.from_bytes(message[at : at + width], "little")
        first += (row & _FIRST) * power
        second += (row & _SECOND) * power
        last += (row & _LAST) * power
        powers += power
        power = power * step % _PRIME
    tops = powers * _TOP * (r2 + r + 1) % _PRIME  # of the three blocks of a lane, in all rows
    joined = _folded(first) * r2 + _folded(second >> 128) * r + _folded(last >> 256)
    lanes = joined.to_bytes(width, "little")
    value = 0
    for at in range(0, width, _THIRD):
        value = (value * r3 + int.from_bytes(lanes[at : at + _THIRD], "little") + tops) % _PRIME
    return value * r % _PRIME, end


def _folded(sums: int) -> int:
    """In each lane of 384 bits a number with the same remainder, since 2**130 = 5 mod p.

    A sum of 2**k products has 258 + k bits, which leaves 131 + k, so there is room for another factor of 130.
    """
    return (sums & _LOW) + 5 * (sums >> 130 & _HIGH)
