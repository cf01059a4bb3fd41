"""Set, keep in mind, put back: on a desktop in memory, with every way that it can go wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import pytest
from helpers.desktops import Toy

from pyss.desktop.saved_setting import Busy, Record, SavedSetting
from pyss.desktop.setting import Setting, SettingError, Wish
from pyss.desktop.system_proxy import SystemProxy, pick

NOTHING: dict[str, Any] = {"mode": "none", "host": None, "port": None}
OTHERS: dict[str, Any] = {"mode": "manual", "host": "corp.example", "port": 3128}
GLOBAL, PAC, OFF = Wish("127.0.0.1", 1080), Wish(url="http://127.0.0.1:1080/proxy.pac"), Wish()
OURS = {"mode": "manual", "host": "127.0.0.1", "port": 1080}


class Killed(BaseException):
    """The process is gone at this point: nothing may run behind it."""


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[SavedSetting]:
    made = SavedSetting(tmp_path / "state")
    yield made
    made.unlock()


def opened(toy: Toy, saved: SavedSetting, **others: Toy) -> SystemProxy:
    return SystemProxy(toy, saved, {"toy": lambda: toy, **{name: lambda o=o: o for name, o in others.items()}})  # type: ignore[misc]


def record_of(saved: SavedSetting) -> Record:
    record = saved.load()
    assert record is not None
    return record


# --- in good order -------------------------------------------------------------------------------
@pytest.mark.parametrize("before", [NOTHING, OTHERS])
@pytest.mark.parametrize("wishes", [[GLOBAL], [PAC], [OFF], [GLOBAL, PAC], [PAC, GLOBAL, OFF], [OFF, OFF, GLOBAL]])
def test_what_was_there_comes_back(saved: SavedSetting, before: Mapping[str, Any], wishes: list[Wish]) -> None:
    toy = Toy(a=before, b=OTHERS)
    for wish in wishes:
        with opened(toy, saved) as proxy:
            proxy.set(wish, lasting=True)
            assert not proxy.notes
        assert toy.setting == toy.plan(wish, toy.setting)
    with opened(toy, saved) as proxy:
        assert proxy.restore() is True
        assert proxy.notes == ["the proxy setting from before is back"]
        assert proxy.restore() is None
    assert toy.setting == {"a": before, "b": OTHERS}
    assert not saved.path.exists()


def test_what_is_already_so_leaves_nothing_to_put_back(saved: SavedSetting) -> None:
    toy = Toy(a=NOTHING)
    with opened(toy, saved) as proxy:
        proxy.set(OFF, lasting=True)
        assert proxy.before() is None
    assert not toy.writes and not saved.path.exists()


def test_the_record_is_on_disk_before_anything_is_written(saved: SavedSetting) -> None:
    toy = Toy(a=OTHERS)
    seen: list[Record] = []

    class Watched(Toy):
        def write(self, changes: Setting) -> None:
            seen.append(record_of(saved))
            super().write(changes)

    watched = Watched(a=OTHERS)
    with opened(watched, saved) as proxy:
        proxy.set(GLOBAL)
        assert seen == [Record("toy", {"a": OTHERS}, ({"a": OTHERS}, {"a": OURS}), complete=False, lasting=False)]
        assert record_of(saved) == Record("toy", {"a": OTHERS}, ({"a": OURS},), complete=True, lasting=False)
        assert proxy.before() == toy.describe({"a": OTHERS})
    assert watched.setting == {"a": OTHERS} and watched.refreshed == 2


def test_what_is_not_lasting_ends_with_its_process(saved: SavedSetting) -> None:
    toy = Toy(a=OTHERS)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL)
        proxy.set(PAC)
    assert toy.setting == {"a": OTHERS} and not saved.path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="bits of POSIX")
def test_only_its_owner_may_read_the_record(saved: SavedSetting) -> None:
    before = os.umask(0)
    try:
        with opened(Toy(a=OTHERS), saved) as proxy:
            proxy.set(GLOBAL)
            assert saved.path.stat().st_mode & 0o777 == 0o600
            assert saved.path.parent.stat().st_mode & 0o777 == 0o700
            assert sorted(path.name for path in saved.path.parent.iterdir()) == [
                "system-proxy.json",
                "system-proxy.lock",
            ]
    finally:
        os.umask(before)


# --- when it goes wrong --------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["mode", "host", "port"])
@pytest.mark.parametrize("kind", ["refused", "deaf"])
@pytest.mark.parametrize("first", [None, PAC])
def test_halfway_is_put_back(saved: SavedSetting, key: str, kind: str, first: Optional[Wish]) -> None:
    toy = Toy(a=NOTHING, b=NOTHING)
    with opened(toy, saved) as proxy:
        if first is not None:
            proxy.set(first, lasting=True)
        before, record = toy.read(), saved.load()
        getattr(toy, kind).add(key)
        words = f"{key} is locked" if kind == "refused" else f"the system did not take {key} of a, {key} of b"
        with pytest.raises(SettingError, match=f"^{words}; the proxy is as it was before$"):
            proxy.set(GLOBAL, lasting=True)
        assert toy.setting == before and saved.load() == record


def test_what_cannot_be_put_back_stays_saved(saved: SavedSetting) -> None:
    class Failing(Toy):
        def write(self, changes: Setting) -> None:
            super().write(changes)
            self.refused |= {"mode", "host", "port"}
            raise SettingError("the disk is full")

    toy = Failing(a=NOTHING)
    proxy = opened(toy, saved)
    with pytest.raises(SettingError, match=r"the disk is full; what was there before could not be put back .*locked"):
        proxy.set(GLOBAL, lasting=True)
    assert toy.setting != {"a": NOTHING} and not record_of(saved).complete
    with pytest.raises(SettingError, match=r"mode is locked; it is still saved, and pyss proxy --restore tries again"):
        proxy.restore()
    toy.__class__, toy.refused = Toy, set()  # type: ignore[assignment]
    saved.unlock()
    with opened(toy, saved) as proxy:
        assert proxy.notes[-1] == "the proxy setting from before is back"
    assert toy.setting == {"a": NOTHING}


def test_ctrl_c_in_the_middle_puts_back(saved: SavedSetting) -> None:
    class Interrupted(Toy):
        def write(self, changes: Setting) -> None:
            super().write(changes)
            if self.setting["a"]["mode"] == "manual":
                raise KeyboardInterrupt

    toy = Interrupted(a=NOTHING)
    with opened(toy, saved) as proxy, pytest.raises(KeyboardInterrupt):
        proxy.set(GLOBAL, lasting=True)
    assert toy.setting == {"a": NOTHING} and not saved.path.exists()


@pytest.mark.parametrize("lasting", [True, False])
@pytest.mark.parametrize("writes", range(7))
def test_a_process_that_is_killed_at_any_write(saved: SavedSetting, writes: int, lasting: bool) -> None:
    """Six values are written; it dies behind each.  The next start puts all back but a lasting one that is complete."""
    toy = Toy(a=NOTHING, b=OTHERS)
    proxy = opened(toy, saved)

    class Dying(Toy):
        def write(self, changes: Setting) -> None:
            for name, part in changes.items():
                for key, value in part.items():
                    if len(toy.writes) == writes:
                        raise Killed
                    Toy.write(toy, {name: {key: value}})

    toy.__class__ = Dying
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxy, "_undo", lambda *_: None)  # a dead process undoes nothing
        try:
            proxy.set(GLOBAL, lasting=lasting)
        except Killed:
            assert len(toy.writes) == writes
        else:
            assert writes >= 5
    saved.unlock()  # as the system does
    toy.__class__ = Toy
    complete = record_of(saved).complete
    with opened(toy, saved) as proxy:
        if complete and lasting:
            assert toy.setting == {"a": OURS, "b": OURS} and not proxy.notes
        else:
            assert toy.setting == {"a": NOTHING, "b": OTHERS}
            assert proxy.notes == [
                "a pyss that set the system's proxy did not end in good order",
                "the proxy setting from before is back",
            ]


# --- somebody else -------------------------------------------------------------------------------
@pytest.mark.parametrize(("key", "value"), [("mode", "auto"), ("host", "other.example"), ("port", 8080), ("host", "")])
def test_what_somebody_else_has_changed_stays(saved: SavedSetting, key: str, value: Any) -> None:
    toy = Toy(a=NOTHING, b=NOTHING)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL, lasting=True)
    toy.setting["a"][key] = value
    with opened(toy, saved) as proxy:
        assert proxy.restore() is False
        assert proxy.notes == [
            f"somebody else has changed {key} of a since pyss set it: that stays as it is",
            "the proxy setting from before is back",
        ]
    assert toy.setting == {"a": {**OURS, key: value}, "b": NOTHING}
    assert not saved.path.exists()


def test_what_pyss_has_not_touched_may_change_meanwhile(saved: SavedSetting) -> None:
    toy = Toy(a=OTHERS)
    with opened(toy, saved) as proxy:
        proxy.set(PAC, lasting=True)
    toy.setting["a"]["host"] = "new.example"
    with opened(toy, saved) as proxy:
        assert proxy.restore() is True
    assert toy.setting == {"a": {**OTHERS, "host": "new.example"}}


def test_a_setting_over_somebody_elses_takes_that_as_what_was_before(saved: SavedSetting) -> None:
    toy = Toy(a=NOTHING)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL, lasting=True)
        toy.setting["a"].update(OTHERS)
        proxy.set(PAC, lasting=True)
        assert proxy.notes == ["the proxy was changed since pyss set it: that is what --restore will put back"]
        proxy.restore()
    assert toy.setting == {"a": OTHERS}


def test_parts_that_come_and_go(saved: SavedSetting) -> None:
    toy = Toy(a=NOTHING, b=OTHERS)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL, lasting=True)
    del toy.setting["b"]
    toy.setting["c"] = dict(OTHERS)
    with opened(toy, saved) as proxy:
        assert proxy.restore() is True
        assert proxy.notes == [
            "no longer here, so nothing was put back there: b",
            "the proxy setting from before is back",
        ]
    assert toy.setting == {"a": NOTHING, "c": OTHERS}


def test_a_part_that_comes_between_two_settings(saved: SavedSetting) -> None:
    toy = Toy(a=NOTHING)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL, lasting=True)
        toy.setting["b"] = dict(OTHERS)
        proxy.set(PAC, lasting=True)
        proxy.restore()
    assert toy.setting == {"a": NOTHING, "b": OTHERS}


def test_one_at_a_time(saved: SavedSetting) -> None:
    toy = Toy(a=NOTHING)
    with opened(toy, saved) as proxy:
        proxy.set(GLOBAL)
        with pytest.raises(Busy, match="another pyss has the system's proxy in its hands; end it first"):
            opened(toy, SavedSetting(saved.path.parent))
        assert toy.setting == {"a": OURS}
    opened(toy, SavedSetting(saved.path.parent)).close()


def test_a_record_of_another_desktop(saved: SavedSetting) -> None:
    toy, other = Toy(a=NOTHING), Toy(x=OTHERS)
    other.name = "other"  # type: ignore[misc]
    with SystemProxy(other, saved, {"other": lambda: other, "toy": lambda: toy}) as proxy:
        proxy.set(GLOBAL, lasting=True)
    with SystemProxy(toy, saved, {"other": lambda: other, "toy": lambda: toy}) as proxy:
        with pytest.raises(SettingError, match="the proxy of other is still set; first put it back"):
            proxy.set(PAC)
        assert proxy.before() == other.describe({"x": OTHERS})
        assert proxy.restore() is True
    assert other.setting == {"x": OTHERS} and toy.setting == {"a": NOTHING}


# --- records that are not what they should be ----------------------------------------------------
@pytest.mark.parametrize(
    "change",
    [
        {"system": "unknown"},
        {"system": "Windows"},
        {"before": {"a": {"mode": "none"}}},
        {"before": {"a": {**NOTHING, "more": "x"}}},
        {"before": {"a": {**NOTHING, "mode": None}}},
        {"before": {"a": {**NOTHING, "port": "1080"}}},
        {"ours": [{"a": {**NOTHING, "mode": 1}}]},
    ],
)
def test_a_record_that_does_not_fit_is_never_written(saved: SavedSetting, change: dict[str, Any]) -> None:
    toy = Toy(a=OTHERS)
    saved.lock()
    record = {"version": 1, "system": "toy", "complete": False, "lasting": False, "before": {"a": NOTHING}, "ours": []}
    saved.path.write_text(json.dumps({**record, **change}), "utf-8")
    saved.unlock()
    with pytest.raises(SettingError, match=r"holds no proxy setting of this system.*then remove the file"):
        opened(toy, saved)
    assert toy.setting == {"a": OTHERS} and not toy.writes
    saved.path.unlink()
    opened(toy, saved).close()  # the lock is free


def test_no_desktop_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always one")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match=r"no desktop is known here.*http_proxy, https_proxy and all_proxy"):
        pick({"XDG_CURRENT_DESKTOP": "KDE"})
