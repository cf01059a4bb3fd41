"""pyss run to its end: as a child process, or in this one with nothing replaced but the loop's endless run."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

from helpers.processes import PYTHON, clean_environment
from pyss.app import cli

PYSS = (PYTHON, "-m", "pyss")

# For `python -c`: pyss where none of its packages can be imported, however many are installed.
WITHOUT_PACKAGES = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cryptography", "Crypto", "Cryptodome", "h11", "segno"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from pyss.app.cli import main
sys.exit(main())
"""
BARE_PYSS = (PYTHON, "-c", WITHOUT_PACKAGES)


class Outcome(NamedTuple):
    code: int
    stdout: str
    stderr: str


def as_users_have_it(**more: str) -> dict[str, str]:
    """Output is buffered, and what cannot be written shows at the end once more."""
    return clean_environment(PYTHONUNBUFFERED="", **more)


def run_child(argv: Sequence[str], folder: Path, stdin: bytes = b"", **environ: str) -> Outcome:
    """A program that ends by itself."""
    environment = as_users_have_it(**environ)
    done = subprocess.run(list(argv), input=stdin, cwd=folder, env=environment, capture_output=True, timeout=60)
    # Windows ends lines with \r\n.
    out, error = (stream.decode("utf-8").replace("\r\n", "\n") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, error)


class _NoProcess:
    """In place of `Process`: all is open and ready, and nothing runs."""

    def __init__(self, loop: object, services: object) -> None:
        pass

    def run(self) -> int:
        return 0


@contextmanager
def prepared(folder: Optional[Path] = None, **environ: str) -> Iterator[pytest.MonkeyPatch]:
    """`main` may be called: in that folder, with these variables, and it returns when a relay would start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "Process", _NoProcess)
        patch.delenv("SS_SERVER_PASSWORD", raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        if folder is not None:
            patch.chdir(folder)
        yield patch


def run_here(argv: Sequence[str], stdin: str = "", program: str = "pyss") -> Outcome:
    """`main` in this process.  Whatever it raises is a fault, and reaches the test."""
    out, error = io.StringIO(), io.StringIO()
    before: Any = sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = cli.main(argv, program)
    finally:
        sys.stdin = before
    return Outcome(code, out.getvalue(), error.getvalue())
