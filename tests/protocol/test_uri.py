"""SIP002 URIs.  Examples marked SIP002 are those of shadowsocks.org/doc/sip002.html."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyss.errors import ConfigError
from pyss.protocol.uri import ServerUri, escape, unescape

KEY = "YctPZ6U7xPPcU+gp3u+0tx/tRizJN9K8y+uKlW2qjlI="
SIP002 = [
    (
        "ss://YWVzLTEyOC1nY206dGVzdA@192.168.100.1:8888#Example1",
        ServerUri("aes-128-gcm", "test", "192.168.100.1", 8888, tag="Example1"),
    ),
    (
        "ss://cmM0LW1kNTpwYXNzd2Q@192.168.100.1:8888/?plugin=obfs-local%3Bobfs%3Dhttp#Example2",
        ServerUri("rc4-md5", "passwd", "192.168.100.1", 8888, "obfs-local", "obfs=http", "Example2"),
    ),
    (
        "ss://2022-blake3-aes-256-gcm:YctPZ6U7xPPcU%2Bgp3u%2B0tx%2FtRizJN9K8y%2BuKlW2qjlI%3D@192.168.100.1:8888#Example3",
        ServerUri("2022-blake3-aes-256-gcm", KEY, "192.168.100.1", 8888, tag="Example3"),
    ),
    (
        "ss://2022-blake3-aes-256-gcm:YctPZ6U7xPPcU%2Bgp3u%2B0tx%2FtRizJN9K8y%2BuKlW2qjlI%3D@192.168.100.1:8888"
        "/?plugin=v2ray-plugin%3Bserver#Example3",
        ServerUri("2022-blake3-aes-256-gcm", KEY, "192.168.100.1", 8888, "v2ray-plugin", "server", "Example3"),
    ),
]


@pytest.mark.parametrize("text, server", SIP002)
def test_examples_of_sip002(text: str, server: ServerUri) -> None:
    assert ServerUri.decode(text) == server
    assert server.encode() == text


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = ServerUri("aes-256-gcm", "pass", "example.org", 8388)
LENIENT: dict[str, tuple[str, ServerUri]] = {
    "scheme in capitals, blanks around": ("  SS://YWVzLTI1Ni1nY206cGFzcw@example.org:8388\n", PLAIN),
    "padded": ("ss://YWVzLTI1Ni1nY206cGFzcw==@example.org:8388", PLAIN),
    "padding in percent codes": ("ss://YWVzLTI1Ni1nY206cGFzcw%3D%3D@example.org:8388", PLAIN),
    "slash without query": ("ss://YWVzLTI1Ni1nY206cGFzcw@example.org:8388/", PLAIN),
    "other parameters": ("ss://YWVzLTI1Ni1nY206cGFzcw@example.org:8388/?a=b&group=x#", PLAIN),
    "query without slash": ("ss://YWVzLTI1Ni1nY206cGFzcw@example.org:8388?a", PLAIN),
    "plain text": ("ss://aes-256-gcm:pass@example.org:8388", PLAIN),
    "colon in percent codes": ("ss://aes-256-gcm%3Apass@example.org:8388", PLAIN),
    "standard alphabet": (
        "ss://" + base64_of("aes-256-gcm:>>>???") + "@h:1",
        ServerUri("aes-256-gcm", ">>>???", "h", 1),
    ),
    "unescaped @": ("ss://aes-256-gcm:p@ss@example.org:1", ServerUri("aes-256-gcm", "p@ss", "example.org", 1)),
    "IPv6": ("ss://aes-256-gcm:p@[2001:DB8:0:0::1]:443", ServerUri("aes-256-gcm", "p", "2001:db8::1", 443)),
    "no password needed": ("ss://none:@127.0.0.1:1", ServerUri("none", "", "127.0.0.1", 1)),
    "old form": ("ss://" + base64_of("aes-256-gcm:pass@example.org:8388"), PLAIN),
    "old form, url-safe, unpadded, slash, tag": (
        "ss://" + base64.urlsafe_b64encode(b"aes-256-gcm:a@b:c?>~@1.2.3.4:80").decode().rstrip("=") + "/#x%20y",
        ServerUri("aes-256-gcm", "a@b:c?>~", "1.2.3.4", 80, tag="x y"),
    ),
    "old form, IPv6": ("ss://" + base64_of("aes-256-gcm:pw@[::1]:8388"), ServerUri("aes-256-gcm", "pw", "::1", 8388)),
    "name in another script": (
        "ss://aes-256-gcm:p@m%C3%BCnchen.de:1",
        ServerUri("aes-256-gcm", "p", "xn--mnchen-3ya.de", 1),
    ),
    "options without a plugin": ("ss://aes-256-gcm:p@h:1?plugin=;a=b", ServerUri("aes-256-gcm", "p", "h", 1)),
    "plugin named by a path": (
        "ss://aes-256-gcm:p@h:1/?plugin=C%5C%3A%5C%5Cobfs%5C%3B.exe%3Bhost%3Da%5C%3Db",
        ServerUri("aes-256-gcm", "p", "h", 1, "C:\\obfs;.exe", "host=a\\=b"),
    ),
}


@pytest.mark.parametrize("name", LENIENT)
def test_what_others_write_is_read(name: str) -> None:
    text, server = LENIENT[name]
    assert ServerUri.decode(text) == server
    assert ServerUri.decode(server.encode()) == server


def test_a_standard_base64_text_that_ends_in_a_slash() -> None:
    text = "aes-256-gcm:pass@example.org:65535"
    for method in ("aes-256-gcm", "aes-128-gcm", "a", "ab", "abc"):
        body = base64_of(f"{method}:pä?ÿ@h:65")
        assert ServerUri.decode("ss://" + body + "/").port == 65
    assert ServerUri.decode("ss://" + base64_of(text)).port == 65535


SECRET = "Geheim1s"
BAD = {
    "nothing": "",
    "another scheme": f"http://aes-256-gcm:{SECRET}@h:1",
    "no scheme": f"aes-256-gcm:{SECRET}@h:1",
    "only the scheme": "ss://",
    "no port": f"ss://aes-256-gcm:{SECRET}@h",
    "port zero": f"ss://aes-256-gcm:{SECRET}@h:0",
    "port too high": f"ss://aes-256-gcm:{SECRET}@h:65536",
    "port much too high": f"ss://aes-256-gcm:{SECRET}@h:{'9' * 5000}",
    "port no number": f"ss://aes-256-gcm:{SECRET}@h:x1",
    "port in other digits": f"ss://aes-256-gcm:{SECRET}@h:\u0663",
    "no host": f"ss://aes-256-gcm:{SECRET}@:1",
    "host with blanks": f"ss://aes-256-gcm:{SECRET}@a%20b:1",
    "IPv6 without brackets": f"ss://aes-256-gcm:{SECRET}@2001:db8::1:443",
    "password with an open @ and question mark": f"ss://aes-256-gcm:x@{SECRET}?y@h:1",
    "password with an open hash": f"ss://aes-256-gcm:{SECRET}#y@h:1",
    "no method": f"ss://:{SECRET}@h:1",
    "a colon in the method": f"ss://aes%3A256:{SECRET}@h:1",
    "no password": "ss://aes-256-gcm:@h:1",
    "no colon in base64": "ss://" + base64_of(SECRET) + "@h:1",
    "damaged base64": "ss://YWVzLTI1Ni1nY206c@h:1",
    "base64 of no text": "ss://" + base64.b64encode(b"\xff\xfe\xfd").decode() + "@h:1",
    "old form without @": "ss://" + base64_of(f"aes-256-gcm:{SECRET}"),
    "old form cut": ("ss://" + base64_of(f"aes-256-gcm:{SECRET}@example.org:8388"))[:-9],
    "percent codes of no text": f"ss://aes-256-gcm:{SECRET}%FF@h:1",
    "tag of no text": f"ss://aes-256-gcm:{SECRET}@h:1#%FF",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_says_so_and_quotes_nothing(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerUri.decode(BAD[name])
    assert SECRET not in str(caught.value)
    assert base64_of(SECRET)[:8] not in str(caught.value)


def test_a_method_with_a_colon_cannot_be_written() -> None:
    for method in ("", "a:b"):
        with pytest.raises(ConfigError):
            ServerUri(method, "p", "h", 1).encode()


def test_the_password_is_not_in_repr() -> None:
    assert SECRET not in repr(ServerUri("aes-256-gcm", SECRET, "h", 1))


def test_escaping_of_plugin_names_and_values() -> None:
    assert escape(r"a:b;c=d\e") == r"a\:b\;c\=d\\e"
    assert unescape(r"a\:b\;c\=d\\e") == r"a:b;c=d\e"
    assert ServerUri("m", "p", "h", 1, "C:\\x", "a=b;c").encode().endswith("/?plugin=C%5C%3A%5C%5Cx%3Ba%3Db%3Bc")


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
HOSTS = st.sampled_from(["example.org", "127.0.0.1", "::1", "2001:db8::7", "xn--mnchen-3ya.de"])
METHODS = st.sampled_from(["aes-256-gcm", "2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305"])


@given(METHODS, TEXT.filter(bool), HOSTS, st.integers(1, 65535), TEXT, TEXT, TEXT)
def test_every_server_survives_the_way_there_and_back(
    method: str, password: str, host: str, port: int, plugin: str, options: str, tag: str
) -> None:
    server = ServerUri(method, password, host, port, plugin, options if plugin else "", tag)
    text = server.encode()
    assert text.isascii() and text.isprintable() and " " not in text
    assert ServerUri.decode(text) == server


PIECES = st.lists(
    st.sampled_from(["m", "YWVzLTI1Ni1nY206cGFzcw", "h", "1", "[::1]", "%3A", "%", "plugin", "\\", *":@/?#=;&"]),
    max_size=14,
)


@given(st.sampled_from(["", "ss://", "ss://m:p@h:1"]), st.text() | PIECES.map("".join))
def test_any_text_is_a_server_or_a_complaint(start: str, rest: str) -> None:
    try:
        server = ServerUri.decode(start + rest)
    except ConfigError:
        return
    assert ServerUri.decode(server.encode()) == server
