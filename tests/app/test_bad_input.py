"""Whatever is wrong with the command line or the file: one sentence on standard error and an exit code, no more."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Union

import pytest
from helpers.commands import BARE_PYSS, PYSS, Outcome, prepared, run_child, run_here
from helpers.processes import free_port
from hypothesis import given
from hypothesis import settings as times
from hypothesis import strategies as st

from pyss.app.config_keys import LOCAL, OBEY, SERVER, TOP_LEVEL
from pyss.app.option_table import COMMANDS, OPTIONS

GOOD = '{"server": "127.0.0.1", "password": "geheim", "method": "aes-256-gcm", "local_port": 0}'
KEY_16 = "Z2VoZWltZ2VoZWltZ2VoZQ=="  # 16 bytes
ELSEWHERE = "192.0.2.1"  # TEST-NET-1, RFC 5737: no machine has it
GERMAN_LINE = '{"server": "127.0.0.1",\n "password": "geheim \xfc"}'.encode("latin-1")


class Bad(NamedTuple):
    """argv, what stands in c.json (nothing: no such file), exit code, what the sentence must say."""

    line: str
    file: Union[str, bytes, None]
    code: int
    pattern: str


LOCAL_LINE = "local -s 127.0.0.1 -k geheim -m aes-256-gcm -l 0 "
SERVER_LINE = "server -s 127.0.0.1:0 -k geheim -m aes-256-gcm "
KEY_LINE = "local -s 127.0.0.1 -l 0 -m 2022-blake3-aes-256-gcm "

TABLE = [
    # commands and options
    Bad("", None, 2, "which command.*local, server.*--help"),
    Bad("-c c.json", GOOD, 2, "a command comes first: .*--help"),
    Bad("serve", None, 2, r"no such command \(did you mean server\?\).*--help"),
    Bad("frobnicate", None, 2, "no such command.*--help lists them"),
    Bad("manager -c c.json", GOOD, 1, "pyss manager is not available yet"),
    Bad("local --bogus", None, 2, "has no option '--bogus'.*--help"),
    Bad("local -c", None, 2, "-c needs a value: -c FILE"),
    Bad("server -p", None, 2, "-p needs a value: -p PORT"),
    Bad("local --verbose=5", None, 2, "--verbose takes no value"),
    Bad("local -k geheim geheim", None, 2, "argument 3 of pyss local belongs to no option.*quotes"),
    Bad("genkey geheim", None, 2, "argument 1 of pyss genkey belongs to no option"),
    Bad("demo --tag x", None, 2, "--tag is an option of pyss url"),
    # what is missing
    Bad("local", None, 2, 'no server to connect to; give -s HOST, or write "server"'),
    Bad("local -c c.json", '{"password": "geheim"}', 1, r"c\.json: no server to connect to; give -s HOST"),
    Bad("server", None, 2, "no password; set SS_SERVER_PASSWORD, write .*, or give -k PASSWORD"),
    Bad("server -c c.json", '{"server_port": 1}', 1, r"c\.json: no password; set SS_SERVER_PASSWORD"),
    Bad("url", None, 2, "no server to connect to"),
    # keys, methods, URIs
    Bad(LOCAL_LINE + "-m aes-256-gmc", None, 1, "-m: the method 'aes-256-gmc' .*did you mean aes-256-gcm?"),
    Bad("genkey -m bogus", None, 1, "the method 'bogus' is not available; use 2022-blake3-aes-256-gcm"),
    Bad(KEY_LINE + f"-k {KEY_16}", None, 1, r"-k: the key has 16 bytes, and \S+ takes 32; pyss genkey -m \S+ makes"),
    Bad(KEY_LINE + "-k geheim", None, 1, "-k: .* takes a key of 32 bytes in base64.*pyss genkey"),
    Bad("local -c c.json -m 2022-blake3-aes-256-gcm", GOOD, 1, r"c\.json, line 1, .*password: .*32 bytes in base64"),
    Bad("local --server-url http://geheim@h", None, 2, "--server-url: a Shadowsocks URI begins with ss://"),
    Bad("local --server-url ss://Z2VoZWlt", None, 2, "--server-url: .*URI"),
    Bad("local --server-url ss://aes-256-gcm:geheim@h:0", None, 2, "--server-url: the port .*between 1 and 65535"),
    Bad("local --server-url ss://bogus:geheim@h:1", None, 1, "--server-url: the method 'bogus' is not available"),
    Bad("url ss://aes-256-gcm:geheim@h", None, 1, "HOST:PORT"),
    # values
    Bad(LOCAL_LINE + "-p x", None, 2, r'-p: expected a port \(1 to 65535\), got "x"'),
    Bad(LOCAL_LINE + "-t 0", None, 2, "-t: expected a number of seconds, more than 0"),
    Bad(LOCAL_LINE + "--user-pass geheim", None, 2, "--user-pass: expected NAME:PASSWORD"),
    Bad(LOCAL_LINE + "--auth missing.json", None, 1, "cannot read missing.json: "),
    Bad(SERVER_LINE + "--forbidden-ip 10.0.0.0/33", None, 2, "--forbidden-ip: expected an IP address or a network"),
    Bad(LOCAL_LINE + "--crypto bogus", None, 1, "--crypto: there is no crypto backend 'bogus'; there are crypto"),
    Bad("local -s 127.0.0.1 -m none --crypto bogus", None, 1, "--crypto: there is no crypto backend 'bogus'"),
    Bad("local -c c.json", GOOD[:-1] + ', "crypto": "bogus"}', 1, r"c\.json, .* crypto: there is no crypto backend"),
    Bad("demo --once --crypto bogus", None, 1, "there is no crypto backend 'bogus'; there are"),
    Bad("local -k x -s aes-256-gcm:geheim@127.0.0.1:1", None, 2, "-s: expected a host .*; a URL is .* --server-url"),
    Bad("local -k x -s geheim@127.0.0.1", None, 2, "-s: expected a host .*; a URL is .* --server-url"),
    # UDP, tunnels, redirects, name servers
    Bad("tunnel -c c.json", GOOD, 1, r"c\.json: a tunnel leads nowhere; give -L HOST:PORT, or write .tunnel_address"),
    Bad("tunnel -s 127.0.0.1 -k geheim", None, 2, "a tunnel leads nowhere; give -L HOST:PORT"),
    Bad("tunnel -c c.json -L example.org", GOOD, 2, "-L: expected where the tunnel leads to, with a port: HOST:PORT"),
    Bad("redir -c c.json --udp-redir redirect", GOOD, 1, "--udp-redir: the system does not tell where .* by tproxy"),
    Bad("local -c c.json -L h:1", GOOD, 2, "-L: is for pyss tunnel"),
    Bad("local -c c.json --dns one.one", GOOD, 2, "--dns: 'one.one' is not a name server: it must be an IP address"),
    Bad("local -c c.json", GOOD[:-1] + ', "dns": "x"}', 1, r"c\.json, .* dns: 'x' is not a name server: it must"),
    Bad("local -c c.json", GOOD[:-1] + ', "mode": "udp"}', 1, r"c\.json, .* mode: expected one of tcp_and_udp,"),
    Bad(LOCAL_LINE + "--mtu 100", None, 2, r"--mtu: expected a number of bytes \(576 to 65535\)"),
    # files
    Bad("local -c c.json", None, 1, r"cannot read c\.json: "),
    Bad("local -c .", None, 1, r"cannot read \.: "),
    Bad("local -c c.json", "", 1, r"c\.json is empty; JSON is expected in it"),
    Bad("local -c c.json", " \r\n\t", 1, r"c\.json is empty; JSON is expected in it"),
    Bad("local -c c.json", b"\x7fELF\x02\x01\xff\xfe", 1, r"c\.json, line 1: this is not text in UTF-8; save"),
    Bad("local -c c.json", GERMAN_LINE, 1, r"c\.json, line 2: this is not text in UTF-8; save the file as UTF-8"),
    Bad("local -c c.json", "server = geheim", 1, r"c\.json, line 1, column 1: expected a value here"),
    Bad("local -c c.json", '{"password": "geheim" "x": 1}', 1, r"c\.json, line 1, column 23: expected a comma or }"),
    Bad("local -c c.json", '{"password": "geheim', 1, r"c\.json, line 1, column 14, password: .*not closed"),
    Bad("local -c c.json", "[" * 9999, 1, r"c\.json, .*more than 64 lists and objects within each other"),
    Bad("local -c c.json", "[]", 1, r"c\.json, line 1, column 1: expected an object .* got a list"),
    Bad("local -c c.json --log-file no/such/x.log", GOOD, 1, "cannot write the log file 'no/such/x.log': .*--log-file"),
    Bad("local -c c.json --log-file .", GOOD, 1, r"cannot write the log file '\.': .*--log-file FILE"),
    # addresses
    Bad(LOCAL_LINE + f"-b {ELSEWHERE}", None, 1, rf"cannot listen on {ELSEWHERE}:0: .*\(-b HOST\)"),
    Bad(f"server -s {ELSEWHERE} -p 0 -k geheim", None, 1, rf"cannot listen on {ELSEWHERE}:0: .*\(-s HOST\), or 0\.0"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with prepared(tmp_path):
        yield tmp_path


def check(outcome: Outcome, code: int, pattern: str) -> None:
    assert (outcome.code, outcome.stdout) == (code, "")
    assert re.fullmatch("pyss: [^\n]*\n", outcome.stderr), f"not one sentence: {outcome.stderr!r}"
    assert re.search(pattern, outcome.stderr), outcome.stderr
    assert "geheim" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.line}-{str(bad.file)[:20]}")
def test_one_sentence_and_an_exit_code(folder: Path, bad: Bad) -> None:
    if bad.file is not None:
        (folder / "c.json").write_bytes(bad.file if isinstance(bad.file, bytes) else bad.file.encode())
    check(run_here(bad.line.split()), bad.code, bad.pattern)


def test_the_good_lines_of_the_table_are_good(folder: Path) -> None:
    """Or what is found wrong above might be something else."""
    (folder / "c.json").write_text(GOOD, "utf-8")
    for line in (LOCAL_LINE, SERVER_LINE, "local -c c.json", "tunnel -c c.json -L 192.0.2.1:53"):
        outcome = run_here(line.split())
        assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize(("line", "option"), [("local -s 127.0.0.1 -l", "-l"), ("server -s 127.0.0.1 -p", "-p")])
def test_a_port_that_another_program_has(folder: Path, line: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        outcome = run_here([*line.split(), str(port), "-k", "geheim", "-m", "aes-256-gcm"])
    # Windows says "forbidden" about a port whose owner wants it alone.
    check(outcome, 1, rf"cannot listen on 127\.0\.0\.1:{port}: .*choose another one \({option} PORT\)")


def lowest_free_for_all() -> int:
    """The first port that needs no rights; on Linux it can be configured."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:
        return 1024


