"""`pyss demo`: what it prints is true, its exit code tells how it went, and it ends when it is told to."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.commands import PYSS, Outcome, run_child, run_here
from helpers.processes import Program
from helpers.traffic import receive_all, socks5_connect

from pyss.app import demo
from pyss.app.options import Demo
from pyss.crypto.keys import decode_psk
from pyss.crypto.methods import find_method
from pyss.protocol.uri import ServerUri

PROXY = r"^proxy +127\.0\.0\.1:(\d+) \(SOCKS5, SOCKS4, HTTP\)$"
URL = r"^server +(ss://\S+)$"
TRY = r"^try +curl --noproxy '' --socks5-hostname 127\.0\.0\.1:(\d+) http://127\.0\.0\.1:(\d+)/$"
FETCHED = r"^fetched the page through the relay: (\d+) bytes in \d+\.\d ms$"
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, f"no {pattern} in:\n{text}"
    return match


def check_went_well(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome
    out = outcome.stdout
    assert found(PROXY, out)[1] == found(TRY, out)[1]
    server = ServerUri.decode(found(URL, out)[1])
    assert (server.host, server.method) == ("127.0.0.1", demo.METHOD)
    assert len(decode_psk(server.password, find_method(server.method))) == 32
    assert int(found(FETCHED, out)[1]) == len(demo.PAGE.encode())
    assert server.password not in outcome.stderr and "Traceback" not in outcome.stderr


def test_once(tmp_path: Path) -> None:
    outcome = run_child([*PYSS, "demo", "--once", "--crypto", "pure"], tmp_path)
    check_went_well(outcome)
    port = found(PROXY, outcome.stdout)[1]
    assert found(rf"INFO     local proxy on 127\.0\.0\.1:{port}, crypto by pure$", outcome.stderr)
    assert found(r"INFO     server on 127\.0\.0\.1:\d+, crypto by pure$", outcome.stderr)
    assert len(re.findall(r"-> 127\.0\.0\.1:\d+ ok up \d+ down \d+ bytes", outcome.stderr)) == 2


def test_once_with_the_best_crypto_and_a_quiet_log() -> None:
    outcome = run_here(["demo", "--once", "-q"])
    check_went_well(outcome)
    assert outcome.stderr == ""


def test_each_run_has_a_key_of_its_own() -> None:
    first, second = (found(URL, run_here(["demo", "--once", "-q"]).stdout)[1] for _ in range(2))
    assert ServerUri.decode(first).password != ServerUri.decode(second).password


def test_a_request_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handler: demo._Handler) -> None:
        handler.send_response(500)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    monkeypatch.setattr(demo._Handler, "do_GET", refuse)
    outcome = run_here(["demo", "--once", "-q"])
    assert outcome.code == 1
    assert found("^the request failed: .*status 500 and 0 bytes, which is not the page$", outcome.stdout)
    assert "fetched" not in outcome.stdout


class ReaderGone(io.StringIO):
    """Takes the introduction, then nobody listens any more."""

    def write(self, text: str) -> int:
        if "fetched" in text:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


def test_a_reader_that_has_gone_does_not_keep_it_from_ending() -> None:
    assert demo.run(Demo(once=True, verbosity=-2), ReaderGone()) == 0


def test_head_is_answered_like_get_without_a_body() -> None:
    with demo.web_page() as port, socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(REQUEST.replace(b"GET", b"HEAD"))
        head, _, body = receive_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b""
    assert f"Content-Length: {len(demo.PAGE.encode())}".encode() in head


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[Program]:
    """A demo that goes on."""
    program = Program([*PYSS, "demo"], tmp_path / "demo.log")
    try:
        program.wait_for_line(r"Ctrl-C ends it\.")
        yield program
    finally:
        program.stop()


def fetch(program: Program) -> bytes:
    """What the printed line of curl would do."""
    proxy, page = map(int, found(TRY, program.text()).groups())
    with socks5_connect(proxy, page) as sock:
        sock.sendall(REQUEST)
        return receive_all(sock)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process on Windows")
def test_it_stays_until_ctrl_c(staying: Program) -> None:
    for _ in range(2):
        head, _, body = fetch(staying).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and body == demo.PAGE.encode()
    assert found(FETCHED, staying.text())
    assert staying.exit_code is None
    os.kill(staying.pid, signal.SIGINT)
    assert staying.wait() == 0
    assert "Traceback" not in staying.text()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process on Windows")
def test_a_visitor_that_breaks_off_is_a_line_and_no_traceback(staying: Program) -> None:
    proxy, page = map(int, found(TRY, staying.text()).groups())
    for _ in range(3):
        with socks5_connect(proxy, page) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
            staying.wait_listening(proxy)  # the relay has turned since, and carried it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    staying.wait_for_line(rf"-> 127\.0\.0\.1:{page} reset ")
    assert fetch(staying).startswith(b"HTTP/1.1 200")
    os.kill(staying.pid, signal.SIGINT)
    assert staying.wait() == 0
    assert "Traceback" not in staying.text() and "Exception" not in staying.text(), staying.text()
