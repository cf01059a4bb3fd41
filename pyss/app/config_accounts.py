"""Who may use a local proxy: user names and passwords, however a configuration says them.

    --auth FILE, --user-pass NAME:PASSWORD      replace whatever the file says
    "auth": [{"user_name": ..., "password": ...}, ...]
    "socks5_auth_config_path", "http_auth_config_path": a file, as shadowsocks-rust has it, of a local or of all

All proxies of a process share one list.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigError
from . import config_keys, values
from .json_text import Node
from .settings import Settings, load


def read_credentials(settings: Settings, proxies: list[dict[str, Node]]) -> tuple[tuple[str, str], ...]:
    """Empty where nobody is asked.  Raises ConfigError or UsageError."""
    options = settings.options
    if "auth_file" in options or "user_pass" in options:
        given = () if "auth_file" not in options else _of_file(settings, options["auth_file"])
        for item in values.items(options["user_pass"]) if "user_pass" in options else ():
            given += values.name_and_password(item)
        return given
    auth = settings.file.get("auth")
    found = () if auth is None else accounts(auth)
    files = [_auth_files(fields) for fields in proxies]
    if any(each.keys() != files[0].keys() for each in files):
        raise ConfigError("one list of accounts serves all locals: name the same file in each, or use the key auth")
    for node in {**_auth_files(settings.file), **(files[0] if files else {})}.values():
        found += _of_file(settings, node)
    return found


def _auth_files(fields: Mapping[str, Node]) -> dict[str, Node]:
    nodes = (fields.get("socks5_auth_config_path"), fields.get("http_auth_config_path"))
    return {values.path(node): node for node in nodes if node is not None}


def _of_file(settings: Settings, node: Node) -> tuple[tuple[str, str], ...]:
    root, notes = load(values.path(node), settings.read)
    for text in notes:
        settings.note(text)
    return values.accounts(root)


def accounts(node: Node) -> tuple[tuple[str, str], ...]:
    """The key `auth`: a list of accounts here, a switch in shadowsocks-libev."""
    if isinstance(node.value, bool):
        if node.value:
            raise node.refusal(config_keys.ONE_TIME_AUTH)
        return ()
    return values.accounts(node)
