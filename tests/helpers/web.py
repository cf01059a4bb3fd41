"""A small web site on loopback, for programs that speak HTTP through a proxy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What the page says only after its script ran, and the script came through the proxy in full.
SCRIPT_RAN = "the script ran to its end"
PAGE = b"<!doctype html><meta charset=utf-8><title>page</title><p id=p>not yet</p><script src=/script.js></script>"


class Site:
    """What is served, and the paths that were asked for.

    data    at /data: random bytes
    script  at /script.js: large, does its work in its last line
    """

    def __init__(self) -> None:
        self.data = os.urandom(300_000)
        line = "/* " + os.urandom(40).hex() + " */\n"
        self.script = (line * 3000 + f'document.getElementById("p").textContent = "{SCRIPT_RAN}";').encode()
        self.requests: list[str] = []
        self.port = 0

    @property
    def content(self) -> dict[str, tuple[str, bytes]]:
        return {
            "/": ("text/html", PAGE),
            "/script.js": ("text/javascript", self.script),
            "/data": ("application/octet-stream", self.data),
        }


@contextmanager
def site() -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            served.requests.append(self.path)
            kind, body = served.content.get(self.path, ("text/plain", b""))
            self.send_response(200 if self.path in served.content else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join(10)
