"""Source distribution and wheel, installed as `pipx install` does it: nothing comes from a network or the checkout.

    checkout ──► sdist ──unpacked, elsewhere──► wheel ──pip──► an empty environment ──► pyss, sslocal, ssserver
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from helpers.peers import need_package
from helpers.processes import PYTHON, ROOT, clean_environment

import pyss

pytestmark = pytest.mark.load
PROGRAMS = ("pyss", "sslocal", "ssserver")
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def run(*argv: str, folder: Path) -> str:
    """Its output.  The checkout is not importable, and pip asks nobody."""
    environment = clean_environment(PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    for name in ("PYTHONPATH", "PIP_FIND_LINKS"):
        environment.pop(name, None)
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, timeout=200, text=True, check=False, errors="replace"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """sdist and wheel: the wheel made of the sdist, as an index hands it out."""
    folder = tmp_path_factory.mktemp("built")
    need_package("'setuptools>=71'", "setuptools.command.bdist_wheel")  # what is older needs more than itself
    source = folder / "source"
    copy_sources(source)
    name = run(PYTHON, "-c", BUILD, "build_sdist", str(folder), folder=source).splitlines()[-1]
    with tarfile.open(folder / name) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            assert member.name.startswith(f"pyss-{pyss.__version__}/") and ".." not in member.name
            content = archive.extractfile(member)
            assert content is not None
            (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / member.name).write_bytes(content.read())
    unpacked = folder / name.replace(".tar.gz", "")
    wheel = run(PYTHON, "-c", BUILD, "build_wheel", str(folder), folder=unpacked).splitlines()[-1]
    yield {"sdist": folder / name, "wheel": folder / wheel}


def copy_sources(target: Path) -> None:
    """What git would hand out: building leaves folders behind, and those are not the checkout's."""
    for name in listed():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((ROOT / name).read_bytes())


def listed() -> set[str]:
    files = runpy.run_path(str(ROOT / "tests" / "test_project.py"))["files"]()
    return {path.relative_to(ROOT).as_posix() for path in files}


class Installed(NamedTuple):
    python: Path
    scripts: Path

    def program(self, name: str) -> str:
        return str(self.scripts / (f"{name}.exe" if sys.platform == "win32" else name))


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with pyss alone."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=os.name == "posix")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    found = Installed(scripts / ("python.exe" if os.name == "nt" else "python"), scripts)
    pip = [PYTHON, "-m", "pip", "--python", str(found.python), "install", "--quiet", "--no-deps"]
    run(*pip, str(built["wheel"]), folder=folder)
    return found


def test_the_sdist_has_all_that_the_checkout_has(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert listed() <= names, "MANIFEST.in leaves out what people need to test and build"
    made = {"PKG-INFO", "setup.cfg", ""}
    more = {name for name in names - listed() - made if not name.startswith("pyss.egg-info")}
    folders = {str(parent) for name in listed() for parent in PurePosixPath(name).parents}
    assert more <= folders


def test_the_wheel_has_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    assert built["wheel"].name == f"pyss-{pyss.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    package = {name for name in names if name.startswith("pyss/")}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pyss").rglob("*.py")}
    assert modules | {"pyss/py.typed"} <= package
    assert {name.split("/")[0] for name in names} == {"pyss", f"pyss-{pyss.__version__}.dist-info"}
    assert any(name.endswith("/LICENSE") for name in names)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_run(installed: Installed, tmp_path: Path, name: str) -> None:
    assert run(installed.program(name), "--version", folder=tmp_path) == f"pyss {pyss.__version__}\n"
    assert run(installed.program(name), "--help", folder=tmp_path).startswith(f"usage: {name} ")


def test_every_declared_program_is_there(installed: Installed) -> None:
    declared = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
    names = [text.split(" = ")[0] for kind in declared["entry_points"].values() for text in kind]
    assert set(PROGRAMS) <= set(names)
    for name in names:
        assert Path(installed.program(name)).is_file()


def test_it_relays_with_nothing_else_installed(installed: Installed, tmp_path: Path) -> None:
    where = run(str(installed.python), "-c", "import pyss; print(pyss.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.scripts.parent), "it is not the checkout's"
    said = run(installed.program("pyss"), "demo", "--once", folder=tmp_path)
    assert re.search("^fetched the page through the relay", said, re.MULTILINE)


def test_what_is_installed_says_what_it_is(installed: Installed, tmp_path: Path) -> None:
    look = "from importlib.metadata import metadata as m; d = m('pyss'); print(d['Version'], d['Requires-Python'])"
    assert run(str(installed.python), "-c", look, folder=tmp_path).split() == [pyss.__version__, ">=3.9"]
