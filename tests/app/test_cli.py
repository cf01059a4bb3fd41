"""`pyss` from the outside: what each command prints, where to, and the exit code; what a start imports."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.commands import PYSS, as_users_have_it, prepared, run_child, run_here
from helpers.processes import PYTHON

from pyss import __version__
from pyss.app import cli
from pyss.app.assembly import Assembly
from pyss.app.option_table import COMMANDS
from pyss.limits import PacketLimits
from pyss.net.loop import Loop
from pyss.net.socket_options import NOTHING
from pyss.protocol.uri import ServerUri
from pyss.relay import transparent

GCM = "aes-256-gcm"
URI = ServerUri(GCM, "p:/@#", "::1", 8388, tag="at home")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="redirections of a POSIX shell")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with prepared(tmp_path):
        yield tmp_path


# --- commands ------------------------------------------------------------------------------------
@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"], *([name, "--help"] for name in COMMANDS)])
def test_help_goes_to_standard_output(words: list[str]) -> None:
    code, out, error = run_here(words)
    assert (code, error) == (0, "")
    assert out.startswith("usage: pyss ") and out.endswith("\n") and out.isascii()
    assert max(map(len, out.splitlines())) <= 100


def test_help_lists_every_command() -> None:
    text = run_here(["--help"]).stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)


def test_version(folder: Path) -> None:
    expected = (0, f"pyss {__version__}\n", "")
    assert run_child([*PYSS, "--version"], folder) == expected
    for words in (["-V"], ["local", "--version"], ["genkey", "-V"]):
        assert run_here(words) == expected


def test_an_old_python_is_told_so(folder: Path) -> None:
    code = "import runpy, sys; sys.version_info = (3, 8, 20); runpy.run_module('pyss', run_name='__main__')"
    outcome = run_child([PYTHON, "-c", code, "--version"], folder)
    assert outcome == (1, "", f"pyss needs Python 3.9 or newer; this is {sys.version.split()[0]}\n")


def test_pyss_alone_says_which_commands_there_are(folder: Path) -> None:
    code, out, error = run_child(PYSS, folder)
    assert (code, out) == (2, "")
    assert error == f"pyss: which command? {', '.join(COMMANDS)}; pyss --help tells more\n"


def test_genkey(folder: Path) -> None:
    code, out, error = run_child([*PYSS, "genkey", "-m", "2022-blake3-aes-256-gcm"], folder)
    assert (code, error) == (0, "") and len(base64.b64decode(out, validate=False)) == 32
    code, out, error = run_here(["genkey"])
    assert (code, error) == (0, "") and len(out.split()) == 1 and len(out.strip()) >= 20
    assert run_here(["genkey"]).stdout != out


def test_a_url_there_and_back(folder: Path) -> None:
    written = run_here(["url", "-s", "::1", "-k", URI.password, "-m", GCM, "--tag", "at home"])
    assert written == (0, URI.encode() + "\n", "")
    code, out, error = run_child([*PYSS, "url", "-"], folder, written.stdout.encode())
    assert (code, error) == (0, "")
    assert dict(line.split(maxsplit=1) for line in out.splitlines()) == {
        "server": "::1",
        "server_port": "8388",
        "method": GCM,
        "password": "p:/@#",
        "remarks": "at home",
    }
    assert json.loads(run_here(["url", "--json", URI.encode()]).stdout)["password"] == "p:/@#"


def test_a_url_of_the_configuration_in_this_folder(folder: Path) -> None:
    document = {"server": "::1", "password": URI.password, "method": GCM, "remarks": "at home"}
    (folder / "config.json").write_text(json.dumps(document), "utf-8")
    code, out, error = run_here(["url"])
    assert (code, out) == (0, URI.encode() + "\n")
    assert error == "pyss url: configuration from ./config.json, as no -c FILE was given\n"


def test_the_default_method_of_a_url_is_told_beside_it() -> None:
    code, out, error = run_here(["url", "-s", "h", "-k", "x"])
    assert code == 0 and ServerUri.decode(out).host == "h"
    assert error.startswith("pyss url: no method given: ") and error.count("\n") == 1


def test_a_qr_code() -> None:
    pytest.importorskip("segno", reason="it computes the code")
    for words in (["-s", "::1", "-k", URI.password, "-m", GCM, "--tag", "at home"], [URI.encode()]):
        code, out, error = run_here(["url", "--qr", *words])
        assert (code, error) == (0, "") and "█" in out
        assert out.startswith(URI.encode() + "\n" if len(words) > 1 else "server ")


def test_a_qr_code_without_segno(folder: Path) -> None:
    with prepared(folder) as patch:
        patch.setitem(sys.modules, "segno", None)  # what makes `import segno` fail
        code, out, error = run_here(["url", "--qr", URI.encode()])
    assert (code, out) == (1, "")
    assert error == "pyss: a QR code needs the package segno: pip install 'pyss[qr]'\n"


def test_the_three_programs(folder: Path) -> None:
    with prepared(folder) as patch:
        patch.setattr(sys, "argv", ["sslocal", "--help"])
        assert cli.main_sslocal() == 0
        patch.setattr(sys, "argv", ["ssserver", "--bogus"])
        assert cli.main_ssserver() == 2


def test_ctrl_c_before_anything_runs(folder: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with prepared(folder) as patch:
        patch.setattr(cli, "Process", interrupt)
        assert run_here(["local", "-s", "127.0.0.1", "-m", "none", "-l", "0"]).code == 130


def test_what_was_asked_for_reaches_the_assembly(folder: Path) -> None:
    given: dict[str, object] = {}

    class Recorded(Assembly):
        def __init__(self, loop: Loop, **asked: Any) -> None:
            given.update(asked)
            super().__init__(loop, **asked)

    words = "-s 127.0.0.1:0 -m none -6 -vv --udp-timeout 7 --udp-max-associations 9"
    with prepared(folder) as patch:
        patch.setattr(cli, "Assembly", Recorded)
        assert run_here(["server", *words.split()]).code == 0
    assert given == {
        "prefer_ipv6": True,
        "verbosity": 2,
        "packets": PacketLimits(idle=7.0, associations=9),
        "name_servers": (),
        "socket_options": NOTHING,
    }


def test_redirection_needs_linux(folder: Path) -> None:
    with prepared(folder) as patch:
        patch.setattr(transparent, "sys", SimpleNamespace(platform="win32"))
        code, out, error = run_here(["redir", "-s", "127.0.0.1", "-m", "none", "-l", "0"])
    assert (code, out) == (1, "")
    assert error == (
        "pyss: redirection needs Linux (netfilter); use `pyss local` as a proxy, or `pyss tunnel` for one target, "
        "instead\n"
    )


def test_name_servers_need_dnspython(folder: Path) -> None:
    with prepared(folder) as patch:
        patch.setitem(sys.modules, "pyss.net.nameclient", None)  # what makes its import fail
        outcome = run_here(["server", "-s", "127.0.0.1:0", "-m", "none", "--dns", "9.9.9.9"])
    assert outcome == (1, "", "pyss: to ask name servers needs the package dnspython: pip install dnspython\n")


# --- the standard streams ------------------------------------------------------------------------
TO_BE_READ = [["genkey"], ["--help"], ["url", "-s", "h", "-k", "x", "-m", GCM]]


@pytest.mark.parametrize("words", TO_BE_READ)
def test_a_reader_that_has_gone(folder: Path, words: list[str]) -> None:
    argv = [*PYSS, *words]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=as_users_have_it()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        code = process.wait(60)
    assert code == 1
    if sys.platform != "win32":  # where a broken pipe is an invalid argument, and deserves a sentence
        assert said == b""
    assert b"Traceback" not in said and b"ignored" not in said


def test_input_that_is_no_text(folder: Path) -> None:
    outcome = run_child([*PYSS, "url", "-"], folder, b"\xff\xfe\n", PYTHONIOENCODING="utf-8:strict")
    assert outcome == (1, "", "pyss: standard input is not text in UTF-8\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_no_space_for_the_output(folder: Path) -> None:
    outcome = run_child(["sh", "-c", 'exec "$0" "$@" >/dev/full', *PYSS, "genkey"], folder)
    assert outcome == (1, "", "pyss: the system refuses: No space left on device\n")
    # A complaint that cannot be written changes neither the exit code nor anything else.
    outcome = run_child(["sh", "-c", 'exec "$0" "$@" 2>/dev/full', *PYSS, "local", "-z"], folder)
    assert outcome == (2, "", "")


@POSIX
@pytest.mark.parametrize(
    ("redirection", "words", "code"),
    [
        (">&-", ["url", "-s", "h", "-k", "x", "-m", GCM], 0),
        ("<&-", ["url", "-"], 0),
        ("2>&-", ["local", "-z"], 2),
        ("<&- >&- 2>&-", ["genkey"], 0),
    ],
)
def test_streams_that_are_closed_from_the_start(folder: Path, redirection: str, words: list[str], code: int) -> None:
    argv = ["sh", "-c", f'exec "$0" "$@" {redirection}', *PYSS, *words]
    assert run_child(argv, folder) == (code, "", "")


# --- a light start -------------------------------------------------------------------------------
SHOW_MODULES = """
import sys
from pyss.app import cli
class NoProcess:
    def __init__(self, *_): pass
    def run(self): return 0
