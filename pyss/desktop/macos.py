"""macOS: `networksetup`, for every network service that is enabled.

    web, secure, socks   "on HOST:PORT" or "off HOST:PORT", "off" where none is named, " with password" behind it
    pac                  "on URL", "off URL" or "off"
    bypass               reached without a proxy, one to a line

A service that is switched off is left alone.  One that comes later (a phone, another dock) has its own setting, which
nobody has touched: macOS has no setting for all of them.

The password of a proxy is in the keychain, which does not give it back: such a proxy can be switched off and on again,
but not be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Optional

from ..address import join_host_port, split_host_port
from ..errors import BadAddress
from .setting import LOCAL_NAMES, LOCAL_NETWORKS, Part, Setting, SettingError, Wish, run_program, without_user

_PROXIES = {"web": "webproxy", "secure": "securewebproxy", "socks": "socksfirewallproxy"}
_NAMES = {"web": "http", "secure": "https", "socks": "socks"}
KEYS = (*_PROXIES, "bypass", "pac")
_FIELD = re.compile(r"^([A-Za-z ]+): ?(.*)$", re.MULTILINE)
_PASSWORD = " with password"


class Named(NamedTuple):
    """A proxy or a PAC file, and whether it is in use."""

    on: bool
    place: str

    @classmethod
    def of(cls, value: object) -> Named:
        state, _, place = str(value).partition(" ")
        if state not in ("on", "off"):
            raise SettingError(f"{str(value)[:60]!r} is no proxy of macOS")
        return cls(state == "on", place)

    def __str__(self) -> str:
        return f"{'on' if self.on else 'off'} {self.place}".rstrip()


class Macos:
    name = "macOS"
    kinds: Mapping[str, tuple[type, ...]] = dict.fromkeys(KEYS, (str,))
    parts: Optional[tuple[str, ...]] = None

    def read(self) -> Setting:
        return {service: self._read(service) for service in services()}

    def _read(self, service: str) -> Part:
        found = {key: str(_proxy(_fields(f"-get{word}", service))) for key, word in _PROXIES.items()}
        automatic = _fields("-getautoproxyurl", service)
        url = automatic.get("URL", "")
        found["pac"] = str(Named(automatic.get("Enabled") == "Yes", "" if url == "(null)" else url))
        domains = run_program(["networksetup", "-getproxybypassdomains", service]).splitlines()
        # Without any it says so, in a sentence; no domain has a blank in it.
        found["bypass"] = "\n".join(domain for domain in domains if domain and " " not in domain)
        return found

    def plan(self, wish: Wish, present: Setting) -> Setting:
        if not present:
            raise SettingError("no network service is enabled, and macOS keeps its proxies there")
        return {service: self._plan(wish, part, service) for service, part in present.items()}

    def _plan(self, wish: Wish, present: Part, service: str) -> Part:
        values = dict(present)
        for key in _PROXIES:
            before = Named.of(present[key])
            if wish.host and before.place.endswith(_PASSWORD):
                raise SettingError(
                    f"the {_NAMES[key]} proxy of {service!r} has a password, which could not be put back; "
                    "remove it in the network settings, or use --pac"
                )
            place = join_host_port(wish.host, wish.port) if wish.host else before.place
            values[key] = str(Named(bool(wish.host), place))
        values["pac"] = str(Named(bool(wish.url), wish.url or Named.of(present["pac"]).place))
        if wish.host:
            values["bypass"] = "\n".join((*LOCAL_NAMES, *map(_pattern, LOCAL_NETWORKS)))
        return values

    def write(self, changes: Setting) -> None:
        for service, values in changes.items():
            for key, word in _PROXIES.items():
                if key in values:
                    _write_proxy(service, word, Named.of(values[key]))
            if "bypass" in values:
                domains = str(values["bypass"]).split()
                run_program(["networksetup", "-setproxybypassdomains", service, *(domains or ["Empty"])])
            if "pac" in values:
                _write_pac(service, Named.of(values["pac"]))

    def refresh(self) -> None:
        """networksetup has told them."""

    def describe(self, setting: Setting) -> list[str]:
        lines = []
        for service, values in setting.items():
            uses = [(_NAMES[key], Named.of(values[key])) for key in _PROXIES]
            found = [f"{name} through {named.place}" for name, named in uses if named.on]
            pac = Named.of(values["pac"])
            if pac.on:
                found.append(f"PAC file {without_user(pac.place)}")
            lines.append(f"{service}: {', '.join(found) or 'no proxy'}")
        return lines


def services() -> list[str]:
    """Those that are enabled.  The first line is a remark; an asterisk marks what is not."""
    lines = run_program(["networksetup", "-listallnetworkservices"]).splitlines()
    return [line for line in lines[1:] if line and not line.startswith("*")]


def _fields(command: str, service: str) -> dict[str, str]:
    return {name: value.strip() for name, value in _FIELD.findall(run_program(["networksetup", command, service]))}


def _proxy(fields: Mapping[str, str]) -> Named:
    server, port = fields.get("Server", ""), fields.get("Port", "")
    if not server or not port.isdecimal():
        return Named(False, "")
    password = _PASSWORD if fields.get("Authenticated Proxy Enabled") == "1" else ""
    return Named(fields.get("Enabled") == "Yes", join_host_port(server, int(port)) + password)


def _write_proxy(service: str, word: str, named: Named) -> None:
    if not named.place:
        run_program(["networksetup", f"-set{word}state", service, "off"])
        with suppress(SettingError):  # a name that stays behind, switched off, does nothing
            run_program(["networksetup", f"-set{word}", service, "", "0"])
            run_program(["networksetup", f"-set{word}state", service, "off"])
        return
    if not named.place.endswith(_PASSWORD):  # whose place never changes
        try:
            host, port = split_host_port(named.place)
        except BadAddress as error:
            raise SettingError(str(error)) from None
        run_program(["networksetup", f"-set{word}", service, host, str(port)])  # which switches it on
    run_program(["networksetup", f"-set{word}state", service, "on" if named.on else "off"])


def _write_pac(service: str, named: Named) -> None:
    if named.place:
        run_program(["networksetup", "-setautoproxyurl", service, named.place])
    run_program(["networksetup", "-setautoproxystate", service, "on" if named.on else "off"])


def _pattern(network: str) -> str:
    """As macOS takes networks: 127.0/8 or 127.0.0.0/8; an IPv6 address without a length."""
    return network.partition("/")[0] if ":" in network else network
