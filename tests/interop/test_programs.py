"""Programs that people use, through pyss: curl in each way it speaks to a proxy, and a browser.

The log of pyss proves the way that was taken: a program that went around the proxy leaves no session.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from helpers.peers import LIBEV, PYSS, RUST, Pair, RunningPair, need
from helpers.processes import clean_environment
from helpers.web import SCRIPT_RAN, Site, site

METHOD = "chacha20-ietf-poly1305"
WITH_PYSS_CLIENT = [Pair(PYSS, PYSS, METHOD), Pair(PYSS, LIBEV, METHOD), Pair(PYSS, RUST, "2022-blake3-aes-256-gcm")]

CURL_WAYS = {
    "socks5": ("--socks5-hostname", "127.0.0.1:{port}"),
    "socks4a": ("--socks4a", "127.0.0.1:{port}"),
    "http": ("-x", "http://127.0.0.1:{port}"),
    "connect": ("-x", "http://127.0.0.1:{port}", "--proxytunnel"),
}

BROWSER_WAYS = ("socks5", "http")


def transferred_through(relay: RunningPair, port: int, at_least: int) -> None:
    """Wait until the client's log shows sessions to the web site that carried so many bytes down."""
    line = rf"^.* -> \S+:{port} ok up \d+ down (\d+) bytes"
    relay.client.wait_for_line(line)
    total = sum(int(found[1]) for found in re.finditer(line, relay.client.text(), re.MULTILINE))
    assert total >= at_least, relay.client.text()


def fetch(arguments: tuple[str, ...], url: str) -> bytes:
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "30", "--noproxy", "", *arguments, url]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, timeout=40)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


@pytest.mark.parametrize("relay", WITH_PYSS_CLIENT, indirect=True, ids=str)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("way", CURL_WAYS)
def test_curl(relay: RunningPair, way: str, host: str) -> None:
    need("curl")
    if way == "http":
        pytest.importorskip("h11", reason="without h11 plain HTTP is answered with 501")
    arguments = tuple(word.format(port=relay.port) for word in CURL_WAYS[way])
    with site() as web:
        assert fetch(arguments, f"http://{host}:{web.port}/data") == web.data
        transferred_through(relay, web.port, len(web.data))


@pytest.mark.parametrize("relay", [Pair(LIBEV, PYSS, METHOD), Pair(RUST, PYSS, METHOD)], indirect=True, ids=str)
def test_curl_through_their_client(relay: RunningPair) -> None:
    need("curl")
    with site() as web:
        url = f"http://localhost:{web.port}/data"
        assert fetch(("--socks5-hostname", f"127.0.0.1:{relay.port}"), url) == web.data


def browse(proxy: str, url: str, profile: Path) -> str:
    """The document as headless Chromium has it once it is loaded."""
    command = [
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}"),
        *(f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>"),  # or it goes around the proxy
        *("--timeout=30000", "--dump-dom", url),
    ]
    log = profile.parent / "browser.log"
    with log.open("wb") as errors:
        done = subprocess.run(
            command, env=clean_environment(), stdout=subprocess.PIPE, stderr=errors, timeout=90, cwd=profile.parent
        )
    assert done.returncode == 0, log.read_text("utf-8", "replace")[-4000:]
    return done.stdout.decode("utf-8", "replace")


def loads_page(web: Site, relay: RunningPair, way: str, folder: Path) -> None:
    document = browse(f"{way}://127.0.0.1:{relay.port}", f"http://localhost:{web.port}/", folder / "profile")
    assert SCRIPT_RAN in document, document[-2000:]
    transferred_through(relay, web.port, len(web.script))


@pytest.mark.parametrize("relay", WITH_PYSS_CLIENT[:2], indirect=True, ids=str)
@pytest.mark.parametrize("way", BROWSER_WAYS)
def test_browser(relay: RunningPair, way: str, tmp_path: Path) -> None:
    need("chromium")
    if way == "http":
        pytest.importorskip("h11", reason="without h11 plain HTTP is answered with 501")
    with site() as web:
        loads_page(web, relay, way, tmp_path)
