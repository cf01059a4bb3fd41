"""The block function of ChaCha (RFC 8439 section 2.3), for all blocks of a message at once.

The state of a block is sixteen words of 32 bits.  An integer of Python is as long as one likes, so word i
of every block stands in one integer x[i], and an addition or exclusive or of two integers is that of all
blocks.  A word has a lane of 40 bits, its lane number is the number of its block:

    x[i]  =   | 8 bits | word i of block n-1 |  ...  | 8 bits | word i of block 1 | 8 bits | word i of block 0 |

The upper 8 bits take the carries.  In a quarter round the words a and c are only ever added to, at most 40
times in 20 rounds, each time less than 2**32: they stay below 2**38, and nobody has to mask them.  The words
b and d are masked by the rotations, which have to cut them in two parts anyway:

    rotated by n   =   (low 32 - n bits) << n   |   (high n bits) >> 32 - n

That takes away what an exclusive or with a or c has brought into the upper 8 bits, too.

Few blocks make short integers, and then it is the number of operations that costs.  So for few blocks a
*row* of four words is one integer: four groups, each with the lanes of one word.  A quarter round does all
columns at once; rows b, c and d are turned by one, two and three groups to bring the diagonals into columns.

    row b   =   | lanes of word 7 | lanes of word 6 | lanes of word 5 | lanes of word 4 |

Masks are made once, for the most lanes that are ever used.  They serve fewer lanes as they are, because `&`
ends with the shorter of its operands.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from struct import unpack
from typing import Any, Callable, NamedTuple

CONSTANTS = unpack("<4I", b"expand 32-byte k")

# Most blocks of one evaluation: a chunk of 64 KiB, and the block with the key of its tag.  Longer messages
# take several, for which integers of this size are still in the processor's cache.
_MOST_LANES = 1025
_MOST_IN_ROWS = 40  # blocks: from here on one integer for a word is faster than one for a row
_MOST_WIDE = 3  # blocks in lanes of 64 bits: nothing to remove from the output, which pays for so few


class _Lanes(NamedTuple):
    """Constants for lanes of `bits` bits: in each lane a 1, its own number, the mask of a word; masks of rotations."""

    bits: int
    ones: int
    numbers: int
    word: int
    rotations: tuple[int, ...]


def _lanes(bits: int, count: int) -> _Lanes:
    numbers = int.from_bytes(b"".join(number.to_bytes(bits // 8, "little") for number in range(count)), "little")
    ones = int.from_bytes((1).to_bytes(bits // 8, "little") * count, "little")
    word = (1 << 32) - 1
    halves = [half for turn in (16, 12, 8, 7) for half in (word >> turn, word >> 32 - turn << 32 - turn)]
    return _Lanes(bits, ones, numbers, ones * word, tuple(ones * half for half in halves))


_NARROW = _lanes(40, _MOST_LANES)
_WIDE = _lanes(64, 4 * _MOST_WIDE)


def key_stream(state: Sequence[int], blocks: int, rounds: int) -> bytes:
    """64 * `blocks` bytes: the blocks whose counters are word 12 of the state and its successors.

    state   sixteen words as in RFC 8439 section 2.3
    rounds  20, 12 or 8
    The caller sees to it that word 12 does not pass 32 bits.
    """
    if blocks <= _MOST_IN_ROWS:
        return _from_rows(state, blocks, rounds) if blocks else b""
    if blocks <= _MOST_LANES:
        return bytes(_from_words(state, blocks, rounds))
    parts = []
    for first in range(0, blocks, _MOST_LANES):
        part = (*state[:12], state[12] + first, *state[13:])
        parts.append(key_stream(part, min(_MOST_LANES, blocks - first), rounds))
    return b"".join(parts)


def permuted(state: Sequence[int], rounds: int) -> bytes:
    """The state of one block after its rounds, without the addition of the state before them: 64 bytes."""
    shape = _shape(1)
    rows = _turn_rows(tuple(_row(state[at : at + 4], shape) for at in (0, 4, 8, 12)), shape, rounds)
    return _blocks_of_rows(rows, shape)


# --- one integer for a word ----------------------------------------------------------------------
# The loop over the double rounds is put together as text: written out once for each of the eight quarter
# rounds, every word is a local variable.  With a list of words and an inner loop it takes 4 % longer.
_QUARTER = """
        {a} += {b}; {d} ^= {a}; {d} = ({d} & low16) << 16 | ({d} & high16) >> 16
        {c} += {d}; {b} ^= {c}; {b} = ({b} & low12) << 12 | ({b} & high12) >> 20
        {a} += {b}; {d} ^= {a}; {d} = ({d} & low8) << 8 | ({d} & high8) >> 24
        {c} += {d}; {b} ^= {c}; {b} = ({b} & low7) << 7 | ({b} & high7) >> 25"""

_TURN_WORDS = """
def turn_words(words, masks, double_rounds):
    {words} = words
    low16, high16, low12, high12, low8, high8, low7, high7 = masks
    for _ in range(double_rounds):{quarters}
    return {words}"""

# Section 2.3: four columns, then four diagonals.
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)


def _generated() -> Callable[[Sequence[int], Sequence[int], int], tuple[int, ...]]:
    quarters = [_QUARTER.format(a=f"x{a}", b=f"x{b}", c=f"x{c}", d=f"x{d}") for a, b, c, d in _QUARTERS]
    words = ", ".join(f"x{index}" for index in range(16))
    names: dict[str, Any] = {}
    exec(_TURN_WORDS.format(words=words, quarters="".join(quarters)), names)
    function: Callable[[Sequence[int], Sequence[int], int], tuple[int, ...]] = names["turn_words"]
    return function


_turn_words = _generated()


def _from_words(state: Sequence[int], blocks: int, rounds: int) -> bytearray:
    size = 5 * blocks
    present = (1 << 8 * size) - 1
    ones = _NARROW.ones & present
    start = [ones * word for word in state]
    start[12] += _NARROW.numbers & present
    word_mask = _NARROW.word
    stream = bytearray(64 * blocks)
    at = 0
    for word, first in zip(_turn_words(start, _NARROW.rotations, rounds // 2), start):
        # A bytearray, since what is assigned to a slice of one is copied first if it is of another type.
        lanes = bytearray((word + first & word_mask).to_bytes(size, "little"))
        stream[at::64] = lanes[::5]
        stream[at + 1 :: 64] = lanes[1::5]
        stream[at + 2 :: 64] = lanes[2::5]
        stream[at + 3 :: 64] = lanes[3::5]
        at += 4
    return stream


# --- one integer for a row of words --------------------------------------------------------------
class _Shape(NamedTuple):
    """What depends on the number of blocks alone."""

    blocks: int
    lanes: _Lanes
    group: int  # bits of the lanes of one word
    ones: int  # for one group, as is `numbers`
    numbers: int


@lru_cache(maxsize=_MOST_IN_ROWS + 1)
def _shape(blocks: int) -> _Shape:
    lanes = _WIDE if blocks <= _MOST_WIDE else _NARROW
    group = lanes.bits * blocks
    present = (1 << group) - 1
    return _Shape(blocks, lanes, group, lanes.ones & present, lanes.numbers & present)


def _row(words: Sequence[int], shape: _Shape) -> int:
    ones, group = shape.ones, shape.group
    a, b, c, d = words
    return ones * a | ones * b << group | ones * c << 2 * group | ones * d << 3 * group


def _turn_rows(rows: Sequence[int], shape: _Shape, rounds: int) -> tuple[int, int, int, int]:
    """The rounds, columns and diagonals in turn; words a and c come back with their upper bits."""
    a, b, c, d = rows
    low16, high16, low12, high12, low8, high8, low7, high7 = shape.lanes.rotations
    one, two, three = shape.group, 2 * shape.group, 3 * shape.group
    low_one, low_two, low_three = (1 << one) - 1, (1 << two) - 1, (1 << three) - 1
    # Diagonals into columns: b by one group, d by three; back again: b by three and d by one.
    turns = ((one, low_one, three, low_three), (three, low_three, one, low_one))
    for turn_b, low_b, turn_d, low_d in turns * (rounds // 2):
        a += b
        d ^= a
        d = (d & low16) << 16 | (d & high16) >> 16
        c += d
        b ^= c
        b = (b & low12) << 12 | (b & high12) >> 20
        a += b
        d ^= a
        d = (d & low8) << 8 | (d & high8) >> 24
        c += d
        b ^= c
        b = (b & low7) << 7 | (b & high7) >> 25
        b = b >> turn_b | (b & low_b) << turn_d
        c = c >> two | (c & low_two) << two
        d = d >> turn_d | (d & low_d) << turn_b
    return a, b, c, d


def _from_rows(state: Sequence[int], blocks: int, rounds: int) -> bytes:
    shape = _shape(blocks)
    start = [_row(state[at : at + 4], shape) for at in (0, 4, 8, 12)]
    start[3] += shape.numbers
    a, b, c, d = _turn_rows(start, shape, rounds)
    return _blocks_of_rows((a + start[0], b + start[1], c + start[2], d + start[3]), shape)


def _blocks_of_rows(rows: Sequence[int], shape: _Shape) -> bytes:
    """Rows one behind the other are words, and each word has all its lanes: block i is every n-th word from i on."""
    blocks, lanes = shape.blocks, shape.lanes
    size, mask = shape.group // 2, lanes.word
    joined = bytearray().join([(row & mask).to_bytes(size, "little") for row in rows])
    stride = 2  # halves of a lane of 64 bits
    if lanes is _NARROW:
        del joined[4::5]
        stride = 1
    words = array("I", bytes(joined))  # taken out in fours, whatever their byte order means here
    return b"".join([words[stride * block :: stride * blocks] for block in range(blocks)])
