from __future__ import annotations

import dataclasses
import json
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss import __version__
from pyss.app.config import LocalConfig, Server, ServerConfig, Timeouts
from pyss.app.config_locals import Redirect, Tunnel
from pyss.app.option_table import COMMANDS, OPTIONS
from pyss.app.options import Ciphers, Command, Demo, GenerateKey, RunLocal, RunServer, Show, SystemProxy, Url, parse
from pyss.app.settings import BOTH, TCP_ONLY, UDP_ONLY
from pyss.crypto.methods import DEFAULT_METHOD
from pyss.errors import ConfigError, PyssError, UsageError
from pyss.limits import PacketLimits
from pyss.net.names import NameServer
from pyss.net.socket_options import SocketOptions
from pyss.protocol.uri import ServerUri

GCM = "aes-256-gcm"
FILES: dict[str, Any] = {
    "s.json": {"server": "file", "server_port": 1, "password": "filepw", "method": GCM, "local_port": 2, "timeout": 3},
    "auth.json": [{"user_name": "a", "password": "b"}],
}


def run(line: str, program: str = "pyss", files: Optional[dict[str, Any]] = None, **environ: str) -> Command:
    def read(name: str) -> bytes:
        known = {**FILES, **(files or {})}
        if name not in known:
            raise FileNotFoundError(2, "No such file or directory")
        return json.dumps(known[name]).encode()

    return parse(["" if word == "''" else word for word in line.split()], program, environ, read)


def local(line: str, **environ: str) -> LocalConfig:
    command = run(f"local -m {GCM} {line}", **environ)
    assert isinstance(command, RunLocal)
    return command.config


def server(line: str, **environ: str) -> ServerConfig:
    command = run(f"server -m {GCM} {line}", **environ)
    assert isinstance(command, RunServer)
    return command.config


H = (Server("h", 8388, GCM, "pw"),)
SERVERS = (NameServer("udp", "9.9.9.9", 53), NameServer("tcp", "1.1.1.1", 5))


