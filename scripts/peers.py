"""Other implementations for the interop tests: what there is, where it is, how it comes here.

    python3 scripts/peers.py                     where each one is, or why it is missing
    python3 scripts/peers.py install [NAME ...]  bring what is missing
    python3 scripts/peers.py install --again     also ask anew where a registry refused before

Each comes by the ordinary client of its ecosystem (apt-get, cargo, go), at a pinned version, and what is
built goes to ~/.cache/pyss-peers (or the folder that PYSS_PEERS names), so that it is built once.
Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Optional

CACHE = Path(os.environ.get("PYSS_PEERS") or Path.home() / ".cache" / "pyss-peers")

# The one reason for which a peer may be missing from a CI run too: the module proxy there answers a plain
# `go install` of these two with "403 Forbidden".  That answer is taken as it is.  shadowsocks-rust, which
# comes from another registry, stands in for AEAD-2022; shadowsocks-libev for AEAD-2017.
REFUSABLE = ("go-shadowsocks2", "shadowsocks-go")


class NotInstalled(Exception):
    """Why a peer could not be brought here, as one sentence."""


class Peer(ABC):
    """One package of programs.

    name      as its project calls itself
    programs  the programs that the tests start
    """

    def __init__(self, name: str, *programs: str) -> None:
        self.name = name
        self.programs = programs

    @abstractmethod
    def find(self, program: str) -> Optional[Path]:
        """Where `program` is."""

    @abstractmethod
    def install(self) -> None:
        """Bring it here.  Raises NotInstalled."""

    def missing(self) -> Optional[str]:
        """None when all programs are here, else the reason for a skip."""
        absent = [program for program in self.programs if self.find(program) is None]
        if not absent:
            return None
        reason = self.refusal() or "install it with: python3 scripts/peers.py install " + self.name
        return f"{self.name} is not here ({', '.join(absent)}): {reason}"

    def refusal(self) -> Optional[str]:
        """What a registry said when it refused, if it did."""
        return None

    def excused(self) -> bool:
        """Whether it may be missing where everything has to be present."""
        return self.name in REFUSABLE and self.refusal() is not None


class DebianPackage(Peer):
    """From the distribution; Debian and its children, as root."""

    def find(self, program: str) -> Optional[Path]:
        path = shutil.which(program)
        return Path(path) if path else None

    def install(self) -> None:
        if shutil.which("apt-get") is None:
            raise NotInstalled(f"it comes from the Debian package {self.name}, and there is no apt-get here")
        if os.geteuid() != 0:
            raise NotInstalled(f"only root may install it: apt-get install {self.name}")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", self.name]
        try:
            run(command, environment, 600)
        except NotInstalled:  # the list of packages may be old, or empty
            run(["apt-get", "update", "-q"], environment, 300)
            run(command, environment, 600)


class Built(Peer):
    """Built from source into a folder of its own in CACHE, named by its version.

    Nothing on PATH counts: the version there is unknown, and pyss installs an `sslocal` and an
    `ssserver` of its own.
    """

    client = ""

    def __init__(self, name: str, source: str, version: str, *programs: str) -> None:
        super().__init__(name, *programs)
        self.source = source
        self.version = version

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"

    def find(self, program: str) -> Optional[Path]:
        path = self.folder / "bin" / (program + (".exe" if os.name == "nt" else ""))
        return path if path.exists() else None

    def install(self) -> None:
        if shutil.which(self.client) is None:
            raise NotInstalled(f"it is built by {self.client}, which is not here")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.build()

    @abstractmethod
    def build(self) -> None: ...


class Crate(Built):
    client = "cargo"

    def __init__(self, name: str, version: str, features: tuple[str, ...], *programs: str) -> None:
        super().__init__(name, name, version, *programs)
        self.features = features

    @property
    def folder(self) -> Path:
        """Also named by the features: with others it is another program."""
        features = zlib.crc32(" ".join(self.features).encode("ascii"))
        return CACHE / f"{self.name}-{self.version}-{features:08x}"

    def build(self) -> None:
        command = ["cargo", "install", self.source, "--version", self.version, "--locked", "--quiet"]
        command += ["--no-default-features", "--features", ",".join(self.features)]
        run([*command, "--root", str(self.folder)], dict(os.environ), 1500)


class GoModule(Built):
    client = "go"

    @property
    def _record(self) -> Path:
        return self.folder / "refused"

    def refusal(self) -> Optional[str]:
        try:
            return self._record.read_text("utf-8").strip()
        except OSError:
            return None

    def forget_refusal(self) -> None:
        self._record.unlink(missing_ok=True)

    def build(self) -> None:
        said = self.refusal()
        if said is not None:
            raise NotInstalled(said)
        environment = dict(os.environ, GOBIN=str(self.folder / "bin"))
        try:
            run(["go", "install", f"{self.source}@{self.version}"], environment, 600)
        except NotInstalled as error:
            if "403 Forbidden" in str(error):
                said = f"the Go module proxy refuses {self.source}@{self.version} (403 Forbidden)"
                self._record.write_text(said + "\n", "utf-8")
                raise NotInstalled(said) from None
            raise


RUST_FEATURES = (
    "local",
    "local-tunnel",
    "server",
    "aead-cipher-2022",
    "aead-cipher-2022-extra",
    "aead-cipher-extra",
    "stream-cipher",
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        DebianPackage("shadowsocks-libev", "ss-local", "ss-server", "ss-tunnel"),
        DebianPackage("bind9-dnsutils", "dig"),
        DebianPackage("curl", "curl"),
        DebianPackage("chromium", "chromium"),
        Crate("shadowsocks-rust", "1.25.0", RUST_FEATURES, "sslocal", "ssserver"),
        GoModule("go-shadowsocks2", "github.com/shadowsocks/go-shadowsocks2", "v0.1.5", "go-shadowsocks2"),
        GoModule(
            "shadowsocks-go",
            "github.com/database64128/shadowsocks-go/cmd/shadowsocks-go",
            "v1.14.0",
            "shadowsocks-go",
        ),
    )
}


def run(command: list[str], environment: dict[str, str], seconds: float) -> None:
    """Run to the end.  Raises NotInstalled with the last words of the command."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{command[0]} {command[1]} did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise NotInstalled(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        raise NotInstalled(f"{command[0]} {command[1]} failed: " + " / ".join(line.strip() for line in lines[-3:]))


