from __future__ import annotations

from typing import Any, Callable

import pytest

from pyss.app import values
from pyss.app.json_text import Json, Node
from pyss.errors import ConfigError, UsageError


def of_file(value: Json) -> Node:
    return Node(value, "key", "f.json, line 1, column 1")


def tree(value: Any) -> Node:
    if isinstance(value, list):
        value = [tree(item) for item in value]
    elif isinstance(value, dict):
        value = {key: tree(item) for key, item in value.items()}
    return of_file(value)


GOOD: list[tuple[Callable[[Node], Any], Any, Any]] = [
    (values.port, 8388, 8388),
    (values.port, "8388", 8388),
    (values.port, 8388.0, 8388),
    (values.port, 65535, 65535),
    (values.seconds, 300, 300.0),
    (values.seconds, "0.5", 0.5),
    (values.seconds, 604800, 604800.0),
    (values.flag, True, True),
    (values.flag, 0, False),
    (values.verbosity, True, 1),
    (values.verbosity, -7, -2),
    (values.text, "a", "a"),
    (values.host_port, "example.org", ("example.org", None)),
    (values.host_port, "example.org:0", ("example.org", 0)),
    (values.host_port, "[::1]:80", ("::1", 80)),
    (values.host_port, "2001:DB8:0::1", ("2001:db8::1", None)),
    (values.host_port, "fe80::1%eth0.7", ("fe80::1%eth0.7", None)),
    (values.host_port, "[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    (values.host_port, "m\u00fcnchen.de:1", ("xn--mnchen-3ya.de", 1)),
    (values.networks, "", ()),
    (values.networks, [], ()),
    (values.networks, " 10.1.2.3/8 ,::1, ", ("10.0.0.0/8", "::1/128")),
    (values.networks, ["127.0.0.0/8,::1/128", "1.2.3.4"], ("127.0.0.0/8", "::1/128", "1.2.3.4/32")),
    (values.accounts, [{"user_name": "a", "password": "b"}], (("a", "b"),)),
    (values.accounts, {"users": [{"user_name": "a", "password": "b"}]}, (("a", "b"),)),
    (values.accounts, {"password": {"users": [{"password": "b", "user_name": "a"}]}}, (("a", "b"),)),
    (values.accounts, {"basic": {"users": [{"password": "b", "user_name": "a"}]}}, (("a", "b"),)),
    (values.name_and_password, "a:b:c", (("a", "b:c"),)),
]
BAD: list[tuple[Callable[[Node], Any], Any]] = [
    *[(values.port, value) for value in (0, -1, 65536, "x", "", "-1", "1" * 5000, True, None, 1.5, [1], {}, 1e300)],
    *[(values.seconds, value) for value in (0, -1, "x", "nan", "inf", float("inf"), 604801, True, None, [], 10**99)],
    *[(values.flag, value) for value in ("yes", 2, None, [], 0.5)],
    *[(values.verbosity, value) for value in ("1", 1.5, None)],
    *[(values.text, value) for value in ("", 1, None, [], {})],
    *[(values.path, value) for value in ("", "a\0b", 1)],
    *[
        (values.host_port, value)
        for value in ("", 5, "a b", "h:", ":1", "h:65536", "[::1", "a/b", "x" * 301, "h:" + "9" * 5000)
    ],
    *[(values.host_port, value) for value in ("a%eth0", "::1%", "::1%a b", "fe80::1%a%b", "\u00df" * 70)],
    *[
        (values.networks, value)
        for value in ("10.0.0.0/33", "example.org", [1], 5, {}, [["10.0.0.0/8"]], "1.2.3.4/255.0.0")
    ],
    *[
        (values.accounts, value)
        for value in ([], {}, "a:b", [1], [{}], [{"user_name": "a"}], {"users": {}}, {"password": "x"})
    ],
    (values.accounts, [{"user_name": "a", "password": "b", "c": 1}]),
    (values.accounts, [{"user_name": "a", "password": ""}]),
    (values.accounts, [{"user_name": "\u00e9" * 128, "password": "b"}]),
    (values.accounts, [{"user_name": 5, "password": "b"}]),
    *[(values.name_and_password, value) for value in ("", "a", "a:", ":b", 5)],
]


@pytest.mark.parametrize("read, value, expected", GOOD)
def test_right_values(read: Callable[[Node], Any], value: Any, expected: Any) -> None:
    assert read(tree(value)) == expected


@pytest.mark.parametrize("read, value", BAD)
def test_wrong_values(read: Callable[[Node], Any], value: Any) -> None:
    with pytest.raises(ConfigError, match=r"f\.json, line 1, column 1, key: expected "):
        read(tree(value))


def test_urls_in_the_wrong_place_are_not_quoted() -> None:
    for read in (values.host_port, values.port, values.networks, values.seconds, values.accounts):
        with pytest.raises(ConfigError) as caught:
            read(of_file("ss://YWVzLTEyOC1nY206dGVzdA@h:1"))
        assert "YWVz" not in str(caught.value)


def test_complaints_about_options_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r'^-p: expected a port \(1 to 65535\), got "x"$'):
        values.port(Node("x", "-p"))


def test_a_password_from_the_environment() -> None:
    assert values.password(of_file("${NAME}"), {"NAME": "pw"}) == "pw"
    assert values.password(of_file("$NAME"), {"NAME": "pw"}) == "$NAME"
    assert values.password(Node("${NAME}", "-k"), {"NAME": "pw"}) == "${NAME}"
    for environ in ({}, {"NAME": ""}, {"NAME": "\udcff"}):
        with pytest.raises(ConfigError, match="key: "):
            values.password(of_file("${NAME}"), environ)


@pytest.mark.parametrize("value", [5, "", None, True, ["geheim"], {"a": "geheim"}])
def test_a_wrong_password_is_not_quoted(value: Any) -> None:
    with pytest.raises(ConfigError, match="expected a password") as caught:
        values.password(tree(value), {})
    assert "geheim" not in str(caught.value) and "5" not in str(caught.value)
