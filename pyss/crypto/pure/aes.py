"""AES (FIPS 197): a few blocks by tables of columns, many by planes of bytes.

One block is one number.  SubBytes, ShiftRows and MixColumns of a round are sixteen looks, one for each byte
of the state, into tables whose entries are numbers of 128 bits with that byte's column where it belongs:

    next = T0[byte 0] ^ T1[byte 1] ^ ... ^ T15[byte 15] ^ round key

Many blocks stand byte beside byte.  A plane has one byte of each of n blocks, a row four planes:

    row r   | column 0: n bytes | column 1: n bytes | column 2: n bytes | column 3: n bytes |

AddRoundKey and SubBytes together are one `bytes.translate` for each plane, with one of 256 tables that all
keys share, so that a key needs no planes of its own; ShiftRows is the order in which planes are joined;
MixColumns is arithmetic on four long numbers.  The bits of each byte stand in reverse in between: then
doubling in GF(2**8) moves bits to the right, and a carry is found where it is a factor already:

    double(u) = (u without its lowest bits) >> 1  ^  (its lowest bits) * 0xD8        0xD8 is 0x1B in reverse

Decryption is the equivalent inverse cipher of section 5.3.5, the same work with other tables.  All tables
are indexed by secrets: who shares a processor's caches with an attacker should not use AES in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

FEW = 5  # up to so many blocks are faster one by one
MOST = 1536  # blocks in planes at once: longer rows leave the processor's caches

_WORDS = 0x01_00000001_00000001_00000001_00000001_00000001  # six words of 1, of which four are used mostly
_WORD = 0xFFFF_FFFF

Row = int
Rows = tuple[Row, Row, Row, Row]
Mix = Callable[[Row, Row, Row, Row, int], Rows]


def _double(byte: int) -> int:
    """Times x in GF(2**8), section 4.2.1."""
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


def _substitution() -> bytes:
    """The S-box, section 5.1.1: the inverse in GF(2**8), then an affine transformation."""
    powers = [1]  # of 3, which generates the field
    for _ in range(254):
        powers.append(powers[-1] ^ _double(powers[-1]))
    inverse = {power: powers[-index % 255] for index, power in enumerate(powers)}
    box = bytearray()
    for byte in range(256):
        word = inverse.get(byte, 0) * 0x101  # twice beside itself, so that shifts are rotations
        box.append((word ^ word >> 4 ^ word >> 5 ^ word >> 6 ^ word >> 7) & 0xFF ^ 0x63)
    return bytes(box)


SBOX = _substitution()
_REVERSE = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


# --- what all keys share -------------------------------------------------------------------------
class Direction(NamedTuple):
    """Encryption or decryption.

    box      SubBytes or its inverse
    step     ShiftRows brings byte `step * i` (modulo 16) to place i
    columns  sixteen tables of 256 numbers, as above (about 210 KB)
    places   which byte of a block each plane has, row after row; rows 1 and 3 change places for decryption,
             which makes InvShiftRows the same movement as ShiftRows
    moved    the same after ShiftRows
    keyed    for each round-key byte the table of AddRoundKey and SubBytes, bits in reverse (about 75 KB)
    mix      MixColumns on rows, bits in reverse
    """

    box: bytes
    step: int
    columns: tuple[list[int], ...]
    places: list[int]
    moved: list[int]
    keyed: tuple[bytes, ...]
    mix: Mix


@lru_cache(maxsize=2)
def _direction(encrypting: bool) -> Direction:
    """Made when a key first needs it; the inverse is seldom needed."""
    mix: Mix
    if encrypting:
        box, step, rows, mix = SBOX, 5, (0, 1, 2, 3), _mix_columns
        factors = (2, 1, 1, 3)  # section 5.1.3, the first column of the matrix
    else:
        box, step, rows, mix = bytes(map(SBOX.index, range(256))), 13, (0, 3, 2, 1), _inverse_mix_columns
        factors = (14, 9, 13, 11)  # section 5.3.3
    multiples = [box.translate(_times(factor)) for factor in factors]
    words = [int.from_bytes(column, "big") for column in zip(*multiples)]
    columns = []
    for place in range(16):
        row = place % 4
        column = place * pow(step, -1, 16) % 16 // 4
        turned = words if row == 0 else [word >> 8 * row | word << 32 - 8 * row & _WORD for word in words]
        columns.append([word << 96 - 32 * column for word in turned])
    keyed = tuple(_REVERSE.translate(_xor(key)).translate(box).translate(_REVERSE) for key in range(256))
    places = [4 * column + row for row in rows for column in range(4)]
    moved = [4 * ((column + number) % 4) + row for number, row in enumerate(rows) for column in range(4)]
    return Direction(box, step, tuple(columns), places, moved, keyed, mix)


@lru_cache(maxsize=8)
def _times(factor: int) -> bytes:
    """The table of a multiplication in GF(2**8)."""
    doubled = bytes(map(_double, range(256))) if factor > 1 else bytes(256)
    half = _times(factor // 2) if factor > 1 else bytes(256)
    return bytes(half[twice] ^ (byte if factor & 1 else 0) for byte, twice in enumerate(doubled))


def _xor(key: int) -> bytes:
    return bytes(byte ^ key for byte in range(256))


def _mix_columns(a: Row, b: Row, c: Row, d: Row, ones: int, /) -> Rows:
    """Section 5.1.3: next r = s(r) ^ (the sum of all) ^ double(s(r) ^ s(r+1)); the four doubles add up to 0."""
    x, y, z = a ^ b, b ^ c, c ^ d
    total = x ^ z
    low = x & ones
    x = (x ^ low) >> 1 ^ low * 0xD8
    low = y & ones
    y = (y ^ low) >> 1 ^ low * 0xD8
    low = z & ones
    z = (z ^ low) >> 1 ^ low * 0xD8
    return a ^ total ^ x, b ^ total ^ y, c ^ total ^ z, d ^ total ^ x ^ y ^ z


def _inverse_mix_columns(a: Row, d: Row, c: Row, b: Row, ones: int, /) -> Rows:
    """Section 5.3.3.  Its matrix is that of MixColumns times one of 5, 0, 4, 0, which comes first."""
    even, odd = a ^ c, b ^ d
    for _ in range(2):
        low = even & ones
        even = (even ^ low) >> 1 ^ low * 0xD8
        low = odd & ones
        odd = (odd ^ low) >> 1 ^ low * 0xD8
    a, b, c, d = _mix_columns(a ^ even, b ^ odd, c ^ even, d ^ odd, ones)
    return a, d, c, b


# --- one key -------------------------------------------------------------------------------------
class Aes:
    """One key of 16, 24 or 32 bytes.  Raises ValueError for another size.

    Holds the round keys, 1 KB, and after many blocks in a direction about 13 KB of tables for it, however many.
    """

    __slots__ = ("_decryption", "_encryption")

    block_size = 16

    def __init__(self, key: bytes) -> None:
        self._encryption = _Cipher(_expand(key), True)
        self._decryption: Optional[_Cipher] = None

    def encrypt_block(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes.  Raises ValueError for another size."""
        return self._encryption.block(block)

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        """A whole number of blocks, each on its own.  Raises ValueError for another size."""
        return self._encryption.blocks(blocks)

    def decrypt_blocks(self, blocks: bytes) -> bytes:
        """A whole number of blocks, each on its own.  Raises ValueError for another size."""
        return (self._decryption or self._inverse()).blocks(blocks)

    def counter_blocks(self, first: bytes, count: int, bits: int = 32) -> bytes:
        """Key stream of counter mode: `count` counter blocks from `first` on (16 bytes), encrypted.

        The counter is the last `bits` bits of a block, 8 to 128, big-endian (SP 800-38A appendix B.1, SP 800-38D
        section 6.2).  It goes from its largest number to 0, and the bits before it stay as they are;
        who must not come there counts the blocks himself.
        """
        if len(first) != 16:
            raise ValueError(f"a counter block has 16 bytes, not {len(first)}")
        if count <= FEW:
            return self._encryption.few(_numbers(int.from_bytes(first, "big"), count, bits))
        parts = []
        for piece in _shares(count):
            parts.append(self._encryption.counter(first, piece, bits))
            first = _later(int.from_bytes(first, "big"), piece, bits).to_bytes(16, "big")
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def _inverse(self) -> _Cipher:
        """Section 5.3.5: the round keys in reverse, all but the outermost through InvMixColumns."""
        keys = self._encryption.keys
        joined = b"".join([key.to_bytes(16, "big") for key in keys[-2:0:-1]]).translate(_REVERSE)
        size = len(joined) // 4
        a, b, c, d = (int.from_bytes(joined[row::4], "little") for row in range(4))
        mixed = bytearray(len(joined))
        for row, number in zip((0, 3, 2, 1), _inverse_mix_columns(a, d, c, b, _ones(size))):
            mixed[row::4] = number.to_bytes(size, "little")
        whole = mixed.translate(_REVERSE)
        middle = [int.from_bytes(whole[at : at + 16], "big") for at in range(0, len(whole), 16)]
        self._decryption = _Cipher([keys[-1], *middle, keys[0]], False)
        return self._decryption


