"""The spec of PyInstaller, run with stand-ins for what PyInstaller lends it: syntax, names, and files that exist."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.processes import ROOT

from pyss.app import cli

FOLDER = ROOT / "packaging" / "pyinstaller"


class Made:
    """What one of PyInstaller's names was called with."""

    pure = scripts = binaries = datas = ()

    def __init__(self, *words: Any, **options: Any) -> None:
        self.words, self.options = words, options


def run_spec(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    hooks: Any = ModuleType("PyInstaller.utils.hooks")
    hooks.collect_submodules = lambda package: [f"{package} and all below"]
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
    lent = {name: type(name, (Made,), {}) for name in ("Analysis", "PYZ", "EXE", "COLLECT")}
    code = compile((FOLDER / "pyss.spec").read_text("utf-8"), "pyss.spec", "exec")
    names: dict[str, Any] = {**lent, "SPECPATH": str(FOLDER)}
    exec(code, names)
    return names


def test_the_spec_names_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_spec(monkeypatch)
    analysis = names["analysis"]
    assert [Path(path) for path in analysis.words[0]] == [FOLDER / "start.py"]
    assert [Path(path) for path in analysis.options["pathex"]] == [ROOT]
    for source, _ in analysis.options["datas"]:
        assert Path(source).is_file()
    assert "pyss and all below" in analysis.options["hiddenimports"]
    program = names["program"]
    assert (program.options["name"], program.options["console"], program.options["exclude_binaries"]) == (
        *("pyss", True, True),
    )


def test_what_is_imported_by_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = run_spec(monkeypatch)["analysis"].options["hiddenimports"]
    for name in hidden[1:]:
        if name.partition(".")[0] == "cryptography":
            pytest.importorskip("cryptography.hazmat.decrepit", reason="not in every release of it")
        try:
            importlib.import_module(name)
        except ImportError:
            assert name.partition(".")[0] in ("cryptography", "segno"), f"{name} exists nowhere"


@pytest.mark.parametrize(
    ("executable", "program"),
    [("/x/pyss", "pyss"), ("/x/sslocal.exe", "sslocal"), ("/x/ssserver", "ssserver"), ("/x/other.exe", "pyss")],
)
def test_the_program_goes_by_its_name(monkeypatch: pytest.MonkeyPatch, executable: str, program: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(cli, "main", lambda program: f"ran {program}")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "start.py"))
    assert ended.value.code == f"ran {program}"
