"""scripts/platforms: what they say where something is missing, and what they hand to pytest."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import PYTHON, ROOT

FOLDER = ROOT / "scripts" / "platforms"
OURS = ("debian", "emulated", "newer", "s390x", "armhf", "units")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The scripts' modules by name, importable as they are for one that is started."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = {name: sys.modules.pop(name) for name in OURS if name in sys.modules}
    yield importlib.import_module
    for name in OURS:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.fixture
def elsewhere(scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """debian.py, where no program is here and nothing is run but noted down."""
    debian = scripts("debian")
    debian.ran = []
    monkeypatch.setattr(debian, "run", lambda command, environment=None: debian.ran.append(list(command)))
    monkeypatch.setattr(debian.sys, "platform", "linux")
    monkeypatch.setattr(debian.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt-get" else None)
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000, raising=False)
    return debian


def test_what_is_missing_is_said_in_one_sentence(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(elsewhere.Missing, match=r"^only root may run: apt-get install .* qemu-user-static$"):
        elsewhere.need({"qemu-s390x-static": "qemu-user-static"})
    monkeypatch.setattr(elsewhere.shutil, "which", lambda name: None)
    with pytest.raises(elsewhere.Missing, match="needs Debian"):
        elsewhere.need({"sh": "dash"})
    assert elsewhere.ran == []


def test_a_tree_that_is_there_needs_no_rights(elsewhere: Any, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert elsewhere.unpacked("s390x", "bookworm", ["python3"], tmp_path) == tmp_path / "root"
    assert elsewhere.installed("forky", ["python3"], [], tmp_path) == tmp_path / "root"
    with pytest.raises(elsewhere.Missing, match="debootstrap needs root"):
        elsewhere.unpacked("s390x", "bookworm", ["python3"], tmp_path / "other")


def test_a_tree_is_there_only_when_it_is_whole(elsewhere: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(elsewhere.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(elsewhere, "need", lambda programs: None)

    def fail(command: list[str], environment: Any = None) -> None:
        raise elsewhere.Missing(f"{command[0]} ended with 1")

    monkeypatch.setattr(elsewhere, "run", fail)
    with pytest.raises(elsewhere.Missing):
        elsewhere.unpacked("s390x", "bookworm", ["python3"], tmp_path)
    assert not (tmp_path / "root").exists()
    with pytest.raises(elsewhere.Missing):
        elsewhere.installed("forky", ["python3"], [], tmp_path)
    assert not (tmp_path / "root").exists()


def test_the_copy_of_the_checkout_has_its_files_and_no_caches(scripts: Any, tmp_path: Path) -> None:
    scripts("debian").copy_checkout(tmp_path / "copy")
    names = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert {"pyss/__main__.py", "setup.py", "tests/conftest.py", "docs/deploy.md"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".tox"))]


@pytest.mark.skipif(sys.platform == "win32", reason="links of a Debian tree")
def test_the_python_of_a_tree_is_found_by_its_full_name(scripts: Any, tmp_path: Path) -> None:
    emulated = scripts("emulated")
    folder = tmp_path / "usr" / "bin"
    folder.mkdir(parents=True)
    with pytest.raises(emulated.Missing, match="no Python"):
        emulated.python_of(tmp_path)
    for name in ("python3.11", "python3-config", "python3.11-config"):
        (folder / name).touch()
    (folder / "python3").symlink_to("/usr/bin/python3.11")
    assert emulated.python_of(tmp_path) == folder / "python3.11"


def test_the_tests_that_they_run_are_there(scripts: Any) -> None:
    emulated = scripts("emulated")
    for name in (*emulated.TESTS, *(left_out.split("::")[0] for left_out in emulated.LEFT_OUT)):
        assert (ROOT / name).exists(), name
    for left_out, why in emulated.LEFT_OUT.items():
        path, _, test = left_out.partition("::")
        assert why and (not test or f"def {test.split('[')[0]}(" in (ROOT / path).read_text("utf-8")), left_out


# --- units.py ------------------------------------------------------------------------------------
def all_well(units: Any) -> dict[str, Any]:
    """What is seen when everything is as it should be."""
    about = {
        unit: {
            **{"Uid": "62649", "NoNewPrivs": "1", "Seccomp": "2", "state": "active", "shows": False},
            **{"CapEff": f"{rights:016x}", "CapBnd": f"{rights:016x}"},
        }
        for unit, rights in units.UNITS.items()
    }
    return {"units": about, "answer": "back: ping", "ends": dict.fromkeys(units.UNITS, "success")}


def test_units_that_are_well_have_no_faults(scripts: Any) -> None:
    units = scripts("units")
    assert units.faults(all_well(units)) == []
    assert len(units.faults({})) > len(units.UNITS), "what was not seen is not well"
    assert units.faults({**all_well(units), "error": "it broke"}) == ["it broke"]
    assert units.faults({**all_well(units), "answer": ""})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("Uid", "0"), ("CapEff", "000001ffffffffff"), ("CapBnd", "000001ffffffffff"), ("NoNewPrivs", "0")),
        *(("Seccomp", "0"), ("state", "failed"), ("shows", True)),
    ],
)
def test_each_right_too_many_is_a_fault(scripts: Any, key: str, value: object) -> None:
    units = scripts("units")
    for unit in units.UNITS:
        found = all_well(units)
        found["units"][unit][key] = value
        assert [text for text in units.faults(found) if text.startswith(f"{unit}: ")]


def test_a_unit_that_does_not_end_well_is_a_fault(scripts: Any) -> None:
    units = scripts("units")
    for unit in units.UNITS:
        found = all_well(units)
        found["ends"][unit] = "signal"
        assert units.faults(found) == [f"{unit}: it did not end in good order"]


def test_what_runs_among_the_units_is_python(scripts: Any) -> None:
    units = scripts("units")
    compile(units.CHECK % json.dumps(list(units.UNITS)), "check.py", "exec")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="who is root is a question of POSIX")
@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        ("newer.py", ["python2.7"], "newer.py: no python2.7 is installed there; there are python3.14"),
        ("s390x.py", [], "s390x.py: "),
        ("armhf.py", [], "armhf.py: "),
    ],
)
def test_where_nothing_is_here_they_end_with_one_line(tmp_path: Path, script: str, words: list[str], said: str) -> None:
    """With an empty PATH and home nothing is found, whatever this machine has."""
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    argv = [PYTHON, str(FOLDER / script), *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stderr.startswith(said), done.stderr
    assert len(done.stderr.splitlines()) == 1