def install(names: list[str], *, again: bool = False) -> dict[str, str]:
    """Bring what is missing.  Returns the reason for each that still is."""
    failed = {}
    for name in names:
        peer = PEERS[name]
        if again and isinstance(peer, GoModule):
            peer.forget_refusal()
        if peer.missing() is None:
            continue
        print(f"installing {name} ...", flush=True)
        try:
            peer.install()
        except NotInstalled as error:
            failed[name] = str(error)
            print(f"  not installed: {error}", flush=True)
    return failed


def show() -> None:
    for peer in PEERS.values():
        why = peer.missing()
        places = ", ".join(str(peer.find(program)) for program in peer.programs)
        print(f"{peer.name:18} {places if why is None else 'MISSING: ' + why}")


def main(arguments: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Peers of the interop tests.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="where each one is, or why it is missing (the default)")
    install_parser = commands.add_parser("install", help="bring what is missing")
    install_parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    install_parser.add_argument("--again", action="store_true", help="ask anew where a registry refused before")
    options = parser.parse_args(arguments)
    if options.command != "install":
        show()
        return 0
    unknown = [name for name in options.names if name not in PEERS]
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    failed = install(options.names or list(PEERS), again=options.again)
    show()
    return 1 if any(not PEERS[name].excused() for name in failed) else 0


if __name__ == "__main__":
    sys.exit(main())
