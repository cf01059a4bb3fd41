"""Names, the hosts file, and name servers in text."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from helpers.resolving import IPV4, IPV6

from pyss.errors import ConfigError, NameNotFound
from pyss.net import names, sockets
from pyss.net.names import (
    LOOK_EVERY,
    MOST_HOSTS,
    MOST_OF_ONE,
    Hosts,
    NameServer,
    canonical,
    literal,
    parse_hosts,
    parse_name_server,
)

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])  # 253


# --- names ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("_dmarc.a-b.example", "_dmarc.a-b.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        (LONGEST, LONGEST),
        (LONGEST + ".", LONGEST),
    ],
)
def test_a_name_has_one_form(host: str, name: str) -> None:
    assert canonical(host) == name
    assert canonical(name) == name


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "..", "a..b", ".a", "a..", "x" * 64, "x" * 64 + ".example", LONGEST + "c", "é" * 300),
        *("a b", "a\x00b", "a/b", "a:b", "a%b", "a\\b", "user@example", "a\x7fb", "ex\nample", "\u3002", "é..é"),
    ],
)
def test_what_is_no_name_is_not_found(host: str) -> None:
    with pytest.raises(NameNotFound, match="is not a host name"):
        canonical(host)


def test_a_refusal_does_not_repeat_a_very_long_name() -> None:
    with pytest.raises(NameNotFound) as refusal:
        canonical("x" * 100_000)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1", (IPV4, ("192.0.2.1", 53))),
        ("2001:DB8::1", (IPV6, ("2001:db8::1", 53, 0, 0))),
        ("fe80::1%7", (IPV6, ("fe80::1", 53, 0, 7))),
        ("::ffff:192.0.2.1", (IPV6, ("::ffff:c000:201", 53, 0, 0))),
    ],
)
def test_addresses_are_known_as_such(text: str, endpoint: Any) -> None:
    found = literal(text, 53)
    if text.startswith("::ffff"):  # releases of Python write it in two ways
        assert found is not None and socket.inet_pton(IPV6, found[1][0]) == socket.inet_pton(IPV6, endpoint[1][0])
    else:
        assert found == endpoint


@pytest.mark.parametrize(
    "text", ["", "example", "1.2.3", "1.2.3.4.5", "01.2.3.4", "host1", "a:b", "fe80::1%", "::1%" + "9" * 30, "1"]
)
def test_others_are_not(text: str) -> None:
    assert literal(text) is None


def test_the_zone_of_an_address_may_be_an_interface() -> None:
    for index, name in getattr(socket, "if_nameindex", list)()[:1]:  # PyPy cannot tell
        assert literal(f"fe80::1%{name}") == (IPV6, ("fe80::1", 0, 0, index))
    assert literal("fe80::1%no-such-interface") is None


def test_without_the_names_of_interfaces_there_are_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "if_nametoindex", raising=False)
    assert literal("fe80::1%lo") is None
    assert literal("fe80::1%1") == (IPV6, ("fe80::1", 0, 0, 1))


# --- hosts file ----------------------------------------------------------------------------------
HOSTS = b"""\xef\xbb\xbf# a comment
127.0.0.1\tlocalhost
192.0.2.1  One.Example one  # and why
::1 one.example
   2001:db8::1 six\r
192.0.2.1 one.example
192.0.2.2
not-an-address two
192.0.2.999 two
192.0.2.3 bad..name \xff\xfe three
#192.0.2.4 four
"""


def test_hosts_are_read_tolerantly() -> None:
    found = parse_hosts(HOSTS)
    ips = {name: [where[0] for _, where in endpoints] for name, endpoints in found.items()}
    assert ips == {
        "localhost": ["127.0.0.1"],
        "one.example": ["192.0.2.1", "::1"],
        "one": ["192.0.2.1"],
        "six": ["2001:db8::1"],
        "three": ["192.0.2.3"],
    }


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\x00\x00", b"#", b"127.0.0.1", bytes(range(256)) * 10])
def test_whatever_is_in_the_file_is_read(data: bytes) -> None:
    assert isinstance(parse_hosts(data), dict)


def test_hosts_are_bounded() -> None:
    many = b"".join(b"192.0.2.%d name\n" % number for number in range(256))
    assert len(parse_hosts(many)["name"]) == MOST_OF_ONE
    assert list(parse_hosts(b"#" * MOST_HOSTS + b"\n192.0.2.1 behind")) == []


class Disk:
    """A hosts file and a clock; counts how often it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0
        self.now = 100.0
        self._changes = 0
        self.hosts = Hosts(str(path), self.read, lambda: self.now)

    def read(self, path: str) -> bytes:
        self.reads += 1
        return Path(path).read_bytes()

    def write(self, text: str) -> None:
        self.path.write_text(text, "ascii")
        self._changes += 1
        os.utime(self.path, (self._changes, self._changes))  # two writes may have the same time

    def ips(self, name: str) -> list[str]:
        return [where[0] for _, where in self.hosts.find(name)]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "hosts")


