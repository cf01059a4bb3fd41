"""Addresses: text to wire and back, what is an IP address and what merely looks like one, and what is refused."""

from __future__ import annotations

import ipaddress
import socket
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address, join_host_port, split_host_port
from pyss.errors import BadAddress, ProtocolError, UnsupportedAddressType

PORTS = st.integers(0, 65535)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,3}\.?", fullmatch=True).filter(
    lambda name: not is_ip(name)
)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def wire_of_name(name: bytes, port: int = 80) -> bytes:
    return bytes((3, len(name))) + name + port.to_bytes(2, "big")


def parsed(wire: bytes) -> Address:
    found = Address.parse(wire)
    assert found is not None
    assert found[1] == len(wire)
    return found[0]


# --- the wire form (RFC 1928 section 5) ----------------------------------------------------------
@given(st.ip_addresses(), PORTS)
def test_ip_addresses_there_and_back(ip: ipaddress.IPv4Address, port: int) -> None:
    address = Address.of(str(ip), port)
    assert address.is_ip
    assert address.wire == (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + port.to_bytes(2, "big")
    assert ipaddress.ip_address(address.host) == ip
    again = parsed(address.wire)
    assert (again.host, again.port, again.is_ip, again.wire) == (address.host, port, True, address.wire)
    assert again == address and hash(again) == hash(address)


@given(NAMES, PORTS)
def test_names_there_and_back(name: str, port: int) -> None:
    address = Address.of(name, port)
    assert not address.is_ip
    assert address.wire == wire_of_name(name.encode(), port)
    again = parsed(address.wire)
    assert (again.host, again.port, again.is_ip) == (name, port, False)
    assert again == address


@given(st.binary(max_size=8), NAMES, PORTS, st.binary(max_size=8))
def test_an_address_is_found_where_it_begins_and_ends(before: bytes, name: str, port: int, behind: bytes) -> None:
    address = Address.of(name, port)
    for form in (bytes, bytearray, memoryview):
        found = Address.parse(form(before + address.wire + behind), len(before))
        assert found == (address, len(before) + len(address.wire))


@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8::7", "example.org", "a" * 255])
def test_every_prefix_needs_more(host: str) -> None:
    wire = Address.of(host, 443).wire
    for size in range(len(wire)):
        assert Address.parse(wire[:size]) is None


@given(st.binary(max_size=300))
def test_any_bytes_give_an_address_more_or_an_error_of_ours(data: bytes) -> None:
    for first in (b"", b"\x01", b"\x03", b"\x04"):
        try:
            found = Address.parse(first + data)
        except ProtocolError:
            continue
        if found is not None:
            address, end = found
            assert end <= len(first + data)
            assert parsed(address.wire) == address  # what is sent on is read as the same
            assert address.host.isascii() and address.host.isprintable()


def test_another_type_is_refused_at_its_first_byte() -> None:
    for atyp in (0, 2, *range(5, 256)):
        with pytest.raises(UnsupportedAddressType, match=f"type {atyp} "):
            Address.parse(bytes((atyp,)))


def test_an_empty_name_is_refused_as_soon_as_its_length_is_here() -> None:
    with pytest.raises(BadAddress, match="empty"):
        Address.parse(b"\x03\x00")


# --- what is an IP address -----------------------------------------------------------------------
LITERALS = {
    "127.0.0.1": "127.0.0.1",
    "0.0.0.0": "0.0.0.0",
    "::1": "::1",
    "[::1]": "::1",
    "0:0::0:1": "::1",
    "2001:DB8::A": "2001:db8::a",
    "1::": "1::",
    "::": "::",
}


@pytest.mark.parametrize("text", LITERALS)
def test_a_name_that_is_a_literal_is_that_address(text: str) -> None:
    for address in (Address.of(text, 80), parsed(wire_of_name(text.encode()))):
        assert address.is_ip
        assert address.host == LITERALS[text]
        assert address.wire[0] in (1, 4)


def test_an_ipv4_address_inside_ipv6_is_ipv6_on_the_wire() -> None:
    address = Address.of("::ffff:127.0.0.1", 80)
    assert address.wire == b"\x04" + bytes(10) + b"\xff\xff\x7f\x00\x00\x01\x00\x50"
    assert parsed(wire_of_name(b"::ffff:127.0.0.1")) == address


ODD = ["127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "1.2.3", "1.2.3.256", "1.2.3.4.5"]


@pytest.mark.parametrize("text", ODD)
def test_odd_forms_that_some_resolvers_read_as_numbers_are_names_here(text: str) -> None:
    """They never pass for an IP address on the wire; what they resolve to is judged by the policy afterwards."""
    for address in (Address.of(text, 80), parsed(wire_of_name(text.encode()))):
        assert not address.is_ip
        assert address.host == text
        assert address.wire == wire_of_name(text.encode())


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("１２７.０.０.１", "127.0.0.1"),  # noqa: RUF001 (full-width digits are what is meant)
        ("127。0。0。1", "127.0.0.1"),
        ("127．0.0｡1", "127.0.0.1"),  # noqa: RUF001
        ("①②⑦.0.0.1", "127.0.0.1"),
    ],
)
def test_digits_and_dots_of_other_scripts_are_no_way_around_that(text: str, host: str) -> None:
    for address in (Address.of(text, 80), parsed(wire_of_name(text.encode()))):
        assert address.is_ip
        assert address == Address.of(host, 80)


