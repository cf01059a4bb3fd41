"""macOS, by a stand-in for networksetup that keeps state and prints as the program does.  No Mac has run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run_here
from helpers.desktops import Desk, kill, linux, service
from helpers.processes import PYTHON

from pyss.desktop import system_proxy
from pyss.desktop.macos import Macos, Named, services
from pyss.desktop.setting import SettingError, Wish

pytestmark = [linux, pytest.mark.load]  # each test starts processes of its own

URL = "http://127.0.0.1:1080/proxy.pac"
USED = service(
    webproxy=[True, "corp.example", 3128, 0],
    securewebproxy=[False, "2001:db8::1", 8080, 0],
    pac=[False, "http://corp.example/p q.pac"],
    bypass=["*.corp.example", "10.0.0.0/8"],
)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path / "desk", "networksetup")
    made.use(monkeypatch)
    monkeypatch.setattr(system_proxy, "pick", lambda environ: Macos())
    monkeypatch.setattr("pyss.desktop.proxy_command.pick", lambda environ: Macos())
    made.services = {"Wi-Fi": service(), "USB 10-100 LAN; $(x)": USED, "Bluetooth PAN": service(enabled=False)}
    return made


def sets(desk: Desk, name: str) -> list[list[str]]:
    """Calls that set something of a service."""
    return [call[1:2] + call[3:] for call in desk.log if call[1].startswith("-set") and call[2] == name]


def test_every_enabled_service_gets_the_proxy(desk: Desk) -> None:
    code, out, error = run_here(["proxy", "--global", "127.0.0.1:1080"])
    assert (code, error) == (0, "")
    for name in ("Wi-Fi", "USB 10-100 LAN; $(x)"):
        found = desk.services[name]
        assert [found[kind] for kind in ("webproxy", "securewebproxy", "socksfirewallproxy")] == [
            [True, "127.0.0.1", 1080, 0]
        ] * 3
        assert {"localhost", "*.local", "10.0.0.0/8", "::1"} < set(found["bypass"]) and not found["pac"][0]
    assert desk.services["Bluetooth PAN"] == service(enabled=False)
    assert sets(desk, "Wi-Fi")[:6] == [
        *(["-setwebproxy", "127.0.0.1", "1080"], ["-setwebproxystate", "on"]),
        *(["-setsecurewebproxy", "127.0.0.1", "1080"], ["-setsecurewebproxystate", "on"]),
        *(["-setsocksfirewallproxy", "127.0.0.1", "1080"], ["-setsocksfirewallproxystate", "on"]),
    ]
    assert "\nmacOS: Wi-Fi: http through 127.0.0.1:1080, https through 127.0.0.1:1080, socks through " in out


def test_a_pac_file_switches_proxies_off_and_leaves_their_names(desk: Desk) -> None:
    assert run_here(["proxy", "--pac", URL]).code == 0
    assert sets(desk, "Wi-Fi") == [["-setautoproxyurl", URL], ["-setautoproxystate", "on"]]
    assert desk.services["USB 10-100 LAN; $(x)"] == {
        **USED,
        "webproxy": [False, "corp.example", 3128, 0],
        "pac": [True, URL],
    }


@pytest.mark.parametrize("words", [["--global", "[::1]:1081"], ["--pac", URL], ["--off"]])
def test_there_and_back(desk: Desk, words: list[str]) -> None:
    before = desk.services
    assert run_here(["proxy", *words]).code == 0
    assert run_here(["proxy", "--restore"]) == (0, "the proxy setting from before is back\n", "")
    if words[0] == "--pac":  # there is no way to have no URL again; it is switched off
        before["Wi-Fi"]["pac"] = [False, URL]
    if words[0] == "--global":  # cleared: which port a proxy without a name has tells nothing
        assert desk.services["Wi-Fi"]["webproxy"][:2] == [False, ""]
    assert desk.services == before and not desk.saved.exists()


def test_a_service_that_has_gone_and_one_that_has_come(desk: Desk) -> None:
    assert run_here(["proxy", "--global", "127.0.0.1:1080"]).code == 0
    state = desk.services
    used = state.pop("USB 10-100 LAN; $(x)")
    desk.services = {**state, "Phone": service()}
    code, out, error = run_here(["proxy", "--restore"])
    assert (code, error) == (0, "")
    assert out.splitlines() == [
        "no longer here, so nothing was put back there: USB 10-100 LAN; $(x)",
        "the proxy setting from before is back",
    ]
    assert desk.services["Wi-Fi"] == service() and desk.services["Phone"] == service() and used["webproxy"][0]


def test_what_somebody_else_has_changed_stays_in_its_service(desk: Desk) -> None:
    assert run_here(["proxy", "--global", "127.0.0.1:1080"]).code == 0
    state = desk.services
    state["Wi-Fi"]["webproxy"] = [True, "other.example", 1, 0]
    desk.services = state
    code, out, _error = run_here(["proxy", "--restore"])
    assert code == 1 and out.startswith(
        "somebody else has changed web of Wi-Fi since pyss set it: that stays as it is\n"
    )
    assert desk.services["Wi-Fi"] == state["Wi-Fi"] and desk.services["USB 10-100 LAN; $(x)"] == USED


@pytest.mark.parametrize(
    "at", ["setwebproxy USB.* 127", "setsocksfirewallproxystate Wi-Fi on", "setproxybypass.* localhost"]
)
def test_halfway_is_put_back_in_every_service(desk: Desk, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    before = desk.services
    monkeypatch.setenv("FAIL_AT", at)
    code, out, error = run_here(["proxy", "--global", "127.0.0.1:1080"])
    assert (code, out) == (1, "")
    assert error.startswith("pyss: networksetup -set") and error.endswith("the proxy is as it was before\n")
    assert desk.services == before and not desk.saved.exists()


def test_killed_in_the_middle_the_next_start_puts_it_back(desk: Desk) -> None:
    before = desk.services
    code = (
        "import sys; from pyss.desktop import proxy_command; from pyss.desktop.macos import Macos;"
        "proxy_command.pick = lambda environ: Macos(); from pyss.app.cli import main; sys.exit(main())"
    )
    try:
        argv = [PYTHON, "-c", code, "proxy", "--global", "127.0.0.1:1080"]
        kill(desk.stuck(argv, HANG_AT="setsecurewebproxy USB"))
    finally:
        desk.end()
    assert desk.services != before
    outcome = run_here(["proxy"])
    assert outcome.code == 0 and "did not end in good order" in outcome.stderr
    assert desk.services == before


def test_a_proxy_with_a_password_is_not_replaced(desk: Desk) -> None:
    state = {"Wi-Fi": service(securewebproxy=[True, "corp.example", 3128, 1])}
    desk.services = state
    code, out, error = run_here(["proxy", "--global", "127.0.0.1:1080"])
    assert (code, out) == (1, "")
    assert error == (
        "pyss: the https proxy of 'Wi-Fi' has a password, which could not be put back; remove it in the network "
        "settings, or use --pac\n"
    )
    assert desk.services == state and not desk.saved.exists()
    assert run_here(["proxy", "--pac", URL]).code == 0
    assert desk.services["Wi-Fi"]["securewebproxy"] == [False, "corp.example", 3128, 1]
    assert run_here(["proxy", "--restore"]).code == 0
    assert desk.services["Wi-Fi"]["securewebproxy"] == [True, "corp.example", 3128, 1]


def test_no_service_at_all(desk: Desk) -> None:
    desk.services = {"Bluetooth PAN": service(enabled=False)}
    assert services() == []
    code, _out, error = run_here(["proxy", "--off"])
    assert (code, error) == (1, "pyss: no network service is enabled, and macOS keeps its proxies there\n")


@pytest.mark.parametrize(
    ("value", "named"),
    [("off", Named(False, "")), ("on a:1", Named(True, "a:1")), ("off http://h/a b", Named(False, "http://h/a b"))],
)
def test_values_there_and_back(value: str, named: Named) -> None:
    assert Named.of(value) == named and str(named) == value


@pytest.mark.parametrize("value", ["", "x", "ON a", 5, None])
def test_values_that_cannot_be(value: Any) -> None:
    with pytest.raises(SettingError, match="is no proxy of macOS"):
        Named.of(value)


@pytest.mark.parametrize("place", ["on nowhere", "on a:b", "on :1", "on [::1:80"])
def test_a_saved_place_that_cannot_be(desk: Desk, place: str) -> None:
    before = desk.services
    with pytest.raises(SettingError):
        Macos().write({"Wi-Fi": {"web": place}})
    assert desk.services == before


def test_every_wish_is_planned_for_every_service(desk: Desk) -> None:
    present = Macos().read()
    for wish in (Wish("127.0.0.1", 1080), Wish(url=URL), Wish()):
        planned = Macos().plan(wish, present)
        assert set(planned) == set(present) == {"Wi-Fi", "USB 10-100 LAN; $(x)"}