cli.Process = NoProcess
code = cli.main()
print(" ".join(sorted(name for name, module in sys.modules.items() if module is not None)))
sys.exit(code)
"""
HEAVY = {"argparse", "asyncio", "http.server", "http.client", "urllib.request", "email", "ssl", "unittest", "pydoc"}


def test_the_version_is_told_without_any_crypto(folder: Path) -> None:
    code, out, error = run_child([PYTHON, "-c", SHOW_MODULES, "--version"], folder)
    assert (code, error) == (0, "")
    modules = set(out.split("\n", 1)[1].split())
    assert "pyss.app.cli" in modules
    assert not [name for name in modules if name.startswith(("pyss.crypto.backend_", "pyss.crypto.pure", "ctypes"))]
    assert not {"cryptography", "Crypto"} & modules


@pytest.mark.parametrize("words", ["local -s 127.0.0.1 -l 0 -qq", "server -s 127.0.0.1 -p 0 -qq"])
def test_a_relay_starts_without_heavy_modules(folder: Path, words: str) -> None:
    argv = [PYTHON, "-c", SHOW_MODULES, *words.split(), "-k", "x", "-m", GCM, "--crypto", "pure"]
    code, out, error = run_child(argv, folder)
    assert (code, error) == (0, "")
    modules = set(out.split())
    assert "pyss.app.assembly" in modules
    assert not HEAVY & modules
    assert not {"cryptography", "Crypto", "segno", "pyss.app.demo", "pyss.app.uri", "pyss.app.keygen"} & modules
