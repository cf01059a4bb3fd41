"""GHASH in Python: every way of computing it against the multiplication of the standard, bit by bit."""

from __future__ import annotations

import pytest
from helpers.galois import ONE, multiply
from helpers.galois import ghash as reference
from hypothesis import given
from hypothesis import strategies as st

from pyss.crypto.pure import ghash as module
from pyss.crypto.pure.ghash import LONG, LONG_LANES, MEDIUM, MEDIUM_LANES, MOST, TOGETHER, UPGRADE, Ghash

ELEMENTS = st.integers(0, 2**128 - 1)
ALL = 2**128 - 1
SPECIAL = [0, 1, ONE, ALL, 0xE1 << 120, 0x66E94BD4EF8A2C3B884CFA59CA342B2E]
every_h = pytest.mark.parametrize("h", SPECIAL, ids=hex)


def some(blocks: int, seed: int = 7) -> bytes:
    """Blocks without a pattern, the same each time."""
    found = []
    for _ in range(blocks):
        seed = (seed * 0x2360ED051FC65DA44385DF649FCCF645 + 0x5851F42D4C957F2D14057B7EF767814F) & ALL
        found.append((seed ^ seed >> 67).to_bytes(16, "big"))
    return b"".join(found)


def new(h: int, used: bool = False) -> Ghash:
    ghash = Ghash(h.to_bytes(16, "big"))
    if used:
        ghash.of(bytes(16 * (UPGRADE + 1)))
        assert ghash._bytes
    return ghash


def test_the_yardstick_multiplies() -> None:
    """H and X1 of test case 2 in the GCM paper, appendix B."""
    h, text, x1 = (
        int(number, 16)
        for number in (
            "66e94bd4ef8a2c3b884cfa59ca342b2e",
            "0388dace60b6a392f328c2b971b2fe78",
            "5e2ec746917062882c85b0685353deb7",
        )
    )
    assert multiply(text, h) == multiply(h, text) == x1
    assert multiply(h, ONE) == h


# --- short messages ------------------------------------------------------------------------------
@given(st.one_of(ELEMENTS, st.sampled_from(SPECIAL)), st.lists(ELEMENTS, max_size=4))
def test_both_kinds_of_tables_multiply_as_the_standard_does(h: int, blocks: list[int]) -> None:
    data = b"".join(block.to_bytes(16, "big") for block in blocks)
    nibbles = module._nibble_tables(h)
    expected = reference(h, data)
    assert module._by_nibbles(nibbles, data) == expected
    assert module._by_bytes(module._byte_tables(nibbles), data) == expected


@every_h
def test_each_byte_of_a_factor_has_its_place(h: int) -> None:
    nibbles = module._nibble_tables(h)
    tables = module._byte_tables(nibbles)
    for place in range(16):
        for byte in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
            element = byte << 8 * place
            data = element.to_bytes(16, "big")
            assert module._by_nibbles(nibbles, data) == module._by_bytes(tables, data) == multiply(element, h)


# --- every length --------------------------------------------------------------------------------
# Around each border: of tables, of ways, of full rows, of five rows, of messages in parts.
LENGTHS = sorted(
    border + offset
    for border in (
        *(2, UPGRADE, MEDIUM, LONG, MOST),
        *(MEDIUM_LANES * rows for rows in (TOGETHER + 1, 2 * TOGETHER, 3 * TOGETHER + 2)),
        *(LONG_LANES * rows for rows in (3 * TOGETHER, 4 * TOGETHER, 5 * TOGETHER - 2)),
    )
    for offset in (-1, 0, 1)
)


_multiples: dict[int, list[int]] = {}


def times(h: int, element: int) -> int:
    """`multiply` with the 128 multiples of H kept, for thousands of blocks."""
    if h not in _multiples:
        _multiples[h] = [multiply(1 << bit, h) for bit in range(128)]
    multiples, product = _multiples[h], 0
    while element:
        bit = element & -element
        product ^= multiples[bit.bit_length() - 1]
        element ^= bit
    return product


def prefixes(h: int, data: bytes) -> list[int]:
    """The hash of the first 0, 1, 2, ... blocks: a prefix has the value after its last block."""
    found = [0]
    for at in range(0, len(data), 16):
        found.append(times(h, found[-1] ^ int.from_bytes(data[at : at + 16], "big")))
    return found


@every_h
def test_every_way_gives_the_same(h: int) -> None:
    data = some(max(LENGTHS))
    expected = prefixes(h, data)
    for used in (False, True):
        for blocks in LENGTHS:
            assert new(h, used).of(data[: 16 * blocks]) == expected[blocks], (used, blocks)
    together = new(h)
    for blocks in [*LENGTHS, *reversed(LENGTHS)]:
        assert together.of(data[: 16 * blocks]) == expected[blocks], blocks


@every_h
def test_every_number_of_blocks_from_none_on(h: int) -> None:
    fresh, used, data = new(h), new(h, True), some(MEDIUM + 2 * MEDIUM_LANES)
    expected = prefixes(h, data)
    assert expected[:4] == [reference(h, data[: 16 * blocks]) for blocks in range(4)]
    for blocks, value in enumerate(expected):
        assert fresh.of(data[: 16 * blocks]) == used.of(data[: 16 * blocks]) == value, blocks


@pytest.mark.parametrize("blocks", [MEDIUM, LONG, MOST + 1])
def test_ones_and_zeros(blocks: int) -> None:
    """All bits of all lanes, and numbers that are shorter than their row."""
    for h in (ALL, SPECIAL[-1]):
        value = 0
        for _ in range(blocks):
            value = times(h, value ^ ALL)
        ghash = new(h, True)
        assert ghash.of(b"\xff" * 16 * blocks) == value
        assert ghash.of(bytes(16 * blocks)) == 0
        assert ghash.of(bytes(16 * (blocks - 1)) + b"\xff" * 16) == multiply(ALL, h)


@given(ELEMENTS, st.integers(MEDIUM, LONG + 200), st.integers(0, ALL))
def test_rows_agree_with_tables(h: int, blocks: int, seed: int) -> None:
    data = some(blocks, seed)
    expected = module._by_nibbles(module._nibble_tables(h), data)
    ghash = new(h, True)
    assert ghash.of(data) == expected
    assert ghash.of(data) == expected


# --- what a key keeps ----------------------------------------------------------------------------
def test_tables_are_made_when_they_pay() -> None:
    ghash = new(SPECIAL[-1])
    ghash.of(bytes(16 * UPGRADE))
    assert not ghash._bytes
    ghash.of(bytes(16))
    assert ghash._bytes
    assert ghash._medium is ghash._long is None


def test_what_a_key_keeps_is_bounded() -> None:
    ghash = new(SPECIAL[-1], True)
    ghash.of(bytes(16 * (LONG - 1)))
    ghash.of(bytes(16 * (3 * MOST + 5)))
    assert ghash._medium is not None and len(ghash._medium._picks) == -(-LONG // (MEDIUM_LANES * TOGETHER))
    assert ghash._long is not None and len(ghash._long._picks) == MOST // (LONG_LANES * TOGETHER)
