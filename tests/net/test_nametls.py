"""Name servers through TLS: whom it believes, above all."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from helpers.asking import World, worlds
from helpers.certificates import Authority
from helpers.looping import HOST

from pyss.errors import DialError
from pyss.net.namemessage import PADDING
from pyss.net.nametls import Tls, name_server_context

NAME = "dns.example"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


# --- verified ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("subjects", "name"), [((HOST,), ""), ((NAME,), NAME), ((NAME, HOST), ""), ((NAME, HOST), NAME)]
)
def test_a_certificate_for_the_address_or_for_the_name(
    world: World, authority: Authority, subjects: tuple[str, ...], name: str
) -> None:
    server = world.server(context=authority.serving(*subjects))
    client = world.client(server.address("tls", name), tls_context=authority.trusting())
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    assert world.answer(client, "none.example").error
    assert {asked.over for asked in server.asked} == {"tls"}
    assert len(server.connections) == 1


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_it_may_come_in_pieces(world: World, authority: Authority, piece: int) -> None:
    server = world.server("two.example 60 A 192.0.2.2", context=authority.serving(HOST))
    server.piece = piece
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    askers = [world.ask(client, name) for name in ("www.example", "two.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [asker.ips for asker in askers] == [["192.0.2.1"], ["192.0.2.2"]]


@pytest.mark.parametrize(
    ("subjects", "name", "words"),
    [
        pytest.param((NAME,), "", "IP address mismatch", id="for a name where the address counts"),
        pytest.param((HOST,), NAME, "Hostname mismatch", id="for the address where a name counts"),
        pytest.param(("other.example",), NAME, "Hostname mismatch", id="for another name"),
        pytest.param(("127.0.0.2",), "", "IP address mismatch", id="for another address"),
        pytest.param((), "", "IP address mismatch", id="for nobody"),
        pytest.param((HOST,), None, "expired", id="expired"),
    ],
)
def test_a_certificate_that_is_not_accepted(
    world: World, authority: Authority, subjects: tuple[str, ...], name: Optional[str], words: str
) -> None:
    """No question is sent, and the next server is asked."""
    bad = world.server(context=authority.serving(*subjects, expired=name is None))
    server = world.server()
    address = bad.address("tls", name or "")
    client = world.client(address, server.address(), tls_context=authority.trusting())
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    assert not bad.asked
    ((level, sentence),) = world.reports
    assert level == "warning"
    assert sentence.startswith(f"name server {address} cannot be asked: its certificate is not accepted: ")
    assert words in sentence
    error = world.answer(world.client(address, tls_context=authority.trusting()), "www.example").error
    assert type(error) is DialError
    assert words in str(error)


def test_an_authority_that_nobody_knows(world: World, authority: Authority, tmp_path: Path) -> None:
    """With the context that is made when none is given: whom the system trusts."""
    server = world.server(context=authority.serving(HOST))
    error = world.answer(world.client(server.address("tls")), "www.example").error
    assert "its certificate is not accepted: " in str(error)
    other = Authority(tmp_path)
    error = world.answer(world.client(server.address("tls"), tls_context=other.trusting()), "www.example").error
    assert "its certificate is not accepted: " in str(error)
    assert not server.asked


def test_the_context_verifies() -> None:
    context = name_server_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions(world: World, authority: Authority, version: ssl.TLSVersion) -> None:
    serving = authority.serving(HOST)
    serving.minimum_version = serving.maximum_version = version
    server = world.server(context=serving)
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]


# --- failures ------------------------------------------------------------------------------------
def test_a_server_without_tls(world: World, authority: Authority) -> None:
    """It takes the first bytes for a message of DNS, and says so."""
    server = world.server()
    server.answers = lambda data, over, port: [b"\0" * 40]  # type: ignore[method-assign]
    connections = server.connections

    class Talker(list[Any]):
        def append(self, connection: Any) -> None:
            super().append(connection)
            connection.send(b"\0\x14 I do not speak TLS.")

    server.connections = Talker(connections)
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    error = world.answer(client, "www.example").error
    assert type(error) is DialError
    assert "fails (TLS fails: " in str(error)


def test_a_connection_that_ends_within_the_handshake(world: World, authority: Authority) -> None:
    server = world.server(context=authority.serving(HOST))

    class Closer(list[Any]):
        def append(self, connection: Any) -> None:
            super().append(connection)
            connection.close()

    server.connections = Closer()
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    error = world.answer(client, "www.example").error
    assert type(error) is DialError
    assert not server.asked


def test_a_server_that_says_goodbye_is_connected_to_anew(world: World, authority: Authority) -> None:
    server = world.server(context=authority.serving(HOST))
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    world.answer(client, "www.example")
    connection = server.connections[0]
    try:
        connection._tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    connection.send(b"")  # the alert that the library has made
    connection.close()
    world.turn(lambda: client._peers[0]._stream is None)
    world.answer(client, "other.example")
    assert len(server.connections) == 2
    assert not world.reports


def test_questions_tell_nothing_by_their_length(world: World, authority: Authority) -> None:
    server = world.server(context=authority.serving(HOST))
    sizes: list[int] = []
    answers = server.answers

    def noting(data: bytes, over: str, port: int) -> Iterable[bytes]:
        sizes.append(len(data))
        return answers(data, over, port)

    server.answers = noting  # type: ignore[method-assign]
    client = world.client(server.address("tls"), tls_context=authority.trusting())
    world.answer(client, "www.example")
    world.answer(client, "a-name-that-is-much-longer.example")
    assert sizes == [PADDING] * 4


# --- without a connection ------------------------------------------------------------------------
def test_plain_text_waits_for_the_handshake(authority: Authority) -> None:
    """Both sides by hand: what was sent before leaves right after it."""
    client = Tls(authority.trusting(), NAME)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = authority.serving(NAME).wrap_bio(incoming, outgoing, server_side=True)
    client.send(b"question")
    assert not client.ready
    shaken = False
    for _ in range(4):
        incoming.write(client.take())
        if not shaken:
            try:
                server.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                pass
        assert client.receive(outgoing.read()) == b""
    assert client.ready
    assert server.read(100) == b"question"
    server.write(b"answer")
    assert client.receive(outgoing.read()) == b"answer"
    assert client.receive(b"") == b""
