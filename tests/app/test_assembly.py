"""Services put together from a configuration: each port, limit, policy and name in its place, and clear refusals."""

from __future__ import annotations

import errno
import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
from helpers.relay import HOST, LoopThread
from helpers.traffic import echo, receive_all, target

from pyss.app import assembly as module
from pyss.app.assembly import Assembly, announce, plain_http_forward, salt_memory
from pyss.app.config import LocalConfig, Server, ServerConfig, Timeouts
from pyss.app.journal import open_journal
from pyss.crypto import backends
from pyss.crypto.methods import METHODS, Family
from pyss.errors import ConfigError
from pyss.net.loop import Loop
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.relay import service
from pyss.relay.outbounds import Shadowsocks

GCM = "aes-256-gcm"
FIRST = Server(HOST, 0, GCM, "a password")
SECOND = Server(HOST, 0, "chacha20-ietf-poly1305", "another one")
PLAIN = Server(HOST, 0, "none", "")


@pytest.fixture
def assembly() -> Iterator[Assembly]:
    made = Assembly(Loop())
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    open_journal(1, str(tmp_path / "log"))
    return tmp_path / "log"


# --- what is put together ------------------------------------------------------------------------
def test_one_service_for_each_server(assembly: Assembly) -> None:
    made = assembly.server(ServerConfig((FIRST, SECOND, PLAIN)))
    assert made == assembly.services and len(made) == 3
    ports = {listener.address[1] for one in made for listener in one.listeners}
    assert len(ports) == 3 and 0 not in ports


def test_one_proxy_for_all_addresses_and_servers(assembly: Assembly) -> None:
    reached = (Server("h", 1, GCM, "a"), Server("::1", 2, "none", ""))
    made = assembly.local(LocalConfig(((HOST, 0), (HOST, 0)), reached))
    assert [listener.address[0] for listener in made.listeners] == [HOST, HOST]
    assert isinstance(made.outbound, Shadowsocks)
    assert assembly.services == [made]


def test_time_limits_arrive(assembly: Assembly) -> None:
    times = Timeouts(greeting=1.0, dial=2.0, idle=3.0, half_closed=4.0)
    local = assembly.local(LocalConfig(((HOST, 0),), (FIRST,), timeouts=times))
    (server,) = assembly.server(ServerConfig((FIRST,), timeouts=times))
    for limits in (local.limits, server.limits):
        assert (limits.greeting, limits.dial, limits.idle, limits.half_closed) == (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(("verbosity", "verbose", "quiet"), [(2, True, False), (0, False, False), (-1, False, True)])
def test_verbosity_arrives(verbosity: int, verbose: bool, quiet: bool) -> None:
    made = Assembly(Loop(), verbosity=verbosity)
    try:
        (server,) = made.server(ServerConfig((PLAIN,)))
        assert (server.verbose, server.quiet) == (verbose, quiet)
    finally:
        made.close()


def test_backends_in_use_are_named_once(assembly: Assembly) -> None:
    assembly.server(ServerConfig((PLAIN,)))
    assert assembly.backends() == ""
    assembly.server(ServerConfig((FIRST, SECOND), crypto="pure"))
    assert assembly.backends() == "pure"


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].family is not Family.NONE])
def test_each_family_has_its_memory_of_salts(name: str) -> None:
    expected = SaltMemory2022 if name.startswith("2022-") else SaltFilter2017
    assert isinstance(salt_memory(METHODS[name].family), expected)


def test_plain_http_needs_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyss.relay.http_forward", None)  # what makes its import fail
    assert plain_http_forward() is None
    monkeypatch.undo()
    pytest.importorskip("h11", reason="plain HTTP is not forwarded without it")
    assert callable(plain_http_forward())


def status_of_a_session(config: ServerConfig, log: Path) -> str:
    """What became of one request for a target on loopback."""
    thread = LoopThread()
    made = thread.call(lambda: Assembly(thread.loop))
    try:
        (server,) = thread.call(lambda: made.server(config))
        with target(echo) as place:
            with socket.create_connection((HOST, server.listeners[0].address[1]), 30) as sock:
                sock.sendall(b"\x01" + socket.inet_aton(HOST) + struct.pack(">H", place.port))
                try:
                    sock.shutdown(socket.SHUT_WR)
                    receive_all(sock)
                except OSError:  # a refused one is reset, at once
                    pass
            thread.until(lambda: not server.sessions)
            found = re.search(rf"-> {HOST}:{place.port} (\S+) up", log.read_text("utf-8"))
    finally:
        thread.end()
        made.close()
    assert not thread.faults
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("forbidden", "allowed", "status"),
    [
        (None, (), "forbidden"),
        (None, ("127.0.0.0/8",), "ok"),
        ((), (), "ok"),
        (("127.0.0.0/8",), (), "forbidden"),
        (("10.0.0.0/8",), (), "ok"),
    ],
)
def test_the_policy_arrives(
    log: Path, forbidden: Optional[tuple[str, ...]], allowed: tuple[str, ...], status: str
) -> None:
    assert status_of_a_session(ServerConfig((PLAIN,), forbidden, allowed), log) == status