@pytest.mark.skipif(sys.platform == "win32", reason="ports below 1024 are open to all on Windows")
def test_a_port_that_only_root_may_open(folder: Path) -> None:
    if os.geteuid() == 0 or lowest_free_for_all() <= 1:
        pytest.skip("this user may open any port")
    outcome = run_here([*LOCAL_LINE.split(), "-l", "1"])
    check(outcome, 1, r"cannot listen on 127\.0\.0\.1:1: .*ports below 1024 want more rights.*\(-l PORT\)")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    (folder / "config.json").write_text(GOOD, "utf-8")
    (folder / "config.json").chmod(0)
    check(run_here(["local"]), 1, r"cannot read \./config\.json: Permission denied")
    check(run_here(["local", "-c", "config.json"]), 1, r"cannot read config\.json: Permission denied")


@pytest.mark.parametrize("name", ["cryptography", "pycryptodome"])
def test_a_crypto_backend_that_is_not_installed(tmp_path: Path, name: str) -> None:
    argv = [*BARE_PYSS, *LOCAL_LINE.split(), "--crypto", name]
    check(run_child(argv, tmp_path), 1, f"the crypto backend {name} cannot be used: it cannot be imported")


def test_the_same_from_outside(tmp_path: Path) -> None:
    check(run_child([*PYSS, *KEY_LINE.split(), "-k", KEY_16], tmp_path), 1, "the key has 16 bytes")
    check(run_child([*PYSS, "local", "-x"], tmp_path), 2, "has no option '-x'")


