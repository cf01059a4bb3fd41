"""Where the tray's files are, what servers are called, and how a link becomes one of them with nothing lost."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.trays import METHOD, SECRET, files_in, write_config

from pyss.app.config import Server
from pyss.app.json_text import MAX_DEPTH
from pyss.desktop import tray_files
from pyss.desktop.tray_files import Files, add_servers, labels, link_of, read_config, remember, remembered
from pyss.errors import ConfigError, PyssError
from pyss.protocol.uri import ServerUri

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX")
LINK = ServerUri(METHOD, "link secret", "example.org", 8388, tag="from a link")


# --- places --------------------------------------------------------------------------------------
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folders of others")
def test_folders_of_the_xdg_specification(tmp_path: Path) -> None:
    home = Files.of_user({"XDG_CONFIG_HOME": "relative", "XDG_STATE_HOME": ""}, tmp_path)
    assert home.config == tmp_path / ".config" / "pyss" / "config.json"
    assert home.log == tmp_path / ".local" / "state" / "pyss" / "pyss.log"
    given = Files.of_user({"XDG_CONFIG_HOME": "/a", "XDG_STATE_HOME": "/b"}, tmp_path)
    assert (given.config, given.memory) == (Path("/a/pyss/config.json"), Path("/a/pyss/tray.json"))
    assert given.log == Path("/b/pyss/pyss.log")


def test_folders_are_made(tmp_path: Path) -> None:
    files = files_in(tmp_path / "a" / "b")
    files.make_folders()
    files.make_folders()
    assert files.config.parent.is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        files_in(tmp_path / "file" / "x").make_folders()


def test_a_long_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray_files, "LOG_LIMIT", 10)
    files = files_in(tmp_path)
    files.turn_log()  # there is none
    files.log.write_bytes(b"0123456789")
    files.turn_log()
    assert files.log.exists()
    for _ in range(2):
        files.log.write_bytes(b"0123456789a")
        files.turn_log()
    assert not files.log.exists() and (tmp_path / "pyss.log.1").read_bytes() == b"0123456789a"


# --- labels --------------------------------------------------------------------------------------
def server(tag: str = "", host: str = "h", port: int = 1, method: str = METHOD) -> Server:
    return Server(host, port, method, "", tag)


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([server("home"), server("work", port=2)], ["home", "work"]),
        ([server(), server(host="::1")], ["h:1", "[::1]:1"]),
        ([server("x"), server("x", port=2), server("y")], ["x (h:1)", "x (h:2)", "y"]),
        ([server(), server(method="aes-256-gcm")], ["h:1 aes-128-gcm", "h:1 aes-256-gcm"]),
        (
            [server("x"), server("x"), server("x", method="none")],
            ["x (h:1) aes-128-gcm #1", "x (h:1) aes-128-gcm #2", "x (h:1) none"],
        ),
        ([server(" \t")], ["h:1"]),
    ],
)
def test_labels(servers: list[Server], expected: list[str]) -> None:
    assert list(labels(servers)) == expected


def test_labels_are_bounded() -> None:
    assert len(labels([server("x" * 100_000)])[0]) == tray_files.LONGEST_TAG


def test_a_link_holds_what_the_server_is(tmp_path: Path) -> None:
    found = ServerUri.decode(link_of(Server("::1", 8388, METHOD, "p@ss:word/#", "näme")))
    assert found == ServerUri(METHOD, "p@ss:word/#", "::1", 8388, tag="näme")


# --- adding --------------------------------------------------------------------------------------
def test_the_first_server_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert add_servers(file, [LINK], {}) == ("from a link",)
    config = read_config(file, {})
    assert config.servers == (Server("example.org", 8388, METHOD, "link secret", "from a link"),)
    assert config.listen == (("127.0.0.1", 1080),)
    assert not (tmp_path / "config.json.before").exists()


@POSIX
def test_others_may_not_read_it(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    add_servers(file, [LINK], {})
    file.chmod(0o644)
    add_servers(file, [ServerUri(METHOD, "x", "example.net", 1)], {})
    assert [path.stat().st_mode & 0o777 for path in (file, tmp_path / "config.json.before")] == [0o600, 0o600]


OTHERS = {
    "//": "a note",
    "server": "192.0.2.1",
    "server_port": [8388, 8389],
    "method": METHOD,
    "password": "${NAME}",
    "local_port": 1081,
    "timeout": 1.5,
    "servers": [{"address": "192.0.2.2", "port": 1, "password": "ü\u0001", "unknown": [None, True, {"a": 1e300}]}],
    "udp_max_associations": 12,
}


def test_what_is_in_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    text = json.dumps(OTHERS, indent=1).replace('"local_port"', '// a comment\n "local_port"')
    file.write_text(text, "utf-8")
    environ = {"NAME": "of the environment"}
    assert add_servers(file, [LINK, LINK], environ) == ("from a link",)
    document = json.loads(file.read_text("utf-8"))
    added = document["servers"].pop()
    assert document["servers"] == [*OTHERS["servers"], added]  # type: ignore[misc]
    document["servers"].pop()
    assert document == OTHERS and list(document) == list(OTHERS)
    where = {"server": "example.org", "server_port": 8388, "method": METHOD}
    assert added == {**where, "password": "link secret", "remarks": "from a link"}
    assert (tmp_path / "config.json.before").read_text("utf-8") == text
    assert len(read_config(file, environ).servers) == 4


def test_one_that_is_there_is_not_added_again(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    add_servers(file, [LINK], {})
    before = file.read_bytes()
    again = ServerUri("AES-128-GCM", "link secret", "example.org", 8388, tag="another name")
    assert add_servers(file, [again], {}) == ("from a link",)
    assert file.read_bytes() == before


def test_a_single_server_in_place_of_a_list(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    alone = {"server": "192.0.2.1", "server_port": 1, "method": METHOD, "password": "x"}
    file.write_text(json.dumps({"servers": alone}), "utf-8")
    add_servers(file, [LINK], {})
    assert [one.host for one in read_config(file, {}).servers] == ["192.0.2.1", "example.org"]


@pytest.mark.parametrize(
    ("text", "link", "says"),
    [
        ("{", LINK, "line 1"),
        ("[]", LINK, "object"),
        ('{"servers": [{"server": "x", "plugin": "v2ray"}]}', LINK, "plugins are not available"),
        ("[" * (MAX_DEPTH + 1), LINK, "within each other"),
        ('{"server": "x", "password": "y"}', ServerUri("no-such", "secret", "h", 1), "no-such"),
        ('{"server": "x", "password": "y"}', ServerUri("2022-blake3-aes-128-gcm", "secret", "h", 1), "base64|16"),
        ('{"server": "x", "password": "y"}', ServerUri(METHOD, "secret", "h", 1, "obfs"), "wants a plugin"),
        (None, ServerUri("no-such", "secret", "h", 1), "no-such"),
    ],
)
def test_what_cannot_be_added_changes_nothing(tmp_path: Path, text: str, link: ServerUri, says: str) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(PyssError, match=says) as caught:
        add_servers(file, [link], {})
    assert "secret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ([] if text is None else ["config.json"])
    assert text is None or file.read_text("utf-8") == text


# --- writing -------------------------------------------------------------------------------------
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    tray_files.write_file(file, b"one")

    def refuse(old: object, new: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(ConfigError, match=r"cannot write .*: Permission denied; it is as it was"):
            tray_files.write_file(file, b"two")
    assert file.read_bytes() == b"one" and [path.name for path in tmp_path.iterdir()] == ["f"]
    with pytest.raises(ConfigError, match="cannot write"):
        tray_files.write_file(tmp_path / "no folder" / "f", b"")


@POSIX
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file = tmp_path / "config.json"
    file.symlink_to(tmp_path / "real" / "there.json")
    tray_files.write_file(file, b"{}")
    assert file.is_symlink() and (tmp_path / "real" / "there.json").read_bytes() == b"{}"


def test_what_was_chosen_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "tray.json"
    assert remembered(file) == {}
    remember(file, {"server": "näme", "on": False})
    assert remembered(file) == {"server": "näme", "on": False}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"a":' * 100, b" " * 70_000 + b'{"on": false}'])
def test_a_damaged_memory_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tray.json").write_bytes(data)
    assert remembered(tmp_path / "tray.json") == {}


def test_a_password_file_beside_the_configuration_is_read_as_itself(tmp_path: Path) -> None:
    """While a new configuration is tried before it is written."""
    accounts = tmp_path / "accounts.json"
    accounts.write_text(json.dumps({"password": {"users": [{"user_name": "u", "password": SECRET}]}}), "utf-8")
    files = files_in(tmp_path)
    write_config(files, {"a": 1}, 1080, socks5_auth_config_path=str(accounts))
    add_servers(files.config, [LINK], {})
    assert read_config(files.config, {}).credentials == (("u", SECRET),)
