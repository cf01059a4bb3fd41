"""What a desktop's proxy setting is, whichever desktop it is, and how the programs that know it are asked.

    Setting   {"":      {"mode": "'manual'", "http host": "'127.0.0.1'", ...}}      one part: GNOME, KDE, Windows
              {"Wi-Fi": {"web": "on 127.0.0.1:1080", ...}, "Ethernet": {...}}       one for each network service: macOS

Only the desktop's own file knows what the values mean.  All others compare them, keep them and hand them back, so that
what is put back is what was there, to the letter.

    Wish ──plan──► Setting ──write──► the system ──read──► Setting
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Protocol, Union

from ..address import Address, join_host_port, split_host_port
from ..errors import BadAddress, PyssError

Value = Union[str, int, None]  # None: there is no such value
Part = Mapping[str, Value]
Setting = Mapping[str, Part]

PATIENCE = 20.0  # seconds for one program of the desktop
LONGEST_URL = 2000  # characters; what Windows takes

# Who is reached without the proxy: this machine and its neighbours, as patterns of a host name that all desktops know.
LOCAL_NAMES = ("localhost", "*.localhost", "*.local")
LOCAL_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128")

_URL = re.compile(r"(?:https?|file)://[!#-&(-;=?-\[\]_a-z~]+")  # no quotes, angle or curly brackets, bars, backslashes
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what is a part of no desktop's syntax
_USER = re.compile(r"//[^/@\s]*@")


class SettingError(PyssError):
    """The system's proxy cannot be read or set: what, why, and what to do (exit code 1)."""

    status = "desktop"


@dataclass(frozen=True)
class Wish:
    """What the setting shall be: one proxy for everything, a PAC file, or, with neither, no proxy.

    host, port  of the proxy, which takes SOCKS5 and HTTP on one port
    url         of the PAC file
    """

    host: str = ""
    port: int = 0
    url: str = ""

    def __str__(self) -> str:
        if self.host:
            return f"all programs through {join_host_port(self.host, self.port)}"
        return f"as the PAC file {without_user(self.url)} says" if self.url else "no proxy"


def global_wish(text: str) -> Wish:
    """From HOST:PORT.  Raises SettingError."""
    try:
        address = Address.of(*split_host_port(text))
    except BadAddress as error:
        raise SettingError(f"--global: {error}") from None
    if not address.port or not (address.is_ip or _HOST.fullmatch(address.host)):
        raise SettingError("--global: give the address of a proxy, such as 127.0.0.1:1080")
    if address.host in ("0.0.0.0", "::"):
        raise SettingError(f"--global: nobody can connect to {address.host}; give 127.0.0.1 for this machine")
    return Wish(address.host, address.port)


def pac_wish(url: str) -> Wish:
    """Raises SettingError."""
    if len(url) > LONGEST_URL or not _URL.fullmatch(url):
        raise SettingError("--pac: give a URL such as http://127.0.0.1:1080/proxy.pac, without blanks or quotes")
    return Wish(url=url)


class Desktop(Protocol):
    """One way to keep a proxy setting.

    name   in messages and in the saved file
    kinds  the keys of each part, with the types that their values may have
    parts  names of the parts; None where they are the system's own, as network services are

    All methods raise SettingError.
    """

    @property
    def name(self) -> str: ...
    @property
    def kinds(self) -> Mapping[str, tuple[type, ...]]: ...
    @property
    def parts(self) -> Optional[tuple[str, ...]]: ...

    def read(self) -> Setting:
        """All of it, as it is now."""

    def plan(self, wish: Wish, present: Setting) -> Setting:
        """The whole setting that would fulfil the wish; nothing is written."""

    def write(self, changes: Setting) -> None:
        """Set these values, in this order, and leave all others alone.  Stops at the first that fails."""

    def refresh(self) -> None:
        """Tell programs that run; one that cannot be told finds out when it starts again."""

    def describe(self, setting: Setting) -> list[str]:
        """For a person, one line for each thing that is set."""


def changes(present: Setting, wanted: Setting) -> Setting:
    """What has to be written for `wanted`; parts that are not there now are passed over."""
    found = {}
    for name, part in wanted.items():
        if name in present:
            different = {key: value for key, value in part.items() if present[name].get(key) != value}
            if different:
                found[name] = different
    return found


def without_user(text: str) -> str:
    """With the user name and password of a URL left out."""
    return _USER.sub("//***@", text)


# --- programs of the desktop -------------------------------------------------------------------------
def has_program(name: str) -> bool:
    return shutil.which(name) is not None


def run_program(argv: Sequence[str]) -> str:
    """What it prints.  No shell sees the arguments.  Raises SettingError when it fails."""
    environment = {**os.environ, "LC_ALL": "C"}  # what it says is parsed
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, env=environment, check=False
        )
    except FileNotFoundError:
        raise SettingError(f"the program {argv[0]} is not here, by which this desktop's proxy is set") from None
    except subprocess.TimeoutExpired:
        raise SettingError(f"{argv[0]} did not end within {PATIENCE:.0f} seconds") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL among the arguments
        raise SettingError(f"{argv[0]} cannot be started: {getattr(error, 'strerror', None) or error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").split("\n")
        reason = next((line.strip() for line in said if line.strip()), f"exit code {done.returncode}")
        raise SettingError(f"{' '.join(argv[:2])} failed: {without_user(reason)[:300]}")
    return done.stdout.decode("utf-8", "replace")
