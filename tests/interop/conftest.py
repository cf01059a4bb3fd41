"""Fixtures of the interop tests, and the logs of the programs in the report of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from helpers.peers import Pair, RunningPair, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "interop":
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="module")
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPair]:
    """A running pair, given by an indirect parameter; checked when its last test is done."""
    pair: Pair = request.param
    pair.need()
    with running(pair, tmp_path_factory.mktemp("pair")) as started:
        yield started
        started.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, RunningPair):
                for program in (value.client, value.server):
                    report.sections.append((f"log of {program.argv[0]}", program.text()[-4000:]))
    return report
