"""The rules of docs/redirection.md, relays, and both ends of what is redirected, in the network of `namespaces`.

Clients at home use plain sockets.  Targets see where their peers come from: the server, or home itself.
"""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from . import namespaces
from .namespaces import LAN, LOCAL_PORT, SERVER, Namespace, Network
from .processes import ROOT, Program
from .traffic import LIMIT, Target, receive_all, receive_digest, send_blocks

DOCUMENT = (ROOT / "docs" / "redirection.md").read_text("utf-8")
RECIPES = dict(re.findall(r"<!-- tested: ([^>]+) -->\n```sh\n(.*?)```", DOCUMENT, re.DOTALL))
SIZE = 300_000  # bytes in each direction

both_families = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


@contextmanager
def served_network(folder: Path) -> Iterator[Network]:
    """With Shadowsocks servers.  Skips the test where there can be no such network."""
    reason = namespaces.missing()
    if reason is not None:
        pytest.skip(reason)
    with ExitStack() as stack:
        try:
            made = stack.enter_context(namespaces.network(folder))
            assert made.environment
            rules(made, "settings", "iptables tproxy")
            rules(made, "settings", "undo iptables tproxy")
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"this kernel does not give what redirection needs: {error}")
        for family in (4, 6):
            namespaces.start_server(made, family)
        yield made


def rules(net: Network, *names: str, **more: str) -> None:
    """Run blocks of the document on the router, with the values of this network."""
    values = {"SERVER4": SERVER[4], "SERVER6": SERVER[6], "LAN": LAN, "PORT": str(LOCAL_PORT), **more}
    script = "".join(RECIPES[name] for name in names)
    for name, value in values.items():
        script = re.sub(rf"^{name}=\S*.*$", f'{name}="{value}"', script, flags=re.MULTILINE)
    net.router.run("sh", "-eu", "-c", script, environment={**net.environment, **more})


@contextmanager
def redirected(net: Network, recipe: str) -> Iterator[dict[int, Program]]:
    """Rules in force, and a relay for each family."""
    routes, switches = (["routes"], ["-T", "-u"]) if recipe.endswith("tproxy") else ([], [])
    relays: dict[int, Program] = {}
    rules(net, "settings", *routes, recipe)
    try:
        for family in (4, 6):
            relays[family] = namespaces.start_redirection(net, family, *switches)
        yield relays
    finally:
        net.stop(*relays.values())
        rules(net, "settings", f"undo {recipe}", *(f"undo {name}" for name in routes))
    for relay in relays.values():
        assert "internal error" not in relay.text(), relay.text()


@contextmanager
def relaying(net: Network, family: int, *switches: str, prefix: Sequence[str] = ()) -> Iterator[Program]:
    """A relay alone, without rules."""
    relay = namespaces.start_redirection(net, family, *switches, prefix=prefix)
    try:
        yield relay
    finally:
        net.stop(relay)
    assert "internal error" not in relay.text(), relay.text()


def exchange_as_target(sock: socket.socket) -> tuple[str, str, str]:
    """Who asks, and the digests of what came and went."""
    peer = sock.getpeername()[0]
    return peer, receive_digest(sock, SIZE), send_blocks(sock, SIZE, b"down")


def exchange(sock: socket.socket) -> tuple[str, str]:
    """The digests of what went and came."""
    with sock:
        sent = send_blocks(sock, SIZE, b"up")
        return sent, receive_digest(sock, SIZE)


@contextmanager
def tcp_target(where: Namespace, host: str) -> Iterator[Target]:
    target = where.call(lambda: Target(exchange_as_target, host))
    try:
        yield target
    finally:
        target.close()
    assert not target.errors, target.errors


class PacketTarget:
    """Answers each datagram with its digest, the address asked, and who asked."""

    def __init__(self, where: Namespace, host: str, port: int = 0) -> None:
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        self._sock = where.call(lambda: socket.socket(kind, socket.SOCK_DGRAM))
        self._sock.bind((host, port))
        self.where: tuple[str, int] = (host, self._sock.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            packet, peer = self._sock.recvfrom(65536)
            if packet == b"end":
                return
            self._sock.sendto(self.answer(packet, peer[0]), peer)

    def answer(self, packet: bytes, peer: str) -> bytes:
        said = f"{self.host} {peer} {hashlib.sha256(packet).hexdigest()} ".encode()
        return said.ljust(len(packet), b".")

    def __enter__(self) -> PacketTarget:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sock.sendto(b"end", self._sock.getsockname())
        self._thread.join(LIMIT)
        self._sock.close()


def connect(where: Namespace, host: str, port: int, source: str = "") -> socket.socket:
    """source  own address; "" for the system's choice"""
    return where.call(lambda: socket.create_connection((host, port), LIMIT, (source, 0) if source else None))


def datagrams(where: Namespace, family: int) -> socket.socket:
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    sock = where.call(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    sock.settimeout(LIMIT)
    return sock


def check_exchange(where: Namespace, target: Target, host: str, source: str = "") -> str:
    """Carry much in both directions; returns who the target has seen."""
    sent, received = exchange(connect(where, host, target.port, source))
    target.close()
    assert not target.errors, target.errors
    (result,) = target.results
    assert isinstance(result, tuple)
    assert result[1:] == (sent, received)
    return str(result[0])


def turned_away(where: Namespace, host: str) -> None:
    """Connect to the relay's own port: the connection is reset, as early as while it is made."""
    with pytest.raises(ConnectionError), connect(where, host, LOCAL_PORT) as sock:
        sock.sendall(b"?")
        assert receive_all(sock) == b"an end that is no reset"