@pytest.mark.parametrize(
    "line, expected",
    [
        ("-s h -k pw", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-sh -kpw", LocalConfig((("127.0.0.1", 1080),), H)),
        ("--server-addr h --password=pw", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw -b ::1 -l 0", LocalConfig((("::1", 0),), H)),
        ("-s h -k pw -b 127.0.0.2:7", LocalConfig((("127.0.0.2", 7),), H)),
        ("-s h:8388 -k pw -p 8388", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw -t 60", LocalConfig((("127.0.0.1", 1080),), H, timeouts=Timeouts(idle=60.0))),
        ("-s h -k pw -6", LocalConfig((("127.0.0.1", 1080),), H, prefer_ipv6=True)),
        ("-s h -k pw --prefer-ipv6", LocalConfig((("127.0.0.1", 1080),), H, prefer_ipv6=True)),
        ("-s h -k pw --crypto PURE", LocalConfig((("127.0.0.1", 1080),), H, crypto="pure")),
        ("-s h -k pw -vv", LocalConfig((("127.0.0.1", 1080),), H, verbosity=2)),
        ("-s h -k pw -v -v -q", LocalConfig((("127.0.0.1", 1080),), H, verbosity=1)),
        ("-qqs h -kpw", LocalConfig((("127.0.0.1", 1080),), H, verbosity=-2)),
        ("-s h -k pw --log-file l", LocalConfig((("127.0.0.1", 1080),), H, log_file="l")),
        ("-s h -k pw --log l", LocalConfig((("127.0.0.1", 1080),), H, log_file="l")),
        ("-s h -k pw -u", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw --tcp-only", LocalConfig((("127.0.0.1", 1080),), H, mode=TCP_ONLY)),
        ("-s h -k pw -U", LocalConfig((("127.0.0.1", 1080),), H, mode=UDP_ONLY)),
        ("-s h -k pw --udp-only", LocalConfig((("127.0.0.1", 1080),), H, mode=UDP_ONLY)),
        ("-s h -k pw --tcp-only -u", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw --mtu 1492", LocalConfig((("127.0.0.1", 1080),), H, mtu=1492)),
        ("-s h -k pw --udp-timeout 5", LocalConfig((("127.0.0.1", 1080),), H, packets=PacketLimits(idle=5.0))),
        (
            "-s h -k pw --udp-max-associations 9",
            LocalConfig((("127.0.0.1", 1080),), H, packets=PacketLimits(associations=9)),
        ),
        ("-s h -k pw --dns system", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw --dns 9.9.9.9,tcp://1.1.1.1:5", LocalConfig((("127.0.0.1", 1080),), H, name_servers=SERVERS)),
        ("-s h -k pw --no-delay --libsodium x -n 9999", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k pw --user-pass a:b", LocalConfig((("127.0.0.1", 1080),), H, (("a", "b"),))),
        (
            "-s h -k pw --user-pass a:b --user-pass c:d",
            LocalConfig((("127.0.0.1", 1080),), H, (("a", "b"), ("c", "d"))),
        ),
        ("-s h -k pw --auth auth.json", LocalConfig((("127.0.0.1", 1080),), H, (("a", "b"),))),
        ("-s h -k pw --protocol http", LocalConfig((("127.0.0.1", 1080),), H)),
        ("-s h -k -pw", LocalConfig((("127.0.0.1", 1080),), (Server("h", 8388, GCM, "-pw"),))),
        ("-s h -k --help", LocalConfig((("127.0.0.1", 1080),), (Server("h", 8388, GCM, "--help"),))),
        (
            "-s a -s b:1 -k pw",
            LocalConfig((("127.0.0.1", 1080),), (Server("a", 8388, GCM, "pw"), Server("b", 1, GCM, "pw"))),
        ),
        (
            "-c s.json",
            LocalConfig((("127.0.0.1", 2),), (Server("file", 1, GCM, "filepw"),), timeouts=Timeouts(idle=3.0)),
        ),
        (
            "-c s.json -p 9 -l 8 -k pw -t 7",
            LocalConfig((("127.0.0.1", 8),), (Server("file", 9, GCM, "pw"),), timeouts=Timeouts(idle=7.0)),
        ),
    ],
)
def test_local(line: str, expected: LocalConfig) -> None:
    assert local(line) == expected


@pytest.mark.parametrize(
    "line, expected",
    [
        ("-k pw", ServerConfig((Server("0.0.0.0", 8388, GCM, "pw"),))),
        ("-k pw -s ::1 -p 0", ServerConfig((Server("::1", 0, GCM, "pw"),))),
        ("-k pw -s h --forbidden-ip ''", ServerConfig(H, forbidden_ip=())),
        ("-k pw -s h --forbidden-ip=", ServerConfig(H, forbidden_ip=())),
        ("-k pw -s h --forbidden-ip 10.0.0.0/8,::1", ServerConfig(H, forbidden_ip=("10.0.0.0/8", "::1/128"))),
        ("-k pw -s h --allowed-ip 10.1.1.1", ServerConfig(H, allowed_ip=("10.1.1.1/32",))),
        ("-k pw -s h --workers 1", ServerConfig(H)),
        ("-k pw -s h -u", ServerConfig(H)),
        ("-k pw -s h --tcp-only", ServerConfig((Server("h", 8388, GCM, "pw", mode=TCP_ONLY),))),
        ("-k pw -s h -U", ServerConfig((Server("h", 8388, GCM, "pw", mode=UDP_ONLY),))),
        ("-k pw -s h --mtu 1492", ServerConfig(H, mtu=1492)),
        ("-k pw -s h --udp-timeout 5", ServerConfig(H, packets=PacketLimits(idle=5.0))),
        ("-k pw -s h --dns 9.9.9.9,tcp://1.1.1.1:5", ServerConfig(H, name_servers=SERVERS)),
        ("-c s.json", ServerConfig((Server("file", 1, GCM, "filepw"),), timeouts=Timeouts(idle=3.0))),
    ],
)
def test_server(line: str, expected: ServerConfig) -> None:
    assert server(line) == expected


def client(line: str) -> LocalConfig:
    """Of `pyss tunnel` and `pyss redir`."""
    command = run(f"{line} -s h -k pw -m {GCM}")
    assert isinstance(command, RunLocal)
    return command.config


DNS = ("192.0.2.53", 53)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("tunnel -L 192.0.2.53:53", LocalConfig((), H, tunnels=(Tunnel("127.0.0.1", 1080, DNS),))),
        ("tunnel --forward-addr=192.0.2.53:53", LocalConfig((), H, tunnels=(Tunnel("127.0.0.1", 1080, DNS),))),
        ("local --protocol tunnel -L 192.0.2.53:53", LocalConfig((), H, tunnels=(Tunnel("127.0.0.1", 1080, DNS),))),
        (
            "tunnel -L [2001:db8::1]:53 -b ::1 -l 0 -U",
            LocalConfig((), H, tunnels=(Tunnel("::1", 0, ("2001:db8::1", 53), UDP_ONLY),)),
        ),
        (
            "tunnel -L game.example:27015 -b 0.0.0.0:53 --tcp-only",
            LocalConfig((), H, tunnels=(Tunnel("0.0.0.0", 53, ("game.example", 27015), TCP_ONLY),)),
        ),
        ("redir", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, TCP_ONLY),))),
        ("local --protocol redir", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, TCP_ONLY),))),
        ("redir -b :: -l 7", LocalConfig((), H, redirects=(Redirect("::", 7, TCP_ONLY),))),
        ("redir -T", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, TCP_ONLY, True),))),
        ("redir --tcp-redir tproxy", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, TCP_ONLY, True),))),
        ("redir --tcp-redir redirect", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, TCP_ONLY),))),
        ("redir -u", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, BOTH),))),
        ("redir --udp-redir tproxy", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, BOTH),))),
        ("redir -T -u", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, BOTH, True),))),
        ("redir -U", LocalConfig((), H, redirects=(Redirect("127.0.0.1", 1080, UDP_ONLY),))),
    ],
)
def test_tunnels_and_redirects(line: str, expected: LocalConfig) -> None:
    found = client(line)
    assert all("takes IPv6 connections only" in note for note in found.notes)
    # Its mode is that of proxies, and there are none.
    assert dataclasses.replace(found, notes=(), mode=BOTH) == expected