def test_the_first_lines_of_the_log(assembly: Assembly, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_faults", {("x", "y"): "the crypto backend x is not used: it is bad"})
    (server,) = assembly.server(ServerConfig((FIRST,), crypto="pure"))
    local = assembly.local(LocalConfig(((HOST, 0), (HOST, 0)), (FIRST,), crypto="pure"))
    announce(assembly, ("a note", "another one"))
    ports = [listener.address[1] for one in (server, local) for listener in one.listeners]
    *lines, speed = [line[20:] for line in log.read_text("utf-8").splitlines()]
    assert re.fullmatch(
        r"INFO     crypto in pure Python: aes-256-gcm carries about \d+ MB/s on this machine; "
        r"pip install cryptography makes that many times as much",
        speed,
    )
    assert lines == [
        "WARNING  a note",
        "WARNING  another one",
        "WARNING  the crypto backend x is not used: it is bad",
        f"INFO     server on {HOST}:{ports[0]}, crypto by pure",
        f"INFO     local proxy on {HOST}:{ports[1]}, crypto by pure",
        f"INFO     local proxy on {HOST}:{ports[2]}, crypto by pure",
    ]


def test_no_cipher_no_backend_in_the_log(assembly: Assembly, log: Path) -> None:
    (server,) = assembly.server(ServerConfig((PLAIN,)))
    announce(assembly, ())
    assert log.read_text("utf-8").endswith(f" INFO     server on {HOST}:{server.listeners[0].address[1]}\n")


# --- what is refused -----------------------------------------------------------------------------
ELSEWHERE = "give an address that this machine has (HOST), or 0.0.0.0 for all that it has"
OTHER = "choose another one (PORT)"
REFUSALS = [
    (OSError(errno.EADDRINUSE, "In use"), 1080, f"In use; another program has this port; end it, or {OTHER}"),
    (PermissionError(errno.EACCES, "No"), 1023, f"No; ports below 1024 want more rights; {OTHER}"),
    (PermissionError(errno.EACCES, "No"), 1024, f"No; the system keeps this port for something else; {OTHER}"),
    (OSError(errno.EADDRNOTAVAIL, "Not here"), 1, f"Not here; {ELSEWHERE}"),
    (OSError(errno.EAFNOSUPPORT, "No IPv6"), 1, f"No IPv6; {ELSEWHERE}"),
    (socket.gaierror(socket.EAI_NONAME, "Unknown name"), 1, f"Unknown name; {ELSEWHERE}"),
    (UnicodeError("label empty or too long"), 1, f"this is not a host name; {ELSEWHERE}"),
    (OSError(errno.EMFILE, "Too many open files"), 1, "Too many open files"),
]


@pytest.mark.parametrize(("error", "port", "words"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_port_that_cannot_be_had(
    assembly: Assembly, monkeypatch: pytest.MonkeyPatch, error: Exception, port: int, words: str
) -> None:
    def refuse(host: str, port: int) -> socket.socket:
        raise error

    monkeypatch.setattr(service, "listening_socket", refuse)
    with pytest.raises(ConfigError) as at_local:
        assembly.local(LocalConfig((("::1", port),), (FIRST,)))
    with pytest.raises(ConfigError) as at_server:
        assembly.server(ServerConfig((Server("::1", port, GCM, "x"),)))
    for caught, host_option, port_option in ((at_local, "-b HOST", "-l PORT"), (at_server, "-s HOST", "-p PORT")):
        expected = words.replace("HOST", host_option).replace("PORT", port_option)
        assert str(caught.value) == f"cannot listen on [::1]:{port}: {expected}"


def test_what_was_opened_before_a_refusal_is_closed(assembly: Assembly) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on {HOST}:{taken}"):
            assembly.server(ServerConfig((FIRST, Server(HOST, taken, GCM, "x"))))
    first = assembly.services[0].listeners[0].address[1]
    assembly.close()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, first)) != 0


def test_a_backend_that_does_not_exist(assembly: Assembly) -> None:
    with pytest.raises(ConfigError, match="there is no crypto backend 'bogus'"):
        assembly.server(ServerConfig((FIRST,), crypto="bogus"))


def test_names_of_errors_are_those_of_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._name_of(errno.EADDRINUSE) == "EADDRINUSE"
    monkeypatch.setitem(errno.errorcode, 10048, "WSAEADDRINUSE")  # as Windows calls it
    assert module._name_of(10048) == "EADDRINUSE"
    assert module._name_of(None) == module._name_of(-2) == ""
