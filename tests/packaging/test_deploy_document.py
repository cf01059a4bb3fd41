"""docs/deploy.md: what it tells people to type can be typed, and the files that it names are there."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from helpers.deployed import base_name, understand
from helpers.processes import ROOT

from pyss.app.config import Source, read_local, read_server
from pyss.app.options import GenerateKey, RunLocal, RunServer
from pyss.app.process import GRACE

TEXT = (ROOT / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SHELL = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line]
FILES = [block for kind, block in BLOCKS if kind == "json"]
WINDOWS = [line for kind, block in BLOCKS if kind == "powershell" for line in block.splitlines() if line]

# Everything else that a line may start: none of it is pyss's.
TOOLS = {"pip", "pipx", "pyinstaller", "install", "cp", "systemctl", "sed", "launchctl", "docker"}
SCRIPTS = {"scripts/build_pyz.py"}


def commands(line: str) -> list[list[str]]:
    """The words of each command of a line, sudo taken away, redirections left out."""
    words = shlex.split(line.split(" > ")[0])
    found: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            found.append([])
        elif word != "sudo" or found[-1]:
            found[-1].append(word)
    return found


def of_pyss(words: list[str]) -> list[str]:
    """What of a command pyss gets to read, [] for a command of others."""
    if base_name(words[0]) in ("pyss", "sslocal", "ssserver"):
        return words
    if words[0] == "python3" and words[1] not in SCRIPTS:
        return words
    if words[:2] == ["docker", "run"] and words[-1] != "pyss":  # the image is called pyss, and its entry is pyss
        return words[words.index("pyss") :]
    return []


LINES = [words for line in SHELL for words in commands(line)]
OURS = [of_pyss(words) for words in LINES if of_pyss(words)]


def test_nothing_is_started_that_nobody_knows() -> None:
    for words in LINES:
        assert of_pyss(words) or words[0] in TOOLS or (words[0] == "python3" and words[1] in SCRIPTS), words
    assert len(OURS) >= 6


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_command_lines_are_understood(words: list[str]) -> None:
    command, files = understand(words)
    assert isinstance(command, (GenerateKey, RunLocal, RunServer))
    assert len(files) == (0 if isinstance(command, GenerateKey) else 1)
    assert not {"-k", "--password", "--server-url", "--user-pass"}.intersection(words), "others would see it"


@pytest.mark.parametrize("text", FILES)
def test_configurations_are_understood(text: str) -> None:
    server = json.loads(text)["server"] == "0.0.0.0"
    key = "A" * 43 + "="
    source = Source({}, "f.json", {}, lambda name: text.replace('"KEY"', f'"{key}"').encode("utf-8"))
    config = read_server(source) if server else read_local(source)
    assert config.notes == ()


def test_files_of_the_checkout_that_it_names_are_there() -> None:
    named = {word for word in re.findall(r"(?:packaging|scripts)[/\\][\w./\\*@-]+\w", TEXT)}
    assert len(named) >= 8
    for name in named:
        assert list(ROOT.glob(name.replace("\\", "/"))), name
    assert "dist/pyss.pyz" in TEXT and "dist/pyss.pyz" not in named


def test_every_file_of_packaging_is_spoken_of() -> None:
    helpers = {"start.py", "Dockerfile.dockerignore"}
    for path in (ROOT / "packaging").rglob("*"):
        if path.is_file() and path.name not in helpers and "__pycache__" not in path.parts:
            stem = path.name.split("@")[0]
            assert path.name in TEXT or f"`{stem}@`" in TEXT or f"{stem}@" in TEXT, path.name


def test_the_words_that_the_files_leave_open_are_filled_in() -> None:
    for word, file, line in (
        ("@HOME@", "macos/org.pyss.local.plist", SHELL),
        ("@USER@", "windows/pyss-local.xml", WINDOWS),
    ):
        text = (ROOT / "packaging" / file).read_text("utf-8")
        assert set(re.findall(r"@[A-Z]+@", text)) == {word}
        assert any(word in each for each in line)


def test_signals_and_codes_are_those_of_the_program() -> None:
    assert f"those that run have {GRACE:.0f} s" in TEXT
    assert f"sessions may go on for {GRACE:.0f} s" in (ROOT / "packaging/macos/org.pyss.local.plist").read_text("utf-8")
