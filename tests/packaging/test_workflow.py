"""The GitHub workflow, as far as its text tells: actionlint, in .ci/run, reads it properly."""

from __future__ import annotations

import re

import pytest
from helpers.processes import ROOT

TEXT = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
JOBS = dict(re.findall(r"^  ([\w-]+):\n((?:    .*\n|\n|  #.*\n)+)", TEXT.partition("\njobs:\n")[2], re.MULTILINE))


def test_every_python_from_the_oldest_to_the_newest_and_every_system() -> None:
    (pythons,) = re.findall(r"python: \[(.*)\]", JOBS["suite"])
    assert re.findall(r'"([^"]+)"', pythons) == [*(f"3.{minor}" for minor in range(9, 15)), "3.x", "pypy3.11"]
    (systems,) = re.findall(r"os: \[(.*)\]", JOBS["suite"])
    assert systems.split(", ") == ["ubuntu-latest", "macos-latest", "windows-latest"]


def test_every_action_has_a_version() -> None:
    used = re.findall(r"uses: (\S+)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})", action), action


def test_a_job_may_do_no_more_than_it_says() -> None:
    assert re.search(r"^permissions:\n  contents: read\n$", TEXT, re.MULTILINE)
    writing = {name: set(re.findall(r"^      ([\w-]+): write$", body, re.MULTILINE)) for name, body in JOBS.items()}
    assert {name: rights for name, rights in writing.items() if rights} == {
        "attest": {"id-token", "attestations"},
        "release": {"contents"},
    }
    assert "secrets." not in TEXT


@pytest.mark.parametrize("job", ["attest", "release"])
def test_only_a_tag_releases(job: str) -> None:
    assert "    if: startsWith(github.ref, 'refs/tags/v')\n" in JOBS[job]


def test_nothing_is_released_that_did_not_pass_everything() -> None:
    (needed,) = re.findall(r"needs: \[(.*)\]", JOBS["attest"])
    weekly = {name for name, body in JOBS.items() if "    if: github.event_name == 'schedule'" in body}
    assert weekly == {"platforms", "units"}
    assert set(needed.split(", ")) == set(JOBS) - weekly - {"attest", "release"}
    assert "needs: [attest]" in JOBS["release"]


def test_every_job_has_an_end() -> None:
    for name, body in JOBS.items():
        assert "timeout-minutes: " in body, name


def test_what_it_starts_is_there() -> None:
    for name in re.findall(r"(?:scripts|packaging)/[\w/.-]+\w", TEXT):
        if not name.endswith("platforms"):
            assert (ROOT / name).exists(), name
    (scripts,) = re.findall(r"script: \[(.*)\]", JOBS["platforms"])
    for name in scripts.split(", "):
        assert (ROOT / "scripts" / "platforms" / f"{name}.py").exists()