def test_the_other_programs_and_commands() -> None:
    assert run(f"-s h -k pw -m {GCM}", "sslocal") == RunLocal(local("-s h -k pw"))
    assert run(f"-s h -k pw -m {GCM}", "ssserver") == RunServer(server("-s h -k pw"))
    assert run("genkey") == GenerateKey(DEFAULT_METHOD)
    assert run("genkey -m none") == GenerateKey("none")
    assert run("demo") == Demo()
    assert run("demo --once --crypto pure -vv") == Demo(True, "pure", 2)
    assert run("--version") == run("-V") == run("local --version") == Show(f"pyss {__version__}")


@pytest.mark.parametrize(
    "line", ["-h", "--help", "help", *(f"{name} {flag}" for name in COMMANDS for flag in ("-h", "--help", "--he"))]
)
def test_help(line: str) -> None:
    command = run(line)
    assert isinstance(command, Show) and command.text.startswith("usage: pyss")


def test_help_says_how_it_was_called() -> None:
    command = run("-c missing -h", "sslocal")
    assert isinstance(command, Show) and command.text.startswith("usage: sslocal ")


def test_urls() -> None:
    uri = ServerUri(GCM, "pw", "h", 8388)
    assert run(f"url -s h -k pw -m {GCM}") == Url((uri,))
    assert run(f"url -s h -k pw -m {GCM} --qr --tag x") == Url((ServerUri(GCM, "pw", "h", 8388, tag="x"),), qr=True)
    assert run(f"url -s h -k pw -m {GCM} --plugin obfs --plugin-opts a=b") == Url(
        (ServerUri(GCM, "pw", "h", 8388, "obfs", "a=b"),)
    )
    assert run("url -c s.json") == Url((ServerUri(GCM, "filepw", "file", 1),))
    assert run(f"url {uri.encode()} --json") == Url((uri,), decode=True, json=True)
    assert run(f"url - -- {uri.encode()}") == Url((uri,), read_input=True, decode=True)
    assert "pw" not in repr(run(f"url -s h -k pw -m {GCM}"))


def test_a_server_from_a_url() -> None:
    uri = ServerUri("aes-128-gcm", "pw", "::1", 7, tag="x").encode()
    command = run(f"local --server-url {uri} -c s.json")
    assert isinstance(command, RunLocal)
    assert command.config.servers == (Server("::1", 7, "aes-128-gcm", "pw", "x"),)
    assert command.config.listen == (("127.0.0.1", 2),)


