"""A router between a home and the world, made of network namespaces of Linux; nothing of it touches this machine's own.

    home 10.77.1.2 ───── 10.77.1.1 router 10.77.2.1 ───── 10.77.2.2 world: Shadowsocks server
         fd77:1::2       fd77:1::1        fd77:2::1       fd77:2::2        targets 198.51.100.1 and .2,
                         `pyss redir`                                               2001:db8::1 and ::2

The router forwards, so without redirection home reaches the targets too: they see who is asking.  Programs are started
by `ip netns exec`; the sockets of clients and targets are made by threads that have stepped into a namespace.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional, TypeVar

from .apart import in_a_thread
from .commands import PYSS
from .processes import Program, clean_environment

SECONDS = 20  # that a command may take
HOME = {4: "10.77.1.2", 6: "fd77:1::2"}
ROUTER = {4: "10.77.1.1", 6: "fd77:1::1"}  # as home sees it
SERVER = {4: "10.77.2.2", 6: "fd77:2::2"}
TARGETS = {4: ("198.51.100.1", "198.51.100.2"), 6: ("2001:db8::1", "2001:db8::2")}
LAN = "lan0"  # the router's interface to home
ANYWHERE = {4: "0.0.0.0", 6: "::"}
SERVER_PORT, LOCAL_PORT = 8388, 1081
METHOD, PASSWORD = "aes-256-gcm", "between the two of us"

_numbers = itertools.count(1)
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, linux/sched.h

Value = TypeVar("Value")


def run(*argv: str, environment: Optional[Mapping[str, str]] = None, text: Optional[str] = None) -> str:
    """Standard output.  Raises AssertionError with what the command said if it fails."""
    done = subprocess.run(
        argv, input=text, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Namespace:
    """One network stack, by the name that `ip netns` knows it by."""

    def __init__(self, name: str) -> None:
        self.name = f"pyss-{os.getpid()}-{next(_numbers)}-{name}"

    def add(self) -> None:
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *argv: str) -> list[str]:
        """To run `argv` inside."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, environment: Optional[Mapping[str, str]] = None, text: Optional[str] = None) -> str:
        return run(*self.command(*argv), environment=environment, text=text)

    def call(self, function: Callable[[], Value]) -> Value:
        """In a thread that is inside.  Sockets it makes stay inside, as do threads it starts."""

        def inside() -> Value:
            with open(f"/run/netns/{self.name}") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _NEW_NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            return function()

        return in_a_thread(inside)

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, timeout=SECONDS, check=False)


class Network:
    """home, router and world; `iptables` is a folder with the commands `iptables` and `ip6tables` that work here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.router, self.world = self.namespaces = [Namespace(name) for name in ("home", "router", "world")]
        self._programs: list[Program] = []

    def build(self) -> None:
        for namespace in self.namespaces:
            namespace.add()
        link(self.home, "eth0", self.router, LAN)
        link(self.router, "wan0", self.world, "eth0")
        for namespace, interface, addresses in (
            (self.home, "eth0", ("10.77.1.2/24", "fd77:1::2/64")),
            (self.router, LAN, ("10.77.1.1/24", "fd77:1::1/64")),
            (self.router, "wan0", ("10.77.2.1/24", "fd77:2::1/64")),
            (self.world, "eth0", ("10.77.2.2/24", "fd77:2::2/64")),
            (self.world, "lo", (*TARGETS[4], *TARGETS[6])),
        ):
            for address in addresses:
                once = ("nodad",) if ":" in address else ()  # else an address is of no use for a second or two
                namespace.run("ip", "address", "add", address, "dev", interface, *once)
        for namespace, four, six in (
            (self.home, ROUTER[4], ROUTER[6]),
            (self.router, SERVER[4], SERVER[6]),
            (self.world, "10.77.2.1", "fd77:2::1"),
        ):
            namespace.run("ip", "route", "add", "default", "via", four)
            namespace.run("ip", "-6", "route", "add", "default", "via", six)
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.router.run("sh", "-c", f"echo 1 > /proc/sys/net/{switch}")

    def start(self, namespace: Namespace, log: str, argv: Sequence[str]) -> Program:
        program = Program(namespace.command(*argv), self.folder / log)
        self._programs.append(program)
        return program

    def stop(self, *programs: Program) -> None:
        for program in programs or tuple(self._programs):
            self._programs.remove(program)
            program.stop()

    def close(self) -> None:
        self.stop()
        for namespace in self.namespaces:
            namespace.delete()

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """With `iptables` and `ip6tables` as this kernel has them in front of the PATH."""
        commands = self.folder / "commands"
        commands.mkdir()
        for name in ("iptables", "ip6tables"):
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec {working(self.router, name)} "$@"\n')
            script.chmod(0o755)
        path = os.pathsep.join([str(commands), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        return clean_environment(PATH=path)


def link(one: Namespace, interface: str, other: Namespace, end: str) -> None:
    one.run("ip", "link", "add", interface, "type", "veth", "peer", "name", end, "netns", other.name)
    one.run("ip", "link", "set", interface, "up")
    other.run("ip", "link", "set", end, "up")


def working(namespace: Namespace, name: str) -> str:
    """The path of the variant of iptables that the kernel understands.  Raises AssertionError."""
    said = []
    for variant in (name, f"{name}-nft", f"{name}-legacy"):
        found = tool(variant)
        if found is None:
            continue
        tables = [[found, "-w", "-t", table, "-S"] for table in ("nat", "mangle")]
        done = [
            subprocess.run(namespace.command(*argv), capture_output=True, text=True, timeout=SECONDS, check=False)
            for argv in tables
        ]
        if not any(one.returncode for one in done):
            return found
        said += [one.stderr.strip() for one in done]
    raise AssertionError(f"no {name} that works here: {'; '.join(said)}")


def tool(name: str) -> Optional[str]:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def missing() -> Optional[str]:
    """Why there can be no such network here, None if there can."""
    if sys.platform != "linux":
        return "network namespaces are of Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    for name in ("ip", "iptables", "ip6tables", "nft"):
        if tool(name) is None:
            return f"there is no command {name} here (Debian: iproute2, iptables, nftables)"
    return None


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Raises AssertionError where the kernel does not give what is asked for; nothing is left behind in any case."""
    made = Network(folder)
    try:
        made.build()
        yield made
    finally:
        made.close()


# --- the programs --------------------------------------------------------------------------------


def start_redirection(made: Network, family: int, *switches: str, prefix: Sequence[str] = ()) -> Program:
    """`pyss redir` on the router, listening on all addresses of one family, when it is ready.

    prefix  of the command, to run it as somebody else
    """
    options = ("-s", SERVER[family], "-p", str(SERVER_PORT), "-k", PASSWORD, "-m", METHOD)
    listen = ("-b", ANYWHERE[family], "-l", str(LOCAL_PORT))
    # Somebody else may not look into the folder of the test, where a configuration would be looked for.
    argv = ("env", "--chdir=/", *prefix, *PYSS, "redir", *options, *listen, "-v", *switches)
    program = made.start(made.router, f"redir-{family}.log", argv)
    program.wait_for_line(" on .*, crypto by ")
    return program


def start_server(made: Network, family: int) -> Program:
    """`pyss server` in the world, for TCP and UDP."""
    options = ("-s", SERVER[family], "-p", str(SERVER_PORT), "-k", PASSWORD, "-m", METHOD)
    argv = (*PYSS, "server", *options, "-u", "--forbidden-ip=")
    program = made.start(made.world, f"server-{family}.log", argv)
    program.wait_for_line(" on .*, crypto by ")
    return program
