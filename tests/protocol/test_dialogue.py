"""The driver of handshakes: each primitive at every split, its limits, and who keeps what is left."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any, Callable, Optional

import pytest
from helpers.codecs import every_split, in_pieces_of
from hypothesis import given
from hypothesis import strategies as st

from pyss.errors import Disconnected, ProtocolError
from pyss.protocol.dialogue import LIMIT, Dialogue, Script

ScriptOf = Callable[[Dialogue[Any]], Script[Any]]


def feed(script: ScriptOf, pieces: Iterable[bytes]) -> tuple[Any, int]:
    """The result, and how many pieces it took."""
    io: Dialogue[Any] = Dialogue(script)
    for number, piece in enumerate(pieces, 1):
        if io.feed(piece):
            return io.result, number
    raise AssertionError("the script still waits")


def two_fields(io: Dialogue[Any]) -> Script[Any]:
    (length,) = yield from io.take(1)
    io.reply(b"one ")
    field = yield from io.take(length)
    io.reply(b"two")
    return field, io.rest()


def test_take_waits_for_all_of_it() -> None:
    for pieces in every_split(b"\x05hello"):
        assert feed(two_fields, pieces) == ((b"hello", b""), len(pieces))


def test_what_nobody_took_is_the_rest() -> None:
    assert feed(two_fields, [b"\x05hello and more"]) == ((b"hello", b" and more"), 1)


def test_take_of_nothing_waits_for_nothing() -> None:
    assert feed(two_fields, [b"\x00"]) == ((b"", b""), 1)


def test_replies_are_handed_out_once_and_in_order() -> None:
    io: Dialogue[Any] = Dialogue(two_fields)
    assert io.replies() == b""
    assert not io.feed(b"\x05he")
    assert io.replies() == b"one "
    assert io.replies() == b""
    assert io.feed(b"llo")
    assert io.replies() == b"two"


def test_replies_stand_after_an_error_too() -> None:
    def script(io: Dialogue[Any]) -> Script[Any]:
        yield from io.take(1)
        io.reply(b"no")
        raise ProtocolError("no")

    io: Dialogue[Any] = Dialogue(script)
    with pytest.raises(ProtocolError):
        io.feed(b"x")
    assert io.replies() == b"no"


def test_peek_leaves_the_bytes() -> None:
    def script(io: Dialogue[Any]) -> Script[Any]:
        seen = yield from io.peek(3)
        taken = yield from io.take(4)
        return seen, taken

    for pieces in every_split(b"abcd"):
        assert feed(script, pieces)[0] == (b"abc", b"abcd")


def test_some_is_all_that_is_here() -> None:
    def script(io: Dialogue[Any]) -> Script[Any]:
        first = yield from io.some()
        second = yield from io.some()
        return first, second

    assert feed(script, [b"ab", b"cde"])[0] == (b"ab", b"cde")


def test_parse_asks_again_with_more() -> None:
    asked: list[bytes] = []

    def until_dot(data: bytes) -> Optional[tuple[bytes, int]]:
        asked.append(data)
        at = data.find(b".")
        return None if at < 0 else (data[:at], at + 1)

    def script(io: Dialogue[Any]) -> Script[Any]:
        value = yield from io.parse(until_dot)
        return value, io.rest()

    assert feed(script, [b"ab", b"c.", b"never"]) == ((b"abc", b""), 2)
    assert asked == [b"ab", b"abc."]
    assert feed(script, [b"abc.d"]) == ((b"abc", b"d"), 1)


# --- take_until ----------------------------------------------------------------------------------
def line(limit: int) -> ScriptOf:
    def script(io: Dialogue[Any]) -> Script[Any]:
        taken = yield from io.take_until(b"\r\n\r\n", limit)
        return taken, io.rest()

    return script


def test_a_mark_that_is_cut_anywhere_is_found() -> None:
    for pieces in every_split(b"a\r\nb\r\n\r\r\n\r\n"):
        assert feed(line(100), pieces)[0] == (b"a\r\nb\r\n\r\r\n\r\n", b"")


def test_bytes_behind_the_mark_stay() -> None:
    assert feed(line(100), [b"a\r\n\r\nb\r\n\r\n"])[0] == (b"a\r\n\r\n", b"b\r\n\r\n")


def test_the_search_begins_anew_for_the_next_mark() -> None:
    def script(io: Dialogue[Any]) -> Script[Any]:
        first = yield from io.take_until(b"\0", 10)
        second = yield from io.take_until(b"\0", 10)
        return first, second

    for pieces in every_split(b"abcdef\0g\0"):
        assert feed(script, pieces)[0] == (b"abcdef\0", b"g\0")


@pytest.mark.parametrize("length", [0, 1, 5, 6])
def test_up_to_the_limit_is_taken_however_it_is_cut(length: int) -> None:
    data = b"x" * length + b"\r\n\r\n"
    for pieces in every_split(data):
        assert feed(line(10), pieces)[0] == (data, b"")


@pytest.mark.parametrize("data", [b"x" * 7 + b"\r\n\r\n", b"x" * 10, b"x" * 50, b"x" * 9 + b"\r\n\r\n"])
def test_beyond_the_limit_is_refused_however_it_is_cut(data: bytes) -> None:
    for pieces in every_split(data):
        with pytest.raises(ProtocolError, match="no end after 10 bytes"):
            feed(line(10), pieces)


# --- first ---------------------------------------------------------------------------------------
def of_the_first_read(io: Dialogue[Any]) -> Script[Any]:
    head = yield from io.first(4)
    more = yield from io.take(2)
    return head, more


@pytest.mark.parametrize("pieces", [[b"abcdef"], [b"abcd", b"ef"], [b"abcde", b"f"], [b"abcdefgh"]])
def test_first_takes_from_the_first_read(pieces: list[bytes]) -> None:
    assert feed(of_the_first_read, pieces)[0] == (b"abcd", b"ef")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_first_read_that_is_too_short_is_refused_at_once(size: int) -> None:
    with pytest.raises(ProtocolError, match="too short"):
        Dialogue(of_the_first_read).feed(b"abcd"[:size])


def test_first_does_not_count_a_later_read() -> None:
    def late(io: Dialogue[Any]) -> Script[Any]:
        yield from io.take(2)
        yield from io.first(1)

    with pytest.raises(ProtocolError, match="too short"):
        feed(late, [b"a", b"bc"])


# --- ends and limits -----------------------------------------------------------------------------
def test_the_end_is_always_disconnected() -> None:
    with pytest.raises(Disconnected):
        Dialogue(two_fields).end()
    io: Dialogue[Any] = Dialogue(two_fields)
    io.feed(b"\x05hell")
    with pytest.raises(Disconnected):
        io.end()


def test_a_dropped_script_is_finished() -> None:
    ended: list[str] = []

    def script(io: Dialogue[Any]) -> Script[Any]:
        try:
            yield from io.take(2)
        finally:
            ended.append("closed")

    io: Dialogue[Any] = Dialogue(script)
    io.feed(b"a")
    io.drop()
    gc.collect()  # PyPy has no reference counts
    assert ended == ["closed"]
    assert io.result is None


@pytest.mark.parametrize("size", [1000, 16 * 1024, LIMIT + 1])
def test_no_script_makes_the_buffer_grow_without_end(size: int) -> None:
    def greedy(io: Dialogue[Any]) -> Script[Any]:
        yield from io.take(1 << 30)

    io: Dialogue[Any] = Dialogue(greedy)
    fed = 0
    with pytest.raises(ProtocolError, match=str(LIMIT)):
        for _ in range(LIMIT // size + 2):
            fed += size
            io.feed(bytes(size))
    assert LIMIT < fed <= LIMIT + size


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 40))
def test_fields_of_any_size_in_pieces_of_any_size(fields: list[bytes], size: int) -> None:
    def script(io: Dialogue[Any]) -> Script[Any]:
        (count,) = yield from io.take(1)
        found = []
        for _ in range(count):
            (length,) = yield from io.take(1)
            found.append((yield from io.take(length)))
        return found

    wire = bytes((len(fields),)) + b"".join(bytes((len(field),)) + field for field in fields)
    assert feed(script, in_pieces_of(wire, size))[0] == fields
