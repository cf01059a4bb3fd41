"""scripts/run.py: when it installs anew, what it does where something cannot be had, and what it hands on."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import pytest
from helpers.processes import PYTHON, ROOT, clean_environment

HERE = Path(PYTHON)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a stand-in interpreter is a shell script")


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """The script, with a checkout of its own in which nothing is installed."""
    spec = importlib.util.spec_from_file_location("run_script_under_test", ROOT / "scripts" / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyss").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "pyss/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    changed: Any = module
    changed.ROOT = tmp_path
    changed.VENV = tmp_path / ".venv"
    changed.STAMP = changed.VENV / "pyss-installed"
    return module


def stand_in(path: Path, text: str) -> Path:
    """An interpreter that says this, on whatever stream, and fails."""
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


# --- what is declared ----------------------------------------------------------------------------
def test_declared_needs_no_setuptools_and_leaves_none_behind(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "setuptools", raising=False)
    declared = script.declared()
    assert "setuptools" not in sys.modules
    assert declared["name"] == "pyss" and {"test", "qr"} <= set(declared["extras_require"])
    own = ModuleType("setuptools")
    monkeypatch.setitem(sys.modules, "setuptools", own)
    script.declared()
    assert sys.modules["setuptools"] is own


# --- when to install -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["setup.py", "pyproject.toml", "pyss/__init__.py"])
def test_what_is_installed_changes_with_each_file_that_decides_it(script: Any, name: str) -> None:
    before = script.fingerprint(HERE, "test")
    assert script.fingerprint(HERE, "test") == before
    with (script.ROOT / name).open("a") as file:
        file.write("\n# changed\n")
    assert script.fingerprint(HERE, "test") != before


def test_what_is_installed_depends_on_extras_and_place_but_not_on_other_files(script: Any, tmp_path: Path) -> None:
    before = script.fingerprint(HERE, "test")
    assert script.fingerprint(HERE, "") != before
    (script.ROOT / "pyss" / "other.py").write_text("1")
    (script.ROOT / "README.md").write_text("changed")
    assert script.fingerprint(HERE, "test") == before
    moved = tmp_path / "moved"
    shutil.copytree(script.ROOT, moved, ignore=shutil.ignore_patterns("moved"))
    script.ROOT = moved  # an editable installation points at the folder
    assert script.fingerprint(HERE, "test") != before


@POSIX
def test_what_is_installed_depends_on_the_interpreter(script: Any, tmp_path: Path) -> None:
    one = script.fingerprint(stand_in(tmp_path / "one", "echo Python 3.9.1"), "")
    other = script.fingerprint(stand_in(tmp_path / "other", "echo Python 3.14.0"), "")
    assert one != other


class Pip:
    """In place of the script's `pip`: what was asked for; it does what `answers` says, in turn, then succeeds."""

    def __init__(self, *answers: bool) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def __call__(self, python: Path, *arguments: str) -> bool:
        self.asked.append(arguments[-1])
        return self._answers.pop(0) if self._answers else True


def install(script: Any, extras: str, *answers: bool) -> list[str]:
    script.VENV.mkdir(exist_ok=True)
    script.pip = Pip(*answers)
    script.install(HERE, extras)
    return script.pip.asked  # type: ignore[no-any-return]


def test_it_installs_once(script: Any) -> None:
    assert install(script, "test") == [f"{script.ROOT}[test]"]
    assert install(script, "test") == []
    assert install(script, "") == [], "what the tests need includes what the demo needs"
    (script.ROOT / "setup.py").write_text((script.ROOT / "setup.py").read_text() + "\n")
    assert install(script, "") == [str(script.ROOT)]
    assert install(script, "") == []
    assert install(script, "test") == [f"{script.ROOT}[test]"]