def test_sources_of_the_password() -> None:
    assert local("-s h", SS_SERVER_PASSWORD="pw").servers == H
    assert local("-s h -k pw", SS_SERVER_PASSWORD="other").servers == H
    assert local("-c s.json", SS_SERVER_PASSWORD="other").servers[0].password == "filepw"


def test_the_default_method_is_told() -> None:
    command = run("local -s h -k pw")
    assert isinstance(command, RunLocal)
    assert command.config.servers[0].method == DEFAULT_METHOD == "chacha20-ietf-poly1305"
    assert any(DEFAULT_METHOD in note for note in command.config.notes)


def test_the_default_file_is_told_first_and_overridden() -> None:
    document = FILES["s.json"]
    command = run("local -k pw --fast-open", files={"config.json": document, "./config.json": document})
    assert isinstance(command, RunLocal)
    assert command.config.notes[0].startswith("configuration from ./config.json")
    assert command.config.servers == (Server("file", 1, GCM, "pw"),)


@pytest.mark.parametrize(
    "option",
    [
        "--pid-file x",
    ],
)
def test_what_is_noted(option: str) -> None:
    for notes in (local(f"-s h -k pw {option}").notes, server(f"-s h -k pw {option}").notes):
        assert len(notes) == 1 and notes[0].startswith("-")


@pytest.mark.parametrize(
    "option",
    [
        "-a",
        "-A",
        "-a nobody",
        "-d start",
        "-d stop",
        "--acl x",
        "--plugin x",
        "--key x",
        "--user x",
    ],
)
def test_what_is_understood_and_stops(option: str) -> None:
    for command in ("local", "server"):
        with pytest.raises(ConfigError, match=r"^-"):
            run(f"{command} -s h -k pw -m {GCM} {option}")


@pytest.mark.parametrize(
    "option, expected",
    [
        ("--fast-open", SocketOptions(fast_open=True)),
        ("--fast", SocketOptions(fast_open=True)),
        ("--tcp-fast-open", SocketOptions(fast_open=True)),
        ("--mptcp", SocketOptions(mptcp=True)),
        ("--reuse-port", SocketOptions(reuse_port=True)),
        ("--tcp-keep-alive 15", SocketOptions(keep_alive=15)),
        ("-i eth0", SocketOptions(interface="eth0")),
        ("--outbound-bind-interface eth0", SocketOptions(interface="eth0")),
        ("--outbound-fwmark 0x10", SocketOptions(mark=16)),
        ("--outbound-bind-addr 127.0.0.1,::1", SocketOptions(bind_ipv4="127.0.0.1", bind_ipv6="::1")),
        ("--no-delay", SocketOptions()),
    ],
)
def test_what_is_asked_of_sockets(option: str, expected: SocketOptions) -> None:
    for config in (local(f"-s h -k pw {option}"), server(f"-s h -k pw {option}")):
        assert config.sockets == expected
        assert config.notes == ()


@pytest.mark.parametrize("line", ["server --manager-address x", "server --workers 2"])
def test_what_one_end_only_understands_and_stops(line: str) -> None:
    with pytest.raises(ConfigError, match="not available yet"):
        run(f"{line} -s h -k pw -m {GCM}")


# Abbreviations that were unique in the original, whatever has been added since.
@pytest.mark.parametrize(
    "command, short, long",
    [
        ("local", "--p x", "--pid-file"),
        ("local", "--u x", "--user"),
        ("local", "--l x", None),
        ("local", "--lo x", "--log-file"),
        ("local", "--libs x", "--libsodium"),
        ("local", "--f", "--fast-open"),
        ("server", "--w 2", "--workers"),
        ("server", "--m x", "--manager-address"),
        ("server", "--pid x", "--pid-file"),
        ("server", "--p x", None),
        ("server", "--fo 10.0.0.0/8", "--forbidden-ip"),
        ("server", "--us x", "--user"),
        ("local", "--user-p a:b", "--user-pass"),
        ("local", "--enc aes-128-gcm", "--encrypt-method"),
        ("local", "--server x", None),
    ],
)
def test_abbreviations(command: str, short: str, long: Optional[str]) -> None:
    def outcome(option: str) -> object:
        try:
            return run(f"{command} -s h -k pw {option}")
        except PyssError as error:
            return type(error), str(error)

    if long is None:
        kind, text = outcome(short)  # type: ignore[misc]
        assert kind is UsageError and " may mean " in text
    else:
        assert outcome(short) == outcome(" ".join([long, *short.split()[1:]]))


