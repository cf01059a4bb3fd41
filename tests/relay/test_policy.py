"""Where clients may not go, in whatever form the address comes."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from typing import Optional, Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyss.errors import ConfigError, Forbidden
from pyss.relay.policy import DEFAULT_FORBIDDEN, MOST_KNOWN, DestinationPolicy

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

NETWORKS: list[Network] = [ipaddress.ip_network(entry) for entry in DEFAULT_FORBIDDEN]
IPV4_NETWORKS = [network for network in NETWORKS if network.version == 4]
PUBLIC = ["1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.0", "2606:4700::1111", "2001:4860:4860::8888"]


def nothing_is_own(ip: str) -> bool:
    return False


def policy(forbidden: Optional[Sequence[str]] = None, allowed: Sequence[str] = ()) -> DestinationPolicy:
    return DestinationPolicy(forbidden, allowed, nothing_is_own)


def refused(judge: DestinationPolicy, ip: str) -> bool:
    """Asked twice: the second answer comes from memory."""
    answers = []
    for _ in range(2):
        try:
            judge.check(ip)
            answers.append(False)
        except Forbidden:
            answers.append(True)
    assert answers[0] is answers[1]
    return answers[0]


def wrapped(ip: object) -> list[str]:
    """The IPv6 forms of an IPv4 address, in several spellings."""
    number = int(ipaddress.IPv4Address(str(ip)))
    return [
        f"::ffff:{ip}",
        str(ipaddress.IPv6Address(0xFFFF << 32 | number)),
        ipaddress.IPv6Address(0xFFFF << 32 | number).exploded.upper(),
        f"64:ff9b::{ip}",
        str(ipaddress.IPv6Address(0x64FF9B << 96 | number)),
        str(ipaddress.IPv6Address(0x2002 << 112 | number << 80)),
        str(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 0xDEADBEEF)),
    ]


# --- the default table ---------------------------------------------------------------------------
def test_the_table_of_the_architecture_is_all_there() -> None:
    required = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
        192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 fc00::/7 fe80::/10 ff00::/8"""
    assert set(required.split()) <= set(DEFAULT_FORBIDDEN)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_each_network_from_its_first_to_its_last_address(network: Network) -> None:
    judge = policy()
    for ip in (network.network_address, network[network.num_addresses // 2], network.broadcast_address):
        assert refused(judge, str(ip))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_its_neighbours_pass_unless_they_stand_in_the_table_too(network: Network) -> None:
    judge = policy()
    lower, upper = int(network.network_address) - 1, int(network.broadcast_address) + 1
    for number in (lower, upper):
        if 0 <= number < 1 << network.max_prefixlen:
            ip = type(network.network_address)(number)
            known = any(ip in other for other in NETWORKS if other.version == ip.version)
            assert refused(judge, str(ip)) is known


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_pass(ip: str) -> None:
    assert not refused(policy(), ip)


@pytest.mark.parametrize("network", IPV4_NETWORKS, ids=str)
def test_ipv4_inside_of_ipv6_is_judged_as_ipv4(network: Network) -> None:
    judge = policy()
    for ip in (network.network_address, network.broadcast_address):
        for form in wrapped(ip):
            assert refused(judge, form), form


def test_public_ipv4_inside_of_ipv6_passes() -> None:
    judge = policy()
    for form in wrapped("93.184.216.34"):
        assert not refused(judge, form), form


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "fe80::1%1", "::1%lo", "::ffff:10.0.0.1%eth0", "fe80::1%"])
def test_a_zone_changes_nothing(ip: str) -> None:
    assert refused(policy(), ip)


def test_a_zone_does_not_close_what_is_open() -> None:
    assert not refused(policy(), "2606:4700::1111%eth0")


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "example.com", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "010.0.0.1", "1.2.3.4.5"),
        *("1.2.3.4 ", "[::1]", ":::", "%eth0", "1.2.3.4\0", "1.1.1.1/32", "\udcff", "\u0661.1.1.1", "x" * 5000),
    ],
)
def test_what_is_no_address_is_refused_too(text: str) -> None:
    """An open list of forbidden networks makes no difference: nobody knows where that would lead."""
    with pytest.raises(Forbidden) as caught:
        policy([]).check(text)
    assert "is not an IP address" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.0.1"])
