from __future__ import annotations

import pytest

from pyss.app import option_table
from pyss.app.config_keys import OPTIONS as KEYS
from pyss.app.option_table import COMMANDS, OPTIONS, ORIGINAL, WIDTH, help_of, options_of, overview

# Letters of the original program's getopt strings, and long options of both of its versions.
SHORT = {"local": "hdsbpklmctvqa", "server": "hdspkmctvqa"}
WITH_VALUE = "dsbpklmct"


@pytest.mark.parametrize("command", SHORT)
def test_every_option_of_the_original_is_there(command: str) -> None:
    known = options_of(command)
    for letter in SHORT[command]:
        assert bool(known[f"-{letter}"].metavar) == (letter in WITH_VALUE)
    for name in ORIGINAL[command]:
        assert name in known


@pytest.mark.parametrize("command", ["local", "server"])
def test_additions_of_the_others_are_there(command: str) -> None:
    names = """-u -U -6 -n -i --acl --mtu --mptcp --reuse-port --no-delay --plugin --plugin-opts --key --server-url
        --server-addr --password --encrypt-method"""
    assert set(names.split()) <= set(options_of(command))
    assert {"-L", "-T", "--local-addr"} <= set(options_of("local"))


@pytest.mark.parametrize("command", ["local", "tunnel", "redir", "server"])
def test_what_concerns_udp_is_shown_at_every_end(command: str) -> None:
    known = options_of(command)
    for name in ("-u", "-U", "--tcp-only", "--dns", "--udp-timeout", "--udp-max-associations", "--mtu"):
        assert known[name].help


def test_tunnels_and_redirects_are_clients_as_the_proxy_is() -> None:
    local, tunnel, redir = (set(options_of(name)) for name in ("local", "tunnel", "redir"))
    of_proxies = {"--auth", "--user-pass", "--protocol", "--pac-direct", "--pac-proxied"}
    assert tunnel - local == redir - local == set()
    assert local - tunnel == {*of_proxies, "-T", "--tcp-tproxy", "--tcp-redir", "--udp-redir"}
    assert local - redir == {*of_proxies, "-L", "--forward-addr"}


def test_help_of_a_tunnel_and_of_redirection() -> None:
    """What is theirs is shown there alone; a proxy merely understands it."""
    tunnel, redir, local = (help_of(name, f"pyss {name}") for name in ("tunnel", "redir", "local"))
    assert tunnel.startswith("usage: pyss tunnel -L HOST:PORT [OPTION...]\n\nOne target for all who connect")
    assert redir.startswith("usage: pyss redir [-T] [OPTION...]\n\nWhat a router redirects here (Linux)")
    assert "\n  -L, --forward-addr HOST:PORT  where the tunnel leads to\n" in tunnel
    assert "\n  -T, --tcp-tproxy              TCP comes by TPROXY, not by REDIRECT\n" in redir
    assert "\n  -u                            relay UDP too, which comes by TPROXY\n" in redir
    assert "\n  -u                            relay TCP and UDP: the default\n" in tunnel
    assert "HOST:PORT  where" not in redir + local and "TPROXY" not in tunnel + local


def test_every_option_sets_a_key_that_is_known() -> None:
    own = {"config", "help", "version", "json", "qr", "once", "bench", "global", "pac", "off", "restore"}
    assert {option.key for option in OPTIONS} <= {*KEYS, *own}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_complete_and_fits(command: str) -> None:
    text = help_of(command, f"pyss {command}")
    assert text.startswith(f"usage: pyss {command} ")
    for option in options_of(command).values():
        if option.help:
            assert option.spellings()[0] in text
    assert "{" not in text
    for line in text.split("\n"):
        assert len(line) <= WIDTH and line == line.rstrip()


def test_help_warns_of_passwords_in_ps() -> None:
    for command in ("local", "server", "url"):
        text = " ".join(help_of(command, "x").split())
        assert "can see it in `ps`" in text and "SS_SERVER_PASSWORD" in text


def test_overview_names_every_command() -> None:
    for command in COMMANDS:
        assert f"\n  {command} " in overview()


def test_a_spelling_means_one_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(option_table, "OPTIONS", (*OPTIONS, option_table.Option("local", "--acl", "acl")))
    with pytest.raises(ValueError, match="two options of local are called --acl"):
        options_of("local")
