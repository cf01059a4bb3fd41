"""For the whole suite: no test may hang the run, and hypothesis sets no deadline of its own."""

from __future__ import annotations

import faulthandler
import gc
import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

# Seconds after which a test is taken for hung: every thread's stack is printed and the run ends.
# Interop and load tests have time limits of their own far below this.
HUNG = 300

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the tests that need it say so by themselves
    pass
else:
    # Busy machines and slow interpreters: time is bounded by HUNG, not by example.
    settings.register_profile("pyss", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("pyss")

_terminal = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_terminal] = os.dup(2)  # output is not captured yet


if sys.platform == "win32":
    from helpers.windows import excused, prepare_for_wine, skip_what_waits_in_vain, under_wine

    if under_wine():
        prepare_for_wine()

        def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
            skip_what_waits_in_vain(items)

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
            report = yield
            if report.failed and call.excinfo is not None:
                reason = excused(item.name, str(call.excinfo.value))
                if reason is not None:
                    report.outcome, report.wasxfail = "skipped", reason
            return report


def pytest_collection_finish(session: pytest.Session) -> None:
    _put_aside()


_ended = itertools.count(1)


def pytest_runtest_logfinish(nodeid: str) -> None:
    if next(_ended) % 200 == 0:
        _put_aside()


def _put_aside() -> None:
    """What stands for thousands of tests and their results need not be looked through by each garbage collection."""
    gc.collect()
    getattr(gc, "freeze", int)()  # PyPy has none


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_terminal])


@pytest.fixture(autouse=True)
def _not_hung(pytestconfig: pytest.Config) -> Iterator[None]:
    faulthandler.dump_traceback_later(HUNG, exit=True, file=pytestconfig.stash[_terminal])
    yield
    faulthandler.cancel_dump_traceback_later()
