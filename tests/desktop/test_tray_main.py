"""The start of the program: one for each user, what starts it again, what opens a file, and its end by a signal."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.processes import PYTHON, ROOT, clean_environment

from pyss.desktop import tray_main
from pyss.desktop.tray_main import _OnlyOne, command_line, open_file
from pyss.errors import ConfigError

pytestmark = pytest.mark.load  # each starts processes of its own

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="programs and signals of POSIX")
OTHERS = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="xdg-open")
SCRIPT = ROOT / "scripts" / "pyss-tray.pyw"


def test_one_tray_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "tray.lock"
    with _OnlyOne(lock), pytest.raises(ConfigError, match="runs already"), _OnlyOne(lock):
        raise AssertionError("two of them")
    with _OnlyOne(lock):
        pass
    with pytest.raises(ConfigError, match="cannot write"), _OnlyOne(tmp_path / "none" / "tray.lock"):
        raise AssertionError("without a file")


def test_a_killed_tray_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom pyss.desktop.tray_main import _OnlyOne\n"
        "with _OnlyOne(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    argv = [PYTHON, "-c", code, str(tmp_path / "tray.lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=clean_environment(), cwd=ROOT, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError), _OnlyOne(tmp_path / "tray.lock"):
            raise AssertionError("two of them")
        other.kill()
    with _OnlyOne(tmp_path / "tray.lock"):
        pass


def test_what_starts_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(SCRIPT.parent)
    python, script = command_line("pyss-tray.pyw")
    assert Path(python).stem.startswith(Path(sys.executable).stem[:6]) and script == str(SCRIPT)
    assert len(command_line(None)) == 1


@OTHERS
def test_an_installed_one_is_found_beside_its_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyss-tray").write_text("#!/bin/sh\n")
    (tmp_path / "pyss-tray").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert command_line(None) == [str(tmp_path / "pyss-tray")]


@OTHERS
def test_a_file_is_handed_to_the_desktop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / "said"
    os.mkfifo(said)
    (tmp_path / "xdg-open").write_text(f'#!/bin/sh\necho "$1" > "{said}"\n')
    (tmp_path / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    open_file(tmp_path / "a b.log")
    assert said.read_text() == f"{tmp_path / 'a b.log'}\n"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="xdg-open is not installed; the file is "):
        open_file(tmp_path / "a b.log")


def run_main(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """The program itself, with `code` run before it."""
    start = f"import sys\n{code}\nfrom pyss.desktop.tray_main import main\nsys.exit(main('x.pyw'))"
    places = {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder), "HOME": str(folder)}
    environment = clean_environment(**places)
    return subprocess.run(
        [PYTHON, "-c", start], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


BLOCKED = "sys.modules['pystray'] = None"


@OTHERS
def test_without_pystray_it_says_what_to_do(tmp_path: Path) -> None:
    done = run_main(tmp_path, BLOCKED)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("pyss-tray: the tray needs the packages pystray and Pillow: pip install 'pyss[tray]'\n")


PYSTRAY = """
import types
class Icon:
    HAS_MENU = HAS_NOTIFICATION = {menu}
    def __init__(self, name):
        self.visible = False
    def run(self, setup):
        {run}
    def stop(self):
        self.stopped.set()
    def notify(self, text, title):
        print(text, flush=True)
class Menu:
    SEPARATOR = None
    def __init__(self, *items):
        pass
module = types.ModuleType("pystray")
module.Icon, module.Menu, module.MenuItem = Icon, Menu, lambda *words, **more: None
image = types.ModuleType("PIL.Image")
image.frombytes = lambda *words: None
package = types.ModuleType("PIL")
package.Image = image
sys.modules.update({{"pystray": module, "PIL": package, "PIL.Image": image}})
"""


@OTHERS
def test_a_desktop_without_menus_is_refused(tmp_path: Path) -> None:
    done = run_main(tmp_path, PYSTRAY.format(menu=False, run="pass"))
    assert done.returncode == 1 and done.stderr.startswith("pyss-tray: this desktop gives pystray no menu")


@OTHERS
def test_what_nobody_foresaw_is_in_the_log(tmp_path: Path) -> None:
    done = run_main(tmp_path, PYSTRAY.format(menu=True, run="raise RuntimeError('as a test wants it')"))
    assert done.returncode == 1
    text = (tmp_path / "pyss" / "pyss.log").read_text("utf-8")
    assert text.startswith("Traceback") and text.endswith("RuntimeError: as a test wants it\n")


@POSIX
@OTHERS
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_is_taken_for_quit(tmp_path: Path, name: str) -> None:
    run = (
        "import threading, os, signal; self.stopped = threading.Event(); setup(self); "
        f"os.kill(os.getpid(), signal.{name}); print(self.stopped.wait(30), self.visible)"
    )
    done = run_main(tmp_path, PYSTRAY.format(menu=True, run=run))
    assert (done.returncode, done.stdout, done.stderr) == (0, "True False\n", "")
    assert signal.Signals[name]


def test_the_script_is_the_program() -> None:
    text = SCRIPT.read_text("utf-8")
    compile(text, str(SCRIPT), "exec")
    assert text.startswith("#!/usr/bin/env python3\n") and "main(__file__)" in text
    assert tray_main.PROGRAM in SCRIPT.name


def test_what_pip_installs() -> None:
    declared = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
    name, _, place = declared["entry_points"]["gui_scripts"][0].partition(" = ")
    assert name == tray_main.PROGRAM and place == f"{tray_main.__name__}:main" and callable(tray_main.main)
    assert {"tray", "scan"} <= set(declared["extras_require"])  # as the sentences about missing packages say
