"""Out of descriptors: accepting pauses without spinning and goes on; a dial fails with a sentence.

In children of their own, whose hard limit is 64 descriptors.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from helpers.looping import HOST, PATIENT, Wires
from helpers.processes import ROOT, clean_environment
from helpers.relay import ALL_SELECTORS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")

BEGINNING = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from helpers.relay import ALL_SELECTORS
from pyss.address import Address
from pyss.net import listener
from pyss.net.dialer import Dialer
from pyss.net.listener import Listener
from pyss.net.loop import Loop
from pyss.net.sockets import listening_socket

selector = ALL_SELECTORS[sys.argv[1]]()
select, ticks = selector.select, [0]

def counting(timeout=None):
    ticks[0] += 1
    return select(timeout)

selector.select = counting
loop = Loop(selector)

def tell(**facts):
    print(json.dumps(facts), flush=True)
"""

ACCEPTING = """
WINDOW = 0.4
COUNT = int(sys.argv[2])
listener.RETRY_AFTER = 0.05
loop.call_later(20, loop.stop)  # whatever happens
accepted, complaints, asked = [], [], [0]
served = 0

def has_room():
    asked[0] += 1
    return True

def take(sock, peer):
    global served
    accepted.append(sock)
    if paused:
        served += 1
        sock.close()
        if served + kept == COUNT:
            tell(served=served, complaints=complaints)
            port.close()
            loop.stop()

paused = kept = 0

def complain(text):
    global paused, begun, kept
    complaints.append(text)
    if not paused:
        kept = len(accepted)
        paused = ticks[0], asked[0], time.process_time()
        loop.call_later(WINDOW, window_ends)

def window_ends():
    tell(kept=kept, accepted=len(accepted), ticks=ticks[0] - paused[0], asked=asked[0] - paused[1],
         cpu=time.process_time() - paused[2])
    for sock in accepted[:10]:
        sock.close()
    port.resume()

port = Listener(loop, listening_socket("127.0.0.1", 0), take, has_room=has_room, complain=complain)
tell(port=port.address[1])
loop.run()
for sock in accepted:
    sock.close()
loop.close()
"""

DIALING = """
def done(channel, error):
    tell(kind=type(error).__name__, text=str(error), at_once=at_once)
    loop.stop()

kept = []
while True:
    try:
        kept.append(open("/dev/null"))
    except OSError:
        break
at_once = True
Dialer(loop, None).dial(Address.of("127.0.0.1", 9), done)
at_once = False
loop.run()
"""


class Child:
    """Runs a script; `heard` is its next line."""

    def __init__(self, script: str, *words: str) -> None:
        path = f"{ROOT / 'tests'}:{ROOT}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", BEGINNING + script, *words],
            env=clean_environment(PYTHONPATH=path),
            stdout=subprocess.PIPE,
        )

    def heard(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def exit_code(self) -> int:
        return self._process.wait(PATIENT)


@pytest.mark.parametrize("selector", list(ALL_SELECTORS))
def test_accepting_pauses_without_spinning_and_goes_on(wires: Wires, selector: str) -> None:
    clients = 80
    with Child(ACCEPTING, selector, str(clients)) as child:
        port = child.heard()["port"]
        for _ in range(clients):
            wires.connect(port)
        pause = child.heard()
        assert 30 < pause["kept"] < 64
        assert pause["accepted"] == pause["kept"]
        assert 1 <= pause["asked"] <= 10  # a try each twentieth of a second
        assert pause["ticks"] <= 40
        assert pause["cpu"] < 0.2  # of 0.4 seconds; a loop that spins takes all of them
        end = child.heard()
        assert end["served"] == clients - pause["kept"]  # nobody was lost
        (complaint,) = end["complaints"]
        assert complaint.startswith("accepting pauses until sessions end: ")
        assert child.exit_code() == 0


def test_a_dial_without_descriptors_fails_later_with_a_sentence() -> None:
    with Child(DIALING, "default") as child:
        answer = child.heard()
        assert answer["kind"] == "DialError"
        assert answer["text"].startswith(f"{HOST}:9: ")
        assert "open files" in answer["text"]
        assert answer["at_once"] is False
        assert child.exit_code() == 0
