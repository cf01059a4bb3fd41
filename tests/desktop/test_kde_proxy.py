"""KDE: by the real kwriteconfig5 on a file of its own, where it is, and by stand-ins, whose log shows each argument."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run_here
from helpers.desktops import Desk, kill, linux
from helpers.pac_engine import need_program
from helpers.processes import PYTHON

from pyss.desktop.kde import KEYS, Kde
from pyss.desktop.setting import SettingError, run_program
from pyss.desktop.system_proxy import pick

pytestmark = [linux, pytest.mark.load]  # each test starts processes of its own

URL = "http://127.0.0.1:1080/proxy.pac"
WRITE = ["kwriteconfig5", "--file", "kioslaverc", "--group", "Proxy Settings", "--key"]
SIGNAL = "/KIO/Scheduler org.kde.KIO.Scheduler.reparseSlaveConfiguration"


def made(folder: Path, patch: pytest.MonkeyPatch, *programs: str, real: tuple[str, ...] = ()) -> Desk:
    desk = Desk(folder / "desk", *programs, real=real, XDG_CURRENT_DESKTOP="KDE")
    desk.use(patch)
    return desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return made(tmp_path, monkeypatch, "kreadconfig5", "kwriteconfig5", "dbus-send", "gdbus")


def written(desk: Desk) -> list[list[str]]:
    """Key and value of each write, "" behind --delete."""
    calls = [call for call in desk.log if call[0].startswith("kwriteconfig")]
    assert all(call[:6] == WRITE and call[7] in ("--", "--delete") for call in calls)
    return [[call[6], *call[8:]] for call in calls]


def test_one_proxy_for_all(desk: Desk) -> None:
    assert run_here(["proxy", "--global", "127.0.0.1:1080"]).code == 0
    assert [words[:2] for words in written(desk)] == [
        ["httpProxy", "http://127.0.0.1 1080"],
        ["httpsProxy", "http://127.0.0.1 1080"],
        ["socksProxy", "socks://127.0.0.1 1080"],
        ["NoProxyFor", desk.values["NoProxyFor"]],
        ["ReversedException", "false"],
        ["ProxyType", "1"],  # last: no program finds it before its proxy
    ]
    assert "10.0.0.0/8" in desk.values["NoProxyFor"].split(",")
    assert ".local" in desk.values["NoProxyFor"].split(",")
    assert desk.asked("^dbus-send") == [f"dbus-send --session --type=signal {SIGNAL} string:"]


def test_a_pac_file_and_no_proxy(desk: Desk) -> None:
    run_here(["proxy", "--pac", URL])
    assert written(desk) == [["Proxy Config Script", URL], ["ProxyType", "2"]]
    run_here(["proxy", "--off"])
    assert written(desk)[2:] == [["ProxyType", "0"]]
    run_here(["proxy", "--restore"])
    assert sorted(written(desk)[3:]) == [["Proxy Config Script", ""], ["ProxyType", ""]]
    assert desk.values == {}


BEFORES = [
    {},
    {"ProxyType": "1", "httpProxy": "http://corp.example 3128", "NoProxyFor": "a b,c;$HOME`x`", "Other": "-x"},
    {"ProxyType": "2", "Proxy Config Script": "", "ReversedException": "true"},
    {"ProxyType": "1", "httpProxy": "--delete", "httpsProxy": "-x ' \" \\ ü"},
]


@pytest.mark.parametrize("before", BEFORES)
@pytest.mark.parametrize("words", [["--global", "[::1]:1081"], ["--pac", URL], ["--off"]])
def test_there_and_back(desk: Desk, before: dict[str, str], words: list[str]) -> None:
    desk.values = before
    assert run_here(["proxy", *words]).code == 0
    assert run_here(["proxy", "--restore"]) == (0, "the proxy setting from before is back\n", "")
    assert desk.values == before and not desk.saved.exists()


@pytest.mark.parametrize("at", ["--key httpProxy -- http", "--key NoProxyFor -- localhost", "--key ProxyType -- 1"])
def test_halfway_is_put_back(desk: Desk, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    desk.values = before = {"ProxyType": "2", "Proxy Config Script": "http://corp.example/"}
    monkeypatch.setenv("FAIL_AT", at)
    code, out, error = run_here(["proxy", "--global", "127.0.0.1:1080"])
    assert (code, out) == (1, "")
    assert error == "pyss: kwriteconfig5 --file failed: this call fails; the proxy is as it was before\n"
    assert desk.values == before and not desk.saved.exists()


def test_killed_in_the_middle_the_next_start_puts_it_back(desk: Desk) -> None:
    desk.values = before = {"ProxyType": "4", "httpProxy": "x"}
    argv = [PYTHON, "-m", "pyss", "proxy", "--global", "127.0.0.1:1080"]
    try:
        kill(desk.stuck(argv, HANG_AT="--key ReversedException -- "))
    finally:
        desk.end()
    assert desk.values != before
    code, out, error = run_here(["proxy"])
    assert code == 0 and out == "KDE: from environment variables\n" and "did not end in good order" in error
    assert desk.values == before


def test_whom_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = made(tmp_path / "a", monkeypatch, "kreadconfig5", "kwriteconfig5")
    assert run_here(["proxy", "--pac", URL]).code == 0 and alone.values["ProxyType"] == "2"
    other = made(tmp_path / "b", monkeypatch, "kreadconfig5", "kwriteconfig5", "gdbus")
    assert run_here(["proxy", "--pac", URL]).code == 0
    path, signal = SIGNAL.split()
    assert ["gdbus", "emit", "--session", "--object-path", path, "--signal", signal, "''"] in other.log
    desk = made(tmp_path / "c", monkeypatch, "kreadconfig5", "kwriteconfig5", "dbus-send")
    monkeypatch.setenv("FAIL_AT", "dbus-send")  # no session bus
    assert run_here(["proxy", "--pac", URL]).code == 0 and desk.asked("^dbus-send")


def test_version_6_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = made(tmp_path, monkeypatch, "kreadconfig5", "kwriteconfig5", "kreadconfig6", "kwriteconfig6")
    assert run_here(["proxy", "--off"]).code == 0
    assert both.asked("config6 ") and not both.asked("config5 ")


def test_which_desktop_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, "kreadconfig5", "kwriteconfig5")
    names = ("KDE", "ubuntu:GNOME", "")
    assert [pick({"XDG_CURRENT_DESKTOP": name}).name for name in names] == ["KDE"] * 3  # there is no gsettings
    (tmp_path / "desk" / "bin" / "gsettings").symlink_to("kreadconfig5")
    assert [pick({"XDG_CURRENT_DESKTOP": name}).name for name in names] == ["KDE", "GNOME", "GNOME"]


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, ["no proxy"]),
        ({"ProxyType": "0", "httpProxy": "x"}, ["no proxy"]),
        ({"ProxyType": "2", "Proxy Config Script": "http://me:secret@h/"}, ["PAC file http://***@h/"]),
        ({"ProxyType": "2"}, ["PAC file (none named)"]),
        ({"ProxyType": "3"}, ["automatic (WPAD)"]),
        ({"ProxyType": "9"}, ["ProxyType 9"]),
        (
            {"ProxyType": "1", "httpProxy": "http://me:x@h 1", "NoProxyFor": "a", "ReversedException": "true"},
            ["http through http://***@h 1", "only for a"],
        ),
        (
            {"ProxyType": "1", "socksProxy": "socks://h 1", "NoProxyFor": "a"},
            ["socks through socks://h 1", "not for a"],
        ),
    ],
)
def test_what_it_says_of_a_setting(values: dict[str, Any], lines: list[str]) -> None:
    assert Kde().describe({"": {**dict.fromkeys(KEYS), **values}}) == lines


def test_without_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="kwriteconfig6 or kwriteconfig5 is not here, by which KDE's proxy is set"):
        Kde().read()


# --- the real programs ---------------------------------------------------------------------------
@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    need_program("kwriteconfig5", "libkf5config-bin")
    programs = tuple(str(shutil.which(name)) for name in ("kreadconfig5", "kwriteconfig5"))
    yield made(tmp_path, monkeypatch, real=programs)


@pytest.mark.interop
@pytest.mark.parametrize("before", BEFORES)
@pytest.mark.parametrize("words", [["--global", "[::1]:1081"], ["--pac", URL]])
def test_the_real_programs_there_and_back(real: Desk, before: dict[str, str], words: list[str]) -> None:
    run_program([*WRITE, "Untouched", "--", "x"])
    for key, value in before.items():
        run_program([*WRITE, key, "--", value])
    file = real.folder / "config" / "kioslaverc"
    text, setting = file.read_text("utf-8"), Kde().read()
    assert {key: value for key, value in setting[""].items() if value is not None} == {
        key: value for key, value in before.items() if key in KEYS
    }
    assert run_here(["proxy", *words]).code == 0
    assert file.read_text("utf-8") != text
    assert run_here(["proxy", "--restore"]) == (0, "the proxy setting from before is back\n", "")
    assert sorted(file.read_text("utf-8").split("\n")) == sorted(text.split("\n"))
