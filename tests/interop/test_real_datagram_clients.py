"""Programs that people use, with datagrams through pyss: dig in each way that it asks, and QUIC.

What the name server was asked, and over which protocol, proves the way: it is reached by no other.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.datagrams import SocksAssociation
from helpers.peers import LIBEV, PYSS, RUST, Pair, RunningPair, need, need_package, running
from helpers.processes import clean_environment
from helpers.relay import HOST

if TYPE_CHECKING:
    from helpers.nameservice import NameService

METHOD = "aes-256-gcm"
METHOD_2022 = "2022-blake3-aes-256-gcm"

RECORDS = {
    ("www.example", "A"): ["192.0.2.7"],
    ("six.example", "AAAA"): ["2001:db8::7"],
    ("large.example", "TXT"): [f'"{number:04d} {"x" * 200}"' for number in range(40)],
    ("cut.example", "TXT"): [f'"{number:04d} {"y" * 200}"' for number in range(100)],
}

# --- dig -----------------------------------------------------------------------------------------
TUNNELS = [
    *(Pair(PYSS, PYSS, method) for method in (METHOD, METHOD_2022)),
    *(pair for method in (METHOD, "aes-256-cfb") for pair in (Pair(PYSS, LIBEV, method), Pair(LIBEV, PYSS, method))),
    *(pair for method in (METHOD, METHOD_2022) for pair in (Pair(PYSS, RUST, method), Pair(RUST, PYSS, method))),
]


@pytest.fixture(scope="module")
def names() -> Iterator[NameService]:
    need_package("dnspython", "dns.message")
    from helpers.nameservice import name_service

    with name_service(RECORDS, truncated=("cut.example",)) as service:
        yield service


@pytest.fixture(scope="module")
def tunnel(
    request: pytest.FixtureRequest, names: NameService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPair]:
    """A tunnel to the name server, through the pair of an indirect parameter."""
    pair: Pair = request.param
    need("bind9-dnsutils")
    pair.need()
    with running(pair, tmp_path_factory.mktemp("tunnel"), f"{HOST}:{names.port}") as started:
        yield started
        started.check()


every_tunnel = pytest.mark.parametrize("tunnel", TUNNELS, indirect=True, ids=str)


def dig(port: int, *words: str) -> list[str]:
    """The data of the records that dig shows, in order; it shows them in any."""
    command = ["dig", "-p", str(port), f"@{HOST}", "+short", "+tries=10", "+timeout=2", *words]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(line for line in done.stdout.splitlines() if not line.startswith(";"))


def asked(names: NameService, name: str) -> list[str]:
    """The protocols over which that name was asked; once each, for what was lost is asked again."""
    return sorted({protocol for protocol, each in names.asked if each == name})


@every_tunnel
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_dig_through_a_tunnel(tunnel: RunningPair, names: NameService, protocol: str) -> None:
    names.asked.clear()
    how = "+tcp" if protocol == "tcp" else "+notcp"
    assert dig(tunnel.port, how, "www.example", "A") == ["192.0.2.7"]
    assert dig(tunnel.port, how, "six.example", "AAAA") == ["2001:db8::7"]
    assert asked(names, "www.example") == asked(names, "six.example") == [protocol]


@every_tunnel
def test_dig_goes_on_by_tcp_after_a_truncated_answer(tunnel: RunningPair, names: NameService) -> None:
    names.asked.clear()
    assert dig(tunnel.port, "+notcp", "+noignore", "cut.example", "TXT") == RECORDS["cut.example", "TXT"]
    assert asked(names, "cut.example") == ["tcp", "udp"]


@every_tunnel
def test_an_answer_of_8_kilobytes(tunnel: RunningPair, names: NameService) -> None:
    names.asked.clear()
    assert dig(tunnel.port, "+notcp", "+bufsize=9000", "large.example", "TXT") == RECORDS["large.example", "TXT"]
    assert asked(names, "large.example") == ["udp"]


# --- QUIC ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "relay",
    [
        *(Pair(PYSS, PYSS, method) for method in (METHOD, METHOD_2022)),
        *(Pair(PYSS, LIBEV, METHOD), Pair(LIBEV, PYSS, METHOD)),
        *(Pair(PYSS, RUST, METHOD_2022), Pair(RUST, PYSS, METHOD_2022)),
    ],
    indirect=True,
    ids=str,
)
def test_quic(relay: RunningPair, tmp_path: Path) -> None:
    need_package("aioquic", "aioquic.asyncio")
    need_package("cryptography", "cryptography.x509")
    from helpers.quic import PATIENCE, echo_server, echoed, make_certificate

    certificate = make_certificate(tmp_path)
    data = os.urandom(300_000)

    async def exchange() -> None:
        async with echo_server(certificate) as server:
            target = HOST, server.port
            back, packets = await asyncio.wait_for(echoed(client, target, certificate, data), PATIENCE)
            assert back == data
            assert packets > len(data) / 1500
            # The client's CONNECTION_CLOSE has come through too: the server did not have to wait for its end.
            ended = await asyncio.wait_for(server.ended, PATIENCE)
            assert (ended.error_code, ended.reason_phrase) == (0, "")

    with SocksAssociation(relay.port) as client:
        asyncio.run(exchange())
    if relay.pair.client is PYSS:
        counted = relay.client.wait_for_line(r" -> - ok up (\d{6,}) down (\d{6,}) bytes .*: UDP$")
        assert min(int(counted[1]), int(counted[2])) > len(data)
    relay.check()