def test_what_cannot_be_had_is_left_out_and_tried_again(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = install(script, "test", False)
    assert asked[0] == f"{script.ROOT}[test]"
    names = [text.split(">")[0] for text in asked[1:]]
    declared = script.declared()
    requirements = [*declared["install_requires"], *declared["extras_require"]["test"]]
    assert names == [text.split(">")[0] for text in requirements] and {"h11", "pytest", "aioquic"} <= set(names)
    assert "going on with what can" in capsys.readouterr().err
    assert install(script, "test") == [f"{script.ROOT}[test]"], "nothing was ticked off"


# --- the environment -----------------------------------------------------------------------------
def test_a_foreign_environment_is_left_alone(script: Any) -> None:
    script.VENV.mkdir()
    (script.VENV / "precious").touch()
    with pytest.raises(script.Stop, match="was not made by this script: remove it"):
        script.make_venv()
    assert (script.VENV / "precious").exists()


def test_an_environment_of_ours_that_broke_is_made_anew(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script.VENV.mkdir()
    script.STAMP.touch()
    (script.VENV / "broken").touch()
    monkeypatch.setattr(script.sys, "executable", str(script.ROOT / "missing"))
    monkeypatch.setattr(script.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    assert script.make_venv() is None
    assert not (script.VENV / "broken").exists()
    assert script.STAMP.read_text() == "not yet\n", "the next run may make it anew, too"


def test_without_venv_it_goes_on_with_this_python(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.make_venv = lambda: None
    assert script.prepare("test") == HERE
    assert "python3-venv" in capsys.readouterr().err


def test_an_interpreter_that_does_not_work(script: Any) -> None:
    assert script.works(HERE, "json")
    assert not script.works(HERE, "no_such_module_anywhere")
    assert not script.works(script.ROOT / "missing", "json")


@POSIX
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("echo noise >&2; echo 'ERROR: first' >&2; echo 'ERROR: no network' >&2; exit 1", "pip: no network\n"),
        ("exit 3", "pip: exit code 3\n"),
        ("exit 0", ""),
    ],
)
def test_pip_has_one_line_to_say(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, shown: str
) -> None:
    assert script.pip(stand_in(tmp_path / "python", said), "x") == (shown == "")
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_the_checkout_comes_first_on_the_path(
    script: Any, monkeypatch: pytest.MonkeyPatch, before: Optional[str]
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONPATH", before)
    monkeypatch.setenv("KEPT", "as it is")
    environment = script.environment()
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(script.ROOT), *([before] if before else [])]
    assert environment["KEPT"] == "as it is"


# --- the commands --------------------------------------------------------------------------------
def commands(script: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[list[str]]:
    """What it would run, behind the interpreter."""
    ran: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    script.prepare = lambda extras: HERE
    script.run = lambda command, folder=None: ran.append(list(command)[1:]) or 7
    assert script.main() == 7
    return ran


def test_what_follows_the_command_is_handed_on(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands(script, monkeypatch, "demo", "--once", "-q") == [["-m", "pyss", "demo", "--once", "-q"]]
    quick = ["-m", "pytest", "-m", "not load and not interop", "-k", "replay"]
    assert commands(script, monkeypatch, "test", "-k", "replay", "--quick") == [quick]
    whole = commands(script, monkeypatch, "test", "-x")
    assert whole[0][-1] == "install" and whole[0][0].endswith("peers.py")
    assert whole[1:] == [["-m", "pytest", "-x"]]


def test_no_tests_without_pytest(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script.prepare = lambda extras: script.ROOT / "missing"
    with pytest.raises(script.Stop, match="the tests need pytest"):
        script.test(["--quick"])


def test_an_old_python_is_told_so(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.sys, "version_info", (3, 8, 20))
    with pytest.raises(script.Stop, match=r"pyss needs Python 3\.9 or newer; this is "):
        script.main()


def test_the_exit_code_is_that_of_what_was_run(script: Any) -> None:
    assert script.run([PYTHON, "-c", "raise SystemExit(5)"]) == 5


@pytest.mark.load
def test_the_demo_of_a_fresh_checkout_without_network(tmp_path: Path) -> None:
    """Makes an environment, can install nothing into it, and shows the page all the same."""
    for name in ("pyss", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    environment = clean_environment(PIP_NO_INDEX="1")
    del environment["PYTHONPATH"]
    argv = [PYTHON, str(tmp_path / "scripts" / "run.py"), "demo", "--once"]
    for attempt in range(2):
        done = subprocess.run(argv, env=environment, capture_output=True, timeout=200, text=True)
        assert done.returncode == 0, done.stderr
        assert "fetched the page through the relay" in done.stdout
        assert ("making " in done.stderr) == (attempt == 0)
        assert "Traceback" not in done.stderr
