"""Chromium by the PAC file of the local proxy itself: what is to go through it does, and what is not does not.

The names of the test are known to the relay alone, so a page that is seen came through it.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.peers import need
from helpers.processes import clean_environment
from helpers.relay import HOST, plain_http, relay
from helpers.web import SCRIPT_RAN, site

from pyss.protocol.credentials import Credentials
from pyss.protocol.pac import pac_tables
from pyss.relay.inbounds import Mixed
from pyss.relay.pac import PacServer


def lookup(host: str, *rest: Any, **more: Any) -> Any:
    """Every name below .example is this machine."""
    assert host.endswith(".example")
    return socket.getaddrinfo(HOST, *rest, **more)


def browse(pac: str, url: str, profile: Path) -> str:
    """The document as headless Chromium has it, an error page too."""
    command = [
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={profile}", f"--proxy-pac-url={pac}", "--timeout=20000", "--dump-dom", url),
    ]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, timeout=90, cwd=profile.parent)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4000:]
    return done.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("credentials", [False, True], ids=["SOCKS5", "PROXY"])
def test_a_browser_asks_the_proxy_for_what_the_file_says(tmp_path: Path, credentials: bool) -> None:
    need("chromium")
    forward = plain_http()
    with site() as web, relay(direct=True, forward=forward, lookup=lookup) as running:
        assert running.local is not None
        # With `credentials` the file says PROXY alone; nobody is asked for a password here.
        serve = PacServer(lambda: pac_tables([".direct.example"]), credentials)
        running.local.inbound = Mixed(Credentials(), forward, serve_pac=serve)
        pac = f"http://{HOST}:{running.local_port}/proxy.pac"
        assert SCRIPT_RAN in browse(pac, f"http://page.example:{web.port}/", tmp_path / "first")
        running.log.wait_for(rf"-> page\.example:{web.port} ok up \d+ down \d+", 1)
        before = len(web.requests)
        assert SCRIPT_RAN not in browse(pac, f"http://www.direct.example:{web.port}/", tmp_path / "second")
        assert len(web.requests) == before and not running.log.matching(r"direct\.example")
