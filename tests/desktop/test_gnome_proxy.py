"""GNOME, by the real `gsettings` on a file of its own: no session is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.desktops import Desk, kill, linux
from helpers.pac_engine import need_program
from helpers.processes import PYTHON

from pyss.desktop import setting
from pyss.desktop.gnome import SCHEMA, Gnome, quoted, unquoted
from pyss.desktop.setting import SettingError, Wish, run_program

pytestmark = [linux, pytest.mark.interop]

GLOBAL, PAC, OFF = Wish("127.0.0.1", 1080), Wish(url="http://127.0.0.1:1080/proxy.pac"), Wish()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    need_program("gsettings", "libglib2.0-bin gsettings-desktop-schemas")
    made = Desk(tmp_path / "desk", real=[str(shutil.which("gsettings"))], GSETTINGS_BACKEND="keyfile")
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    made.use(monkeypatch)
    listed = run_program(["gsettings", "list-schemas"]).split()
    assert SCHEMA in listed, "apt-get install gsettings-desktop-schemas"
    yield made
    made.end()


def stored(desk: Desk) -> str:
    return (desk.folder / "config" / "glib-2.0" / "settings" / "keyfile").read_text("utf-8")


def current(*keys: str) -> list[str]:
    return [run_program(["gsettings", "get", *key.rsplit(" ", 1)]).strip() for key in keys]


# --- the setting ---------------------------------------------------------------------------------
def test_one_proxy_for_all(desk: Desk) -> None:
    assert desk.proxy("--global", "[::1]:1081").code == 0
    keys = [f"{SCHEMA}.{protocol} {key}" for protocol in ("http", "https", "socks") for key in ("host", "port")]
    assert current(f"{SCHEMA} mode", *keys) == ["'manual'", *["'::1'", "1081"] * 3]
    (ignored,) = current(f"{SCHEMA} ignore-hosts")
    assert "'localhost'" in ignored and "'10.0.0.0/8'" in ignored and "'192.168.0.0/16'" in ignored
    assert "mode='manual'" in stored(desk)


def test_the_mode_is_written_last(desk: Desk) -> None:
    desk.proxy("--global", "127.0.0.1:1080")
    assert desk.asked(" set ")[-1] == f"gsettings set {SCHEMA} mode 'manual'"
    desk.forget()
    desk.proxy("--pac", "http://127.0.0.1:1080/proxy.pac")
    assert desk.asked(" set ") == [
        f"gsettings set {SCHEMA} autoconfig-url 'http://127.0.0.1:1080/proxy.pac'",
        f"gsettings set {SCHEMA} mode 'auto'",
    ]


@pytest.mark.parametrize(
    "words", [("--global", "192.0.2.1:1080"), ("--pac", "https://example.org/a?b=c&d=$HOME;`x`"), ("--off",)]
)
def test_there_and_back(desk: Desk, words: tuple[str, ...]) -> None:
    if "`" in words[-1]:
        assert desk.proxy(*words).code == 1
        words = (words[0], words[1].replace("`", ""))
    for key, value in {
        f"{SCHEMA} mode": "manual",
        f"{SCHEMA}.http host": "corp.example's proxy \" \\ ü",
        f"{SCHEMA}.http port": "3128",
        f"{SCHEMA} ignore-hosts": "@as []",
    }.items():
        run_program(["gsettings", "set", *key.split(" ", 1), value])
    before, kept = Gnome().read(), stored(desk)
    code, out, error = desk.proxy(*words)
    assert (code, error) == (0, "") and stored(desk) != kept
    assert "after pyss proxy --restore: http through " in out
    assert desk.proxy("--restore") == (0, "the proxy setting from before is back\n", "")
    assert Gnome().read() == before
    assert not desk.saved.exists()


def test_what_it_says_of_a_setting(desk: Desk) -> None:
    def said(**values: Any) -> list[str]:
        found = dict(Gnome().read()[""])
        return Gnome().describe({"": {**found, **{key.replace("_", " "): value for key, value in values.items()}}})

    assert said() == ["no proxy"]
    assert said(mode="'auto'") == ["automatic (WPAD)"]
    assert said(mode="'auto'", **{"autoconfig-url": "'http://me:secret@h/x'"}) == ["PAC file http://***@h/x"]
    assert said(mode="'manual'") == ["manual, and no proxy named"]
    assert said(mode="'manual'", socks_host="'h'", socks_port="1") == [
        "socks through h port 1",
        "not for localhost, 127.0.0.0/8, ::1",
    ]
    assert said(mode="'unheard-of'") == ["mode unheard-of"]


def test_text_of_gvariant() -> None:
    assert quoted("127.0.0.1") == "'127.0.0.1'"
    assert unquoted("'a'") == "a" and unquoted("['a', 'b']") == "a, b" and unquoted("5") == "5" and unquoted("@as []")
    for evil in ("a'b", "a\\b", "a\nb", "ü"):
        with pytest.raises(SettingError, match="cannot be a part of a proxy setting"):
            quoted(evil)


# --- when it goes wrong --------------------------------------------------------------------------
@pytest.mark.parametrize("at", ["set .*http host '127", "set .*socks port 1080", "set .* mode 'manual'"])
def test_halfway_is_put_back(desk: Desk, at: str) -> None:
    run_program(["gsettings", "set", f"{SCHEMA}.https", "host", "corp.example"])
    before = Gnome().read()
    code, out, error = desk.proxy("--global", "127.0.0.1:1080", FAIL_AT=at)
    assert (code, out) == (1, "")
    assert error == "pyss: gsettings set failed: this call fails; the proxy is as it was before\n"
    assert Gnome().read() == before and not desk.saved.exists()


@pytest.mark.parametrize("at", ["set .*http host", "set .*https port", "set .*ignore-hosts", "set [a-z.]* mode"])
@pytest.mark.parametrize("words", [(), ("--restore",), ("--global", "192.0.2.7:7")])
def test_killed_in_the_middle_the_next_start_puts_it_back(desk: Desk, at: str, words: tuple[str, ...]) -> None:
    run_program(["gsettings", "set", f"{SCHEMA}.https", "host", "corp.example"])
    before = Gnome().read()
    program = desk.stuck([PYTHON, "-m", "pyss", "proxy", "--global", "127.0.0.1:1080"], HANG_AT=at)
    assert desk.saved.exists()
    kill(program)
    assert (Gnome().read() == before) is (at == "set .*http host")  # which is the first of all
    code, _out, error = desk.proxy(*words)
    assert code == 0
    assert error.splitlines() == [
        "pyss proxy: a pyss that set the system's proxy did not end in good order",
        "pyss proxy: the proxy setting from before is back",
    ]
    if "--global" in words:
        assert current(f"{SCHEMA}.http host") == ["'192.0.2.7'"]
        assert desk.proxy("--restore").code == 0
    assert Gnome().read() == before
    assert not desk.saved.exists()


HOLDER = """
import sys
from pyss.desktop.setting import Wish
from pyss.desktop.system_proxy import open_system_proxy
with open_system_proxy() as proxy:
    proxy.set(Wish("127.0.0.1", 1080))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_holder_that_is_killed(desk: Desk) -> None:
    """As the tray holds it: while it lives others keep away; when it is dead the next start puts all back."""
    before = Gnome().read()
    program = desk.start([PYTHON, "-c", HOLDER + "    import time; time.sleep(300)"])
    program.wait_for_line("^held$")
    code, out, error = desk.proxy("--off")
    assert (code, out, error) == (1, "", "pyss: another pyss has the system's proxy in its hands; end it first\n")
    code, out, error = desk.proxy()
    assert code == 0 and out.startswith("GNOME: http through 127.0.0.1 port 1080\n")
    assert error == "pyss proxy: another pyss has the system's proxy in its hands; end it first\n"
    kill(program)
    assert Gnome().read() != before
    code, out, error = desk.proxy()
    assert (code, out) == (0, "GNOME: no proxy\n") and "did not end in good order" in error
    assert Gnome().read() == before


