"""The two commands of a checkout: try it, test it.

    python3 scripts/run.py demo [--once]     server and client on loopback, one page through both
    python3 scripts/run.py test [--quick]    the test suite; what follows goes to pytest

Works from any folder and on Windows (`py scripts\\run.py demo`); standard library only.  Both make .venv
in the checkout and install pyss there, or take it as it is when it is up to date.  Where a package cannot be
had (no network, no wheel for this machine) they go on without it: pyss itself needs none.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "pyss-installed"
QUICK = ("-m", "not load and not interop")
OLDEST = (3, 9)


class Stop(Exception):
    """Ends the program with this sentence on standard error."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- the environment -----------------------------------------------------------------------------
def declared() -> dict[str, Any]:
    """The arguments that setup.py hands to setuptools, without setuptools."""
    seen: dict[str, Any] = {}
    stand_in: Any = ModuleType("setuptools")
    stand_in.setup = seen.update
    stand_in.find_packages = lambda **_: []
    before = sys.modules.get("setuptools")
    sys.modules["setuptools"] = stand_in
    try:
        runpy.run_path(str(ROOT / "setup.py"))
    finally:
        if before is None:
            del sys.modules["setuptools"]
        else:
            sys.modules["setuptools"] = before
    return seen


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(python: Path, module: str) -> bool:
    """Whether that interpreter runs, and can import the module."""
    try:
        done = subprocess.run([str(python), "-c", f"import {module}"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def make_venv() -> Optional[Path]:
    """The interpreter of .venv; None where this Python cannot make one."""
    python = venv_python()
    if works(python, "pip"):
        return python
    if VENV.exists() and not STAMP.exists():
        raise Stop(f"{VENV} is there but does not work, and was not made by this script: remove it and try again")
    say(f"making {VENV}")
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    STAMP.write_text("not yet\n", "utf-8")  # it is ours from here on, even if what follows fails
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, check=False)
    return python if made.returncode == 0 and works(python, "pip") else None


def fingerprint(python: Path, extras: str) -> str:
    """Changes when what is to be installed does."""
    digest = hashlib.sha256()
    for name in ("setup.py", "pyproject.toml", "pyss/__init__.py"):
        digest.update((ROOT / name).read_bytes())
    version = subprocess.run([str(python), "-V"], capture_output=True, check=False).stdout
    digest.update(version + str(ROOT).encode("utf-8", "surrogateescape"))
    return f"{extras or '-'} {digest.hexdigest()}"


def pip(python: Path, *arguments: str) -> bool:
    """Wheels only: no installation may need a compiler."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command += ["--only-binary", ":all:", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        _, _, last = done.stderr.decode("utf-8", "replace").rpartition("ERROR: ")
        say("pip: " + (last.strip().splitlines() or [f"exit code {done.returncode}"])[0])
    return done.returncode == 0


def install(python: Path, extras: str) -> None:
    """pyss as it stands in the checkout, with as many of its packages as can be had."""
    wanted = fingerprint(python, extras)
    try:
        installed = STAMP.read_text("utf-8").split("\n")
    except OSError:
        installed = []
    if wanted in installed or (not extras and fingerprint(python, "test") in installed):
        return
    say("installing pyss" + (f" with what its {extras} needs" if extras else ""))
    if pip(python, "--editable", f"{ROOT}[{extras}]" if extras else str(ROOT)):
        STAMP.write_text(wanted + "\n", "utf-8")
        return
    say("not everything can be installed here; going on with what can")
    metadata = declared()
    for requirement in [*metadata["install_requires"], *(metadata["extras_require"][extras] if extras else ())]:
        pip(python, requirement)


def prepare(extras: str) -> Path:
    """The interpreter to use, with pyss importable."""
    python = make_venv()
    if python is None:
        say("this Python cannot make a virtual environment (on Debian: apt-get install python3-venv); going on without")
        return Path(sys.executable)
    install(python, extras)
    return python


def environment() -> dict[str, str]:
    """With the checkout importable, also where it could not be installed."""
    path = os.environ.get("PYTHONPATH")
    return dict(os.environ, PYTHONPATH=str(ROOT) + (os.pathsep + path if path else ""))


# --- the commands --------------------------------------------------------------------------------
def run(command: Sequence[str], folder: Optional[Path] = None) -> int:
    """Its exit code; Ctrl-C reaches it directly, so wait for its own end."""
    with subprocess.Popen(list(command), env=environment(), cwd=folder) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def demo(arguments: list[str]) -> int:
    return run([str(prepare("")), "-m", "pyss", "demo", *arguments])


def test(arguments: list[str]) -> int:
    python = prepare("test")
    if not works(python, "pytest"):
        raise Stop(f"the tests need pytest, and {python} has none: see the line of pip above")
    quick = "--quick" in arguments
    rest = [argument for argument in arguments if argument != "--quick"]
    if quick:
        return run([str(python), "-m", "pytest", *QUICK, *rest], ROOT)
    # What is still missing afterwards shows as skips with their reasons.
    run([str(python), str(ROOT / "scripts" / "peers.py"), "install"])
    return run([str(python), "-m", "pytest", *rest], ROOT)


def main() -> int:
    if sys.version_info < OLDEST:
        raise Stop(f"pyss needs Python {'.'.join(map(str, OLDEST))} or newer; this is {sys.version.split()[0]}")
    parser = argparse.ArgumentParser(prog="run.py", description="The two commands of a checkout.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo|test")
    commands.add_parser("demo", help="server and client on loopback, one page through both", add_help=False)
    commands.add_parser("test", help="the suite; --quick: without load and interop tests", add_help=False)
    options, rest = parser.parse_known_args()
    return {"demo": demo, "test": test}[options.command](rest)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stop as stop:
        say(f"run.py: {stop}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
