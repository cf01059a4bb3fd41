"""The property list for launchd: what macOS's own parser format says is in it, and that its program relays."""

from __future__ import annotations

import json
import plistlib
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.deployed import understand
from helpers.processes import PYTHON, ROOT, Program, clean_environment, free_port

from pyss.app.options import RunLocal
from pyss.app.process import GRACE

FILE = ROOT / "packaging" / "macos" / "org.pyss.local.plist"

# launchd.plist(5), as far as it is used here.
KEYS: dict[str, type] = {
    **{"Label": str, "ProgramArguments": list, "RunAtLoad": bool, "KeepAlive": dict, "ThrottleInterval": int},
    **{"ExitTimeOut": int, "ProcessType": str, "Umask": int, "SoftResourceLimits": dict, "StandardErrorPath": str},
}


def loaded(home: str) -> dict[str, Any]:
    """As the line of docs/deploy.md makes it."""
    text = FILE.read_text("utf-8").replace("@HOME@", home)
    found: dict[str, Any] = plistlib.loads(text.encode("utf-8"))
    return found


def test_keys_and_types_are_launchds() -> None:
    found = loaded("/home of somebody")
    assert {key: type(value) for key, value in found.items()} == KEYS
    assert found["Label"] == FILE.stem, "launchctl goes by the label, people by the file's name"
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["ExitTimeOut"] > GRACE
    assert found["Umask"] == 0o077
    assert found["ProcessType"] in ("Background", "Standard", "Adaptive", "Interactive")
    assert set(found["SoftResourceLimits"]) == {"NumberOfFiles"}


def test_every_path_is_a_full_one() -> None:
    assert "~" not in json.dumps(loaded("/h")) and "$" not in json.dumps(loaded("/h"))
    arguments = loaded("/h")["ProgramArguments"]
    for path in (arguments[0], arguments[3], loaded("/h")["StandardErrorPath"]):
        assert path.startswith("/h/")


def test_its_arguments_are_understood() -> None:
    command, files = understand(loaded("/h")["ProgramArguments"])
    assert isinstance(command, RunLocal) and command.config.listen
    assert files == ["/h/.config/pyss/local.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="the program of its arguments is a shell script here")
def test_its_arguments_start_a_proxy(tmp_path: Path) -> None:
    port = free_port()
    config = {"server": "127.0.0.1", "server_port": 1, "local_port": port, "password": "x", "method": "aes-256-gcm"}
    for folder in (".local/bin", ".config/pyss"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".config" / "pyss" / "local.json").write_text(json.dumps(config), "utf-8")
    program = tmp_path / ".local" / "bin" / "pyss"
    program.write_text(f'#!/bin/sh\nexec "{PYTHON}" -m pyss "$@"\n', "utf-8")
    program.chmod(0o755)
    started = Program(loaded(str(tmp_path))["ProgramArguments"], tmp_path / "log", clean_environment())
    try:
        started.wait_for_line(rf"INFO     local proxy on 127\.0\.0\.1:{port}")
        socket.create_connection(("127.0.0.1", port), 10).close()
    finally:
        assert started.stop() == 0