class _Cipher:
    """One direction of one key; `keys` are numbers of 128 bits in the order of their use."""

    __slots__ = ("_direction", "_middle", "_planes", "_ramps", "keys")

    def __init__(self, keys: Sequence[int], encrypting: bool) -> None:
        self.keys = keys
        self._middle = keys[1:-1]
        self._direction = _direction(encrypting)
        self._planes: list[tuple[bytes, ...]] = []
        self._ramps: tuple[bytes, ...] = ()

    def block(self, block: bytes) -> bytes:
        if len(block) != 16:
            raise ValueError(f"a block of AES has 16 bytes, not {len(block)}")
        return self.few((int.from_bytes(block, "big"),))

    def few(self, numbers: Iterable[int]) -> bytes:
        """Blocks that are numbers, one by one."""
        direction = self._direction
        a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q = direction.columns
        box, step, middle = direction.box, direction.step, self._middle
        first, last = self.keys[0], self.keys[-1]
        done = b""
        for number in numbers:
            value = number ^ first
            for key in middle:
                s = value.to_bytes(16, "big")
                value = (
                    (a[s[0]] ^ b[s[1]] ^ c[s[2]] ^ d[s[3]] ^ e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]])
                    ^ (i[s[8]] ^ j[s[9]] ^ k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]] ^ q[s[15]])
                    ^ key
                )  # fmt: skip
            moved = (value.to_bytes(16, "big").translate(box) * step)[::step]
            done += (int.from_bytes(moved, "big") ^ last).to_bytes(16, "big")
        return done

    def blocks(self, data: bytes) -> bytes:
        size = len(data)
        if size % 16:
            raise ValueError(f"blocks of AES are a multiple of 16 bytes, not {size}")
        if size <= 16 * FEW:
            return self.few([int.from_bytes(data[at : at + 16], "big") for at in range(0, size, 16)])
        parts, at = [], 0
        for piece in _shares(size // 16):
            parts.append(self._independent(data[at : at + 16 * piece], piece))
            at += 16 * piece
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def counter(self, first: bytes, count: int, bits: int) -> bytes:
        """Two rounds and a half are done for each value of the last byte, not for each block.

        While only byte 15 counts, it reaches one column in round 1 and one byte of each column in round 2:

            plane(j, i) = S(factor * S(A(r) ^ factor' * S(byte 15 ^ key)) ^ E(j, i))        r = -j modulo 4

        where A and E do not change within a run of up to 256 blocks.  factor' and factor are those of
        MixColumns; the innermost part belongs to the key (`_ramps`), the rest to the run.
        """
        tables = self._tables()
        keyed = self._direction.keyed
        runs: list[list[bytes]] = []
        known, bases = b"", [b""]
        for number, low, high in _runs(first, count, bits):
            reached, rest = self._two_rounds(number)
            if reached != known:  # once, unless very high bytes count
                known = reached
                bases = _bases([ramp.translate(keyed[byte]) for ramp, byte in zip(self._ramps, reached)])
            runs.append([base[low:high].translate(keyed[byte]) for base, byte in zip(bases, rest)])
        planes = runs[0] if len(runs) == 1 else [b"".join(pieces) for pieces in zip(*runs)]
        return self._finish(planes, tables[3:], count)

    def _two_rounds(self, block: int) -> tuple[bytes, bytes]:
        """What byte 15 of a counter block does not reach: A (4 bytes) and E (16 bytes) of `counter`."""
        a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q = self._direction.columns
        s = (block ^ self.keys[0]).to_bytes(16, "big")
        s = (
            (a[s[0]] ^ b[s[1]] ^ c[s[2]] ^ d[s[3]] ^ e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]])
            ^ (i[s[8]] ^ j[s[9]] ^ k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]])
            ^ self.keys[1]
        ).to_bytes(16, "big")  # fmt: skip
        rest = (
            (e[s[4]] ^ f[s[5]] ^ g[s[6]] ^ h[s[7]] ^ i[s[8]] ^ j[s[9]])
            ^ (k[s[10]] ^ m[s[11]] ^ n[s[12]] ^ o[s[13]] ^ p[s[14]] ^ q[s[15]])
            ^ self.keys[2]
        )  # fmt: skip
        return s[:4], rest.to_bytes(16, "big")

    def _independent(self, data: bytes, count: int) -> bytes:
        first, *others = self._tables()
        return self._finish([data[place::16].translate(table) for place, table in enumerate(first)], others, count)

    def _finish(self, planes: Sequence[bytes], tables: Sequence[tuple[bytes, ...]], size: int) -> bytes:
        """To blocks from their planes, byte 0 to byte 15, after the SubBytes before the rounds of `tables`."""
        ones, direction = _ones(4 * size), self._direction
        mix, moved = direction.mix, [planes[place] for place in direction.moved]
        a, b, c, d = (b"".join(moved[at : at + 4]) for at in (0, 4, 8, 12))
        for table in tables:
            mixed = mix(
                int.from_bytes(a, "little"),
                int.from_bytes(b, "little"),
                int.from_bytes(c, "little"),
                int.from_bytes(d, "little"),
                ones,
            )
            a, b, c, d = _substituted(mixed, table, size)
        blocks = bytearray(16 * size)
        whole = b"".join((a, b, c, d))
        for at, place in zip(range(0, 16 * size, size), direction.places):
            blocks[place::16] = whole[at : at + size]
        return bytes(blocks)

    def _tables(self) -> list[tuple[bytes, ...]]:
        """One table for each plane: of the first round by place, of the others in the order of `_substituted`."""
        if not self._planes:
            _, _, _, places, moved, keyed, _ = self._direction
            first, *middle, before, last = (key.to_bytes(16, "big") for key in self.keys)
            ramp = _REVERSE.translate(keyed[first[15]])
            self._ramps = (ramp, ramp, ramp.translate(_reversed_times(3)), ramp.translate(_reversed_times(2)))
            self._planes = [
                tuple(_REVERSE.translate(keyed[byte]) for byte in first),
                *(tuple(keyed[key[place]] for place in moved) for key in middle),
                # The last key is added after ShiftRows, not before.
                tuple(
                    keyed[before[source]].translate(_REVERSE).translate(_xor(last[place]))
                    for source, place in zip(moved, places)
                ),
            ]
        return self._planes


