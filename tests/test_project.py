"""What the project says of itself is true: metadata, README, settings; and nothing leaks from a machine."""

from __future__ import annotations

import ast
import configparser
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import ROOT, clean_environment

import pyss

METADATA: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
README = (ROOT / "README.md").read_text("utf-8")
LEFT_OUT = {".git", ".venv", ".tox", "build", "dist", "__pycache__", ".hypothesis"}


def files() -> list[Path]:
    """What belongs to the project: what git tracks or would; without git, what does not look generated."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if listed.returncode == 0:
            names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
            return [path for path in (ROOT / name for name in names if name) if path.is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(ROOT).parts) and ".egg-info" not in str(path)
    ]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in files():
        try:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))
        except UnicodeDecodeError:
            pass
    return found


# --- metadata ------------------------------------------------------------------------------------
@pytest.mark.parametrize("script", METADATA["entry_points"]["console_scripts"])
def test_console_scripts_resolve(script: str) -> None:
    name, _, place = script.partition(" = ")
    module, _, function = place.partition(":")
    assert name in ("pyss", "sslocal", "ssserver")
    assert callable(getattr(importlib.import_module(module), function))


def test_version_is_said_once() -> None:
    assert METADATA["version"] == pyss.__version__
    assert f"\n## {pyss.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_oldest_python_agrees_everywhere() -> None:
    oldest = METADATA["python_requires"].lstrip(">=")
    ruff = re.search(r'target-version = "py(\d)(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert ruff is not None and ".".join(ruff.groups()) == oldest
    script = runpy.run_path(str(ROOT / "scripts" / "run.py"))
    assert ".".join(map(str, script["OLDEST"])) == oldest
    assert f'"{oldest}"' in (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")


def test_every_package_is_declared_with_its_type_marker() -> None:
    assert (ROOT / "pyss" / "py.typed").exists()
    for folder in {path.parent for path in (ROOT / "pyss").rglob("*.py")}:
        assert (folder / "__init__.py").exists(), f"{folder} would not be installed"


def test_sources_are_syntax_of_the_oldest_python() -> None:
    for path in [*(ROOT / "pyss").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 9))


def test_the_environments_without_packages_have_none_of_ours() -> None:
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", "utf-8")
    deps = tox["testenv:libcrypto"]["deps"]
    assert tox["testenv:libcrypto"]["package"] == "skip"
    assert tox["testenv:pure"]["package"] == "skip"
    assert tox["testenv:pure"]["deps"] == "{[testenv:libcrypto]deps}"
    assert "without_libcrypto" in tox["testenv:pure"]["set_env"]
    for requirement in METADATA["install_requires"]:
        name = re.split(r"[<>=;\s]", requirement)[0]
        assert name not in deps


# --- README --------------------------------------------------------------------------------------
def readme_commands() -> list[list[str]]:
    """The words of every indented command line, without its comment."""
    lines = [line.strip().split("  #")[0].split(" # ")[0] for line in README.splitlines() if line.startswith("    ")]
    return [line.split() for line in lines]


def test_readme_starts_with_the_two_commands() -> None:
    assert [words[:3] for words in readme_commands()[:2]] == [
        ["python3", "scripts/run.py", "demo"],
        ["python3", "scripts/run.py", "test"],
    ]
    assert README.splitlines()[2].strip().startswith("python3 scripts/run.py demo")


SUBCOMMANDS = sorted({words[3] for words in readme_commands() if words[:3] == ["python3", "-m", "pyss"]})


def test_readme_shows_the_commands_of_pyss() -> None:
    assert {"genkey", "local", "server"} <= set(SUBCOMMANDS)


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_commands_of_the_readme_exist(command: str) -> None:
    argv = [sys.executable, "-m", "pyss", command, "--help"]
    done = subprocess.run(argv, env=clean_environment(), cwd=ROOT, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    options = {word for words in readme_commands() if words[2:4] == ["pyss", command] for word in words[4:]}
    for option in (word for word in options if re.fullmatch(r"--?[a-z].*", word)):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", done.stdout), f"{option} is not in the help of {command}"


@pytest.mark.parametrize("command", ["demo", "test"])
def test_run_script_knows_its_commands(command: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "run.py"), "--help"], capture_output=True, timeout=60, text=True
    )
    assert done.returncode == 0 and re.search(rf"^ +{command} ", done.stdout, re.MULTILINE)


def test_run_script_refuses_what_it_does_not_know() -> None:
    argv = [sys.executable, str(ROOT / "scripts" / "run.py"), "frobnicate"]
    done = subprocess.run(argv, capture_output=True, timeout=60, text=True)
    assert done.returncode == 2 and "frobnicate" in done.stderr and "Traceback" not in done.stderr


def test_links_between_documents_lead_somewhere() -> None:
    for name, text in texts():
        if not name.endswith(".md"):
            continue
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / name).parent.joinpath(link).exists(), f"{name}: {link}"


# --- nothing of one machine ----------------------------------------------------------------------
# Put together from pieces, so that this file does not hold what it looks for.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "static.crates" + ".io",
    "index.crates" + ".io",
    "proxy.golang" + ".org",
    "registry.npm" + "js.org",
    "deb.debian" + ".org",
    "index" + "-url",
    "extra" + "-index",
    "trusted" + "-host",
    "GOPROXY" + "=",
]
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:root|home|work|Users|mnt|srv)/\w|\b[A-Z]:\\Users\\")


def test_no_path_of_a_machine_and_no_registry() -> None:
    home = os.path.expanduser("~") + os.sep
    found = []
    for name, text in texts():
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
        found += [f"{name}: {word}" for word in (*REGISTRIES, home) if len(word) > 3 and word in text]
    assert not found


def test_a_path_of_a_machine_is_seen() -> None:
    for path in ("/ro" + "ot/x", "cd /ho" + "me/me", '"/wo' + 'rk/main"', "C:" + "\\Users\\me"):
        assert MACHINE_PATH.search(path)
    for text in ("https://example.org/ho" + "me/x", "a/ro" + "ot/b", "~/.cache", "/usr/bin/env"):
        assert not MACHINE_PATH.search(text)


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in files() if path.name.startswith("test_") and path.suffix == ".py"]
    assert sorted(set(names)) == sorted(names)
