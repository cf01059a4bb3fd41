"""The resolver under the real loop, on every selector: a hung name holds up nothing, not even the exit."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from helpers.looping import PATIENT, Sleeps, turn
from helpers.processes import ROOT, clean_environment
from helpers.relay import ALL_SELECTORS
from helpers.resolving import Asker, Names

from pyss.errors import DialTimeout
from pyss.net.clock import monotonic
from pyss.net.loop import Loop
from pyss.net.resolver import Resolver


@pytest.mark.load  # for the time it waits
def test_a_hung_name_holds_up_neither_others_nor_the_loop(loop: Loop) -> None:
    names = Names()
    names.hang("hung.example")
    resolver = Resolver(
        loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic,
        lookup=names, threads=2, deadline=0.3,
    )  # fmt: skip
    hung, good, cached = Asker(), Asker(), Asker()
    timers: list[float] = []
    resolver.resolve("hung.example", 80, hung)
    assert names.next_asked() == "hung.example"
    loop.call_later(0.01, lambda: timers.append(loop.now))
    resolver.resolve("good.example", 80, good)
    turn(loop, lambda: good.calls and timers)
    assert good.ips == ["192.0.2.1"]
    resolver.resolve("good.example", 80, cached)
    assert cached.calls == []
    turn(loop, lambda: cached.calls)
    turn(loop, lambda: hung.calls)
    assert type(hung.error) is DialTimeout
    names.release()
    resolver.close()
    for thread in names.threads:
        thread.join(PATIENT)
        assert not thread.is_alive()


def test_answers_of_threads_wake_the_loop(loop: Loop, sleeps: Sleeps) -> None:
    names = Names()
    names.hang("good.example")
    asked = threading.Thread(target=lambda: (sleeps.asleep.wait(PATIENT), names.release()))
    asked.start()
    resolver = Resolver(
        loop.call_threadsafe, loop.call_soon, lambda delay, callback: NeverDue(), monotonic, lookup=names
    )
    asker = Asker()
    limit = loop.call_later(PATIENT, lambda: None)
    resolver.resolve("good.example", 80, asker)
    while not asker.calls and limit.callback is not None:
        loop.tick()
    assert limit.callback is not None, "the loop slept on"
    assert asker.ips == ["192.0.2.1"]
    limit.cancel()
    resolver.close()
    for thread in names.threads:
        thread.join(PATIENT)
    asked.join(PATIENT)


class NeverDue:
    def cancel(self) -> None:
        pass


CHILD = """
import socket, sys, threading
from helpers.relay import ALL_SELECTORS
from pyss.net.clock import monotonic
from pyss.net.loop import Loop
from pyss.net.resolver import Resolver

def lookup(host, *arguments):
    if host == "hung.example":
        threading.Event().wait(120)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

loop = Loop(ALL_SELECTORS[sys.argv[1]]())
resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic, lookup=lookup)

def done(endpoints, error):
    print(endpoints[0][1][0])
    loop.stop()

resolver.resolve("hung.example", 80, print)
resolver.resolve("good.example", 80, done)
loop.run()
resolver.close()
loop.close()
"""


@pytest.mark.parametrize("selector", list(ALL_SELECTORS))
def test_a_hung_name_does_not_hold_up_the_exit(selector: str) -> None:
    environment = clean_environment()
    environment["PYTHONPATH"] += (";" if sys.platform == "win32" else ":") + str(ROOT / "tests")
    argv = [sys.executable, "-c", CHILD, selector]
    run = subprocess.run(argv, env=environment, timeout=PATIENT, check=True, stdout=subprocess.PIPE)
    assert run.stdout.split() == [b"192.0.2.1"]
