"""For the tests of `pyss.app`: what opening the log changes in the process is put back after each test."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _log_put_back() -> Iterator[None]:
    logger = logging.getLogger("pyss")
    before = (logger.handlers[:], logger.propagate, logger.level)
    names = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing", "raiseExceptions")
    settings = {name: getattr(logging, name) for name in names}
    yield
    for handler in set(logger.handlers) - set(before[0]):
        handler.close()
    logger.handlers[:], logger.propagate, logger.level = before
    for name, value in settings.items():
        setattr(logging, name, value)
    if hasattr(gc, "unfreeze"):  # a Process that ran froze what there was
        gc.unfreeze()
