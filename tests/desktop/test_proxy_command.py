"""`pyss proxy` as a command line, and what may be asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.commands import run_child, run_here
from helpers.processes import PYTHON, ROOT

from pyss.app.option_table import options_of
from pyss.app.options import SystemProxy, parse
from pyss.desktop.setting import (
    LONGEST_URL,
    SettingError,
    Wish,
    changes,
    global_wish,
    pac_wish,
    run_program,
    without_user,
)
from pyss.errors import UsageError


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", SystemProxy("show")),
        ("--off", SystemProxy("off")),
        ("--restore --restore", SystemProxy("restore")),
        ("--global 127.0.0.1:1080", SystemProxy("global", "127.0.0.1:1080")),
        ("--global=[::1]:1", SystemProxy("global", "[::1]:1")),
        ("--pac http://h/", SystemProxy("pac", "http://h/")),
    ],
)
def test_lines(line: str, command: SystemProxy) -> None:
    assert parse(["proxy", *line.split()], "pyss", {}) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--off --restore", "--off and --restore contradict each other; give one of them"),
        ("--global h:1 --pac http://h/", "--global and --pac contradict each other"),
        ("--global", "--global needs a value: --global HOST:PORT"),
        ("off", "argument 1 of pyss proxy belongs to no option"),
        ("--qr", "--qr is an option of pyss url, not of pyss proxy"),
    ],
)
def test_lines_that_cannot_be(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        parse(["proxy", *line.split()], "pyss", {})


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("127.0.0.1:1080", Wish("127.0.0.1", 1080)),
        ("[2001:DB8::1]:1", Wish("2001:db8::1", 1)),
        ("proxy.example:65535", Wish("proxy.example", 65535)),
    ],
)
def test_a_proxy(text: str, wish: Wish) -> None:
    assert global_wish(text) == wish


@pytest.mark.parametrize(
    "text",
    [
        *(
            "127.0.0.1",
            "h:0",
            "h:65536",
            ":1",
            "",
            "0.0.0.0:1",
            "[::]:1",
            "-setdnsservers:1",
            "a b:1",
            "a'b;c\\d:1",
            "a\nb:1",
        ),
        *(
            "http://h:1",
            "h:1;DIRECT",
            "$(id):1",
            "`id`:1",
            "h;DIRECT:1",
            "h&x:1",
            "_:1",
            "::1%eth0:1",
            "[fe80::1%eth0]:1",
            "x\0:1",
        ),
    ],
)
def test_no_proxy(text: str) -> None:
    with pytest.raises(SettingError, match=r"^--global: "):
        global_wish(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1080/proxy.pac",
        "HTTPS://h/?a=1&b=%20".replace("HTTPS", "https"),
        "file:///a/b.pac",
        "http://[::1]:1/",
    ],
)
def test_a_pac_file(url: str) -> None:
    assert pac_wish(url) == Wish(url=url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "h/proxy.pac",
            "ftp://h/",
            "http://",
            "http://a b",
            "http://a'b",
            'http://a"b',
            "http://a\\b",
            "http://a\nb",
        ),
        *(
            "javascript:alert(1)",
            "http://ü/",
            "http://a<b",
            "-x",
            "http://" + "a" * LONGEST_URL,
            "http://h/{}",
            "http://h/`x`",
        ),
    ],
)
def test_no_pac_file(url: str) -> None:
    with pytest.raises(SettingError, match="--pac: give a URL such as http:"):
        pac_wish(url)


def test_wishes_in_words() -> None:
    assert [str(wish) for wish in (Wish("::1", 1), Wish(url="http://a:b@h/x"), Wish())] == [
        "all programs through [::1]:1",
        "as the PAC file http://***@h/x says",
        "no proxy",
    ]
    assert without_user("http://a:b@h/ https://c@i/ no@mail") == "http://***@h/ https://***@i/ no@mail"


def test_changes_are_what_differs_in_parts_that_are_there() -> None:
    present = {"a": {"x": 1, "y": "2"}, "b": {"x": None}}
    assert changes(present, {"a": {"x": 1, "y": None}, "b": {"x": None}, "c": {"x": 3}}) == {"a": {"y": None}}


def test_errors_of_programs() -> None:
    assert run_program([PYTHON, "-c", "import sys; print(sys.argv[1:])", "$HOME", "a b;c"]) in (
        "['$HOME', 'a b;c']\n",
        "['$HOME', 'a b;c']\r\n",
    )
    fails = [PYTHON, "-c", "import sys; print('http://me:secret@h/ is wrong', file=sys.stderr); sys.exit(3)"]
    with pytest.raises(SettingError, match=r" -c failed: http://\*\*\*@h/ is wrong$"):
        run_program(fails)
    with pytest.raises(SettingError, match=r"failed: exit code 5$"):
        run_program([PYTHON, "-c", "raise SystemExit(5)"])
    with pytest.raises(SettingError, match="cannot be started: embedded null"):
        run_program([PYTHON, "-c", "a\0b"])


def test_lines_of_the_document() -> None:
    text = (ROOT / "docs" / "desktop.md").read_text("utf-8")
    lines = [line.partition("   ")[0].split() for line in re.findall(r"^    pyss (proxy.*)$", text, re.MULTILINE)]
    assert {" ".join(words[1:2]) for words in lines} == {"", "--global", "--pac", "--off", "--restore"}
    for words in lines:
        assert isinstance(parse(words, "pyss", {}), SystemProxy)
    for option in re.findall(r"`(--pac-\w+) FILE`", text):
        assert option in options_of("local")


def test_a_proxy_that_is_none() -> None:
    outcome = run_here(["proxy", "--global", "nowhere"])
    assert outcome == (1, "", "pyss: --global: 'nowhere' has no port; write HOST:PORT\n")


def test_nothing_of_it_is_loaded_by_a_relay(tmp_path: Path) -> None:
    code = (
        "import sys; from pyss.app import cli; cli.main(['genkey']); cli.main(['local', '--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('pyss.desktop')))"
    )
    assert run_child([PYTHON, "-c", code], tmp_path).stdout.endswith("\n[]\n")
