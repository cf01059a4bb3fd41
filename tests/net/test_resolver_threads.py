"""Names on threads: hung ones, deadlines, the end of the process; the system's own lookup and the real loop."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
from helpers.resolving import IPV4, IPV6, PATIENT, Asker, World, ask

from pyss.errors import DialError, DialTimeout, NameNotFound
from pyss.net.loop import Loop
from pyss.net.resolver import DEADLINE, PATIENCE, Endpoint, Resolver


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.end()


# --- deadlines and hung names --------------------------------------------------------------------
def test_a_hung_name_is_answered_at_the_deadline(world: World) -> None:
    world.names.hang("hung.example")
    asker, _ = ask(world.resolver(), "hung.example")
    world.loop.advance(DEADLINE - 0.1)
    assert not asker.calls
    world.loop.advance(0.1)
    assert type(asker.error) is DialTimeout
    assert str(asker.error) == "hung.example: not resolved within 8 s, the name server is silent"
    assert not world.loop.armed()


def test_each_waiter_has_a_deadline_of_its_own(world: World) -> None:
    world.names.hang("hung.example")
    resolver = world.resolver()
    first, _ = ask(resolver, "hung.example")
    world.loop.advance(DEADLINE - 1)
    second, _ = ask(resolver, "hung.example")
    world.loop.advance(DEADLINE - 1)
    assert first.error
    assert not second.calls
    world.loop.advance(1)
    assert second.error


def test_a_hung_name_holds_one_thread_however_often_it_is_asked_for(world: World) -> None:
    world.names.hang("hung.example")
    resolver = world.resolver()
    for _ in range(50):
        asker, _ = ask(resolver, "hung.example")
        world.loop.advance(DEADLINE)
        assert asker.error
    assert world.names.count == 1
    last, _ = ask(resolver, "hung.example")
    world.names.release()
    world.loop.land()
    assert last.ips == ["192.0.2.1"]  # late, but an answer
    cached, _ = ask(resolver, "hung.example")
    world.loop.turn()
    assert cached.ips == ["192.0.2.1"]
    assert world.names.count == 1


def test_hung_names_do_not_stand_in_the_way_of_others(world: World) -> None:
    hung = [f"hung{number}" for number in range(4)]
    world.names.hang(*hung)
    resolver = world.resolver(threads=2, most_threads=20)
    for host in hung:
        ask(resolver, host)
    good, _ = ask(resolver, "good.example")
    assert {world.names.next_asked() for _ in range(2)} == {"hung0", "hung1"}
    world.loop.advance(2 * PATIENCE)
    world.loop.land()
    assert good.ips == ["192.0.2.1"]
    world.loop.advance(DEADLINE)
    cached, _ = ask(resolver, "good.example")
    world.loop.turn()
    other, _ = ask(resolver, "other.example")
    world.loop.land()
    assert cached.ips == other.ips == ["192.0.2.1"]


def test_threads_that_stood_in_leave_again(world: World) -> None:
    hung = [f"hung{number}" for number in range(10)]
    world.names.hang(*hung)
    resolver = world.resolver(threads=2, most_threads=20)
    for host in hung:
        ask(resolver, host)
    world.loop.advance(DEADLINE)
    assert len({world.names.next_asked() for _ in hung}) == 10
    assert resolver._alive == 10
    world.names.release()
    world.loop.land(10)
    assert resolver._alive == resolver._idle == 2
    assert resolver._running == 0
    asker, _ = ask(resolver, "good.example")
    world.loop.land()
    assert asker.ips == ["192.0.2.1"]
    assert resolver._alive == 2


def test_with_all_threads_hung_names_wait_and_fail_in_time(world: World) -> None:
    """What happens at the cap: the cache goes on, the rest waits for a thread to come back."""
    world.names.hang("hung0", "hung1")
    resolver = world.resolver(threads=1, most_threads=2)
    ask(resolver, "known.example")
    world.loop.land()
    ask(resolver, "hung0")
    ask(resolver, "hung1")
    world.loop.advance(2 * PATIENCE)
    late, _ = ask(resolver, "late.example")
    known, _ = ask(resolver, "known.example")
    world.loop.turn()
    assert known.ips == ["192.0.2.1"]
    world.loop.advance(DEADLINE)
    assert type(late.error) is DialTimeout
    assert str(late.error) == "late.example: not resolved within 8 s, other names hold all 2 threads"
    patient, _ = ask(resolver, "patient.example")
    world.names.release("hung1")
    world.loop.land(2)
    assert patient.ips == ["192.0.2.1"]
    assert world.names.count == 4  # nobody looked up late.example
    assert not resolver._pending


# --- threads -------------------------------------------------------------------------------------
def test_threads_start_when_they_are_needed_and_are_used_again(world: World) -> None:
    resolver = world.resolver(threads=4)
    assert resolver._alive == 0
    for number in range(10):
        ask(resolver, f"host{number}")
        world.loop.land()
    assert len(world.names.threads) == resolver._alive == 1
    assert all(thread.daemon for thread in world.names.threads)


def test_no_more_lookups_at_once_than_threads(world: World) -> None:
    hosts = [f"host{number}" for number in range(100)]
    world.names.hang(*hosts)
    resolver = world.resolver(threads=3)
    askers = [ask(resolver, host)[0] for host in hosts]
    world.names.release()
    world.loop.land(100)
    assert all(asker.ips == ["192.0.2.1"] for asker in askers)
    assert len(world.names.threads) <= 3


def test_when_no_thread_can_start_the_next_one_is_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = world.resolver()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        lost, _ = ask(resolver, "lost.example")
        world.loop.advance(DEADLINE)
        assert type(lost.error) is DialTimeout
        first, _ = ask(resolver, "first.example")
    second, _ = ask(resolver, "second.example")
    world.loop.land(2)
    assert first.ips == second.ips == ["192.0.2.1"]


def test_close_calls_nobody_and_ends_the_threads(world: World) -> None:
    world.names.hang("hung0", "hung1", "hung2")
    resolver = world.resolver(threads=2)
    ask(resolver, "known.example")
    world.loop.land()
    askers = [ask(resolver, host)[0] for host in ("hung0", "hung1", "hung2", "known.example")]
    resolver.close()
    askers.append(ask(resolver, "another.example")[0])
    world.names.release()
    for thread in world.names.threads:
        thread.join(PATIENT)
    while not world.loop.from_threads.empty():
        world.loop.land()
    assert [len(asker.calls) for asker in askers] == [0, 0, 0, 1, 0]  # what was in the cache was on its way
    assert not world.loop.armed()


EXIT_SCRIPT = """
import threading
from pyss.net.loop import Loop
from pyss.net.resolver import Resolver