def test_a_holder_that_ends_in_good_order(desk: Desk) -> None:
    before = Gnome().read()
    program = desk.start([PYTHON, "-c", HOLDER])
    program.wait_for_line("^held$")
    assert program.wait() == 0
    assert Gnome().read() == before and not desk.saved.exists()
    assert desk.proxy() == (0, "GNOME: no proxy\n", "")


def test_what_somebody_else_has_changed_stays(desk: Desk) -> None:
    desk.proxy("--global", "127.0.0.1:1080")
    run_program(["gsettings", "set", f"{SCHEMA}.http", "host", "corp.example"])
    code, out, _error = desk.proxy("--restore")
    assert (code, out) == (1, "somebody else has changed http host since pyss set it: that stays as it is\n")
    assert current(f"{SCHEMA} mode", f"{SCHEMA}.http host") == ["'manual'", "'corp.example'"]
    assert not desk.saved.exists()


def test_a_damaged_record_is_a_sentence_and_touches_nothing(desk: Desk) -> None:
    desk.saved.parent.mkdir(parents=True)
    desk.saved.write_text("{", "utf-8")
    for words in ((), ("--restore",), ("--off",)):
        code, out, error = desk.proxy(*words)
        assert (code, out) == (1, "")
        assert error.startswith(f"pyss: {desk.saved} is damaged") and error.count("\n") == 1
    assert not desk.asked(" set ")


def test_a_program_that_never_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "PATIENCE", 0.2)
    monkeypatch.setenv("HANG_AT", "list-recursively")
    with pytest.raises(SettingError, match=r"^gsettings did not end within 0 seconds$"):
        Gnome().read()


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="the program gsettings is not here, by which this desktop's proxy is set"):
        Gnome().read()
