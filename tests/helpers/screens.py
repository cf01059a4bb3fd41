"""A screen that nobody sees: Xvfb, a bar for icons (trayer), a mouse and a keyboard (xdotool).

    ┌──────────────────────────────┐
    │                        ┌────┐│  the menu: light
    │                        │    ││
    │                        └────┤│
    └─────────────────────[trayer]─┘  24 pixels, at the right edge

Nothing waits for a time: what is to come is looked for, on the screen or where it shows, until it is there.
Pictures of the screen go to the folder that PYSS_SCREENSHOTS names, by default to the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional, TypeVar

import pytest

from helpers.processes import POLL, Program

WIDTH, HEIGHT, BAR = 640, 420, 24
PROGRAMS = {"Xvfb": "xvfb", "trayer": "trayer", "xdotool": "xdotool", "import": "imagemagick"}

T = TypeVar("T")


def need_programs(programs: dict[str, str]) -> None:
    """Skip the test where one is missing; in CI, where everything is to be present, fail it."""
    missing = sorted({package for name, package in programs.items() if shutil.which(name) is None})
    if missing:
        reason = f"not here: apt-get install {' '.join(missing)}"
        if os.environ.get("CI", "false") != "false":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def until(look: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(POLL)


class Screen:
    """display  for the environment of what is to be shown there"""

    def __init__(self, display: str, folder: Path) -> None:
        self.display = display
        self._folder = Path(os.environ.get("PYSS_SCREENSHOTS") or folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def _run(self, *argv: str) -> bytes:
        environment = {**os.environ, "DISPLAY": self.display}
        return subprocess.run(argv, env=environment, capture_output=True, timeout=30, check=True).stdout

    def keys(self, *names: str) -> None:
        for name in names:  # one after the other: a menu has to open before the next is meant for it
            self._run("xdotool", "key", "--delay", "60", name)

    def move(self, x: int, y: int) -> None:
        self._run("xdotool", "mousemove", "--sync", str(x), str(y))

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.move(x - 3, y - 3)  # some toolkits believe a click only of a pointer that has moved
        self.move(x, y)
        self._run("xdotool", "click", str(button))

    def pixels(self) -> list[tuple[int, int, int]]:
        """From the top left, row by row."""
        data = self._run("import", "-silent", "-window", "root", "-depth", "8", "rgb:-")
        return list(zip(data[::3], data[1::3], data[2::3]))

    def picture(self, name: str) -> Path:
        """A PNG of the screen."""
        file = self._folder / f"{name}.png"
        self._run("import", "-silent", "-window", "root", str(file))
        return file

    # --- what is there ---------------------------------------------------------------------------
    def menu_place(self) -> tuple[int, int]:
        """Where the icon is, whatever its colour: the bar is as wide as its one icon."""
        return WIDTH - BAR // 2, HEIGHT - BAR // 2

    def hue(self) -> str:
        """Of the icon: "blue", "red" or "" for none."""
        bar = self.pixels()[(HEIGHT - BAR) * WIDTH :]
        blue = sum(blue - red > 100 for red, green, blue in bar)
        red = sum(red - blue > 100 for red, green, blue in bar)
        return "blue" if blue > max(red, 30) else "red" if red > 30 else ""

    def light(self) -> int:
        """Pixels above the bar as light as a menu is."""
        return sum(min(pixel) > 220 for pixel in self.pixels()[: (HEIGHT - BAR) * WIDTH])


@contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    need_programs(PROGRAMS)
    read, write = os.pipe()
    argv = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(argv, pass_fds=[write], stdin=quiet, stdout=quiet, stderr=quiet)
    os.close(write)
    bar: Optional[Program] = None
    try:
        with os.fdopen(read) as told:
            display = f":{int(told.readline())}"
        words = "--edge bottom --align right --widthtype request --SetDockType true --height"
        argv = ["trayer", *words.split(), str(BAR)]
        bar = Program(argv, folder / "trayer.log", {**os.environ, "DISPLAY": display})
        yield Screen(display, folder)
    finally:
        if bar is not None:
            bar.stop()
        server.terminate()
        server.wait(20)
