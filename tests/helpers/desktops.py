"""Desktops without a session: private folders, and stand-ins for programs that are not here, on a PATH of their own.

A stand-in keeps what it is told in a file and prints it as the real program does, and its log is the evidence of what
was asked of it, argument by argument.  It proves that pyss and the stand-in agree, not that the real program would.

    FAIL_AT=REGEX   a call that matches fails      HANG_AT=REGEX   it says so in the log, and never ends
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from helpers.commands import PYSS, Outcome, run_child
from helpers.processes import POLL, Program, clean_environment
from pyss.desktop.setting import Setting, Value, Wish

# In sh, because these are called a hundred times.
_SH = """#!/bin/sh
entry="\\"${{0##*/}}\\""
for word; do
    case $word in *[\\\\\\"]*) word=$(printf %s "$word" | /bin/sed 's/[\\\\"]/\\\\&/g');; esac
    entry="$entry, \\"$word\\""
done
printf '[%s]\\n' "$entry" >>'{folder}/log'
line="$*"
matches() {{ [ -n "$1" ] && printf %s "${{0##*/}} $line" | /bin/grep -Eq -- "$1"; }}
if matches "$FAIL_AT"; then echo 'this call fails' >&2; exit 4; fi
if matches "$HANG_AT"; then echo '["hangs"]' >>'{folder}/log'; exec /bin/sleep 300; fi
"""

_IN_FRONT = (
    _SH
    + """
exec '{real}' "$@"
"""
)

# A value is a file of the name of its key.
_KCONFIG = (
    _SH
    + """
[ "$1 $2 $3 $4 $5" = "--file kioslaverc --group Proxy Settings --key" ] || exit 9
file="{folder}/values/$6"
case "$0 $7" in
    */kread*" --default") if [ -e "$file" ]; then /bin/cat "$file"; echo; else printf '%s\\n' "$8"; fi;;
    */kwrite*" --delete") [ "$8" = "" ] && /bin/rm -f "$file";;
    */kwrite*" --") printf %s "$8" >"$file";;
    *) exit 9;;
esac
"""
)

_SILENT = _SH

# A network service is a folder; what there is about it are files with what the program prints.
_NETWORKSETUP = (
    _SH
    + """
values='{folder}/values'
if [ "$1" = -listallnetworkservices ]; then
    echo 'An asterisk (*) denotes that a network service is disabled.'
    for service in "$values"/*; do
        [ -d "$service" ] || continue
        mark='*'; [ -e "$service/enabled" ] && mark=
        echo "$mark${{service##*/}}"
    done
    exit 0
fi
command=${{1#-}} service="$values/$2" state=No
[ -d "$service" ] || {{ echo "$2 is not a recognized network service."; exit 4; }}
[ "$3" = on ] && state=Yes
case $command in
    getproxybypassdomains)
        [ -s "$service/bypass" ] && exec /bin/cat "$service/bypass"
        echo "There aren't any bypass domains set on $2.";;
    setproxybypassdomains)
        shift 2
        [ "$*" = Empty ] && : >"$service/bypass" || printf '%s\\n' "$@" >"$service/bypass";;
    get*) /bin/cat "$service/${{command#get}}";;
    setautoproxystate) /bin/sed -i "s/^Enabled:.*/Enabled: $state/" "$service/autoproxyurl";;
    set*state) name=${{command#set}}; /bin/sed -i "s/^Enabled:.*/Enabled: $state/" "$service/${{name%state}}";;
    setautoproxyurl) printf 'URL: %s\\nEnabled: Yes\\n' "$3" >"$service/autoproxyurl";;
    setwebproxy | setsecurewebproxy | setsocksfirewallproxy)
        printf 'Enabled: Yes\\nServer: %s\\nPort: %s\\nAuthenticated Proxy Enabled: 0\\n' "$3" "$4" \\
            >"$service/${{command#set}}";;
    *) echo "what is $command"; exit 9;;
