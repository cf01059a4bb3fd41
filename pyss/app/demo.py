"""`pyss demo`: the whole way on one machine, to be seen working and to be played with.

    this process:   request ──► local proxy ──► Shadowsocks server ──► web page

All of it listens on loopback only, on ports that the system chooses, under a key made for this run.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Optional, TextIO

from ..address import join_host_port
from ..net.loop import Loop
from ..protocol.uri import ServerUri
from .assembly import Assembly, announce
from .config import LocalConfig, Server, ServerConfig
from .journal import open_journal
from .keygen import generate
from .options import Demo
from .process import Process

METHOD = "2022-blake3-aes-256-gcm"
HOST = "127.0.0.1"
PATIENCE = 15.0  # seconds for the request

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pyss demo</title></head>
<body><h1>It works</h1>
<p>This page came to you through a pyss client and a pyss server, encrypted with 2022-blake3-aes-256-gcm
in between. Both run in one process on this machine, and end with it.</p>
</body></html>
"""


class _Handler(BaseHTTPRequestHandler):
    """Serves the page at every path."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """The relay's log tells enough."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off: the relay's log says so, and no traceback is needed."""


@contextmanager
def web_page() -> Iterator[int]:
    """Serve the page; gives the port."""
    with _Server((HOST, 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="pyss-demo-page", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class Visit(threading.Thread):
    """One request for the page through the proxy, while the main thread runs the loop.

    done   called in this thread at the end; without it the demo goes on until Ctrl-C
    error  what went wrong, "" if nothing did
    """

    def __init__(self, proxy: int, page: int, stdout: TextIO, done: Optional[Callable[[], None]]) -> None:
        super().__init__(name="pyss-demo-visit", daemon=True)
        self._proxy = proxy
        self._page = page
        self._stdout = stdout
        self._done = done
        self.error = "the request was not finished"

    def run(self) -> None:
        try:
            self._visit()
            self.error = ""
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            self._say(f"the request failed: {self.error}")
        if self._done is None:
            self._say("\nCtrl-C ends it.")
        else:
            self._done()

    def _visit(self) -> None:
        began = time.perf_counter()
        connection = http.client.HTTPConnection(HOST, self._proxy, timeout=PATIENCE)
        try:
            connection.set_tunnel(HOST, self._page)  # CONNECT, which works without any package
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            if connection.sock is not None:
                with suppress(OSError):  # close() alone does not end it while the answer holds the socket (PyPy)
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        milliseconds = (time.perf_counter() - began) * 1000
        if answer.status != 200 or body != PAGE.encode():
            raise ValueError(f"status {answer.status} and {len(body)} bytes, which is not the page")
        self._say(f"fetched the page through the relay: {len(body)} bytes in {milliseconds:.1f} ms")

    def _say(self, text: str) -> None:
        try:
            _print(self._stdout, text)
        except OSError:  # nobody reads it any more: no reason not to end in good order
            pass


def run(command: Demo, stdout: TextIO) -> int:
    """Returns the exit code.  Raises ConfigError."""
    open_journal(command.verbosity)
    password = generate(METHOD)
    loop = Loop()
    assembly = Assembly(loop, verbosity=command.verbosity)
    try:
        with web_page() as page:
            served = Server(HOST, 0, METHOD, password)
            (server,) = assembly.server(ServerConfig((served,), allowed_ip=("127.0.0.0/8",), crypto=command.crypto))
            reached = Server(HOST, server.listeners[0].address[1], METHOD, password, "pyss demo")
            (local,) = assembly.local(LocalConfig(((HOST, 0),), (reached,), crypto=command.crypto))
            proxy = local.listeners[0].address[1]
            announce(assembly, ())
            _introduce(stdout, proxy, reached, page)
            process = Process(loop, assembly.services)
            end = partial(loop.call_threadsafe, process.end)
            visit = Visit(proxy, page, stdout, end if command.once else None)
            loop.call_soon(visit.start)
            process.run()
            return 1 if visit.error else 0
    finally:
        assembly.close()


def _introduce(stdout: TextIO, proxy: int, server: Server, page: int) -> None:
    url = ServerUri(server.method, server.password, server.host, server.port, tag=server.tag).encode()
    address = join_host_port(HOST, proxy)
    lines = (
        f"proxy    {address} (SOCKS5, SOCKS4, HTTP)",
        f"server   {url}",
        f"try      curl --noproxy '' --socks5-hostname {address} http://{HOST}:{page}/",
        "",
    )
    _print(stdout, "\n".join(lines))


def _print(stdout: TextIO, text: str) -> None:
    """In one piece, so that no line of the log gets between a line and its end."""
    stdout.write(text + "\n")
    stdout.flush()