def test_a_changed_file_is_read_anew_but_not_looked_at_all_the_time(disk: Disk) -> None:
    disk.write("192.0.2.1 one")
    assert disk.ips("one") == ["192.0.2.1"]
    disk.write("192.0.2.2 one")
    disk.now += LOOK_EVERY - 0.1
    assert disk.ips("one") == ["192.0.2.1"]
    disk.now += 0.1
    assert disk.ips("one") == ["192.0.2.2"]
    disk.now += LOOK_EVERY
    assert disk.ips("one") == ["192.0.2.2"]
    assert disk.reads == 2


def test_a_file_may_come_and_go(disk: Disk) -> None:
    assert disk.ips("one") == []
    disk.write("192.0.2.1 one")
    disk.now += LOOK_EVERY
    assert disk.ips("one") == ["192.0.2.1"]
    disk.path.unlink()
    disk.now += LOOK_EVERY
    assert disk.ips("one") == []


def test_a_file_that_cannot_be_read_says_nothing(disk: Disk) -> None:
    disk.path.mkdir()
    assert disk.ips("one") == []
    assert Hosts("\0", disk.read).find("one") == ()


def test_localhost_is_loopback_unless_the_file_says_otherwise(disk: Disk) -> None:
    disk.write("192.0.2.9 localhost db.localhost")
    assert disk.ips("localhost") == disk.ips("db.localhost") == ["192.0.2.9"]
    assert disk.ips("www.localhost") == ["127.0.0.1", "::1"]
    assert disk.ips("notlocalhost") == []
    disk.path.unlink()
    disk.now += LOOK_EVERY
    assert disk.ips("localhost") == ["127.0.0.1", "::1"]


def test_the_hosts_file_of_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets.sys, "platform", "linux")
    assert sockets.hosts_file() == "/etc/hosts"
    monkeypatch.setattr(sockets.sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", "D:\\Windows")
    assert sockets.hosts_file() == os.path.join("D:\\Windows", "System32", "drivers", "etc", "hosts")


# --- name servers --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("9.9.9.9", ("udp", "9.9.9.9", 53)),
        ("9.9.9.9:5353", ("udp", "9.9.9.9", 5353)),
        ("2620:FE::fe", ("udp", "2620:fe::fe", 53)),
        ("[2620:fe::fe]", ("udp", "2620:fe::fe", 53)),
        ("[2620:fe::fe]:5353", ("udp", "2620:fe::fe", 5353)),
        ("[fe80::1%7]:53", ("udp", "fe80::1%7", 53)),
        ("udp://9.9.9.9", ("udp", "9.9.9.9", 53)),
        ("tcp://9.9.9.9", ("tcp", "9.9.9.9", 53)),
        ("tcp://[::1]:1", ("tcp", "::1", 1)),
        ("tls://9.9.9.9", ("tls", "9.9.9.9", 853)),
        ("TLS://9.9.9.9:8853", ("tls", "9.9.9.9", 8853)),
        ("tls://9.9.9.9#DNS.quad9.net", ("tls", "9.9.9.9", 853, "dns.quad9.net")),
        ("tls://[::1]:8853#one.one.one.one.", ("tls", "::1", 8853, "one.one.one.one")),
        ("tls://10.0.0.1#192.0.2.1", ("tls", "10.0.0.1", 853, "192.0.2.1")),
        (" 9.9.9.9 ", ("udp", "9.9.9.9", 53)),
    ],
)
def test_name_servers_in_text(text: str, server: Any) -> None:
    found = parse_name_server(text)
    assert found == NameServer(*server)
    assert parse_name_server(str(found)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it must be an IP address"),
        ("dns.quad9.net", "there is nobody to ask for its name"),
        ("tls://dns.quad9.net", "there is nobody to ask for its name"),
        ("1.2.3", "it must be an IP address"),
        ("https://9.9.9.9/dns-query", "by udp://, tcp:// or tls://, not by 'https'"),
        ("://9.9.9.9", "not by ''"),
        ("9.9.9.9#53", "a port follows a colon"),
        ("tcp://9.9.9.9#dns.quad9.net", "for the certificate of a tls:// server"),
        ("tls://9.9.9.9#", "'' is not a host name"),
        ("tls://9.9.9.9#a..b", "'a..b' is not a host name"),
        ("9.9.9.9:0", "there is no port 0"),
        ("9.9.9.9:65536", "is not a port number"),
        ("9.9.9.9:dns", "is not a port number"),
        ("[9.9.9.9]:53", "is not an IPv6 address in brackets"),
        ("9.9.9.9/24", "it must be an IP address"),
        ("x" * 5000, "it must be an IP address"),
    ],
)
def test_what_is_no_name_server(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_name_server(text)
    sentence = str(refusal.value)
    assert words in sentence
    assert "expected is an address such as 9.9.9.9" in sentence
    assert len(sentence) < 500


def test_the_examples_of_the_sentence_are_right() -> None:
    for example in names._EXAMPLES.replace(" or ", ", ").split(", "):
        assert str(parse_name_server(example)).split("#")[0].endswith(("9.9.9.9:53", "]:53", "9.9.9.9:853"))


def test_a_server_on_a_link_that_is_not_here() -> None:
    assert parse_name_server("fe80::1%7").endpoint() == (IPV6, ("fe80::1", 53, 0, 7))
    with pytest.raises(OSError, match="is on no link of this machine"):
        parse_name_server("fe80::1%no-such-interface").endpoint()
