"""One port for SOCKS5, SOCKS4 and HTTP: the first byte decides, and what speaks none of them is refused."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.dialogues import ACCOUNTS, EVERYBODY, NAME, V4, connect

from pyss.errors import ProtocolError
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.http import PlainHttp
from pyss.protocol.mixed import mixed
from pyss.protocol.request import Request


def dialogue() -> Dialogue[Any]:
    return Dialogue(lambda io: mixed(io, EVERYBODY))


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"\x05\x01\x00\x05\x01\x00" + V4.wire, V4),
        (b"\x04\x01\x01\xbb\xc6\x33\x64\x07\0", V4),
        (connect("example.org:80"), NAME),
    ],
    ids=["socks5", "socks4", "http"],
)
def test_the_first_byte_decides(data: bytes, target: object) -> None:
    io = dialogue()
    assert not io.feed(data[:1])
    assert io.feed(data[1:])
    assert isinstance(io.result, Request)
    assert io.result.target == target


@pytest.mark.parametrize("method", [b"GET ", b"POST ", b"options ", b"X ", b"CONNECTED "])
def test_any_other_method_is_plain_http(method: bytes) -> None:
    io = dialogue()
    data = method + b"http://example.org/ HTTP/1.1\r\n"
    assert io.feed(data)
    assert isinstance(io.result, PlainHttp)
    assert io.result.data == data
    assert io.replies() == b""


def test_what_begins_neither_is_refused_at_its_first_byte() -> None:
    for first in range(256):
        if first in (4, 5) or 0x41 <= first <= 0x7A:
            continue
        io = dialogue()
        with pytest.raises(ProtocolError, match=f"0x{first:02x}"):
            io.feed(bytes((first,)))
        assert io.replies() == b""


def test_the_accounts_hold_for_all_of_them() -> None:
    for data in (b"\x05\x01\x00", b"\x04\x01\x01\xbb\xc6\x33\x64\x07\0", connect("example.org:80")):
        io: Dialogue[Any] = Dialogue(lambda io: mixed(io, ACCOUNTS))
        with pytest.raises(ProtocolError) as caught:
            io.feed(data)
        assert caught.value.status == "credentials"
