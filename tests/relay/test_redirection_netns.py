"""Redirection as on a router, by each recipe of docs/redirection.md, in network namespaces made for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from helpers.namespaces import HOME, LOCAL_PORT, ROUTER, SERVER, TARGETS, Network
from helpers.processes import Program
from helpers.redirecting import (
    PacketTarget,
    both_families,
    check_exchange,
    datagrams,
    redirected,
    served_network,
    tcp_target,
    turned_away,
)

BIG = 4000  # bytes, more than a packet takes
DNS = 53

every_recipe = pytest.mark.parametrize(
    "relays", ["iptables redirect", "nftables redirect", "iptables tproxy", "nftables tproxy"], indirect=True
)
packet_recipes = pytest.mark.parametrize("relays", ["iptables tproxy", "nftables tproxy"], indirect=True)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with served_network(tmp_path_factory.mktemp("network")) as made:
        yield made


@pytest.fixture(scope="module")
def relays(request: pytest.FixtureRequest, net: Network) -> Iterator[dict[int, Program]]:
    with redirected(net, request.param) as started:
        yield started


# --- TCP -----------------------------------------------------------------------------------------
@every_recipe
@both_families
def test_connections_reach_their_targets_through_the_server(
    net: Network, relays: dict[int, Program], family: int
) -> None:
    for host in TARGETS[family]:
        with tcp_target(net.world, host) as target:
            assert check_exchange(net.home, target, host) in TARGETS[family]
            relays[family].wait_for_line(f"connecting {re.escape(f'[{host}]' if family == 6 else host)}:{target.port} ")


@every_recipe
@both_families
def test_what_is_excluded_passes_by(net: Network, relays: dict[int, Program], family: int) -> None:
    with tcp_target(net.world, SERVER[family]) as target:
        assert check_exchange(net.home, target, SERVER[family]) == HOME[family]


@every_recipe
@both_families
def test_who_connects_to_the_port_itself_is_turned_away(net: Network, relays: dict[int, Program], family: int) -> None:
    turned_away(net.home, ROUTER[family])
    relays[family].wait_for_line("- loop .*is this port itself")
    assert not re.search(rf"connecting \[?{ROUTER[family]}\]?:", relays[family].text())


@every_recipe
@both_families
def test_connections_from_outside_are_answered(net: Network, relays: dict[int, Program], family: int) -> None:
    with tcp_target(net.home, HOME[family]) as target:
        outside = TARGETS[family][0]  # from an address that no rule leaves out
        assert check_exchange(net.world, target, HOME[family], outside) == outside


# --- UDP -----------------------------------------------------------------------------------------
@packet_recipes
@both_families
def test_a_connected_socket_has_its_answers(net: Network, relays: dict[int, Program], family: int) -> None:
    host = TARGETS[family][0]
    with PacketTarget(net.world, host) as target, datagrams(net.home, family) as sock:
        sock.connect(target.where)  # from now on it takes nothing from elsewhere
        for payload in (b"?", b"", bytes(1200), os.urandom(BIG)):
            sock.send(payload)
            answer = sock.recv(65536)
            peer = answer.split()[1].decode()
            assert answer == target.answer(payload, peer)
            assert peer in TARGETS[family]


@packet_recipes
@both_families
def test_one_socket_for_two_targets(net: Network, relays: dict[int, Program], family: int) -> None:
    one, other = TARGETS[family]
    with (
        PacketTarget(net.world, one) as first,
        PacketTarget(net.world, other) as second,
        datagrams(net.home, family) as sock,
    ):
        for target in (first, second, first):
            sock.sendto(b"which?", target.where)
            answer, source = sock.recvfrom(65536)
            assert source[:2] == target.where
            assert answer.split()[0].decode() == target.host
        sock.sendto(b"1", first.where)
        sock.sendto(b"2", second.where)
        assert {sock.recvfrom(65536)[1][:2] for _ in range(2)} == {first.where, second.where}


@packet_recipes
@both_families
def test_names_are_asked_for_at_port_53(net: Network, relays: dict[int, Program], family: int) -> None:
    for host in TARGETS[family]:
        with PacketTarget(net.world, host, DNS) as target, datagrams(net.home, family) as sock:
            sock.connect((host, DNS))
            sock.send(b"example.org?")
            assert sock.recv(65536).split()[0].decode() == target.host


@packet_recipes
@both_families
def test_a_target_whose_port_is_ours(net: Network, relays: dict[int, Program], family: int) -> None:
    host = TARGETS[family][0]
    with PacketTarget(net.world, host, LOCAL_PORT), datagrams(net.home, family) as sock:
        sock.connect((host, LOCAL_PORT))
        sock.send(b"?")
        assert sock.recv(65536).split()[0].decode() == host


@packet_recipes
@both_families
def test_a_third_party_may_answer_and_is_answered(net: Network, relays: dict[int, Program], family: int) -> None:
    """The first datagram between client and third party comes from outside: what the client answers is no reply."""
    one, other = TARGETS[family]
    with (
        datagrams(net.world, family) as asked,
        datagrams(net.world, family) as third,
        datagrams(net.home, family) as sock,
    ):
        asked.bind((one, 0))
        third.bind((other, 0))
        sock.sendto(b"hello", asked.getsockname())
        _, server = asked.recvfrom(65536)
        third.sendto(b"from elsewhere", server)
        said, source = sock.recvfrom(65536)
        assert (said, source[:2]) == (b"from elsewhere", third.getsockname()[:2])
        sock.sendto(b"I see", source)
        said, peer = third.recvfrom(65536)
        assert (said, peer[1]) == (b"I see", server[1])  # the server's socket for this client, from whichever address


@packet_recipes
@both_families
def test_what_is_sent_to_the_port_itself_is_dropped(net: Network, relays: dict[int, Program], family: int) -> None:
    with datagrams(net.home, family) as sock:
        sock.sendto(b"?", (ROUTER[family], LOCAL_PORT))
        relays[family].wait_for_line("dropped .*is this port itself")


@packet_recipes
def test_datagrams_to_what_is_excluded_pass_by(net: Network, relays: dict[int, Program]) -> None:
    for family in (4, 6):
        with PacketTarget(net.world, SERVER[family]) as target, datagrams(net.home, family) as sock:
            sock.connect(target.where)
            sock.send(b"?")
            assert sock.recv(65536).split()[1].decode() == HOME[family]
