from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.app.json_text import MAX_DEPTH, Node, describe, parse
from pyss.errors import ConfigError, UsageError


def plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    return node.value


def read(text: str) -> Any:
    return plain(parse(text, "f.json")[0])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**90), 10**90) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 0, 2]))
def test_agrees_with_the_standard_library(value: Any, ascii_only: bool, indent: int) -> None:
    # Infinity is json's own invention; 1e999 is how JSON says it.
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if "Infinity" not in text:
        assert read(text) == json.loads(text)


def test_both_kinds_of_comments_and_trailing_commas() -> None:
    text = """// at the top
    { /* of
         several lines, with // inside */ "a": [1, 2, ], // and "quotes"
      "b": "// no comment /* neither */",
      "c": {"d": null,},
    } // at the end"""
    assert read(text) == {"a": [1, 2], "b": "// no comment /* neither */", "c": {"d": None}}


def test_values_know_their_place() -> None:
    root, _ = parse('{\n  "servers": [\n    {"port": 1},\n    {"port": "x",\r\n\t"a b": 7}]}', "f.json")
    assert isinstance(root.value, dict)
    second = root.value["servers"].value[1]  # type: ignore[index, union-attr]
    port = second.value["port"]  # type: ignore[index, call-overload]
    assert str(port.wrong("a port")) == 'f.json, line 4, column 14, servers[1].port: expected a port, got "x"'
    blank = second.value["a b"]  # type: ignore[index, call-overload]
    assert blank.where == "f.json, line 5, column 9"
    assert blank.path == 'servers[1]["a b"]'
    assert root.where == "f.json, line 1, column 1"


SYNTAX = {
    "": "line 1, column 1: expected a value here",
    "{": "line 1, column 2: expected a key in double quotes here, got the end of the file",
    "[1 2]": "line 1, column 4: expected a comma or ] here",
    '{"a" 1}': "line 1, column 6, a: expected a colon here",
    '{"a": 1 "b": 2}': "line 1, column 9: expected a comma or } here",
    '{"a": {"b": ]}}': "line 1, column 13, a.b: expected a value here",
    "{,}": "line 1, column 2: expected a key in double quotes here",
    "[,]": "line 1, column 2, [0]: expected a value here",
    "[1,,]": "line 1, column 4, [1]: expected a value here",
    "{a: 1}": "line 1, column 2: expected a key in double quotes here",
    "{'a': 1}": "line 1, column 2: expected a key in double quotes here",
    '{"a": True}': "line 1, column 7, a: expected a value here",
    "[NaN]": "line 1, column 2, [0]: expected a value here",
    "[-Infinity]": "line 1, column 2, [0]: expected a value here",
    "[01]": "line 1, column 2, [0]: expected a value here",
    "[1.]": "line 1, column 2, [0]: expected a value here",
    "[+1]": "line 1, column 2, [0]: expected a value here",
    "[\u0661]": "line 1, column 2, [0]: expected a value here",
    "[" + "9" * 101 + "]": "line 1, column 2, [0]: a number of more than 100 digits",
    '["\n"]': "line 1, column 2, [0]: this text is not closed",
    '["a': "line 1, column 2, [0]: this text is not closed",
    '["a\tb"]': "line 1, column 4, [0]: a control character",
    r'["a\x"]': 'line 1, column 4, [0]: expected \\"',
    r'["\u12"]': 'line 1, column 3, [0]: expected \\"',
    '["\\': "line 1, column 3, [0]: expected",
    r'["\ud800"]': "line 1, column 2, [0]: this text holds half a surrogate pair",
    r'["\ud800A"]': "line 1, column 2, [0]: this text holds half a surrogate pair",
    "[1] [2]": "line 1, column 5: expected the end of the file here",
    "[1] /* x": "line 1, column 5: this comment is never closed",
    "[" * 100: f"line 1, column {MAX_DEPTH + 1}",
}


@pytest.mark.parametrize("text", SYNTAX)
def test_syntax_errors_say_where_and_what(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.json")
    assert f"f.json, {SYNTAX[text]}" in str(caught.value)


def test_surrogate_pairs_join() -> None:
    assert read(r'"\ud83d\ude00 \uD83D\uDE00"') == "\U0001f600 \U0001f600"


def test_a_key_given_twice_is_told_and_the_later_counts() -> None:
    root, notes = parse('{"a": 1,\n "a": 2}', "f.json")
    assert plain(root) == {"a": 2}
    assert notes == ["f.json, line 2, column 2, a: given before; this one counts"]


@pytest.mark.parametrize("tail", ['Sec"ret"}', "Sec", "Sec\nret", "Sec\\qret"])
def test_a_broken_password_is_not_quoted(tail: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse('{"password": "' + tail, "f.json")
    assert "Sec" not in str(caught.value) and "ret" not in str(caught.value).replace("secret", "")


def test_representation_hides_the_value() -> None:
    assert "hidden" not in repr(Node("hidden", "password", "f"))


def test_the_command_line_gets_usage_errors() -> None:
    assert isinstance(Node("x", "-p").wrong("a port"), UsageError)
    assert isinstance(Node("x", "-p").refusal("no"), ConfigError)
    assert isinstance(Node("x", "p", "f.json").wrong("a port"), ConfigError)


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0.1, "0.1"),
        (10**30, str(10**30)),
        ([], "a list"),
        ({}, "an object"),
        ("a\x1b", '"a\\x1b"'),
        ("x" * 50, '"' + "x" * 40 + '..."'),
    ],
)
def test_values_in_words(value: Any, words: str) -> None:
    assert describe(value) == words


def test_secret_values_in_words() -> None:
    assert [describe(value, secret=True) for value in ("x", "", 5)] == ["a text", "an empty text", "a number"]


@given(st.text() | st.text('{}[]",:/*\\ \n1eu0.-tf'))
def test_any_text_is_a_document_or_a_complaint(text: str) -> None:
    try:
        parse(text, "f.json")
    except ConfigError:
        pass


def test_long_files_are_read_in_linear_time() -> None:
    # 40,000 lines of members and comments: a quadratic reader would need minutes.
    text = "{" + "".join(f'"{port}": "x", // {port}\n' for port in range(40_000)) + "}"
    root, _ = parse(text, "f.json")
    assert isinstance(root.value, dict) and root.value["39999"].where == "f.json, line 40000, column 10"
