from __future__ import annotations

from pathlib import Path

import pytest

from pyss.app import settings
from pyss.app.json_text import Node
from pyss.app.settings import Mode, Settings, load
from pyss.errors import ConfigError, UsageError


def make(role: str, options: dict[str, Node], text: str = "{}", environ: dict[str, str] = {}) -> Settings:  # noqa: B006
    root, notes = load("f.json", lambda name: text.encode())
    return Settings(role, options, root, "f.json", notes, environ, lambda name: b"")


def test_the_command_line_comes_first() -> None:
    merged = make("local", {"timeout": Node("5", "-t")}, '{"timeout": 6, "prefer_ipv6": true}')
    timeout, prefer = merged.get("timeout"), merged.get("prefer_ipv6")
    assert timeout is not None and timeout.value == "5"
    assert prefer is not None and prefer.value is True
    assert merged.get("password") is None


def test_files_are_utf_8_with_or_without_a_mark() -> None:
    assert load("f", lambda name: b'\xef\xbb\xbf{"a": 1}')[0].path == ""
    with pytest.raises(ConfigError, match="f, line 3: this is not text in UTF-8"):
        load("f", lambda name: b'{\n\n"a": "\xfc"}')
    with pytest.raises(ConfigError, match="save the file as UTF-8"):
        load("f", lambda name: '{"a": 1}'.encode("utf-16"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("missing", "", "\0"):
        with pytest.raises(ConfigError, match=r"^cannot read "):
            load(str(tmp_path / name) if name != "\0" else name, settings.read_file)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(settings.MAX_FILE + 100)  # sparse
    assert len(settings.read_file(str(path))) == settings.MAX_FILE + 1
    with pytest.raises(ConfigError, match="longer than 16 MiB"):
        load(str(path), settings.read_file)


def test_a_document_that_is_no_object() -> None:
    with pytest.raises(ConfigError, match=r"^f\.json, line 1, column 1: expected an object \{ \.\.\. \}, got a list"):
        make("local", {}, "[]")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("{}", Mode(tcp=True, udp=True)),
        ('{"mode": "tcp_and_udp"}', Mode(tcp=True, udp=True)),
        ('{"mode": "tcp_only"}', Mode(tcp=True, udp=False)),
        ('{"mode": "TCP_Only"}', Mode(tcp=True, udp=False)),
        ('{"mode": "udp_only"}', Mode(tcp=False, udp=True)),
        ('{"mode": null}', Mode(tcp=True, udp=True)),
    ],
)
def test_modes(text: str, mode: Mode) -> None:
    """None of them is worth a note."""
    for role in ("local", "server"):
        merged = make(role, {}, text)
        assert (merged.mode, merged.notes) == (mode, [])


def test_the_command_line_has_the_last_word_about_the_mode() -> None:
    assert make("server", {"mode": Node("udp_only", "-U")}, '{"mode": "tcp_only"}').mode == Mode(tcp=False)


@pytest.mark.parametrize("mode", ['"udp"', '""', "5", "true", '["tcp_only"]'])
def test_there_are_no_other_modes(mode: str) -> None:
    with pytest.raises(ConfigError, match="mode: expected one of tcp_and_udp, tcp_only, udp_only, got "):
        make("server", {}, f'{{"mode": {mode}}}')


def test_a_url_replaces_all_that_the_file_says_about_servers() -> None:
    options = {"server_url": Node("ss://aes-256-gcm:pw@h:1#name", "--server-url")}
    text = '{"servers": 1, "server": 2, "port_password": 3, "remarks": "x", "plugin": "p", "timeout": 9}'
    merged = make("local", options, text)
    assert set(merged.file) == {"timeout"}
    assert {name: node.value for name, node in merged.options.items()} == {
        "server": "h",
        "server_port": 1,
        "method": "aes-256-gcm",
        "password": "pw",
        "tag": "name",
    }


def test_a_plugin_in_a_url_stops_too() -> None:
    with pytest.raises(ConfigError, match=r"^--server-url: plugins are not available yet"):
        make("local", {"server_url": Node("ss://aes-256-gcm:pw@h:1/?plugin=obfs", "--server-url")})


def test_a_bad_url_is_not_quoted() -> None:
    with pytest.raises(UsageError, match=r"^--server-url: ") as caught:
        make("local", {"server_url": Node("ss://aes-256-gcm:geheim@h", "--server-url")})
    assert "geheim" not in str(caught.value)


def test_what_is_missing_is_missing_where_it_should_be() -> None:
    assert isinstance(make("local", {}).missing("no x", "say x"), ConfigError)
    bare = Settings("local", {}, None, "", [], {}, lambda name: b"")
    assert isinstance(bare.missing("no x", "say x"), UsageError)


def test_the_password_of_the_environment() -> None:
    node = make("local", {}, environ={"SS_SERVER_PASSWORD": "pw"}).password()
    assert node is not None and node.value == "pw"
    assert make("local", {}, environ={"SS_SERVER_PASSWORD": ""}).password() is None
    with pytest.raises(ConfigError, match="SS_SERVER_PASSWORD: this is not text"):
        make("local", {}, environ={"SS_SERVER_PASSWORD": "\udc80"}).password()
