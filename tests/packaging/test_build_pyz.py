"""scripts/build_pyz.py: equal sources give equal bytes, and what it makes relays, with nothing installed."""

from __future__ import annotations

import importlib.util
import io
import re
import runpy
import socket
import stat
import subprocess
import sys
import zipapp
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import PYTHON, ROOT, Program, clean_environment, free_port
from helpers.traffic import echo, receive_all, socks5_connect, target

import pyss

SCRIPT = ROOT / "scripts" / "build_pyz.py"
CONFIG = '{"server": "127.0.0.1", "server_port": %d, "local_port": %d, "password": "of a test", "forbidden_ip": "", %s}'


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    spec = importlib.util.spec_from_file_location("build_pyz_under_test", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the command, in another folder than the checkout."""
    folder = tmp_path_factory.mktemp("pyz")
    path = folder / "out" / "pyss.pyz"
    argv = [PYTHON, str(SCRIPT), "-o", str(path)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=60, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


# --- the bytes -----------------------------------------------------------------------------------
def test_equal_sources_give_equal_bytes(script: Any, pyz: Path, tmp_path: Path) -> None:
    assert script.main(["-o", str(tmp_path / "again.pyz")]) == 0
    assert (tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.pyz"], "nothing is left beside it"


def test_members_are_sorted_dated_stored_and_readable_by_all(pyz: Path) -> None:
    members = zipfile.ZipFile(pyz).infolist()
    names = [member.filename for member in members]
    assert names == sorted(names) and len(set(names)) == len(names)
    for member in members:
        assert member.date_time == (1980, 1, 1, 0, 0, 0) and member.compress_type == zipfile.ZIP_STORED
        assert (member.create_system, member.external_attr >> 16) == (3, stat.S_IFREG | 0o644)


def test_everything_that_is_installed_is_in_it_and_no_more(pyz: Path) -> None:
    names = set(zipfile.ZipFile(pyz).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pyss").rglob("*.py")}
    declared = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
    data = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in declared["package_data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert "pyss/py.typed" in data
    assert names == modules | data | {"__main__.py", "LICENSE"}


def test_line_ends_of_windows_make_no_difference(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = script.contents()
    for name, data in before.items():
        if name != "__main__.py":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data.replace(b"\n", b"\r\n"))
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/run.py", "setup.py", "README.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert script.contents() == before


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (None, (1980, 1, 1, 0, 0, 0)),
        ("", (1980, 1, 1, 0, 0, 0)),
        ("0", (1980, 1, 1, 0, 0, 0)),
        ("1700000000", (2023, 11, 14, 22, 13, 20)),
        ("99999999999", (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_dates_that_a_zip_can_hold(script: Any, epoch: Any, expected: tuple[int, ...]) -> None:
    assert script.date(epoch) == expected
    data = script.archive({"name": b"x"}, "python3", script.date(epoch))
    assert zipfile.ZipFile(io.BytesIO(data)).infolist()[0].date_time == expected


@pytest.mark.parametrize(
    ("argv", "epoch", "said"),
    [
        (["-p", "a\nb"], "0", "--python is one line"),
        (["-p", " "], "0", "--python is one line"),
        ([], "tomorrow", "SOURCE_DATE_EPOCH is to be a number"),
    ],
)
def test_what_makes_no_sense(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: Any, epoch: str, said: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(SystemExit) as ended:
        script.main(argv)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_a_place_where_nothing_can_be_written(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert script.main(["-o", str(tmp_path / "file" / "pyss.pyz")]) == 1
    assert "cannot write" in capsys.readouterr().err


# --- the program ---------------------------------------------------------------------------------
def test_the_first_line_is_for_a_shell(script: Any, pyz: Path, tmp_path: Path) -> None:
    assert zipapp.get_interpreter(pyz) == "/usr/bin/env python3"
    assert script.main(["-o", str(tmp_path / "own.pyz"), "-p", "/opt/python -I"]) == 0
    assert zipapp.get_interpreter(tmp_path / "own.pyz") == "/opt/python -I"


@pytest.mark.skipif(sys.platform == "win32", reason="files have no mode there, and no first line starts anything")
def test_a_shell_starts_it(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "pyss.pyz"
    assert script.main(["-o", str(path), "-p", PYTHON]) == 0
    done = subprocess.run([str(path), "--version"], capture_output=True, timeout=60, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"pyss {pyss.__version__}\n")


def test_a_command_line_that_is_wrong(pyz: Path, tmp_path: Path) -> None:
    argv = [PYTHON, "-S", "-I", str(pyz), "frobnicate"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=60, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("pyss: there is no such command")


@pytest.mark.parametrize("backend", ["libcrypto", "pure"])
def test_server_and_local_relay_from_it(pyz: Path, tmp_path: Path, backend: str) -> None:
    """-I and -S: neither the checkout nor an installed package can be meant."""
    ports = free_port(), free_port()
    (tmp_path / "config.json").write_text(CONFIG % (*ports, f'"crypto": "{backend}"'), "utf-8")
    with ExitStack() as ends:
        started = []
        for role in ("server", "local"):
            argv = [PYTHON, "-S", "-I", str(pyz), role, "-c", "config.json"]
            program = Program(argv, tmp_path / f"{role}.log", clean_environment())
            ends.callback(program.stop)
            started.append(program)
        for program in started:
            try:
                program.wait_for_line(rf"INFO     (local proxy|server) on .*, crypto by {backend}$")
            except AssertionError:
                if re.search("backend libcrypto cannot be used: .*not linked to", program.text()):
                    pytest.skip("this Python is linked to no libcrypto of its own")
                raise
        with target(echo) as place, socks5_connect(ports[1], place.port) as sock:
            sock.sendall(b"through one file")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"through one file"
        for program in started:
            program.wait_for_line(rf"-> 127\.0\.0\.1:{place.port} ok up 16 down 16 bytes")
            assert "Traceback" not in program.text()
