"""What stands for parts of Windows on other systems, tells Wine from Windows, and starts programs under Wine.

    WSAPollSelector ──► wsapoll_of_poll ──► select.poll         the selector's logic, in the tests of every run
"""

from __future__ import annotations

import importlib
import os
import re
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Optional

import pytest

from helpers.processes import ROOT, Program
from pyss.net.wsapoll import ERR, HUP, NVAL, RDNORM, ROW, WRNORM, WSAPollSelector


def under_wine() -> bool:
    """Whether this is a Python for Windows that runs under Wine."""
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


_RESET = "Wine closes with FIN where SO_LINGER asks for RST"
_KEEP_ALIVE = "Wine 8 knows no TCP_KEEPIDLE"
_ANY_ADDRESS = "Wine binds UDP to all addresses where one is asked for that is not on an interface"

# How tests say that they saw FIN where they looked for RST.
_NO_RESET = re.compile(r"FIN, not RST|FIN instead|DID NOT RAISE .*Connection(Reset)?Error|is ConnectionResetError")

# Tests that fail there for what Wine does otherwise than Windows.
WINE_DIFFERS = {
    "test_broken_is_what_the_peer_has_reset": _RESET,
    "test_finish_writing_on_what_is_gone_is_nothing": _RESET,
    "test_a_target_that_does_not_answer[resets-direct-select]": _RESET,
    "test_a_target_that_does_not_answer[resets-direct-default]": _RESET,
    "test_a_machine_without_ipv6": _KEEP_ALIVE,
    "test_accepting_calls_nothing_where_all_is_inherited": _KEEP_ALIVE,
    "test_keep_alive_of_accepted_connections": _KEEP_ALIVE,
    "test_keep_alive_of_dialed_connections": _KEEP_ALIVE,
    "test_a_request_with_each_option[keep_alive]": _KEEP_ALIVE,
    "test_an_address_that_this_machine_does_not_have": _ANY_ADDRESS,
    "test_a_connection_that_never_stands_is_given_up": "Wine does not hand out what was reset before it was accepted",
}


# And those that would wait in vain for half a minute.
WAITS_IN_VAIN = {
    "test_an_association_ends_with_its_connection": "Wine does not tell that a datagram came back",
    "test_an_announced_address_is_enforced": _ANY_ADDRESS,
    "test_not_when_the_client_resets": _RESET,
}


def needs_resets() -> None:
    """Called where a test is about to reset a connection: skips it where that would come to a FIN."""
    if under_wine():
        pytest.skip(_RESET)


def prepare_for_wine() -> None:
    """What ends the whole process there: a function that Wine lacks, and that `shutil` uses since Python 3.12."""
    import _winapi

    if hasattr(_winapi, "CopyFile2"):
        del _winapi.CopyFile2


def skip_what_waits_in_vain(items: Sequence[pytest.Item]) -> None:
    for item in items:
        reason = WAITS_IN_VAIN.get(item.name.partition("[")[0])
        function = getattr(item, "function", None)
        if function is not None and getattr(function.__globals__.get("reset"), "__module__", "").startswith("helpers."):
            reason = _RESET if _mentions(function.__code__, "reset") else reason
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def _mentions(code: CodeType, name: str) -> bool:
    """Whether a function, or one inside it, uses that name."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return name in code.co_names or any(_mentions(each, name) for each in inner)


def excused(name: str, words: str) -> Optional[str]:
    """Why a test of that name may fail with these words under Wine, if it may."""
    if _NO_RESET.search(words):  # the test came so far, and it is true
        return _RESET
    return WINE_DIFFERS.get(name) or WINE_DIFFERS.get(name.partition("[")[0])


if sys.platform != "win32" and hasattr(select, "poll"):
    # poll() says POLLHUP when both directions have ended; WSAPoll says so at the peer's FIN, as POLLRDHUP does.
    _FIN = getattr(select, "POLLRDHUP", 0)
    _ASKED = ((RDNORM, select.POLLIN), (WRNORM, select.POLLOUT))
    _TOLD = (
        *_ASKED,
        (ERR, select.POLLERR),
        (HUP, select.POLLHUP | _FIN),
        (NVAL, select.POLLNVAL),
    )

    def wsapoll_of_poll(array: Any, count: int, milliseconds: int) -> int:
        """WSAPoll, as far as poll() can: reads `count` rows, waits, writes what came into them."""
        if not count:
            raise OSError(10022, "WSAPoll takes no empty set")
        rows = [ROW.unpack_from(array, row * ROW.size) for row in range(count)]
        poll = select.poll()
        for fd, events, _ in rows:
            poll.register(fd, _FIN | sum(theirs for ours, theirs in _ASKED if events & ours))
        ready = dict(poll.poll(None if milliseconds < 0 else milliseconds))
        for row, (fd, events, _) in enumerate(rows):
            told = ready.get(fd, 0)
            ROW.pack_into(array, row * ROW.size, fd, events, sum(ours for ours, theirs in _TOLD if told & theirs))
        return len(ready)

    class WSAPollMadeOfPoll(WSAPollSelector):
        """Windows' selector on a WSAPoll made of poll()."""

        def __init__(self) -> None:
            super().__init__(wsapoll_of_poll)

    wsapoll_selector: type[WSAPollSelector] = WSAPollMadeOfPoll

else:
    wsapoll_selector = WSAPollSelector


# --- Python for Windows, started from Linux ---------------------------------------------------------
def need_wine(minor: str, *, bare: bool = False) -> Any:
    """The `Python` of scripts/platforms/wine.py, as it is here.

    Without it the test is skipped: it takes Wine and half an hour of its own, so it is for machines that have it.
    """
    folder = str(ROOT / "scripts" / "platforms")
    sys.path.insert(0, folder)
    try:
        python = importlib.import_module("wine").Python(minor, bare)
    finally:
        sys.path.remove(folder)
    reason = python.missing()
    if reason is not None:
        pytest.skip(reason)
    return python


# Python does not start there when a standard stream is a file: its words go through a pipe.
_THROUGH_A_PIPE = 'ulimit -n "$(ulimit -Hn)"; set -o pipefail; "$@" 2>&1 | cat'


class WindowsProgram(Program):
    """A Python for Windows with these arguments; `log` is a file as ever."""

    def __init__(self, python: Any, log: Path, *arguments: str) -> None:
        argv = ["bash", "-c", _THROUGH_A_PIPE, "bash", *python.command(*arguments)]
        super().__init__(argv, log, python.environment(PYTHONUNBUFFERED="1"))

    def usage(self) -> tuple[int, float]:
        """Resident memory in bytes, and seconds of CPU so far, of the Python process itself."""
        ticks = os.sysconf("SC_CLK_TCK")
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) == self.pid and b"python" in command and not command.startswith((b"bash", b"cat")):
                seconds = (int(fields[11]) + int(fields[12])) / ticks
                found.append((int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), seconds))
        assert found, "the Python process is not found"
        return max(found)