USAGE = {
    "": "which command?",
    "loca -s h": "there is no such command (did you mean local?)",
    "-s h": "a command comes first",
    "local": "no server to connect to; give -s HOST",
    "local -s h": "no password; set SS_SERVER_PASSWORD",
    "server": "no password",
    "local -s": "-s needs a value: -s HOST[:PORT]",
    "local --timeout": "--timeout needs a value: --timeout SECONDS",
    "local -x": "pyss local has no option '-x'",
    "local -vx": "pyss local has no option '-x'",
    "local --pasword=geheim": "no option '--pasword' (did you mean --password?)",
    "local --workers 2": "--workers is an option of pyss server, not of pyss local",
    "server -b 127.0.0.1": "-b is an option of pyss local, not of pyss server",
    "genkey -k x": "-k is an option of pyss local",
    "local --verbose=3": "--verbose takes no value",
    "local -k my geheim": "argument 3 of pyss local belongs to no option",
    "demo geheim": "argument 1 of pyss demo belongs to no option",
    "local -f x": "a pid file is --pid-file FILE",
    "local -d 8.8.8.8": "-d takes start, stop or restart; shadowsocks-libev's name server is --dns",
    "local -s h -k geheim -L h:1": "-L: is for pyss tunnel, or a local with the protocol tunnel",
    "local -s h -k geheim -T": "-T: is for pyss redir, or a local with the protocol redir",
    "local -s h -k geheim --udp-redir tproxy": "--udp-redir: is for pyss redir, or a local with the protocol redir",
    "tunnel -s h -k geheim -T": "-T is an option of pyss redir, not of pyss tunnel",
    "redir -s h -k geheim -L h:1": "-L is an option of pyss tunnel, not of pyss redir",
    "server -k geheim -L h:1": "-L is an option of pyss tunnel, not of pyss server",
    "tunnel -s h -k geheim": "a tunnel leads nowhere; give -L HOST:PORT, or write",
    "tunnel -s h -k geheim -L": "-L needs a value: -L HOST:PORT",
    "tunnel -s h -k geheim -L h": '-L: expected where the tunnel leads to, with a port: HOST:PORT, got "h"',
    "tunnel -s h -k geheim -L h:0": "-L: expected where the tunnel leads to, with a port",
    "tunnel -s h -k geheim -L h:x": "-L: expected a host name or an IP address",
    "tunnel -s h -k geheim -L :53": "-L: expected a host name or an IP address",
    "tunnel -s h -k geheim -L [fe80::1%eth0]:53": "-L: the zone behind % means something on this machine only",
    "redir -s h -k geheim --tcp-redir pf": '--tcp-redir: expected one of redirect, tproxy, got "pf"',
    "local -s h -k geheim --dns x": "--dns: 'x' is not a name server: it must be an IP address",
    "local -s h -k geheim --dns ss://geheim": "--dns: expected a name server such as 9.9.9.9",
    "local -s h -k geheim --dns 9.9.9.9,x:geheim@h": "--dns: expected a name server such as 9.9.9.9",
    "local -s h -k geheim --mtu 575": '--mtu: expected a number of bytes (576 to 65535), got "575"',
    "local -s h -k geheim --mtu 65536": "--mtu: expected a number of bytes (576 to 65535)",
    "local -s h -k geheim --udp-timeout 0": "--udp-timeout: expected a number of seconds, more than 0",
    "local -s h -k geheim --udp-max-associations 0": "--udp-max-associations: expected a number of associations (1 to",
    "server -d -c s.json": "-d takes start, stop or restart",
    "local -s h -k pw -p x": '-p: expected a port (1 to 65535), got "x"',
    "local -s h -k pw -p 0": '-p: expected a port (1 to 65535), got "0"',
    "local -s h -k pw -l 65536": '-l: expected a port (0 to 65535), got "65536"',
    "local -s h -k pw -t 0": "-t: expected a number of seconds, more than 0",
    "local -s h -k pw -t x": '-t: expected a number of seconds, got "x"',
    "local -s h:1 -p 2 -k geheim": "-s names another port than -p",
    "local -s h -k geheim -b 127.0.0.1:1 -l 2": "-b names another port than -l",
    "local -s a/b -k geheim": "-s: expected a host name or an IP address",
    "local -s '' -k geheim": '-s: expected a host name or an IP address, got ""',
    "local -s h -k ''": "-k: expected a password, got an empty text",
    "local -s h -k pw --user-pass geheim": "--user-pass: expected NAME:PASSWORD",
    "local -s h -k pw --user-pass :geheim": "--user-pass: expected a text of 1 to 255 bytes",
    "local -s h -k pw --protocol x": "--protocol: expected one of socks,",
    "server -k pw --forbidden-ip 10.0.0.0/33": "--forbidden-ip: expected an IP address or a network",
    "local --server-url ss://geheim": "--server-url: ",
    "local --server-url ss://aes-256-gcm:geheim@h:1 -k x": "-k and --server-url say the same thing",
    "url --json": "--json shows what is in URLs",
    "url ss://aes-256-gcm:geheim@h:1 -s h": "not both at once",
}


