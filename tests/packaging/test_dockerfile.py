"""The Dockerfile: what a linter would say, and that its command is one.  Nothing is built here."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import NamedTuple

from helpers.deployed import understand
from helpers.processes import ROOT

from pyss.app.options import RunServer

FILE = ROOT / "packaging" / "docker" / "Dockerfile"
KNOWN = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL"),
    *("STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}


class Line(NamedTuple):
    instruction: str
    rest: str


def stages() -> list[list[Line]]:
    """The instructions, from one FROM to the next."""
    text = re.sub(r"^#.*\n", "", FILE.read_text("utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    found: list[list[Line]] = []
    for line in filter(None, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        assert instruction in KNOWN and rest, line
        if instruction == "FROM":
            found.append([])
        found[-1].append(Line(instruction, rest))
    return found


def values(stage: list[Line], instruction: str) -> list[str]:
    return [line.rest for line in stage if line.instruction == instruction]


def test_the_image_has_no_more_than_it_needs() -> None:
    build, image = stages()
    assert values(build, "FROM") == ["python:3-slim AS build"] and values(image, "FROM") == ["python:3-slim"]
    assert not values(image, "COPY") and not values(image, "ADD"), "it is installed from a mount, which leaves no layer"
    (run,) = values(image, "RUN")
    assert "from=build" in run and "--no-index" in run and "--no-cache-dir" in run


def test_it_does_not_run_as_root() -> None:
    (user,) = values(stages()[-1], "USER")
    number, _, group = user.partition(":")
    assert int(number) > 0 and int(group) > 0
    order = [line.instruction for line in stages()[-1]]
    assert order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")


def test_its_command_is_understood_with_and_without_more_words() -> None:
    (_, image) = stages()
    (entry,), (words,) = values(image, "ENTRYPOINT"), values(image, "CMD")
    command, files = understand([*json.loads(entry), *json.loads(words)])
    assert isinstance(command, RunServer) and files == ["/etc/pyss/config.json"]
    assert sorted(values(image, "EXPOSE")[0].split()) == ["8388/tcp", "8388/udp"]


def test_no_secret_reaches_a_layer() -> None:
    lines = [line for stage in stages() for line in stage]
    assert not {"ARG", "ENV", "ADD"}.intersection(line.instruction for line in lines)
    copied = [word for line in lines if line.instruction == "COPY" for word in line.rest.split()[:-1]]
    assert copied == ["setup.py", "pyproject.toml", "README.md", "LICENSE", "pyss"]
    ignored = FILE.with_name("Dockerfile.dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*" and {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)
    assert any(fnmatch.fnmatch("pyss/app/__pycache__", rule) for rule in rules)


def test_what_the_build_needs_is_what_setup_reads() -> None:
    text = (ROOT / "setup.py").read_text("utf-8")
    for name in re.findall(r'HERE / "([^"]+)"', text):
        assert name in [word for line in stages()[0] if line.instruction == "COPY" for word in line.rest.split()]


def test_it_says_what_is_known_of_it() -> None:
    assert "Not built where pyss is made" in FILE.read_text("utf-8")
