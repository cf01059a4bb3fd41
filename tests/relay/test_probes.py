"""What a prober learns from a server, whatever it sends: nothing.  No byte, no reset, and no moment of its own
at which the connection ends: it is that of a peer which says nothing."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from typing import Optional

import pytest
from helpers.forging import (
    FIXED_2022,
    METHODS,
    NOWHERE,
    Request,
    connect,
    exchange,
    port_of,
    said,
    secret_of,
)
from helpers.relay import Log, SelectorFactory, relay
from helpers.traffic import echo, target

from pyss.relay.service import Limits

PATIENT = Limits(greeting=120.0)  # far away: what ends before, ended for another reason
SHORT = Limits(greeting=0.3)
WRONG = {METHODS[0]: "another password", METHODS[1]: "//////////////////////////////////////////8="}

BAD_TAG = "valid tag"
TOO_SHORT = "first read was too short"

# What is sent, and why it is refused; None for what might still become a request.
Probe = tuple[bytes, Optional[str]]


def probes(method: str) -> dict[str, Probe]:
    found = {"wrong password": (Request(method, WRONG[method]).start(), BAD_TAG)}
    for size in (*range(1, 300, 13), 49, 50, 58, 59, 300, 100 * 1024):
        found[f"garbage {size}"] = (os.urandom(size), short_of(method, size))
    for size in (1, 31, 32, 33, 49, 50, 51, 58, 59, 60, -1):
        short = "2022" in method and 0 < size < FIXED_2022
        found[f"start {size}"] = (Request(method).start()[:size], TOO_SHORT if short else None)
    for name, wire, reason in (
        ("type 0", b"\0" + NOWHERE.wire[1:], "address type 0"),
        ("type 0x11", b"\x11" + NOWHERE.wire[1:], "address type 17"),
        ("no name", b"\x03\x00\x00\x50", "host name is empty"),
        ("bad name", b"\x03\x03a b\x00\x50", "not a host name"),
        ("not UTF-8", b"\x03\x02\xff\xfe\x00\x50", "neither ASCII nor UTF-8"),
    ):
        found[name] = (Request(method).start_with(wire), reason)
    found.update(headers_2022(method) if "2022" in method else chunks_2017(method))
    return found


def short_of(method: str, size: int) -> Optional[str]:
    if "2022" in method:
        return TOO_SHORT if size < FIXED_2022 else BAD_TAG
    return None if size < 50 else BAD_TAG


def chunks_2017(method: str) -> dict[str, Probe]:
    empty, large = Request(method), Request(method)
    tag = bytearray(Request(method).start())
    tag[-1] ^= 1
    return {
        "empty chunk": (empty.salt + empty.seal(b"\0\0") + empty.seal(b""), "chunk of 0 bytes"),
        "large chunk": (large.salt + large.seal(b"\x40\0"), "chunk of 16384 bytes"),
        "bad payload tag": (bytes(tag), BAD_TAG),
        "half an address": (Request(method).start_with(NOWHERE.wire[:4], b""), None),
    }


def headers_2022(method: str) -> dict[str, Probe]:
    now = int(time.time())
    good = NOWHERE.wire + b"\0\0ping"
    tag = bytearray(Request(method).start())
    tag[-1] ^= 1
    return {
        "answer type": (Request(method).headers_2022(good, kind=1), "header type 1"),
        "no type": (Request(method).headers_2022(good, kind=255), "header type 255"),
        "old": (Request(method).headers_2022(good, stamp=now - 40), "behind ours"),
        "of the future": (Request(method).headers_2022(good, stamp=now + 40), "ahead of ours"),
        "no time": (Request(method).headers_2022(good, stamp=0), "behind ours"),
        "end of time": (Request(method).headers_2022(good, stamp=2**64 - 1), "ahead of ours"),
        "neither payload nor padding": (Request(method).headers_2022(NOWHERE.wire + b"\0\0"), "payload or padding"),
        "padding too long": (Request(method).headers_2022(NOWHERE.wire + b"\0\5ping"), "inside its padding"),
        "ends in the padding's length": (Request(method).headers_2022(NOWHERE.wire + b"\1"), "inside its padding"),
        "ends in the address": (Request(method).headers_2022(NOWHERE.wire[:5]), "inside the address"),
        "length 0": (Request(method).headers_2022(b""), "inside the address"),
        "bad variable tag": (bytes(tag), BAD_TAG),
        "wrong length": (Request(method).headers_2022(good, length=len(good) - 1), BAD_TAG),
        "length too large": (Request(method).headers_2022(good, length=0xFFFF), None),
    }


def refused(log: Log, sock: socket.socket) -> list[str]:
    """Wait for the two lines about a refused client; returns them."""
    return log.wait_for(rf"127\.0\.0\.1:{port_of(sock)}(:|$)", 2)


@pytest.mark.parametrize("method", METHODS)
def test_every_probe_is_refused_in_silence(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method, with_local=False, limits=PATIENT) as running, ExitStack() as opened:
        sent = {}
        for name, (data, reason) in probes(method).items():
            sock = opened.enter_context(connect(running.server_port))
            sock.sendall(data)
            sent[name] = sock, reason
        for name, (sock, reason) in sent.items():
            if reason is not None:
                first, second = refused(running.log, sock)
                where = f"127.0.0.1:{port_of(sock)}"
                assert first == f"error can not parse header when handling connection from {where}", name
                assert second.startswith(f"warning draining {where}: ") and reason in second, name
        with target(echo) as echoing:
            exchange(running.server_port, method, echoing.port)
            running.log.wait_for(r" ok up ")
        assert {name: said(sock) for name, (sock, _) in sent.items()} == dict.fromkeys(sent)
        assert running.sessions() == len(sent)
        lines = running.log.lines
        for name, (sock, reason) in sent.items():
            if reason is None:
                assert not [line for line in lines if f":{port_of(sock)}" in line], name
        for secret in (secret_of(method), WRONG[method]):
            assert not [line for line in lines if secret in line]


@pytest.mark.load  # for the time it waits
@pytest.mark.parametrize("method", METHODS)
def test_the_end_comes_when_a_silent_peer_would_meet_it(selector: SelectorFactory, method: str) -> None:
    """Seen from within, so that it holds on a busy machine: connections end in the order in which they began."""
    asked = probes(method)
    asked["replayed"] = (Request(method, salt=bytes(32)).start(), "used before")
    with relay(selector, method=method, with_local=False, limits=SHORT) as running, ExitStack() as opened:
        assert running.server is not None
        sessions = running.server.sessions
        with connect(running.server_port) as sock:  # the one that is replayed
            sock.sendall(asked["replayed"][0])
            running.log.wait_for(r":9 connection-refused")
        began: dict[int, float] = {}
        peers = []
        for data, _ in asked.values():
            for words in (b"", data):  # between any two probers one that says nothing
                before = time.monotonic()
                sock = opened.enter_context(connect(running.server_port))
                peers.append((sock, before))
                me = port_of(sock)
                running.thread.until(
                    lambda me=me: began.update((s.peer[1], s.started) for s in sessions) or me in began  # type: ignore
                )
                sock.sendall(words)
        for sock, before in peers:
            assert sock.recv(1) == b""  # and no ConnectionResetError
            assert time.monotonic() - before > SHORT.greeting - 0.1
        running.until_idle()
        ended = [began[int(line.split()[1].rpartition(":")[2])] for line in running.log.matching(" -> - ")]
    assert len(ended) == len(peers)
    for earlier, later in zip(ended, ended[1:]):
        assert earlier <= later + 0.02  # as far as the coarsest clock of a platform can tell
