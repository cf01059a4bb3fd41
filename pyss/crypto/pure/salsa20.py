"""Salsa20 (Bernstein, "Salsa20 specification", 2005): the stream cipher with keys of 256 bits and IVs of 64.

    state      c0 k0 k1 k2       c: "expand 32-byte k", k: key
               k3 c1 v0 v1       v: IV
               n0 n1 c2 k4       n: number of the block, 64 bits, the lower word first
               k5 k6 k7 c3

All blocks of a call are computed at once: word i of every block stands in one long integer, in lanes of 40
bits, of which the upper 8 take a carry.  A step of the quarter round is b ^= (a + d) <<< 7; the rotation cuts
the sum in two parts, low 25 and high 7 bits, and thereby drops the carry.  So words never need another mask.

Few blocks make short integers, and then the number of operations counts.  So for few blocks four words stand
in one integer: a has the diagonal, b what comes next in each column, and so on.  A quarter round does all
columns at once.

    a = 0  5 10 15          after it, b and d change places, and are turned by three and one words, c by two;
    b = 4  9 14  3          then the same lines do the rows of the state;
    c = 8 13  2  7          after that, with the same change, it is as before
    d = 12 1  6 11
"""

from __future__ import annotations

from struct import unpack
from typing import Callable

from .modes import KeyStream

_CONSTANTS = unpack("<4I", b"expand 32-byte k")
_WORD = (1 << 32) - 1

MOST_BLOCKS = 1 << 64  # of one IV: then the block number would begin anew

_MOST_LANES = 1024  # blocks of one evaluation; longer integers do not stay in the processor's cache
_MOST_IN_ROWS = 40  # blocks, from here on one integer for a word is faster

# For the most lanes; `&` ends with the shorter of its operands, so that they serve fewer lanes as they are.
_ONES = int.from_bytes(b"\1\0\0\0\0" * _MOST_LANES, "little")
_NUMBERS = int.from_bytes(b"".join(number.to_bytes(5, "little") for number in range(_MOST_LANES)), "little")
_MASK = _ONES * _WORD
_TURNS = (7, 9, 13, 18)
# What stays within a lane and what comes in again at its lower end, for each turn.
_HALVES = tuple(_ONES * half for turn in _TURNS for half in (_WORD >> turn, _WORD >> 32 - turn << 32 - turn))

Words = tuple[int, ...]

# Sections 4 and 5: the rows and the columns, each beginning at the diagonal.
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_IN_ROWS = tuple(zip(*_COLUMNS))  # the words of a, b, c and d above

_QUARTER = """
        t = x{a} + x{d}; x{b} ^= (t & low7) << 7 | (t & high7) >> 25
        t = x{b} + x{a}; x{c} ^= (t & low9) << 9 | (t & high9) >> 23
        t = x{c} + x{b}; x{d} ^= (t & low13) << 13 | (t & high13) >> 19
        t = x{d} + x{c}; x{a} ^= (t & low18) << 18 | (t & high18) >> 14"""


def _compile() -> Callable[[Words, Words], Words]:
    """Twenty rounds on sixteen integers.  As text, so that each of them is a local variable: a list takes longer."""
    words = ", ".join(f"x{index}" for index in range(16))
    halves = ", ".join(f"low{turn}, high{turn}" for turn in _TURNS)
    text = f"""
def rounds(words, halves):
    {words} = words
    {halves} = halves
    for _ in range(10):"""
    for a, b, c, d in (*_COLUMNS, *_ROWS):
        text += _QUARTER.format(a=a, b=b, c=c, d=d)
    space: dict[str, Callable[[Words, Words], Words]] = {}
    exec(f"{text}\n    return {words}", space)
    return space["rounds"]


_rounds = _compile()


def salsa20_blocks(key: bytes, iv: bytes, number: int, blocks: int) -> bytes:
    """Key stream of `blocks` blocks from block `number` on (section 10).

    Raises OverflowError where the number would pass 64 bits, ValueError unless key and IV have 32 and 8 bytes.
    """
    if len(key) != 32 or len(iv) != 8:
        raise ValueError(f"Salsa20 takes a key of 32 bytes and an IV of 8 here, not {len(key)} and {len(iv)}")
    if number + blocks > MOST_BLOCKS:
        raise OverflowError("the block number of Salsa20 is at its end")
    words = unpack("<8I", key) + unpack("<2I", iv)
    return b"".join(
        _evaluate(words, number + at, min(_MOST_LANES, blocks - at)) for at in range(0, blocks, _MOST_LANES)
    )


def _evaluate(words: Words, number: int, blocks: int) -> bytes:
    start = _state(words, number, blocks)
    final = _in_rows(start, blocks) if blocks <= _MOST_IN_ROWS else _rounds(start, _HALVES)
    stream = bytearray(64 * blocks)
    for index in range(16):
        # What the addition carries stands in the fifth byte of a lane, which is left out.
        lanes = bytearray((final[index] + start[index]).to_bytes(5 * blocks, "little"))
        for byte in range(4):
            stream[4 * index + byte :: 64] = lanes[byte::5]
    return bytes(stream)


def _state(words: Words, number: int, blocks: int) -> Words:
    """Sixteen integers, each a word in all lanes."""
    present = (1 << 40 * blocks) - 1
    ones = _ONES & present
    low = ones * (number & _WORD) + (_NUMBERS & present)  # the carry, at most 1, is for the upper word
    high = ones * (number >> 32) + (low >> 32 & ones)
    c0, c1, c2, c3 = (ones * word for word in _CONSTANTS)
    k0, k1, k2, k3, k4, k5, k6, k7, v0, v1 = (ones * word for word in words)
    return c0, k0, k1, k2, k3, c1, v0, v1, low & _MASK, high, c2, k4, k5, k6, k7, c3


def _in_rows(start: Words, blocks: int) -> Words:
    """The rounds with four words in an integer."""
    one = 40 * blocks
    two, three = 2 * one, 3 * one
    low_one, low_two, low_three = (1 << one) - 1, (1 << two) - 1, (1 << three) - 1
    a, b, c, d = (
        start[first] | start[second] << one | start[third] << two | start[fourth] << three
        for first, second, third, fourth in _IN_ROWS
    )
    low7, high7, low9, high9, low13, high13, low18, high18 = _HALVES
    for _ in range(20):
        t = a + d
        b ^= (t & low7) << 7 | (t & high7) >> 25
        t = b + a
        c ^= (t & low9) << 9 | (t & high9) >> 23
        t = c + b
        d ^= (t & low13) << 13 | (t & high13) >> 19
        t = d + c
        a ^= (t & low18) << 18 | (t & high18) >> 14
        b, c, d = (
            d >> one | (d & low_one) << three,
            c >> two | (c & low_two) << two,
            b >> three | (b & low_three) << one,
        )
    final = [0] * 16
    for row, places in zip((a, b, c, d), _IN_ROWS):
        for turn, place in enumerate(places):
            final[place] = row >> turn * one & low_one
    return tuple(final)


class Salsa20(KeyStream):
    """The stream from block 0 on; both directions are the same.  Key of 32 bytes, IV of 8; ValueError otherwise.

    `update` raises OverflowError, and changes nothing, where the block number would pass 64 bits.
    """

    __slots__ = ("_iv", "_key", "_number")

    block_size = 64

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        super().__init__()
        self._key, self._iv = key, iv
        self._number = 0
        salsa20_blocks(key, iv, 0, 0)  # refuses a wrong size now, not with the first text

    def _blocks(self, count: int) -> bytes:
        stream = salsa20_blocks(self._key, self._iv, self._number, count)
        self._number += count
        return stream
