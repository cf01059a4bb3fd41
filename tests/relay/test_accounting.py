"""The one line of a session, the totals of a service, and what a shutdown leaves in them."""

from __future__ import annotations

import pytest
from helpers.relay import SelectorFactory, relay
from helpers.streaming import every_selector, receive_until_reset
from helpers.traffic import echo, receive_exactly, socks5_connect, target

from pyss.errors import PeerReset
from pyss.relay.accounting import SessionRecord


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            SessionRecord("192.0.2.1:5", "example.com:443", "ok", 1, 23456789, 0.0),
            "192.0.2.1:5 -> example.com:443 ok up 1 down 23456789 bytes 0.000 s",
        ),
        (
            SessionRecord("[2001:db8::1]:5", "-", "bad-tag", 0, 0, 59.99951, "a chunk does not carry a valid tag"),
            "[2001:db8::1]:5 -> - bad-tag up 0 down 0 bytes 60.000 s: a chunk does not carry a valid tag",
        ),
    ],
)
def test_a_line_says_who_where_how_and_how_much(record: SessionRecord, line: str) -> None:
    assert record.line() == line


@every_selector
def test_totals_are_the_sum_of_all_sessions(selector: SelectorFactory) -> None:
    with relay(selector) as running, target(echo) as server:
        for size in (1, 10, 100):
            with socks5_connect(running.local_port, server.port) as client:
                client.sendall(bytes(size))
                receive_exactly(client, size)
        running.until_idle()
        for service in (running.local, running.server):
            assert service is not None
            totals = service.statistics
            assert (dict(totals.by_status), totals.upstream, totals.downstream) == ({"ok": 3}, 111, 111)


@pytest.mark.parametrize("quiet", [False, True])
@every_selector
def test_a_shutdown_ends_every_session_and_counts_what_it_carried(selector: SelectorFactory, quiet: bool) -> None:
    with relay(selector) as running, target(echo) as server:
        local = running.local
        assert local is not None
        local.quiet = quiet
        clients = [socks5_connect(running.local_port, server.port) for _ in range(3)]
        for client in clients:
            client.sendall(b"hello")
            assert receive_exactly(client, 5) == b"hello"
        running.thread.call(local.shut_down)
        for client in clients:
            with client:
                assert receive_until_reset(client) == b""
        assert not local.sessions and not local.listeners
        totals = local.statistics
        assert (dict(totals.by_status), totals.upstream, totals.downstream) == ({"shutdown": 3}, 15, 15)
        lines = running.log.matching("^info .* shutdown up 5 down 5 bytes .*: the process is ending$")
        assert len(lines) == (0 if quiet else 3)
        running.until_idle()


@every_selector
def test_the_log_names_the_target_when_it_is_dialed_and_the_client_when_it_is_done(selector: SelectorFactory) -> None:
    with relay(selector) as running, target(echo) as server:
        with socks5_connect(running.local_port, server.port) as client:
            name = ":".join(map(str, client.getsockname()))
        running.until_idle()
        lines = [line for line in running.log.lines if name in line]
        assert lines[0] == f"debug connecting 127.0.0.1:{server.port} from {name}"
        assert lines[1].startswith(f"info {name} -> 127.0.0.1:{server.port} ok up 0 down 0 bytes ")
        assert len(lines) == 2


def test_a_session_ends_once_however_often_it_is_ended() -> None:
    with relay() as running, target(echo) as server:
        local = running.local
        assert local is not None
        with socks5_connect(running.local_port, server.port) as client:

            def end() -> None:
                (session,) = local.sessions
                session.close()
                session.close(PeerReset("again"))
                session.abort(PeerReset("and again"))

            running.thread.call(end)
            assert client.recv(1) == b""
        running.until_idle()
        assert dict(local.statistics.by_status) == {"ok": 1}
        assert len(running.log.matching("^info ")) == 2  # the server's is the other