@pytest.mark.parametrize("line", USAGE)
def test_usage_errors_are_one_clear_sentence(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(line)
    assert USAGE[line] in str(caught.value)
    assert "\n" not in str(caught.value) and "geheim" not in str(caught.value)


WRONG = {
    "local -c missing": "cannot read missing: No such file or directory",
    "local -c auth.json": "auth.json, line 1, column 1: expected an object { ... }, got a list",
    "local -s h -k pw --auth missing": "cannot read missing",
    "local -s h -k pw --auth s.json": "expected a list of",
    "local -s h -k geheim -m aes-256-gcn": "-m: ",
    "local -s h -k geheim -m 2022-blake3-aes-256-gcm": "pyss genkey -m 2022-blake3-aes-256-gcm",
    "local -c s.json -m 2022-blake3-aes-256-gcm": "s.json, line 1, column ",
    "url -k geheim -s 0.0.0.0": "0.0.0.0 is where a server listens",
    "url ss://geheim": "the URI",
    "manager": "pyss manager is not available yet",
    "redir -s h -k geheim --udp-redir redirect": "--udp-redir: the system does not tell where a redirected datagram",
    "local -s h -k geheim --dns google_https": "--dns: DNS over HTTPS is not available; google_tls encrypts as well",
    "tunnel -c s.json": "s.json: a tunnel leads nowhere; give -L HOST:PORT",
}


@pytest.mark.parametrize("line", WRONG)
def test_other_errors_are_one_clear_sentence(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(line)
    assert WRONG[line] in str(caught.value)
    assert "\n" not in str(caught.value) and "geheim" not in str(caught.value) and "filepw" not in str(caught.value)


def test_arguments_that_are_no_text() -> None:
    with pytest.raises(UsageError, match="argument 3 is not text in UTF-8"):
        parse(["local", "-k", "\udcff"], "pyss", {})
    with pytest.raises(ConfigError, match="SS_SERVER_PASSWORD: this is not text in UTF-8"):
        local("-s h", SS_SERVER_PASSWORD="\udcff")


WORDS = st.sampled_from(
    [
        *{name for option in OPTIONS for name in option.spellings()},
        *("h", "h:1", "8388", "", "-", "--", "=", "-vvq", "x:y", "s.json", "auth.json", "missing", GCM),
        *("ss://aes-256-gcm:p@h:1", "10.0.0.0/8", "start", "--p", "--server-port=5"),
    ]
)


@given(
    st.sampled_from(["pyss", "sslocal", "ssserver"]),
    st.sampled_from([*COMMANDS, ""]),
    st.lists(WORDS | st.text(max_size=4)),
)
def test_any_line_is_a_command_or_a_complaint(program: str, name: str, words: list[str]) -> None:
    argv = [name, *words] if name else words

    def read(file: str) -> bytes:
        if file not in FILES:
            raise FileNotFoundError(2, "No such file or directory")
        return json.dumps(FILES[file]).encode()

    try:
        command = parse(argv, program, {}, read)
        assert isinstance(command, (Show, RunLocal, RunServer, GenerateKey, Url, Ciphers, SystemProxy, Demo))
    except (UsageError, ConfigError) as error:
        assert str(error) and "\n" not in str(error)
