"""The saved setting: where it is, that it is whole or not there, and that anything else in its file is one sentence."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.desktops import Toy

from pyss.desktop import saved_setting
from pyss.desktop.saved_setting import MOST, Busy, Record, SavedSetting, state_folder
from pyss.desktop.setting import SettingError
from pyss.desktop.system_proxy import SystemProxy

RECORD = Record("toy", {"a": {"x": "ü'\"\\", "y": 1, "z": None}}, ({"a": {"x": "", "y": 0, "z": None}},), True, False)
GOOD: dict[str, Any] = {
    "version": 1,
    "system": "toy",
    "complete": True,
    "lasting": True,
    "before": {"a": {"mode": "none", "host": None, "port": None}},
    "ours": [{"a": {"mode": "manual", "host": "h", "port": 1}}],
}


@pytest.fixture
def saved(tmp_path: Path) -> SavedSetting:
    made = SavedSetting(tmp_path)
    made.lock()
    made.unlock()
    return made


def test_there_and_back(saved: SavedSetting) -> None:
    assert saved.load() is None
    saved.store(RECORD)
    assert saved.load() == RECORD
    saved.remove()
    saved.remove()
    assert saved.load() is None


def test_it_is_replaced_as_a_whole(saved: SavedSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way, the old record is still there."""
    saved.store(RECORD)
    other = Record("other", {"": {}}, (), False, False)
    for name in ("open", "fsync", "replace"):
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(saved_setting.os, name, full)
            with pytest.raises(SettingError, match=r"^cannot write .*system-proxy\.json: No space left on device$"):
                saved.store(other)
        assert saved.load() == RECORD
    saved.store(other)  # what the failures left behind is in nobody's way
    assert saved.load() == other


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"^cannot write .*system-proxy\.lock: "):
        SavedSetting(tmp_path / "file" / "pyss").lock()


def test_a_record_that_is_a_folder(saved: SavedSetting) -> None:
    saved.path.mkdir()
    with pytest.raises(SettingError, match=r"^cannot read "):
        saved.load()


def test_the_lock_is_for_one_and_goes_with_it(saved: SavedSetting, tmp_path: Path) -> None:
    saved.lock()
    other = SavedSetting(tmp_path)
    for _ in range(2):
        with pytest.raises(Busy):
            other.lock()
    saved.unlock()
    other.lock()
    other.unlock()
    other.unlock()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1 is not JSON"),
        ("{", "line 1 is not JSON"),
        ("\n\n[1,]", "line 3 is not JSON"),
        ("[]", "it has not the parts of a saved setting"),
        ("null", "it has not the parts"),
        ("{}", "it has not the parts"),
        ("[" * 100_000, "it is nested too deeply"),
        (" " * (MOST + 1), "it is longer than 256 KiB"),
        ("\ufeff{}", "line 1 is not JSON"),
        (json.dumps({**GOOD, "version": 2}), "another version of pyss has written it"),
        (json.dumps({**GOOD, "version": None}), "another version"),
        (json.dumps({**GOOD, "more": 1}), "it has not the parts"),
        (json.dumps({**GOOD, "system": 1}), "it has not the parts"),
        (json.dumps({**GOOD, "ours": {}}), "it has not the parts"),
        (json.dumps({**GOOD, "complete": 1}), "it does not say how far pyss got"),
        (json.dumps({**GOOD, "lasting": None}), "it does not say how far pyss got"),
        (json.dumps({**GOOD, "before": []}), "a setting in it has no parts"),
        (json.dumps({**GOOD, "before": {"a": 1}}), "a setting in it has no parts"),
        (json.dumps({**GOOD, "ours": [1]}), "a setting in it has no parts"),
        (json.dumps({**GOOD, "before": {"a": {"x": True}}}), "a value in it is neither text nor number"),
        (json.dumps({**GOOD, "before": {"a": {"x": 1.5}}}), "a value in it is neither text nor number"),
        (json.dumps({**GOOD, "before": {"a": {"x": []}}}), "a value in it is neither text nor number"),
        (json.dumps({**GOOD, "before": {"a": {"x": "\0"}}}), "a text in it holds what no setting can hold"),
        (json.dumps({**GOOD, "before": {"\ud800": {}}}), "a text in it holds what no setting can hold"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_damaged_record_is_one_sentence(saved: SavedSetting, text: str, reason: str) -> None:
    saved.path.write_text(text, "utf-8")
    with pytest.raises(SettingError) as caught:
        saved.load()
    said = str(caught.value)
    assert said.startswith(f"{saved.path} is damaged, so the proxy setting from before is not known: {reason}")
    assert said.endswith("; look at the proxy in the settings of this system, then remove the file")


def test_bytes_that_are_no_text(saved: SavedSetting) -> None:
    saved.path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(SettingError, match="it is not text in UTF-8"):
        saved.load()


def test_any_file_is_a_record_or_a_sentence(saved: SavedSetting) -> None:
    """And what is taken for a record never ends in anything but the setting or a sentence."""
    pytest.importorskip("hypothesis")
    from hypothesis import given
    from hypothesis import strategies as st

    values = st.none() | st.booleans() | st.integers() | st.text() | st.floats() | st.lists(st.none(), max_size=1)
    settings = st.dictionaries(
        st.text(), st.dictionaries(st.sampled_from(["mode", "host", "port", ""]), values) | values
    )
    mutated = st.fixed_dictionaries(
        {},
        optional={
            "version": st.just(2) | values,
            "system": st.sampled_from(["toy", "GNOME", "Windows", "none"]) | values,
            "complete": values,
            "lasting": values,
            "before": settings,
            "ours": st.lists(settings) | values,
        },
    )
    documents = mutated.map(lambda change: json.dumps({**GOOD, **change}).encode("utf-8", "surrogatepass"))

    @given(st.binary() | documents)
    def check(data: bytes) -> None:
        toy = Toy(a={"mode": "manual", "host": "h", "port": 1})
        saved.path.write_bytes(data)
        try:
            with SystemProxy(toy, saved, {"toy": lambda: toy}) as proxy:
                proxy.restore()
        except SettingError as error:
            assert str(saved.path) in str(error)
            assert not toy.writes

    check()


# --- where it is ---------------------------------------------------------------------------------
class _System:
    def __init__(self, platform: str) -> None:
        self.platform = platform


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("win32", {"APPDATA": "/roaming"}, "/roaming/pyss"),
        ("win32", {}, "/home-of-me/AppData/Roaming/pyss"),
        ("darwin", {"XDG_STATE_HOME": "/state"}, "/home-of-me/Library/Application Support/pyss"),
        ("linux", {"XDG_STATE_HOME": "/state"}, "/state/pyss"),
        ("linux", {"XDG_STATE_HOME": "relative"}, "/home-of-me/.local/state/pyss"),
        ("freebsd14", {}, "/home-of-me/.local/state/pyss"),
    ],
)
def test_the_folder_of_each_system(
    monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], folder: str
) -> None:
    monkeypatch.setenv("HOME", "/home-of-me")
    monkeypatch.setattr(saved_setting, "sys", _System(platform))
    assert state_folder(environ) == Path(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="a home of POSIX")
def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    with pytest.raises(SettingError, match="this user has no home folder"):
        state_folder({})
