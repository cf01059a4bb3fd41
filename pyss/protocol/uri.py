"""Shadowsocks URIs: one server in one line (SIP002).

    ss://userinfo@host:port[/][?plugin=...][#tag]
    ss://base64(method:password@host:port)[#tag]          the old form, read only

userinfo is method:password, either as base64url without padding, or each percent-encoded on its own;
AEAD-2022 requires the latter.  The plugin parameter is `name;option;option=value`, percent-encoded; a
colon, semicolon, equal sign or backslash inside a name or value has a backslash before it (SIP003).

Complaints never quote a URI: wherever it is cut wrongly, a piece of the password may be in the piece.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from ..address import Address, join_host_port
from ..errors import BadAddress, ConfigError

SCHEME = "ss://"

_BASE64 = re.compile(r"[A-Za-z0-9+/]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r"([:;=\\])")
_PLUGIN_NAME = re.compile(r"(?:[^;\\]|\\.)*", re.DOTALL)
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class ServerUri:
    """One server.

    host            IP address (no brackets) or name, as in Address
    plugin          name or path of its program, "" for none
    plugin_options  as the plugin gets them, escapes included ("obfs=http;obfs-host=example.com")
    tag             what people call this server
    """

    method: str
    password: str = field(repr=False)
    host: str
    port: int
    plugin: str = ""
    plugin_options: str = ""
    tag: str = ""

    def encode(self) -> str:
        """Raises ConfigError for what no URI can express."""
        if not self.method or ":" in self.method:
            raise ConfigError("a method's name is not empty and has no colon")
        if self.method.lower().startswith("2022-"):
            user = f"{_percent(self.method)}:{_percent(self.password)}"
        else:
            user = base64.urlsafe_b64encode(f"{self.method}:{self.password}".encode()).decode().rstrip("=")
        text = f"{SCHEME}{user}@{join_host_port(self.host, self.port)}"
        if self.plugin:
            options = f";{self.plugin_options}" if self.plugin_options else ""
            text += "/?plugin=" + _percent(escape(self.plugin) + options)
        return f"{text}#{_percent(self.tag)}" if self.tag else text

    @classmethod
    def decode(cls, text: str) -> ServerUri:
        """Read either form.  Raises ConfigError."""
        text = text.strip()
        if text[: len(SCHEME)].lower() != SCHEME:
            raise ConfigError("a Shadowsocks URI begins with ss://")
        body, _, tag = text[len(SCHEME) :].partition("#")
        body, _, query = body.partition("?")
        plugin, options = _plugin(query)
        if "@" in body:
            user, _, location = body.rpartition("@")
            method, password = _user(user)
            host, port = _location(location)
        else:
            method, password, host, port = _old_form(body)
        if not method or (not password and method.lower() not in ("none", "plain")):
            raise ConfigError("the URI has no method or no password")
        if ":" in method:
            raise ConfigError("the URI's method has a colon in it, as no method has")
        return cls(method, password, host, port, plugin, options, _unquote(tag))


def escape(text: str) -> str:
    """A name or value as it stands in a plugin's options (SIP003)."""
    return _SPECIAL.sub(r"\\\1", text)


def unescape(text: str) -> str:
    """The reverse of `escape`."""
    return _ESCAPED.sub(r"\1", text)


def _percent(text: str) -> str:
    return quote(text, safe="")


def _unquote(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise ConfigError("the URI's percent codes are not text in UTF-8") from None


def _base64(text: str) -> str:
    """Standard and URL-safe alphabet, with and without padding."""
    text = _unquote(text).replace("-", "+").replace("_", "/").rstrip("=")
    if not _BASE64.fullmatch(text):
        raise ConfigError("the URI is neither method:password@host:port nor base64 of it")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigError("the URI's base64 is damaged: was it copied as a whole?") from None


def _user(text: str) -> tuple[str, str]:
    # Base64 has no colon, so one that shows up (some write it as %3A) means plain text.
    if ":" in text:
        method, _, password = text.partition(":")
        return _unquote(method), _unquote(password)
    plain = _unquote(text)
    method, _, password = (plain if ":" in plain else _base64(text)).partition(":")
    return method, password


def _location(text: str) -> tuple[str, int]:
    host, _, port = text.rstrip("/").rpartition(":")
    # An IPv6 address has brackets; without them its last group would pass for a port.
    if not _PORT.fullmatch(port) or (":" in host and not host.startswith("[")):
        raise ConfigError("behind the @ of a Shadowsocks URI stands HOST:PORT, an IPv6 address in [ ]")
    if not 0 < int(port) <= 65535:
        raise ConfigError("the port of a Shadowsocks URI is between 1 and 65535")
    try:
        return Address.of(_unquote(host), 0).host, int(port)
    except BadAddress:
        raise ConfigError("the host of the URI is neither a name nor an IP address") from None


def _old_form(body: str) -> tuple[str, str, str, int]:
    """method:password@host:port in base64: the method ends at the first colon, the password at the last @."""
    try:
        return _old_parts(_base64(body))
    except ConfigError:
        if not body.endswith("/"):
            raise
    return _old_parts(_base64(body[:-1]))  # a path, not a digit


def _old_parts(text: str) -> tuple[str, str, str, int]:
    user, _, location = text.rpartition("@")
    method, _, password = user.partition(":")
    return (method, password, *_location(location))


def _plugin(query: str) -> tuple[str, str]:
    """Name and options; other parameters are ignored, as SIP002 says."""
    for parameter in query.split("&"):
        key, _, value = parameter.partition("=")
        if key == "plugin":
            value = _unquote(value)
            name = _PLUGIN_NAME.match(value)
            assert name is not None
            return unescape(name.group()), value[name.end() + 1 :] if name.group() else ""
    return "", ""