def test_odd_forms_of_an_address_do_not_go_around_it(host: str) -> None:
    """The system's resolver reads them, and what it has read is judged."""
    try:
        found = socket.getaddrinfo(host, 80, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        assert sys.platform != "linux"
        pytest.skip("not an address to this system")
    judge = policy()
    for _, _, _, _, where in found:
        assert refused(judge, str(where[0])) is ipaddress.ip_address(where[0]).is_loopback
        assert ipaddress.ip_address(where[0]).is_loopback or sys.platform != "linux"


# --- messages ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ip", "address", "network"),
    [
        ("10.1.2.3", "10.1.2.3", "10.0.0.0/8"),
        ("::1", "::1", "::1/128"),
        ("FE80::1%eth0", "fe80::1", "fe80::/10"),
        ("64:ff9b::a01:203", "10.1.2.3 (inside 64:ff9b::a01:203)", "10.0.0.0/8"),
        ("2002:7f00:1::", "127.0.0.1 (inside 2002:7f00:1::)", "127.0.0.0/8"),
        ("::ffff:169.254.169.254", "169.254.169.254 (inside ::ffff:169.254.169.254)", "169.254.0.0/16"),
    ],
)
def test_the_message_names_the_address_and_its_network(ip: str, address: str, network: str) -> None:
    with pytest.raises(Forbidden) as caught:
        policy().check(ip)
    assert str(caught.value).startswith(f"{address} is in {network}, ")
    assert "--allowed-ip" in str(caught.value)
    assert caught.value.status == "forbidden"


def test_each_refusal_is_an_error_of_its_own() -> None:
    """A shared one would gather the tracebacks of all sessions."""
    judge = policy()
    errors = []
    for _ in range(2):
        with pytest.raises(Forbidden) as caught:
            judge.check("127.0.0.1")
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_the_narrowest_network_is_named() -> None:
    with pytest.raises(Forbidden, match=r"in 203\.0\.113\.0/24, "):
        policy(["203.0.0.0/8", "203.0.113.0/24", "0.0.0.0/0"]).check("203.0.113.7")


# --- lists of one's own --------------------------------------------------------------------------
@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"])
def test_an_empty_list_forbids_nothing(ip: str) -> None:
    assert not refused(DestinationPolicy([], is_own=lambda ip: True), ip)
    assert not refused(DestinationPolicy((), is_own=lambda ip: True), ip)


def test_a_list_replaces_the_table() -> None:
    judge = policy(["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"])
    assert all(refused(judge, ip) for ip in ["203.0.113.9", "2001:db8::1", "198.51.100.7", *wrapped("203.0.113.9")])
    assert not any(refused(judge, ip) for ip in ["127.0.0.1", "10.0.0.1", "198.51.100.8", *wrapped("127.0.0.1")])


def test_allowed_opens_a_part() -> None:
    judge = policy(allowed=["10.1.0.0/16", "fd00:1::/64", "::1"])
    assert not any(refused(judge, ip) for ip in ["10.1.2.3", "fd00:1::5", "::1", *wrapped("10.1.2.3")])
    assert all(refused(judge, ip) for ip in ["10.2.0.1", "fd00:2::5", "127.0.0.1", *wrapped("10.2.0.1")])


@pytest.mark.parametrize("wide", ["::/0", "2002::/16", "64:ff9b::/96", "2000::/3"])
def test_an_open_ipv6_network_does_not_open_ipv4_through_it(wide: str) -> None:
    judge = policy(allowed=[wide])
    assert all(refused(judge, form) for form in wrapped("127.0.0.1"))


def test_a_forbidden_wrapping_network_forbids_all_inside() -> None:
    judge = policy(["2002::/16", "64:ff9b::/96"])
    assert [refused(judge, form) for form in wrapped("93.184.216.34")] == [False] * 3 + [True] * 4


def test_a_mapped_network_is_an_ipv4_network() -> None:
    judge = policy(["::ffff:203.0.113.0/120"])
    assert refused(judge, "203.0.113.7")
    assert not refused(judge, "203.0.114.7")
    with pytest.raises(Forbidden, match=r"in 203\.0\.113\.0/24"):
        judge.check("203.0.113.7")
    assert not refused(policy(allowed=["::ffff:127.0.0.1"]), "127.0.0.1")


def test_networks_are_read_with_host_bits_and_netmasks() -> None:
    judge = policy(["10.1.2.3/8", "172.16.0.0/255.240.0.0"])
    assert refused(judge, "10.200.0.1")
    assert refused(judge, "172.31.0.1")


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.0/33", "10.0.0/8", "example.com", "fe80::%eth0/10", "::/129", "1.2.3.4-5", "10.0.0.0/8 "]
)
@pytest.mark.parametrize("which", ["forbidden", "allowed"])
def test_a_bad_network_is_named(entry: str, which: str) -> None:
    lists = {which: ["192.0.2.0/24", entry]}
    with pytest.raises(ConfigError) as caught:
        DestinationPolicy(is_own=nothing_is_own, **lists)
    assert repr(entry) in str(caught.value)
    assert which in str(caught.value)


