"""Recordings played back to a server, and requests of another time, over real connections."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from helpers.forging import METHOD_2022, METHODS, NOWHERE, Request, connect, exchange, port_of, read_answer, said
from helpers.relay import HOST, SelectorFactory, relay
from helpers.traffic import echo, target

from pyss.address import Address
from pyss.protocol import replay
from pyss.relay.service import Limits

PATIENT = Limits(greeting=120.0)
NOW = 1_800_000_000
SEEN = "this salt was used before"


@pytest.mark.parametrize("method", METHODS)
def test_a_recording_is_refused_at_once_and_later(selector: SelectorFactory, method: str) -> None:
    with ExitStack() as opened:
        running = opened.enter_context(relay(selector, method=method, with_local=False, limits=PATIENT))
        echoing = opened.enter_context(target(echo))
        request = Request(method)
        recorded = request.start(Address.of(HOST, echoing.port), b"once") + request.chunk(b" and again")
        first = opened.enter_context(connect(running.server_port))
        first.sendall(recorded)
        assert read_answer(first, request)[0].startswith(b"once")
        for _ in range(2):  # while the first session runs, and after it
            second = opened.enter_context(connect(running.server_port))
            second.sendall(recorded)
            running.log.wait_for(f"draining .*:{port_of(second)}: {SEEN}")
            exchange(running.server_port, method, echoing.port)  # another salt
            assert said(second) is None
            first.close()
        running.log.wait_for(" ok up ", 3)
        assert len(echoing.results) == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_recording_whose_end_was_changed_is_refused_too(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method, with_local=False, limits=PATIENT) as running:
        recorded = Request(method).start()
        with connect(running.server_port) as first, connect(running.server_port) as second:
            first.sendall(recorded)
            running.log.wait_for(" connection-refused ")
            second.sendall(recorded + bytes(100))
            running.log.wait_for(f"draining .*:{port_of(second)}: {SEEN}")
            assert said(second) is None


@pytest.mark.parametrize("method", METHODS)
def test_what_the_server_said_is_refused_by_it(selector: SelectorFactory, method: str) -> None:
    """Its answer is sealed with the same key: it must not be taken for a request."""
    words = NOWHERE.wire + b"\0\0ping"  # what both families would take for the start of a request
    with relay(selector, method=method, with_local=False, limits=PATIENT) as running, target(echo) as echoing:
        request = Request(method)
        with connect(running.server_port) as first, connect(running.server_port) as second:
            first.sendall(request.start(Address.of(HOST, echoing.port), words))
            plain, raw = read_answer(first, request)
            assert plain == words
            second.sendall(raw)
            reason = "the header does not carry" if method == METHOD_2022 else SEEN  # 2022: its length differs
            running.log.wait_for(f"draining .*:{port_of(second)}: {reason}")
            assert said(second) is None


@pytest.mark.parametrize("method", METHODS)
def test_a_salt_is_remembered_only_when_the_client_knows_the_key(selector: SelectorFactory, method: str) -> None:
    """Else whoever sees a salt on its way could have it refused, and anybody could fill the memory."""
    salt = bytes(range(32))
    with relay(selector, method=method, with_local=False, limits=PATIENT) as running, connect(
        running.server_port
    ) as prober, connect(running.server_port) as client:
        prober.sendall(salt + bytes(100))
        running.log.wait_for(f"draining .*:{port_of(prober)}: ")
        client.sendall(Request(method, salt=salt).start())
        running.log.wait_for(f":{port_of(client)} -> .* connection-refused ")


@pytest.mark.parametrize("off", [-31, -30, -1, 0, 1, 30, 31])
def test_2022_time_may_be_off_by_thirty_seconds(selector: SelectorFactory, off: int) -> None:
    """SIP022 section 3.1.3; the server's clock shows the last moment of its second."""
    with relay(
        selector, method=METHOD_2022, with_local=False, limits=PATIENT, clock=lambda: NOW + 0.999
    ) as running, connect(running.server_port) as sock:
        sock.sendall(Request(METHOD_2022).headers_2022(NOWHERE.wire + b"\0\0ping", stamp=NOW + off))
        if abs(off) <= 30:
            running.log.wait_for(f":{port_of(sock)} -> .* connection-refused ")
        else:
            running.log.wait_for(f"draining .*:{port_of(sock)}: the peer's clock is 31 s ")
            assert said(sock) is None


def test_2022_no_recording_is_accepted_at_any_age(selector: SelectorFactory) -> None:
    """From 30 s before the time that it carries until 30 s after it the salt is known, then the time is refused."""
    times = {"wall": float(NOW - 30)}
    with relay(
        selector, method=METHOD_2022, with_local=False, limits=PATIENT, clock=lambda: times["wall"]
    ) as running, ExitStack() as opened:
        assert running.server is not None
        inbound = running.server.inbound
        memory = replay.SaltMemory2022()
        accept = type(inbound)(inbound.keyring, memory, lambda: times["wall"])  # type: ignore[attr-defined, call-arg]
        running.thread.call(lambda: setattr(running.server, "inbound", accept))
        recorded = Request(METHOD_2022).headers_2022(NOWHERE.wire + b"\0\0ping", stamp=NOW)
        for second in range(62):
            times["wall"] = NOW - 30 + second
            sock = opened.enter_context(connect(running.server_port))
            sock.sendall(recorded)
            if not second:
                running.log.wait_for(" connection-refused ")
            else:
                reason = SEEN if second <= 60 else "the peer's clock is 31 s behind ours"
                running.log.wait_for(f"draining .*:{port_of(sock)}: {reason}")