begun = threading.Semaphore(0)

def hang(*arguments):
    begun.release()
    threading.Event().wait()

loop = Loop()
resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, lambda: loop.now, lookup=hang)
for number in range(4):
    resolver.resolve(f"hung{number}", 80, print)
    assert begun.acquire(timeout=20)
"""


def test_hung_names_do_not_delay_the_exit() -> None:
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", EXIT_SCRIPT], cwd=root, timeout=PATIENT, check=True)


# --- by the system itself ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "endpoint"), [("127.0.0.1", (IPV4, ("127.0.0.1", 80))), ("::1", (IPV6, ("::1", 80, 0, 0)))]
)
def test_numeric_addresses_work(world: World, host: str, endpoint: Endpoint) -> None:
    asker, _ = ask(world.resolver(lookup=None), host)
    world.loop.land()
    assert asker.calls == [([endpoint], None)]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ".", "bad\udcffname"])
def test_bad_names_are_not_found(world: World, host: str) -> None:
    asker, _ = ask(world.resolver(lookup=None), host)
    world.loop.land()
    assert type(asker.error) is NameNotFound
    str(asker.error).encode()  # can be logged


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_the_loop_itself(host: str) -> None:
    loop = Loop()
    resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, lambda: loop.now)
    asker = Asker()
    thread: list[threading.Thread] = []

    def done(endpoints: list[Endpoint], error: Optional[DialError]) -> None:
        thread.append(threading.current_thread())
        asker(endpoints, error)
        loop.stop()

    resolver.resolve(host, 80, done)
    loop.run()
    assert "127.0.0.1" in asker.ips
    assert thread == [threading.current_thread()]
    assert loop.timers.pop_due(loop.now) is None and not len(loop.timers)
    resolver.close()
    loop.close()
