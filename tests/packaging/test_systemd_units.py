"""The units of systemd: their command lines, their limits, and what systemd itself says of them.

systemd is asked for its opinion by `systemd-analyze`, and scripts/platforms/units.py starts the units under a systemd
of their own, where this machine lets it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional

import pytest
from helpers.deployed import understand
from helpers.processes import PYTHON, ROOT

from pyss.app.options import RunLocal, RunServer
from pyss.app.process import GRACE

FOLDER = ROOT / "packaging" / "systemd"
UNITS = sorted(FOLDER.rglob("*.service"))
SYSTEM = [path for path in UNITS if path.parent.name == "system"]
DROP_INS = sorted(FOLDER.rglob("*.conf"))
COMMANDS = {"pyss-server@": RunServer, "pyss-local@": RunLocal, "pyss-redir@": RunLocal}

# What shuts a service in without rights of its own, and what each system unit has to say about it.
HARDENING = {
    **dict.fromkeys(("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"), "yes"),
    **dict.fromkeys(("ProtectClock", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs"), "yes"),
    **dict.fromkeys(("ProtectKernelModules", "ProtectKernelTunables", "LockPersonality"), "yes"),
    **dict.fromkeys(("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "MemoryDenyWriteExecute"), "yes"),
    "ProtectSystem": "strict",
    "SystemCallArchitectures": "native",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


class Unit(NamedTuple):
    """section -> key -> its values, in order"""

    sections: dict[str, dict[str, list[str]]]

    def one(self, key: str, section: str = "Service") -> str:
        (value,) = self.sections[section][key]
        return value


def read(path: Path) -> Unit:
    sections: dict[str, dict[str, list[str]]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            current.setdefault(key, []).append(value)
    return Unit(sections)


def test_there_are_units_for_both_managers() -> None:
    assert [name_of(path) for path in UNITS] == [
        "system/pyss-local@.service",
        "system/pyss-redir@.service",
        "system/pyss-server@.service",
        "user/pyss-local@.service",
    ]
    assert [name_of(path) for path in DROP_INS] == ["system/low-port.conf", "user/sandbox.conf"]


# --- command lines -------------------------------------------------------------------------------
@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_the_command_line_means_what_the_name_says(path: Path) -> None:
    words = read(path).one("ExecStart").split()
    assert not {"'", '"', "\\", "$$", ";"}.intersection("".join(words)), "it would be split in another way"
    command, files = understand(words)
    assert isinstance(command, COMMANDS[path.name.replace(".service", "")])
    assert len(files) == 1, "all that pyss needs to know is in one file"
    if isinstance(command, RunLocal):
        config = command.config
        redirecting = path.name.startswith("pyss-redir@")
        assert (len(config.listen), len(config.redirects)) == ((0, 1) if redirecting else (1, 0))


@pytest.mark.parametrize("path", SYSTEM, ids=name_of)
def test_the_file_is_read_by_systemd_and_handed_over(path: Path) -> None:
    unit = read(path)
    assert unit.one("LoadCredential") == "config.json:/etc/pyss/%i.json"
    assert understand(unit.one("ExecStart").split()).files == ["${CREDENTIALS_DIRECTORY}/config.json"]


@pytest.mark.parametrize("path", [*UNITS, *DROP_INS], ids=name_of)
def test_no_secret_has_a_place_in_it(path: Path) -> None:
    text = path.read_text("utf-8")
    for word in ("Environment", "SS_SERVER_PASSWORD", " -k", "--password", "--server-url", "ss://", "PassEnvironment"):
        assert word not in text


# --- limits --------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_it_is_started_again_and_has_time_to_end(path: Path) -> None:
    unit = read(path)
    assert unit.one("Restart") == "on-failure"
    assert unit.one("RestartPreventExitStatus") == "2"
    assert float(unit.one("TimeoutStopSec")) > GRACE


@pytest.mark.parametrize("path", SYSTEM, ids=name_of)
def test_system_units_are_shut_in(path: Path) -> None:
    unit = read(path)
    for key, value in HARDENING.items():
        assert unit.one(key) == value, key
    assert unit.sections["Service"]["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert int(unit.one("LimitNOFILE")) >= 4096
    rights = "CAP_NET_ADMIN CAP_NET_BIND_SERVICE" if path.name.startswith("pyss-redir@") else ""
    assert unit.one("CapabilityBoundingSet") == unit.one("AmbientCapabilities") == rights
    # A capability counts among the users that PrivateUsers leaves, which is nobody.
    assert ("PrivateUsers" in unit.sections["Service"]) is (not rights)


def test_the_redirecting_unit_has_the_rights_that_its_document_names() -> None:
    document = (ROOT / "docs" / "redirection.md").read_text("utf-8")
    named = re.findall(r"^(?:AmbientCapabilities|CapabilityBoundingSet)=(.*)$", document, re.MULTILINE)
    assert set(named) == {read(FOLDER / "system" / "pyss-redir@.service").one("CapabilityBoundingSet")}


@pytest.mark.parametrize("path", DROP_INS, ids=name_of)
def test_what_is_laid_over_a_unit_only_changes_its_service(path: Path) -> None:
    (service,) = read(path).sections.items()
    assert service[0] == "Service" and "ExecStart" not in service[1]


# --- systemd's opinion -----------------------------------------------------------------------------
ANALYZE = "systemd-analyze"
EXPOSURE = {"pyss-server@": 1.5, "pyss-local@": 1.5, "pyss-redir@": 2.0}  # at most, of 10


def analyze(run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """run  a folder that stands for the one of a session, without which user units cannot be looked at"""
    if shutil.which(ANALYZE) is None:
        reason = f"{ANALYZE} is not here: apt-get install systemd"
        if os.environ.get("CI", "false") != "false":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": str(run)}
    argv = [ANALYZE, "--no-pager", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, check=False)


def place(unit: Path, folder: Path, drop_in: Optional[Path] = None) -> Path:
    """An instance of the unit for systemd-analyze, its program replaced by one that is here."""
    text = unit.read_text("utf-8")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE)
    target = folder / unit.name.replace("@.", "@name.")
    target.write_text(text, "utf-8")
    if drop_in is not None:
        over = folder / f"{target.name}.d"
        over.mkdir()
        shutil.copy(drop_in, over)
    return target


CASES: list[tuple[Path, Optional[Path]]] = [
    *((unit, None) for unit in UNITS),
    (FOLDER / "system" / "pyss-server@.service", FOLDER / "system" / "low-port.conf"),
    (FOLDER / "system" / "pyss-local@.service", FOLDER / "system" / "low-port.conf"),
    (FOLDER / "user" / "pyss-local@.service", FOLDER / "user" / "sandbox.conf"),
]


def case_name(value: Optional[Path]) -> str:
    return "alone" if value is None else name_of(value)


@pytest.mark.interop
@pytest.mark.parametrize(("unit", "drop_in"), CASES, ids=case_name)
def test_systemd_understands_every_line(unit: Path, drop_in: Optional[Path], tmp_path: Path) -> None:
    mode = "--user" if unit.parent.name == "user" else "--system"
    done = analyze(tmp_path, "verify", mode, "--man=no", "--recursive-errors=no", str(place(unit, tmp_path, drop_in)))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.interop
def test_systemd_would_say_so_otherwise(tmp_path: Path) -> None:
    unit = place(SYSTEM[0], tmp_path)
    unit.write_text(unit.read_text("utf-8").replace("ProtectSystem=strict", "ProtectSystem=strictly"), "utf-8")
    done = analyze(tmp_path, "verify", "--system", "--man=no", "--recursive-errors=no", str(unit))
    assert re.search(r":\d+: .*strictly", done.stderr)


@pytest.mark.interop
@pytest.mark.parametrize("unit", SYSTEM, ids=name_of)
def test_systemd_finds_little_that_is_exposed(unit: Path, tmp_path: Path) -> None:
    most = EXPOSURE[unit.name.replace(".service", "")]
    options = ["--offline=true", f"--threshold={most * 10:.0f}", "--json=short"]
    done = analyze(tmp_path, "security", *options, str(place(unit, tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 50
    # pyss talks to the network, and to any address of it: that stays open.
    wide = {row["name"] for row in rows if float(row["exposure"] or 0) >= 0.3}
    assert wide == {"PrivateNetwork=", "RestrictAddressFamilies=~AF_(INET|INET6)"}


@pytest.mark.interop
def test_the_units_run() -> None:
    """Under a systemd of their own: a request through them, and what rights the kernel says they have."""
    argv = [PYTHON, str(ROOT / "scripts" / "platforms" / "units.py")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    reasons = r"only root .*|no systemd can be started .*|\S+ is not here: .*|this needs .*"
    cannot = re.search(rf"units\.py: ({reasons})", done.stderr)
    if cannot:  # a matter of what this machine lets us do, in CI too: containers differ
        pytest.skip(cannot[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("state=active") == 4
