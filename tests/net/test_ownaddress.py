"""This machine's own addresses, told by the route to them; no packet is sent."""

from __future__ import annotations

import errno
import socket

import pytest

from pyss.net.ownaddress import LIFETIME, MOST_KNOWN, OwnAddresses, is_own_address

ELSEWHERE = "198.51.100.77"  # documentation, RFC 5737


def source_towards(ip: str) -> str:
    """The address this machine would use; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ip, 9))
        except OSError:
            pytest.skip("no route but loopback")
        return str(probe.getsockname()[0])


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# --- the probe -----------------------------------------------------------------------------------
@pytest.mark.parametrize("ip", ["127.0.0.1", "127.5.5.5", "127.255.255.254"])
def test_loopback_is_own(ip: str) -> None:
    assert is_own_address(ip)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_loopback_is_own() -> None:
    assert is_own_address("::1")


def test_the_address_of_an_interface_is_own() -> None:
    own = source_towards(ELSEWHERE)
    assert is_own_address(own)
    assert not is_own_address(ELSEWHERE)


@pytest.mark.parametrize("ip", ["255.255.255.255", "2001:db8::1", "fe80::1", "ff02::1"])
def test_an_address_without_a_way_is_not_own(ip: str) -> None:
    assert not is_own_address(ip)


@pytest.mark.parametrize("text", ["localhost", "", "127.1", "127.0.0.1:80", "::1%lo", "1.2.3.4.5", "x" * 200])
def test_names_are_not_looked_up(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        is_own_address(text)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN])
def test_want_of_means_is_not_an_answer(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Out of descriptors, "not own" would open the door."""

    def fail(*arguments: object) -> socket.socket:
        raise OSError(number, "injected")

    monkeypatch.setattr(socket, "socket", fail)
    with pytest.raises(OSError, match="injected"):
        is_own_address("127.0.0.1")


def test_a_family_that_is_missing_has_no_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "injected")

    monkeypatch.setattr(socket, "socket", fail)
    assert not is_own_address("2001:db8::1")


# --- the memory ----------------------------------------------------------------------------------
class Machine:
    """Addresses that come and go, a clock, and the questions that were asked."""

    def __init__(self) -> None:
        self.addresses = {"192.0.2.1"}
        self.asked: list[str] = []
        self.now = 1000.0

    def probe(self, ip: str) -> bool:
        self.asked.append(ip)
        return ip in self.addresses

    def clock(self) -> float:
        return self.now


def test_a_known_address_is_not_probed_again() -> None:
    machine = Machine()
    own = OwnAddresses(machine.probe, machine.clock)
    for _ in range(3):
        assert own("192.0.2.1")
        assert not own("192.0.2.2")
    assert machine.asked == ["192.0.2.1", "192.0.2.2"]


def test_a_new_address_is_seen_after_a_while() -> None:
    machine = Machine()
    own = OwnAddresses(machine.probe, machine.clock)
    assert not own("192.0.2.2")
    machine.addresses = {"192.0.2.2"}
    machine.now += LIFETIME - 1
    assert not own("192.0.2.2")
    machine.now += 2
    assert own("192.0.2.2")
    assert not own("192.0.2.1")


def test_the_time_counts_from_the_first_answer_after_a_pause() -> None:
    machine = Machine()
    own = OwnAddresses(machine.probe, machine.clock)
    own("192.0.2.2")
    machine.now += 10 * LIFETIME
    own("192.0.2.2")
    machine.now += LIFETIME - 1
    own("192.0.2.2")
    assert len(machine.asked) == 2


def test_the_memory_is_bounded() -> None:
    machine = Machine()
    own = OwnAddresses(machine.probe, machine.clock)
    for number in range(3 * MOST_KNOWN):
        own(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert len(own._known) <= MOST_KNOWN
    assert own("192.0.2.1")


def test_a_failure_is_not_remembered() -> None:
    answers: list[object] = [OSError(errno.EMFILE, "no descriptors"), True]

    def probe(ip: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return bool(answer)

    own = OwnAddresses(probe)
    with pytest.raises(OSError, match="no descriptors"):
        own("192.0.2.1")
    assert own("192.0.2.1")