def _substituted(rows: Rows, tables: tuple[bytes, ...], n: int) -> tuple[bytes, bytes, bytes, bytes]:
    """AddRoundKey, SubBytes and ShiftRows of planes of n bytes."""
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15 = tables
    n2, n3, n4, join = 2 * n, 3 * n, 4 * n, b"".join
    a = rows[0].to_bytes(n4, "little")
    b = rows[1].to_bytes(n4, "little")
    c = rows[2].to_bytes(n4, "little")
    d = rows[3].to_bytes(n4, "little")
    return (
        join((a[:n].translate(t0), a[n:n2].translate(t1), a[n2:n3].translate(t2), a[n3:].translate(t3))),
        join((b[n:n2].translate(t4), b[n2:n3].translate(t5), b[n3:].translate(t6), b[:n].translate(t7))),
        join((c[n2:n3].translate(t8), c[n3:].translate(t9), c[:n].translate(t10), c[n:n2].translate(t11))),
        join((d[n3:].translate(t12), d[:n].translate(t13), d[n:n2].translate(t14), d[n2:n3].translate(t15))),
    )


# For each place, which multiple of which byte: column j takes byte -j, and row i + j says how often (1, 2, 3 times).
_SHARES = [3 * (-column % 4) + (1, 0, 0, 2)[(row + column) % 4] for column in range(4) for row in range(4)]