# --- this machine's own addresses ----------------------------------------------------------------
OWN = {"198.51.100.7", "2001:db8::7"}


def test_own_addresses_are_refused_in_every_form() -> None:
    judge = DestinationPolicy(is_own=OWN.__contains__)
    for ip in [*OWN, *wrapped("198.51.100.7"), "2001:DB8:0::0007", "2001:db8::7%eth0"]:
        assert refused(judge, ip), ip
    assert not refused(judge, "198.51.100.8")
    with pytest.raises(Forbidden, match=r"^198\.51\.100\.7 is this machine's own address"):
        judge.check("198.51.100.7")


def test_own_addresses_can_be_allowed_or_not_be_in_the_list() -> None:
    judge = DestinationPolicy(allowed=["198.51.100.7"], is_own=OWN.__contains__)
    assert not refused(judge, "198.51.100.7")
    assert refused(judge, "2001:db8::7")
    assert not refused(DestinationPolicy(["10.0.0.0/8"], is_own=OWN.__contains__), "198.51.100.7")


def test_own_is_asked_each_time_for_addresses_come_and_go() -> None:
    own: set[str] = set()
    judge = DestinationPolicy(is_own=own.__contains__)
    assert not refused(judge, "198.51.100.7")
    own.add("198.51.100.7")
    assert refused(judge, "198.51.100.7")
    own.clear()
    assert not refused(judge, "198.51.100.7")


def test_when_it_cannot_be_told_the_door_stays_shut() -> None:
    def probe(ip: str) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(Forbidden, match=r"198\.51\.100\.7 may be .* Too many open files"):
        DestinationPolicy(is_own=probe).check("198.51.100.7")


def test_without_a_probe_handed_in_the_system_is_asked() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.77", 9))  # sends nothing
        except OSError:
            pytest.skip("no route but loopback")
        own = probe.getsockname()[0]
    judge = DestinationPolicy(["192.0.2.0/32"])
    assert not refused(judge, own)  # a list of one's own
    assert refused(DestinationPolicy(), own)


# --- memory, and an independent reading ----------------------------------------------------------
def test_the_memory_is_bounded() -> None:
    judge = policy()
    for number in range(2 * MOST_KNOWN + 10):
        judge.check(str(ipaddress.IPv4Address(0x08000000 + number)))
        assert len(judge._known) <= MOST_KNOWN
    assert refused(judge, "10.0.0.1")


ADDRESSES = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.sampled_from(NETWORKS).flatmap(lambda network: st.ip_addresses(network=network)),
    st.ip_addresses(v=4).flatmap(lambda ip: st.sampled_from(wrapped(ip)).map(ipaddress.ip_address)),
)


@st.composite
def networks(draw: st.DrawFn) -> list[str]:
    found = []
    for ip in draw(st.lists(ADDRESSES, max_size=6)):
        length = draw(st.integers(0, ip.max_prefixlen))
        found.append(f"{ip}/{length}")
    return found


def oracle(ip: Union[ipaddress.IPv4Address, ipaddress.IPv6Address], forbidden: list[str], allowed: list[str]) -> bool:
    """The rules once more, by `ipaddress` alone; for lists without IPv4-mapped networks."""

    def within(form: object, entries: list[str]) -> bool:
        return any(form in ipaddress.ip_network(entry, strict=False) for entry in entries)

    forms: list[object] = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            forms = [ip.ipv4_mapped]
        elif ip.sixtofour is not None:
            forms.append(ip.sixtofour)
        elif ip in ipaddress.IPv6Network("64:ff9b::/96"):
            forms.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return any(within(form, forbidden) and not within(form, allowed) for form in forms)


def is_mapped(entry: str) -> bool:
    network = ipaddress.ip_network(entry, strict=False)
    return isinstance(network, ipaddress.IPv6Network) and network.subnet_of(ipaddress.IPv6Network("::ffff:0:0/96"))


@given(ADDRESSES, networks(), networks())
@example(ipaddress.ip_address("64:ff9b::1.2.3.4"), ["1.0.0.0/8"], ["64:ff9b::/96"])
@example(ipaddress.ip_address("2002:102:304::"), ["2002::/16"], ["1.2.3.4/32"])
def test_it_agrees_with_another_reading_of_the_rules(
    ip: Union[ipaddress.IPv4Address, ipaddress.IPv6Address], forbidden: list[str], allowed: list[str]
) -> None:
    forbidden = [entry for entry in forbidden if not is_mapped(entry)]
    allowed = [entry for entry in allowed if not is_mapped(entry)]
    assert refused(policy(forbidden, allowed), str(ip)) is oracle(ip, forbidden, allowed)
    assert refused(policy(None, allowed), str(ip)) is oracle(ip, list(DEFAULT_FORBIDDEN), allowed)
