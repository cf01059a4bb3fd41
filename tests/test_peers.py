"""scripts/peers.py: what may be missing, and where that is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import peers
from helpers.peers import OTHERS, installed, need, pairs

GO = "go-shadowsocks2"
REFUSAL = "go install failed: reading a module: 403 Forbidden"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(installed, "CACHE", tmp_path)
    monkeypatch.setattr(installed.shutil, "which", lambda name: f"/usr/bin/{name}")
    return tmp_path


def refuse(monkeypatch: pytest.MonkeyPatch, said: str) -> list[list[str]]:
    commands = []

    def run(command: list[str], environment: dict[str, str], seconds: float) -> None:
        commands.append(command)
        raise installed.NotInstalled(said)

    monkeypatch.setattr(installed, "run", run)
    return commands


def test_a_refusal_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refuse(monkeypatch, REFUSAL)
    assert "refuses" in installed.install([GO])[GO]
    assert installed.install([GO]) and len(asked) == 1, "a refusal is not asked for twice"
    assert "refuses" in installed.PEERS[GO].missing()
    installed.install([GO], again=True)
    assert len(asked) == 2


@pytest.mark.parametrize(("said", "excused"), [(REFUSAL, True), ("go install failed: no network", False)])
def test_only_a_refusal_excuses_in_ci(monkeypatch: pytest.MonkeyPatch, said: str, excused: bool) -> None:
    refuse(monkeypatch, said)
    monkeypatch.setenv("CI", "true")
    installed.install([GO])
    with pytest.raises(pytest.skip.Exception if excused else pytest.fail.Exception, match=GO):
        need(GO)


def test_no_other_peer_may_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, REFUSAL)
    monkeypatch.setenv("CI", "true")
    installed.install(["shadowsocks-rust"])
    with pytest.raises(pytest.fail.Exception, match="shadowsocks-rust"):
        need("shadowsocks-rust")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=r"peers\.py install shadowsocks-rust"):
        need("shadowsocks-rust")


def test_what_is_built_is_found_in_the_folder_of_its_version(empty_cache: Path) -> None:
    rust = installed.PEERS["shadowsocks-rust"]
    assert rust.missing() is not None, "an sslocal on PATH may be ours, or of any version"
    folder = rust.folder / "bin"
    folder.mkdir(parents=True)
    for program in rust.programs:
        (folder / (program + (".exe" if installed.os.name == "nt" else ""))).touch()
    assert rust.missing() is None
    with_less = installed.Crate(rust.name, rust.version, rust.features[1:], *rust.programs)
    assert with_less.missing() is not None, "with other features it is another program"


def test_every_peer_meets_pyss_both_ways_in_every_method() -> None:
    assert {other.name for other in OTHERS} <= set(installed.PEERS)
    for other in OTHERS:
        for method in other.methods:
            met = {
                (pair.client.name, pair.server.name) for pair in pairs(method) if other in (pair.client, pair.server)
            }
            assert met == {("pyss", other.name), (other.name, "pyss")}
    met_methods = {pair.method for pair in pairs()}
    assert met_methods <= set(peers.PYSS.methods)
    # Nobody else here knows these; the vectors have to do.
    alone = {name for name in peers.PYSS.methods if name.endswith(("cfb1", "cfb8", "ofb", "ocb"))}
    alone |= {"cast5-cfb", "des-cfb", "idea-cfb", "rc2-cfb", "seed-cfb", "rc4", "xchacha20", "table", "none"}
    alone |= {"chacha20-poly1305", "2022-blake3-chacha12-poly1305", "2022-blake3-chacha8-poly1305"}
    assert set(peers.PYSS.methods) - met_methods == alone
