"""The options of each command, and the help that is made from them.

Names and letters are those of the original Python program; what shadowsocks-libev and shadowsocks-rust
add is taken where no letter clashes.  An option sets a key of the configuration; what becomes of a key
that is not obeyed yet is decided in `config_keys`, for files and options alike.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from ..crypto.backends import BACKENDS
from ..crypto.methods import DEFAULT_METHOD

COMMANDS = {
    "local": "local proxy: SOCKS5, SOCKS4 and HTTP on one port, through Shadowsocks servers",
    "server": "Shadowsocks server",
    "tunnel": "one target for all who connect, TCP and UDP, through Shadowsocks servers",
    "redir": "what a router redirects here (Linux), TCP and UDP, through Shadowsocks servers",
    "genkey": "make a key or a password",
    "url": "make ss:// URLs from options or a configuration; show what is in some",
    "ciphers": "list the methods, who carries them out here, and how fast",
    "proxy": "show, set or restore the proxy setting of this desktop",
    "demo": "server, client and a web page on this machine, to see the relay work",
}
LATER = ("manager",)  # commands that are understood and not available yet
USAGE = {
    "local": "[OPTION...]",
    "server": "[OPTION...]",
    "tunnel": "-L HOST:PORT [OPTION...]",
    "redir": "[-T] [OPTION...]",
    "genkey": "[-m METHOD]",
    "url": "[OPTION...] | [--json] [--qr] URL... | -",
    "ciphers": "[--bench] [--json] [--crypto NAME]",
    "proxy": "[--global HOST:PORT | --pac URL | --off | --restore]",
    "demo": "[--once] [OPTION...]",
}
ADDRESS = {
    **dict.fromkeys(("local", "tunnel", "redir"), "server to connect to; may be repeated"),
    "server": "address to listen on, default 0.0.0.0; may be repeated",
    "url": "server, as clients reach it",
}
WIDTH, COLUMN = 96, 32  # of help: of a line, and where the explanations begin


class Option(NamedTuple):
    """One option.

    commands  that have it, with blanks between them
    names     short and long ones
    key       of the configuration, or of the command
    metavar   what its value is called; "" for a switch
    help      "" for what is understood and not worth a line
    value     what a switch says
    """

    commands: str
    names: str
    key: str
    metavar: str = ""
    help: str = ""
    value: object = True

    def spellings(self) -> list[str]:
        return self.names.split()


_CLIENTS = "local tunnel redir"
_ENDS = f"{_CLIENTS} server"
_ADDRESSED = f"{_ENDS} url"
_EVERY = f"{_ADDRESSED} genkey ciphers proxy demo"

OPTIONS = (
    Option(_ADDRESSED, "-c --config", "config", "FILE", "configuration, JSON; default ./config.json if it exists"),
    Option(_ADDRESSED, "-s --server-addr", "server", "HOST[:PORT]", "{address}"),
    Option(_ADDRESSED, "-p --server-port", "server_port", "PORT", "its port, default 8388"),
    Option(
        _ADDRESSED,
        "-k --password",
        "password",
        "PASSWORD",
        "password, or key of a 2022 method; other users of this machine can see it in `ps`: rather set "
        "SS_SERVER_PASSWORD in the environment, or write it into FILE",
    ),
    Option(_ADDRESSED, "-m --encrypt-method --method", "method", "METHOD", f"default {DEFAULT_METHOD}"),
    Option(_ENDS, "--server-url", "server_url", "URL", "all of this as ss://..., visible in `ps` too"),
    Option("tunnel", "-L --forward-addr", "tunnel_target", "HOST:PORT", "where the tunnel leads to"),
    Option("redir", "-T --tcp-tproxy", "tcp_tproxy", "", "TCP comes by TPROXY, not by REDIRECT"),
    Option(_CLIENTS, "-b --local-addr", "local_address", "HOST[:PORT]", "address to listen on, default 127.0.0.1"),
    Option(_CLIENTS, "-l --local-port", "local_port", "PORT", "port to listen on, default 1080; 0 for any"),
    Option("local", "--auth", "auth_file", "FILE", "who may use the proxy: JSON list of user_name and password"),
    Option("local", "--user-pass", "user_pass", "NAME:PASSWORD", "the same for one, visible in `ps`; repeatable"),
    Option("local", "--pac-direct", "pac_direct", "FILE", "domains that /proxy.pac leads past the proxy, a line each"),
    Option("local", "--pac-proxied", "pac_proxied", "FILE", "domains that it leads through it, and then no others"),
    Option(
        "server",
        "--forbidden-ip",
        "forbidden_ip",
        "LIST",
        "networks that nobody may reach, with commas between them; '' for none; default: this machine, "
        "private and special networks",
    ),
    Option("server", "--allowed-ip", "allowed_ip", "LIST", "networks to be reached nevertheless"),
    Option(_ENDS, "-t --timeout", "timeout", "SECONDS", "end sessions that are silent for so long, default 300"),
    Option(_ENDS, "-6 --prefer-ipv6 --ipv6-first", "prefer_ipv6", "", "try IPv6 addresses of a name first"),
    Option("local tunnel server", "-u", "mode", "", "relay TCP and UDP: the default", "tcp_and_udp"),
    Option("redir", "-u", "mode", "", "relay UDP too, which comes by TPROXY", "tcp_and_udp"),
    Option(_ENDS, "-U --udp-only", "mode", "", "relay UDP only (shadowsocks-rust calls that -u)", "udp_only"),
    Option(_ENDS, "--tcp-only", "mode", "", "relay TCP only", "tcp_only"),
    Option(
        _ENDS,
        "--dns",
        "dns",
        "SERVERS",
        "ask these for names, not the system: IP, tcp://IP, tls://IP#NAME, with commas between them, or "
        "google, cloudflare, quad9, encrypted google_tls, cloudflare_tls, quad9_tls",
    ),
    Option(_ENDS, "--udp-timeout", "udp_timeout", "SECONDS", "end UDP associations silent for so long, default 300"),
    Option(_ENDS, "--udp-max-associations", "udp_max_associations", "NUMBER", "of them at a time, default 4096"),
    Option(_ENDS, "--mtu", "mtu", "BYTES", "say so when datagrams do not fit into packets of so many bytes"),
    Option(_ENDS, "--tcp-keep-alive", "keep_alive", "SECONDS", "probe TCP peers that are silent for so long"),
    Option(_ENDS, "--fast-open --tcp-fast-open", "fast_open", "", "first data in the SYN, where the system has it"),
    Option(_ENDS, "--mptcp --tcp-multipath", "mptcp", "", "Multipath TCP (Linux)"),
    Option(_ENDS, "--reuse-port", "reuse_port", "", "let other processes listen on the same port"),
    Option(_ENDS, "--outbound-bind-addr", "outbound_bind_addr", "ADDRESS", "own address that connections go out from"),
    Option(
        _ENDS,
        "-i --interface --outbound-bind-interface",
        "outbound_bind_interface",
        "NAME",
        "network interface that they go out by",
    ),
    Option(_ENDS, "--outbound-fwmark", "outbound_fwmark", "MARK", "mark of their packets (Linux, as root)"),
    Option(f"{_ENDS} ciphers demo", "--crypto", "crypto", "NAME", f"crypto backend: {' '.join(BACKENDS)}"),
    Option("genkey", "-m --encrypt-method --method", "method", "METHOD", f"default {DEFAULT_METHOD}"),
    Option("url", "--tag", "tag", "NAME", "what to call the server"),
    Option("url", "--plugin", "plugin", "NAME", "plugin in front of the server"),
    Option("url", "--plugin-opts", "plugin_opts", "OPTIONS", "its options"),
    Option("url", "--json", "json", "", "show URLs as lines of JSON"),
    Option("ciphers", "--json", "json", "", "as JSON"),
    Option("ciphers", "--bench", "bench", "", "measure each, too; takes a few seconds"),
    Option("url", "--qr", "qr", "", "show a QR code in the terminal"),
    Option("proxy", "--global", "global", "HOST:PORT", "all programs through this proxy"),
    Option("proxy", "--pac", "pac", "URL", "as the PAC file there says; pyss local has one at http://HOST:PORT/proxy.pac"),
    Option("proxy", "--off", "off", "", "no proxy"),
    Option("proxy", "--restore", "restore", "", "what was there before pyss set it"),
    Option("demo", "--once", "once", "", "exit after one request: 0 if it went well, 1 if not"),
    Option(_ENDS, "--log-file", "log_file", "FILE", "log there instead of standard error"),
    Option(f"{_ENDS} demo", "-v --verbose", "verbose", "", "log more; -vv still more", 1),
    Option(f"{_ENDS} demo", "-q --quiet", "verbose", "", "log warnings only; -qq errors only", -1),
    Option(_EVERY, "-h --help", "help", "", "show this help"),
    Option(_EVERY, "-V --version", "version", "", "show the version"),
    # Understood, see config_keys.
    Option(_ENDS, "-a -A", "one_time_auth"),
    Option(_ENDS, "-d", "daemon", "start|stop|restart"),
    Option(_ENDS, "-n --nofile", "nofile", "NUMBER"),
    Option(_ENDS, "--acl", "acl", "FILE"),
    Option(_ENDS, "--key", "key", "KEY"),
    Option(_ENDS, "--libmbedtls", "libmbedtls", "PATH"),
    Option(_ENDS, "--libopenssl", "libopenssl", "PATH"),
    Option(_ENDS, "--libsodium", "libsodium", "PATH"),
    Option(_ENDS, "--no-delay --tcp-no-delay", "no_delay"),
    Option(_ENDS, "--pid-file", "pid_file", "FILE"),
    Option(_ENDS, "--plugin", "plugin", "NAME"),
    Option(_ENDS, "--plugin-opts", "plugin_opts", "OPTIONS"),
    Option(_ENDS, "--user", "user", "NAME"),
    Option("local", "--protocol", "protocol", "NAME"),
    Option("local", "-L --forward-addr", "tunnel_target", "HOST:PORT"),
    Option("local", "-T --tcp-tproxy", "tcp_tproxy"),
    Option("local redir", "--tcp-redir", "tcp_redir", "NAME"),
    Option("local redir", "--udp-redir", "udp_redir", "NAME"),
    Option("server", "--manager-address", "manager_address", "ADDRESS"),
    Option("server", "--workers", "workers", "NUMBER"),
)

# The original's long options: what abbreviates one of them keeps doing so, whatever is added here.
_ORIGINAL = "--help --fast-open --pid-file --log-file --user --version --libopenssl --libmbedtls --libsodium"
ORIGINAL = {
    "local": _ORIGINAL.split(),
    "server": [*_ORIGINAL.split(), "--workers", "--forbidden-ip", "--manager-address", "--prefer-ipv6"],
}


def options_of(command: str) -> dict[str, Option]:
    """Every spelling of every option of a command.  Raises ValueError for one that is given twice."""
    found: dict[str, Option] = {}
    for option in OPTIONS:
        if command in option.commands.split():
            for name in option.spellings():
                if name in found:
                    raise ValueError(f"two options of {command} are called {name}")
                found[name] = option
    return found


def overview() -> str:
    """Help for `pyss` alone."""
    lines = ["usage: pyss COMMAND [OPTION...]", ""]
    lines += [f"  {name:<8} {purpose}" for name, purpose in COMMANDS.items()]
    lines += ["", "pyss COMMAND --help tells more; sslocal and ssserver are pyss local and pyss server."]
    return "\n".join(lines)


def help_of(command: str, program: str) -> str:
    """Help for a command, called as `program`."""
    lines = [f"usage: {program} {USAGE[command]}", "", f"{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}.", ""]
    for option in OPTIONS:
        if option.help and command in option.commands.split():
            left = f"  {', '.join(option.spellings())} {option.metavar}".rstrip()
            text = option.help.format(address=ADDRESS.get(command, ""))
            wrapped = textwrap.wrap(text, WIDTH - COLUMN)
            if len(left) > COLUMN - 2:
                lines.append(left)
                left = ""
            lines.append(f"{left:<{COLUMN}}{wrapped[0]}")
            lines += [" " * COLUMN + line for line in wrapped[1:]]
    if command in _ENDS.split():
        lines += [
            "",
            "What the command line says overrides the file.  Options of the original Python program, of",
            "shadowsocks-libev and of shadowsocks-rust are understood; what is not available yet says so.",
        ]
    return "\n".join(lines)