@pytest.mark.skipif(sys.platform != "linux", reason="only there are arguments any bytes")
def test_an_argument_and_a_password_that_are_no_text(tmp_path: Path) -> None:
    words = [*PYSS, "local", "-s", "127.0.0.1", "-m", "aes-256-gcm"]
    check(run_child([*words, "-k", "geheim\udcff"], tmp_path), 2, "argument 7 is not text in UTF-8")
    outcome = run_child(words, tmp_path, SS_SERVER_PASSWORD="geheim\udcff")
    check(outcome, 1, "SS_SERVER_PASSWORD: this is not text in UTF-8")


def test_the_program_is_named_as_it_was_called(folder: Path) -> None:
    assert run_here([], program="sslocal").stderr.startswith("sslocal: no server to connect to")
    assert run_here(["-z"], program="ssserver").stderr.startswith("ssserver: ssserver has no option '-z'")


def test_a_control_character_in_a_complaint_is_shown_and_not_sent(folder: Path) -> None:
    outcome = run_here(["local", "-c", "x\x1b[2J\ny"])
    check(outcome, 1, re.escape("cannot read x\\x1b[2J\\x0ay: "))


# --- whatever else --------------------------------------------------------------------------------
# No host name is ever listened on, so nobody is asked for its address: -s and -b are given, and "?" makes sure
# that no free text is a name.
FREE_TEXT = st.text(max_size=4).filter(lambda text: "/" not in text and "\\" not in text).map("?".__add__)
SAFE = ("127.0.0.1", "::1", "127.0.0.1:0", "[::1]:0", "0", "1", "8388", "", "-", "--", "aes-256-gcm", "none", "pure")
WORDS = st.sampled_from([*SAFE, "c.json", ".", "ss://none@127.0.0.1:1", "x:y", "10.0.0.0/8", "start", "=", "--p"])
GIVEN = ("server", "server_url", "local_address")
SPELLINGS = st.sampled_from(
    sorted({name for option in OPTIONS for name in option.spellings() if option.key not in GIVEN})
)
COMMAND = st.sampled_from([name for name in COMMANDS if name != "demo"])  # that one really would start
WITH_FILE = st.sampled_from(["local", "server", "tunnel", "redir", "url"])
CLIENT = ["-s", "127.0.0.1:1", "-b", "127.0.0.1:0"]
ADDRESSES = {**dict.fromkeys(("local", "tunnel", "redir"), CLIENT), "server": ["-s", "127.0.0.1:0"]}