def _bases(values: Sequence[bytes]) -> list[bytes]:
    """What the four bytes that byte 15 reached in round 1 add to each of the sixteen places in round 2."""
    double, triple = _reversed_times(2), _reversed_times(3)
    multiples: list[bytes] = []
    for value in values:
        multiples += (value, value.translate(double), value.translate(triple))
    return [multiples[index] for index in _SHARES]


@lru_cache(maxsize=2)
def _reversed_times(factor: int) -> bytes:
    return _REVERSE.translate(_times(factor)).translate(_REVERSE)


def _ones(size: int) -> int:
    return int.from_bytes(b"\1" * size, "little")


def _shares(count: int) -> Iterator[int]:
    """Parts of nearly the same size, none more than MOST."""
    for parts in range(-(-count // MOST), 0, -1):
        share = -(-count // parts)
        yield share
        count -= share


# --- counters ------------------------------------------------------------------------------------
def _later(number: int, count: int, bits: int) -> int:
    mask = (1 << bits) - 1
    return number & ~mask | number + count & mask


def _numbers(first: int, count: int, bits: int) -> Iterable[int]:
    if (first & 0xFF) + count <= 256:  # the usual case, by far
        return range(first, first + count)
    return [_later(first, place, bits) for place in range(count)]


def _runs(first: bytes, count: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """A counter block, and the range of last bytes for which nothing else in it changes."""
    number = int.from_bytes(first, "big")
    while count:
        low = number & 0xFF
        high = min(256, low + count)
        yield number, low, high
        count -= high - low
        number = _later(number, high - low, bits)


# --- round keys ----------------------------------------------------------------------------------
def _words(width: int) -> int:
    return _WORDS >> 192 - 8 * width


@lru_cache(maxsize=2)
def _sums(width: int) -> tuple[list[int], ...]:
    """For byte i of a word: its SubBytes at place i of each word of a part (about 45 KB)."""
    ones = _words(width)
    return tuple([(byte << shift) * ones for byte in SBOX] for shift in (24, 16, 8, 0))


def _expand(key: bytes) -> list[int]:
    """The round keys, section 5.2, as numbers of 128 bits.

    The words of a key, or of half a key of 32 bytes, follow from those before in one go: each is the sum of
    all words up to its place, and of one word more, which is the same for all.
    """
    size = len(key)
    if size not in (16, 24, 32):
        raise ValueError(f"an AES key has 16, 24 or 32 bytes, not {size}")
    width = 24 if size == 24 else 16
    parts = [int.from_bytes(key[at : at + width], "big") for at in range(0, size, width)]
    step = len(parts)
    a, b, c, d = _sums(width)
    constant, ones = 1 << 24, _words(width)
    previous, wanted = parts[-1], 16 * (size // 4 + 7)
    for number in range(step, -(-wanted // width)):
        s = previous.to_bytes(width, "big")
        if number % step:
            new = a[s[-4]] ^ b[s[-3]] ^ c[s[-2]] ^ d[s[-1]]
        else:
            new = d[s[-4]] ^ a[s[-3]] ^ b[s[-2]] ^ c[s[-1]] ^ constant * ones
            constant = constant << 1 if constant < 0x80 << 24 else 0x1B << 24
        sums = parts[-step]
        sums ^= sums >> 32
        sums ^= sums >> 64
        if width > 16:
            sums ^= sums >> 128
        previous = sums ^ new
        parts.append(previous)
    if width == 16:
        return parts
    joined = b"".join([part.to_bytes(width, "big") for part in parts])
    return [int.from_bytes(joined[at : at + 16], "big") for at in range(0, wanted, 16)]
