"""What recipes of docs/redirection.md leave behind, the router's own connections, and the rights that a relay needs."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator

import pytest
from helpers import namespaces
from helpers.namespaces import HOME, ROUTER, SERVER_PORT, TARGETS, Network
from helpers.processes import PYTHON
from helpers.redirecting import (
    PacketTarget,
    both_families,
    check_exchange,
    datagrams,
    redirected,
    relaying,
    rules,
    served_network,
    tcp_target,
    turned_away,
)

NOBODY = 65534
DNS = 53

every_recipe = pytest.mark.parametrize(
    "recipe", ["iptables redirect", "nftables redirect", "iptables tproxy", "nftables tproxy"]
)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with served_network(tmp_path_factory.mktemp("network")) as made:
        yield made


# --- the recipes undone --------------------------------------------------------------------------
def state(net: Network) -> dict[str, str]:
    """What recipes change on the router; of the routes only their table, as others grow while links come up."""
    commands = [f"{command} -t {table} -S" for command in ("iptables", "ip6tables") for table in ("nat", "mangle")]
    commands += [f"ip {family} {what}" for family in ("-4", "-6") for what in ("rule", "route show table all")]
    commands.append("nft list tables inet")
    said = {command: net.router.run(*command.split(), environment=net.environment) for command in commands}
    return {
        command: "".join(line for line in text.splitlines(True) if "table 100" in line or "route" not in command)
        for command, text in said.items()
    }


@every_recipe
def test_nothing_is_left_of_a_recipe(net: Network, recipe: str) -> None:
    before = state(net)
    with redirected(net, recipe):
        assert state(net) != before
    assert state(net) == before
    for family in (4, 6):
        host = TARGETS[family][0]
        with tcp_target(net.world, host) as target:
            assert check_exchange(net.home, target, host) == HOME[family]


@every_recipe
def test_a_family_without_a_server(net: Network, recipe: str) -> None:
    before = state(net)
    rules(net, "settings", recipe, SERVER6="")
    assert state(net) != before
    rules(net, "settings", f"undo {recipe}", SERVER6="")
    assert state(net) == before


# --- the router's own connections ----------------------------------------------------------------
def rights(*capabilities: str, user: int = NOBODY) -> list[str]:
    """A prefix for commands: another user, with these capabilities and no others."""
    program = namespaces.tool("setpriv")
    if program is None:
        pytest.skip("there is no command setpriv here (Debian: util-linux)")
    listed = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    who = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return [program, *who, f"--inh-caps={listed}", f"--ambient-caps={listed}", f"--bounding-set={listed}"]


def need_readable(prefix: list[str]) -> None:
    argv = [*prefix, PYTHON, "-c", "import pyss.relay.session"]
    done = subprocess.run(argv, env=namespaces.clean_environment(), cwd="/", capture_output=True, check=False)
    if done.returncode:
        pytest.skip("another user cannot read this checkout or this Python")


@both_families
@pytest.mark.parametrize("way", ["own user", "own mark"])
def test_own_connections_are_redirected_and_those_of_the_relay_are_not(net: Network, way: str, family: int) -> None:
    if way == "own user":
        prefix, switches = rights(), []
        need_readable(prefix)
    else:
        prefix, switches = [], ["--outbound-fwmark", "2"]
    # The server is not left out, so that nothing but this rule keeps the relay's connections from coming back.
    values = {"RELAY": str(NOBODY), "SERVER4": "", "SERVER6": "", "DIRECT4": "127.0.0.0/8", "DIRECT6": "::1/128"}
    rules(net, "settings", "iptables redirect", way, **values)
    try:
        host = TARGETS[family][0]
        with relaying(net, family, *switches, prefix=prefix) as relay, tcp_target(net.world, host) as target:
            assert check_exchange(net.router, target, host) in TARGETS[family]
            assert not re.search(f"connecting .*:{SERVER_PORT} ", relay.text())
    finally:
        rules(net, "settings", f"undo {way}", "undo iptables redirect", **values)


# --- rights --------------------------------------------------------------------------------------
def test_two_capabilities_are_enough_for_tproxy(net: Network) -> None:
    prefix = rights("net_admin", "net_bind_service")
    need_readable(prefix)
    host = TARGETS[4][0]
    rules(net, "settings", "routes", "iptables tproxy")
    try:
        with relaying(net, 4, "-T", "-u", prefix=prefix):
            with tcp_target(net.world, host) as target:
                assert check_exchange(net.home, target, host) in TARGETS[4]
            with PacketTarget(net.world, host, DNS), datagrams(net.home, 4) as sock:
                sock.connect((host, DNS))
                sock.send(b"?")
                assert sock.recv(65536).split()[0].decode() == host
    finally:
        rules(net, "settings", "undo iptables tproxy", "undo routes")


def test_what_is_missing_for_an_answer_from_a_low_port_is_said(net: Network) -> None:
    prefix = rights("net_admin")
    need_readable(prefix)
    host = TARGETS[4][0]
    rules(net, "settings", "routes", "iptables tproxy")
    try:
        with (
            relaying(net, 4, "-T", "-u", prefix=prefix) as relay,
            PacketTarget(net.world, host, DNS),
            datagrams(net.home, 4) as sock,
        ):
            sock.sendto(b"?", (host, DNS))
            relay.wait_for_line(f"WARNING .*no answer can be sent from {host}:53: .*CAP_NET_BIND_SERVICE")
    finally:
        rules(net, "settings", "undo iptables tproxy", "undo routes")


@both_families
def test_what_is_missing_for_a_transparent_socket_is_said(net: Network, family: int) -> None:
    prefix = rights()
    need_readable(prefix)
    with pytest.raises(AssertionError, match="root or the capability CAP_NET_ADMIN"):
        namespaces.start_redirection(net, family, "-T", prefix=prefix)


@both_families
def test_no_other_process_gets_a_share_of_the_port(net: Network, family: int) -> None:
    with relaying(net, family, "-U"), pytest.raises(AssertionError, match="Address already in use"):
        namespaces.start_redirection(net, family, "-U")


def test_a_name_server_on_the_router_itself(net: Network) -> None:
    """It has the port that answers come from; whether it lets others have it for other addresses is up to it."""
    host = TARGETS[4][0]
    with redirected(net, "iptables tproxy") as relays, PacketTarget(net.world, host, DNS):
        with datagrams(net.router, 4) as taken, datagrams(net.home, 4) as sock:
            taken.bind(("0.0.0.0", DNS))
            sock.sendto(b"?", (host, DNS))
            relays[4].wait_for_line(f"WARNING .*no answer can be sent from {host}:53: .*another program has this port")
        with datagrams(net.router, 4) as shared, datagrams(net.home, 4) as sock:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            shared.bind(("0.0.0.0", DNS))
            sock.connect((host, DNS))
            sock.send(b"?")
            assert sock.recv(65536).split()[0].decode() == host


def test_a_connection_that_nothing_redirected_is_explained(net: Network) -> None:
    with relaying(net, 4) as relay:
        turned_away(net.home, ROUTER[4])
        relay.wait_for_line("- (loop|bad-request) ")