# Mostly keys that are obeyed, or those that stop a start would hide what becomes of the others.
OBEYED = sorted({name for table in (TOP_LEVEL, SERVER, LOCAL) for name, rule in table.items() if rule.action == OBEY})
KEYS = st.sampled_from(OBEYED) | st.sampled_from(["user_name", "users", "1", "8388", "-"]) | st.text(max_size=3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70000)
    | st.floats()
    | st.sampled_from([*SAFE, "tcp_only", "${X}", "2022-blake3-aes-128-gcm", KEY_16])
    | FREE_TEXT
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("anywhere")
    with prepared(path):
        yield path


def is_orderly(outcome: Outcome) -> None:
    assert outcome.code in (0, 1, 2)
    assert "Traceback" not in outcome.stderr
    if outcome.code:
        # Notes of `pyss url` may stand before it.
        assert re.fullmatch("(pyss url: [^\n]*\n)*pyss: [^\n]*\n", outcome.stderr), outcome.stderr
        assert not outcome.stdout


@times(max_examples=100)
@given(COMMAND, st.lists(SPELLINGS | WORDS | FREE_TEXT, max_size=7))
def test_any_arguments(anywhere: Path, name: str, words: list[str]) -> None:
    (anywhere / "c.json").write_text(GOOD, "utf-8")
    is_orderly(run_here([name, *ADDRESSES.get(name, []), *words]))


@times(max_examples=120)
@given(WITH_FILE, DOCUMENTS)
def test_any_document(anywhere: Path, name: str, document: Any) -> None:
    (anywhere / "c.json").write_text(json.dumps({**json.loads(GOOD), **document}), "utf-8")
    is_orderly(run_here([name, "-c", "c.json", *ADDRESSES.get(name, [])]))


@times(max_examples=60)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,0e-/*\\ab\n ', max_size=20).map(str.encode))
def test_any_bytes_in_the_file(anywhere: Path, data: bytes) -> None:
    (anywhere / "c.json").write_bytes(data)
    is_orderly(run_here(["local", "-c", "c.json", *ADDRESSES["local"], "-k", "x", "-m", "aes-256-gcm"]))