@given(st.text(min_size=1, max_size=40), PORTS)
def test_whatever_is_taken_for_a_name_is_none_of_an_ip_address(text: str, port: int) -> None:
    try:
        address = Address.of(text, port)
    except BadAddress:
        return
    assert address.is_ip == is_ip(address.host)
    assert parsed(address.wire) == address
    assert parsed(address.wire).host == address.host


# --- names ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("straße.example", "strasse.example"),
    ],
)
def test_names_travel_as_a_labels(text: str, host: str) -> None:
    for address in (Address.of(text, 80), parsed(wire_of_name(text.encode()))):
        assert address.host == host
        assert address.wire == wire_of_name(host.encode())
        assert parsed(address.wire) == address


@pytest.mark.parametrize("character", [chr(code) for code in range(0x21)] + list('"%/:<>?@[\\]^`{|}\x7f'))
def test_a_character_that_no_host_name_holds(character: str) -> None:
    for text in (f"a{character}b", f"{character}ab", f"ab{character}", character):
        with pytest.raises(BadAddress) as caught:
            Address.of(text, 80)
        assert str(caught.value).isprintable()
        with pytest.raises(BadAddress) as caught:
            Address.parse(wire_of_name(text.encode()))
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["example_1.org", "a-b", "-", "a..b", "example.org.", "a!b", "x" * 255, "a'b;c"])
def test_what_else_a_name_holds_is_the_resolvers_business(text: str) -> None:
    assert Address.of(text, 80).host == text


BAD = ["", "[]", "[1.2.3.4]", "[example.org]", "[::1", "::1]", "[[::1]]", "x" * 256, "ü" * 64, "ü" * 300, "\ud800", "­"]


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:12].encode("unicode_escape").decode())
def test_text_that_is_no_host(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        Address.of(text, 80)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("zone", ["fe80::1%eth0", "fe80::1%1", "[fe80::1%25eth0]", "::1%", "1.2.3.4%1"])
def test_a_zone_is_refused(zone: str) -> None:
    """It means something on one machine only."""
    with pytest.raises(BadAddress):
        Address.of(zone, 80)
    with pytest.raises(BadAddress):
        Address.parse(wire_of_name(zone.encode()))


def test_a_name_that_is_no_text() -> None:
    for name in (b"\xff\xfe", b"a\x80", b"\xc3", b"\xed\xa0\x80"):
        with pytest.raises(BadAddress, match="neither ASCII nor UTF-8"):
            Address.parse(wire_of_name(name))


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
def test_a_port_out_of_range(port: int) -> None:
    with pytest.raises(BadAddress, match="port"):
        Address.of("example.org", port)


def test_equal_when_the_wire_forms_are() -> None:
    assert Address.of("[::1]", 1) == Address.of("0::1", 1) != Address.of("::1", 2)
    assert Address.of("example.org", 1) != "example.org:1"
    assert len({Address.of("a", 1), Address.of("a", 1), Address.of("b", 1)}) == 2
    assert repr(Address.of("::1", 1)) == "Address([::1]:1)"


# --- HOST:PORT -----------------------------------------------------------------------------------
@given(st.one_of(st.ip_addresses().map(str), NAMES), PORTS)
def test_host_and_port_there_and_back(host: str, port: int) -> None:
    assert split_host_port(join_host_port(host, port)) == (host, port)
    assert split_host_port(str(Address.of(host, port)), 1) == (Address.of(host, port).host, port)


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("example.org", 80, ("example.org", 80)),
        ("example.org:", 80, ("example.org", 80)),
        ("example.org:81", 80, ("example.org", 81)),
        ("::1", 80, ("::1", 80)),
        ("[::1]", 80, ("::1", 80)),
        ("[::1]:", 80, ("::1", 80)),
        ("[::1]:81", 80, ("::1", 81)),
        ("a:00080", None, ("a", 80)),
    ],
)
def test_host_with_and_without_port(text: str, default: Optional[int], expected: tuple[str, int]) -> None:
    assert split_host_port(text, default) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:", "::1", "[::1]", ":80", "a:65536", "a:-1", "a:+1", "a: 1", "a:1 ", "a:8O", "a:٨٠", "a:²",
     "a:" + "9" * 5000, "[::1", "[a]:80", "[::1]x:80", "[[::1]]:80", "[]:80", "[1.2.3.4]:80"],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)  # fmt: skip
def test_text_that_is_no_host_with_port(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        split_host_port(text)
    assert len(str(caught.value)) < 200


def test_what_is_left_of_the_brackets_is_no_address() -> None:
    for text in ("]::1[", "]]::1[[", "::1]", "[::1", "[a]"):
        with pytest.raises(BadAddress):
            Address.of(*split_host_port(text, 80))


def test_ip_text_is_what_the_system_writes() -> None:
    """For comparison with what sockets say of themselves."""
    for host in ("127.0.0.1", "2001:db8::a", "::1", "fe80::1:0:0:1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        assert Address.of(host, 1).host == socket.inet_ntop(family, socket.inet_pton(family, host))
