"""The PAC file: what may be in its lists, that nothing gets out of its string, and what it decides (in Node.js)."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Optional

import pytest
from helpers.pac_engine import find_proxies, run_pac

from pyss.errors import ConfigError
from pyss.protocol.pac import MOST_LIST, MOST_SCRIPT, NEARBY, pac_script, pac_tables, parse_domains

PROXY = "SOCKS5 127.0.0.1:1080; PROXY 127.0.0.1:1080"


def script(direct: str = "", proxied: Optional[str] = None) -> bytes:
    through = None if proxied is None else parse_domains(proxied.encode(), "proxied")
    return pac_script("127.0.0.1", 1080, pac_tables(parse_domains(direct.encode(), "direct"), through))


# --- lists ---------------------------------------------------------------------------------------
def test_lines_of_a_list() -> None:
    text = (
        "\ufeff# a comment\r\nexample.org\r\n\r\n  *.Example.COM  # another\n.sub.example.net.\nbücher.example\ncom\n"
        "my_host-1.example\n192.0.2.1\n::1\n[2001:db8::1]\n::ffff:192.0.2.2\nexample.org\n"
    )
    assert parse_domains(text.encode(), "list") == (
        *(".example.org", ".example.com", ".sub.example.net", ".xn--bcher-kva.example", ".com", ".my_host-1.example"),
        *("=c0000201", "=" + "0" * 31 + "1", "=20010db8" + "0" * 23 + "1", "=c0000202"),
    )
    assert parse_domains(b"", "list") == parse_domains(b"# nothing\n", "list") == ()


@pytest.mark.parametrize(
    "line",
    [
        *(
            "two words",
            "http://example.org",
            "example.org/",
            "a..b",
            ".",
            "*",
            "*.",
            "-",
            "a,b",
            '"',
            "a\\b",
            "1.2.3",
            "x.5",
        ),
        *(
            "10.0.0.0/8",
            "a" * 64,
            ".".join(["a" * 60] * 5),
            "</script>",
            "'+alert(1)+'",
            "a*b",
            "ex ample",
            "\x00",
            "a\x0bb",
        ),
    ],
)
def test_what_is_no_domain_is_told_with_its_line(line: str) -> None:
    if line == "-":  # a label of a name, if an odd one
        assert parse_domains(b"-", "list") == (".-",)
        return
    with pytest.raises(ConfigError) as caught:
        parse_domains(f"example.org\n\n{line}\nexample.com\n".encode(), "the list")
    assert str(caught.value).startswith("the list, line 3: expected a domain such as example.org or an IP address")
    assert len(str(caught.value)) < 240 and str(caught.value).isprintable()


def test_a_list_that_is_no_text_or_too_long() -> None:
    with pytest.raises(ConfigError, match="list, line 2: this is not text in UTF-8"):
        parse_domains(b"a\n\xff\xfe\n", "list")
    with pytest.raises(ConfigError, match="list is longer than 4 MiB"):
        parse_domains(b"#" * (MOST_LIST + 1), "list")
    with pytest.raises(ConfigError, match="browsers take no more than 1 MiB: shorten the lists"):
        pac_tables([f".{number}.example" for number in range(70_000)])
    assert len(pac_script("::1", 65535, pac_tables([f".{number}.example" for number in range(40_000)]))) < MOST_SCRIPT


def test_any_bytes_are_a_list_or_a_complaint() -> None:
    pytest.importorskip("hypothesis")
    from hypothesis import given
    from hypothesis import strategies as st

    lines = st.lists(st.binary(max_size=30) | st.text(max_size=30).map(str.encode) | st.sampled_from([b"a.b", b"::1"]))

    @given(lines.map(b"\n".join))
    def check(data: bytes) -> None:
        try:
            found = parse_domains(data, "list")
        except ConfigError as error:
            assert str(error).startswith("list, line ") and str(error).isprintable()
            return
        for key in found:
            assert re.fullmatch(r"\.[a-z0-9_.-]{1,253}|=[0-9a-f]{8}|=[0-9a-f]{32}", key)
        tables = json.loads(re.search(rb"var listed = (\{.*?\});", pac_tables(found), re.DOTALL)[1])  # type: ignore[index]
        assert {key for key, through in tables.items() if not through} == {*found, ".localhost", ".local"}

    check()


# --- the script ----------------------------------------------------------------------------------
def test_it_is_ascii_of_an_old_language() -> None:
    text = script("bücher.example\n__proto__\nconstructor\n", "example.org").decode("ascii")
    assert not re.search(
        r"\b(let|const|class|JSON|forEach|trim|startsWith|dnsResolve|isInNet|myIpAddress)\b|=>|`", text
    )
    assert not re.search(r",\s*[\]}]", text), "a comma behind the last: older engines count one more"
    assert "DIRECT" in text and "; DIRECT" not in text and "SOCKS " not in text


def test_what_is_not_a_key_cannot_leave_its_string() -> None:
    """Lists are checked before; even what went around that check stays data."""
    evil = ['."};alert(1);//', ".</script>\u2028", ".\\", ".\n"]
    tables = pac_tables(evil, evil).decode("ascii")
    listed = json.loads(re.search(r"var listed = (\{.*?\});\n\nfunction", tables, re.DOTALL)[1])  # type: ignore[index]
    assert set(evil) < set(listed)


@pytest.mark.parametrize(
    ("host", "port", "credentials", "ways"),
    [
        ("127.0.0.1", 1080, False, PROXY),
        ("::1", 1081, False, "SOCKS5 [::1]:1081; PROXY [::1]:1081"),
        ("localhost", 80, True, "PROXY localhost:80"),
    ],
)
def test_how_the_proxy_is_called(host: str, port: int, credentials: bool, ways: str) -> None:
    text = pac_script(host, port, pac_tables(), credentials=credentials).decode("ascii")
    assert text.startswith(f'var proxy = "{ways}";\nvar other = true;\n')


# --- decisions -----------------------------------------------------------------------------------
FAR = [
    *("example.org", "EXAMPLE.ORG.", "www.example.org", "8.8.8.8", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
    *(
        "192.169.0.0",
        "11.0.0.0",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "126.255.255.255",
    ),
    *("128.0.0.0", "2001:db8::1", "[2001:db8::1]", "::ffff:8.8.8.8", "::ffff:808:808", "64:ff9b::a00:1", "fbff::1"),
    *(
        "fe00::1",
        "134744072",
        "0x08080808",
        "8.2056",
        "10.example.org",
        "127.0.0.1.example.org",
        "localhost.example.org",
    ),
    *(
        "notlocalhost.org",
        "mylocal.example",
        "xn--bcher-kva.example",
        "1.2.3.4.5",
        "256.1.1.1",
        "10.0.0.256",
        "0x.example",
    ),
    *("a:b", "::1::", "1:2:3:4:5:6:7:8:9", "::g", "10.0.0.08"),  # no addresses at all
]
NEAR = [
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "printer", "printer.local", "nas", "intranet", ""),
    *("127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1"),
    *("169.254.169.254", "100.64.0.1", "100.127.255.255", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.1", "10.1"),
    *("2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "192.168.257", "127.0.0.1.", "::", "::1", "[::1]", "fe80::1"),
    *("fe80::1%eth0", "fe80::1%25eth0", "FD00::1", "fc00::", "fdff:ffff::", "febf::1", "ff02::fb", "::ffff:10.0.0.1"),
    *("::ffff:a00:1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "fec0::1", "0:0:0:0:0:ffff:192.168.1.1"),
]


@pytest.mark.interop
def test_without_lists_what_is_near_is_reached_directly_and_all_else_through_the_proxy() -> None:
    answers = dict(zip([*FAR, *NEAR], find_proxies(script(), [*FAR, *NEAR])))
    assert {host for host, answer in answers.items() if answer == PROXY} == set(FAR)
    assert {host for host, answer in answers.items() if answer == "DIRECT"} == set(NEAR)


@pytest.mark.interop
def test_hosts_as_a_browser_takes_them_out_of_urls() -> None:
    direct = [
        "http://127.1/",
        "http://0x7f.1:8080/",
        "http://[::1]:80/",
        "http://10.1/x?y",
        "http://[::ffff:10.1.2.3]/",
    ]
    proxied = [
        "https://example.org:8443/",
        "http://user@8.8.8.8/",
        "http://[2001:db8::1]:1/",
        "https://bücher.example/",
    ]
    ran = run_pac(script(), [(url, None) for url in direct + proxied])
    assert ran.answers == ["DIRECT"] * len(direct) + [PROXY] * len(proxied)
    assert not ran.asked


@pytest.mark.interop
def test_it_agrees_with_ipaddress_about_every_border() -> None:
    networks = [ipaddress.ip_network(text) for text in NEARBY]
    hosts = set()
    for network in networks:
        for number in (int(network[0]) - 1, int(network[0]), int(network[-1]), int(network[-1]) + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                hosts.add(type(network[0])(number))
    ordered = sorted(hosts, key=lambda host: (host.version, int(host)))
    answers = find_proxies(script(), [str(host) for host in ordered])
    for host, answer in zip(ordered, answers):
        near = any(host.version == network.version and host in network for network in networks)
        assert (answer == "DIRECT") is near, host
    exploded = [host.exploded for host in ordered]
    assert find_proxies(script(), exploded) == answers


LISTED = {
    # host: answers with (direct), with (proxied), with both; D is DIRECT, P the proxy
    "example.org": "DPD",
    "www.example.org": "DPD",
    "WWW.EXAMPLE.ORG.": "DPD",
    "xexample.org": "PDD",
    "example.org.evil.test": "PDD",
    "org": "DDD",  # a plain name
    "deep.sub.example.net": "PDP",
    "sub.example.net": "PDP",
    "example.net": "PDD",
    "in.sub.example.net": "PPP",
    "out.of.in.sub.example.net": "PPP",
    "192.0.2.1": "DPD",
    "192.0.2.2": "PDD",
    "3221225985": "DPD",
    "2001:db8::1": "DPD",
    "2001:DB8:0::0:1": "DPD",
    "::ffff:192.0.2.1": "DPD",
    "nas": "DPP",
    "constructor": "DDD",
    "__proto__": "DDD",
    "toString.example": "PDD",
    "hasOwnProperty": "DDD",
    "10.0.0.1": "DDD",
    "10.0.0.2": "DPP",
}
SAME = "example.org\n192.0.2.1\n2001:db8::1\n"


@pytest.mark.interop
def test_lists_go_by_whole_labels_and_the_longest_entry() -> None:
    hosts = list(LISTED)
    direct = find_proxies(script(SAME), hosts)
    proxied = find_proxies(script("", SAME + "in.sub.example.net\nnas\n10.0.0.2"), hosts)
    both = find_proxies(script(SAME, SAME + "sub.example.net\nnas\n10.0.0.2"), hosts)
    found = {
        host: "".join("D" if answer == "DIRECT" else "P" for answer in answers)
        for host, *answers in zip(hosts, direct, proxied, both)
    }
    assert found == LISTED


@pytest.mark.interop
def test_names_of_javascript_are_names_like_others() -> None:
    names = ["__proto__", "constructor", "hasownproperty", "tostring", "valueof", "proxy", "listed", "address"]
    hosts = [f"{name}.example" for name in names] + [f"www.{name}.example" for name in names]
    listed = "".join(f"{name}.example\n{name}\n" for name in names)
    assert find_proxies(script(listed), hosts + names) == ["DIRECT"] * len(hosts + names)
    assert find_proxies(script("", listed), hosts + names) == [PROXY] * len(hosts + names)


@pytest.mark.interop
def test_it_defines_nothing_but_its_own_and_data_stays_data() -> None:
    evil = ['.";throw 1;//', ".*/throw 2;/*", ".\u2028throw 3", ".</script>"]
    ran = run_pac(pac_script("127.0.0.1", 1080, pac_tables(evil, evil)), [("http://example.org/", "example.org")])
    assert ran.answers == ["DIRECT"] and not ran.asked
    own = {"proxy", "other", "nearby", "listed", "FindProxyForURL", "onList", "byName", "isNearby", "address"}
    assert set(ran.known) - own - {"ipv4", "ipv6", "hexadecimal"} == {
        *("isPlainHostName", "dnsDomainIs", "localHostOrDomainIs", "dnsDomainLevels", "shExpMatch", "dnsResolve"),
        *("isResolvable", "isInNet", "myIpAddress", "weekdayRange", "dateRange", "timeRange"),
    }


@pytest.mark.interop
def test_a_list_of_forty_thousand() -> None:
    direct = "".join(f"{number}.example\n" for number in range(40_000))
    answers = find_proxies(script(direct), ["0.example", "a.39999.example", "40000.example", "example.test"])
    assert answers == ["DIRECT", "DIRECT", PROXY, PROXY]