esac
"""
)

_PROGRAMS = {
    "networksetup": _NETWORKSETUP,
    **dict.fromkeys(("kreadconfig5", "kwriteconfig5", "kreadconfig6", "kwriteconfig6"), _KCONFIG),
    **dict.fromkeys(("dbus-send", "gdbus"), _SILENT),
}

PROXIES = ("webproxy", "securewebproxy", "socksfirewallproxy")
_YES = {True: "Yes", False: "No"}

linux = pytest.mark.skipif(sys.platform != "linux", reason="stand-ins are scripts for the sh, sed and grep of Linux")


class Desk:
    """One private desktop: `environ` is what programs find it by.

    log               calls of stand-ins, as lists of words
    values, services  what the stand-ins of KDE and macOS keep
    """

    def __init__(self, folder: Path, *programs: str, real: Sequence[str] = (), **more: str) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "values").mkdir()
        self._started: list[Program] = []
        for name in programs:
            self._install(name, _PROGRAMS[name].format(folder=self.folder))
        for path in real:
            self._install(os.path.basename(path), _IN_FRONT.format(folder=self.folder, real=path))
        self.saved = folder / "state-home" / "pyss" / "system-proxy.json"
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state-home"),
            "XDG_CURRENT_DESKTOP": "",
            **more,
        }

    def _install(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(body, "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def services(self) -> dict[str, Any]:
        """What the stand-in of macOS keeps, as `service` makes it."""
        return {path.name: _service(path) for path in sorted((self.folder / "values").iterdir())}

    @services.setter
    def services(self, services: Mapping[str, Any]) -> None:
        shutil.rmtree(self.folder / "values")
        for name, found in services.items():
            folder = self.folder / "values" / name
            folder.mkdir(parents=True)
            if found["enabled"]:
                (folder / "enabled").touch()
            for kind in PROXIES:
                on, server, port, password = found[kind]
                lines = [f"Enabled: {_YES[on]}", f"Server: {server}", f"Port: {port}"]
                (folder / kind).write_text("\n".join([*lines, f"Authenticated Proxy Enabled: {password}", ""]), "utf-8")
            on, url = found["pac"]
            (folder / "autoproxyurl").write_text(f"URL: {url or '(null)'}\nEnabled: {_YES[on]}\n", "utf-8")
            (folder / "bypass").write_text("".join(f"{domain}\n" for domain in found["bypass"]), "utf-8")

    @property
    def values(self) -> dict[str, str]:
        """What the stand-in of KDE keeps."""
        return {path.name: path.read_text("utf-8") for path in (self.folder / "values").iterdir()}

    @values.setter
    def values(self, values: Mapping[str, str]) -> None:
        for path in (self.folder / "values").iterdir():
            path.unlink()
        for name, value in values.items():
            (self.folder / "values" / name).write_text(value, "utf-8")

    @property
    def log(self) -> list[list[str]]:
        path = self.folder / "log"
        text = path.read_text("utf-8") if path.exists() else ""
        return [json.loads(line, strict=False) for line in text.split("\n")[:-1]]

    def asked(self, pattern: str) -> list[str]:
        """Calls that match, each as a line."""
        return [line for line in map(" ".join, self.log) if re.search(pattern, line)]

    def forget(self) -> None:
        (self.folder / "log").unlink(missing_ok=True)

    # --- pyss there ------------------------------------------------------------------------------
    def use(self, patch: pytest.MonkeyPatch) -> None:
        """This process is on that desktop."""
        for name, value in self.environ.items():
            patch.setenv(name, value)

    def proxy(self, *words: str, **more: str) -> Outcome:
        """`pyss proxy`, to its end."""
        return run_child([*PYSS, "proxy", *words], self.folder, **{**self.environ, **more})

    def start(self, argv: list[str], **more: str) -> Program:
        program = Program(argv, self.folder / "started.log", clean_environment(**{**self.environ, **more}))
        self._started.append(program)
        return program

    def end(self) -> None:
        for program in self._started:
            program.stop()

    def stuck(self, argv: list[str], **more: str) -> Program:
        """A program that has come to the call which hangs."""
        program = self.start(argv, **more)
        deadline = time.monotonic() + 20
        while ["hangs"] not in self.log:
            assert program.exit_code is None and time.monotonic() < deadline, program.text()
            time.sleep(POLL)
        return program


def kill(program: Program) -> None:
    """SIGKILL, and for the call it is stuck in."""
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def service(enabled: bool = True, **more: Any) -> dict[str, Any]:
    """A network service of the stand-in for networksetup, as it comes."""
    nothing = {name: [False, "", 0, 0] for name in PROXIES}
    return {"enabled": enabled, **nothing, "pac": [False, ""], "bypass": ["*.local", "169.254/16"], **more}


def _service(folder: Path) -> dict[str, Any]:
    def lines(name: str) -> list[str]:
        return (folder / name).read_text("utf-8").splitlines()

    found: dict[str, Any] = {"enabled": (folder / "enabled").exists(), "bypass": lines("bypass")}
    for kind in PROXIES:
        on, server, port, password = (line.partition(": ")[2] for line in lines(kind))
        found[kind] = [on == "Yes", server, int(port), int(password)]
    url, on = (line.partition(": ")[2] for line in lines("autoproxyurl"))
    found["pac"] = [on == "Yes", "" if url == "(null)" else url]
    return found


class Toy:
    """The simplest desktop there can be, in memory: two parts with three keys.

    refused  keys that cannot be written; deaf  keys whose writing does nothing
    """

    name = "toy"
    kinds: Mapping[str, tuple[type, ...]] = {
        "mode": (str,),
        "host": (str, type(None)),
        "port": (int, type(None)),
    }
    parts: Optional[tuple[str, ...]] = None

    def __init__(self, **parts: Mapping[str, Value]) -> None:
        self.setting: dict[str, dict[str, Value]] = {name: dict(part) for name, part in parts.items()}
        self.refused: set[str] = set()
        self.deaf: set[str] = set()
        self.writes: list[tuple[str, str, Value]] = []
        self.refreshed = 0

    def read(self) -> Setting:
        return {name: dict(part) for name, part in self.setting.items()}

    def plan(self, wish: Wish, present: Setting) -> Setting:
        if wish.host:
            return {name: {"mode": "manual", "host": wish.host, "port": wish.port} for name in present}
        return {name: {**part, "mode": "auto" if wish.url else "none"} for name, part in present.items()}

    def write(self, changes: Setting) -> None:
        from pyss.desktop.setting import SettingError

        for name, part in changes.items():
            for key, value in part.items():
                if key in self.refused:
                    raise SettingError(f"{key} is locked")
                if key not in self.deaf:
                    self.setting[name][key] = value
                    self.writes.append((name, key, value))

    def refresh(self) -> None:
        self.refreshed += 1

    def describe(self, setting: Setting) -> list[str]:
        return [f"{name}: {part}" for name, part in setting.items()]
