"""JSON as people write it, read so that a complaint can say where.

    { "server": "example.org",  // comments of both kinds
      "server_port": 8388,      /* and a comma behind the last member */ }

Beyond RFC 8259 only those two liberties are taken.  Every value remembers its line, its column and the
path of keys that leads to it.  What a syntax error stumbles over is never quoted: an unescaped quote
inside a password would show a piece of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Optional, Union

from ..errors import ConfigError, PyssError, UsageError
from .journal import printable

Json = Union[None, bool, int, float, str, "list[Node]", "dict[str, Node]"]

MAX_DEPTH = 64  # of lists and objects within each other; a configuration needs five
MAX_DIGITS = 100

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Node:
    """A value and where it stands.

    value   what JSON says; lists and objects hold nodes
    path    keys that lead to it ("servers[0].port"), or the option it was given with ("-p")
    where   file, line and column; "" for what stands on the command line
    """

    __slots__ = ("path", "value", "where")

    def __init__(self, value: Json, path: str, where: str = "") -> None:
        self.value = value
        self.path = path
        self.where = where

    def says(self, text: str) -> str:
        """A sentence about this value, beginning with its place."""
        place = ", ".join(part for part in (self.where, self.path) if part)
        return f"{place}: {text}" if place else text

    def error(self, text: str) -> PyssError:
        """What to raise about a value that cannot be used as it is written."""
        return (ConfigError if self.where else UsageError)(self.says(text))

    def refusal(self, text: str) -> PyssError:
        """What to raise about something that is understood and not offered, wherever it was asked for."""
        return ConfigError(self.says(text))

    def wrong(self, expected: str, secret: bool = False) -> PyssError:
        """What to raise: expected this, got that; a secret's text is not shown."""
        return self.error(f"expected {expected}, got {describe(self.value, secret)}")

    def __repr__(self) -> str:
        return f"Node({self.says(describe(self.value, secret=True))})"  # it may be a password


def describe(value: Json, secret: bool = False) -> str:
    """A value in a few words."""
    if isinstance(value, str):
        if secret:
            return "a text" if value else "an empty text"
        if value[:5].lower() == "ss://":  # a password is in it
            return "an ss:// URL"
        return f'"{printable(value)}"' if len(value) <= 40 else f'"{printable(value[:40])}..."'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "a number" if secret else repr(value)[:40]
    return "a list" if isinstance(value, list) else "an object"


def parse(text: str, source: str) -> tuple[Node, list[str]]:
    """Read a document.  Returns it, and a sentence for each key that is given twice (the later one counts).

    Raises ConfigError.
    """
    reader = _Reader(text, source)
    root = reader.document()
    return root, reader.repeated


class _Reader:
    """A position in a text, moving forward."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._at = 0
        self._depth = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self.repeated: list[str] = []

    def document(self) -> Node:
        node = self._value("")
        self._skip()
        if self._at < len(self._text):
            raise self._error("expected the end of the file here", "")
        return node

    # --- where -----------------------------------------------------------------------------------
    def _where(self, at: int) -> str:
        line = bisect_right(self._lines, at)
        return f"{self._source}, line {line}, column {at - self._lines[line - 1] + 1}"

    def _error(self, text: str, path: str, at: Optional[int] = None) -> PyssError:
        at = self._at if at is None else at
        if at >= len(self._text):
            text = f"{text}, got the end of the file"
        return Node(None, path, self._where(at)).error(text)

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        if self._text.startswith("/*", self._at):
            raise self._error("this comment is never closed with */", "")

    def _take(self, mark: str) -> bool:
        """Whether `mark` comes next; if so it is behind us now."""
        self._skip()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    # --- values ----------------------------------------------------------------------------------
    def _value(self, path: str) -> Node:
        self._skip()
        at = self._at
        mark = self._text[at : at + 1]
        value: Json
        if mark in ("{", "["):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._error(f"more than {MAX_DEPTH} lists and objects within each other", path)
            self._at += 1
            value = self._members(path) if mark == "{" else self._items(path)
            self._depth -= 1
        elif mark == '"':
            value = self._string(path)
        else:
            value = self._word(path)
        return Node(value, path, self._where(at))

    def _items(self, path: str) -> list[Node]:
        items: list[Node] = []
        while not self._take("]"):
            if items and not self._take(","):
                raise self._error("expected a comma or ] here", path)
            if items and self._take("]"):
                break
            items.append(self._value(f"{path}[{len(items)}]"))
        return items

    def _members(self, path: str) -> dict[str, Node]:
        members: dict[str, Node] = {}
        first = True
        while not self._take("}"):
            if not first and not self._take(","):
                raise self._error("expected a comma or } here", path)
            if not first and self._take("}"):
                break
            first = False
            self._skip()
            at = self._at
            if not self._text.startswith('"', at):
                raise self._error("expected a key in double quotes here", path)
            key = self._string(path)
            inner = _join(path, key)
            if not self._take(":"):
                raise self._error("expected a colon here", inner)
            if key in members:
                self.repeated.append(Node(None, inner, self._where(at)).says("given before; this one counts"))
            members[key] = self._value(inner)
        return members

    def _word(self, path: str) -> Json:
        found = _WORD.match(self._text, self._at)
        word = found.group() if found is not None else ""
        if word in _WORDS:
            self._at += len(word)
            return _WORDS[word]
        number = _NUMBER.fullmatch(word)
        if number is None:
            raise self._error(
                "expected a value here: a text in double quotes, a number, true, false, null, [ or {", path
            )
        if len(word) > MAX_DIGITS:
            raise self._error(f"a number of more than {MAX_DIGITS} digits", path)
        self._at += len(word)
        whole, fraction, exponent = number.groups()
        return float(word) if fraction or exponent else int(whole)

    def _string(self, path: str) -> str:
        text = self._text
        opened = self._at
        self._at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN.match(text, self._at)
            assert plain is not None
            parts.append(plain.group())
            self._at = plain.end()
            mark = text[self._at : self._at + 1]
            if mark == '"':
                self._at += 1
                break
            if mark in ("", "\n", "\r"):
                raise self._error("this text is not closed with a double quote on its line", path, opened)
            if mark != "\\":
                raise self._error("a control character inside a text must be written as an escape, such as \\t", path)
            parts.append(self._escape(path))
        value = "".join(parts)
        if not value.isascii() and any("\ud800" <= mark <= "\udfff" for mark in value):
            raise self._error("this text holds half a surrogate pair, which is no character", path, opened)
        return value

    def _escape(self, path: str) -> str:
        kind = self._text[self._at + 1 : self._at + 2]
        if kind in _ESCAPES:
            self._at += 2
            return _ESCAPES[kind]
        code = self._unit() if kind == "u" else None
        if code is None:
            raise self._error(r"expected \" \\ \/ \b \f \n \r \t or \u and four hexadecimal digits here", path)
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self._at):
            behind = self._at
            low = self._unit()
            if low is not None and 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            self._at = behind
        return chr(code)

    def _unit(self) -> Optional[int]:
        found = _HEX.match(self._text, self._at + 2)
        if found is None:
            return None
        self._at = found.end()
        return int(found.group(), 16)


def _join(path: str, key: str) -> str:
    if not _SIMPLE_KEY.fullmatch(key):
        key = f'["{printable(key[:40])}"]'
        return path + key
    return f"{path}.{key}" if path else key
