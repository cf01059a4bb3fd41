"""What cannot be had stops the start with one sentence, on the system that lacks it and on one that is made to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import Any, Optional

import pytest
from helpers.apart import in_new_network, why_not
from helpers.processes import PYTHON, ROOT, clean_environment

from pyss.errors import ConfigError
from pyss.net import socket_check as module
from pyss.net import socket_options
from pyss.net.socket_check import check
from pyss.net.socket_options import NOTHING, SocketOptions

linux = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none")
apart = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def refusal(options: SocketOptions) -> str:
    with pytest.raises(ConfigError) as found:
        check(options)
    text = str(found.value)
    assert "\n" not in text and not text.endswith(".")
    return text


def refused(number: int) -> Any:
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


# --- what a system has ---------------------------------------------------------------------------
def test_nothing_is_always_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """And opens no socket."""
    monkeypatch.setattr(module, "new_stream", refused(errno.EMFILE))
    assert check(NOTHING) == check(SocketOptions()) == []


@not_windows
def test_what_every_system_has() -> None:
    assert check(SocketOptions(keep_alive=30, dscp=46, reuse_port=True, ipv6_only=False, bind_ipv4="127.0.0.1",
                               incoming_send=30_000, outgoing_receive=30_000)) == []  # fmt: skip


# --- what it lacks -------------------------------------------------------------------------------
def test_an_address_of_another_machine() -> None:
    for options in (SocketOptions(bind_ipv4="192.0.2.1"), SocketOptions(bind_ipv6="2001:db8::1")):
        host = options.bind_ipv4 or options.bind_ipv6
        text = refusal(options)
        assert text.startswith(f"outgoing connections cannot come from {host} (outbound_bind_addr): ")
        assert text.endswith("; give an address that this machine has")


@linux
def test_an_interface_that_is_not_there() -> None:
    text = refusal(SocketOptions(interface="nowhere0"))
    assert text == (
        "outgoing connections cannot leave by nowhere0 (outbound_bind_interface): No such device; "
        "name an interface that this machine has"
    )


def test_more_rights_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options, key, capability in (
        ("set_mark", SocketOptions(mark=1), "outbound_fwmark", "CAP_NET_ADMIN"),
        ("bind_interface", SocketOptions(interface="lo"), "outbound_bind_interface", "CAP_NET_RAW"),
    ):
        monkeypatch.setattr(socket_options, name, refused(errno.EPERM))
        text = refusal(options)
        assert f"({key}): Operation not permitted; start it as root, or with the capability {capability}" in text


@linux
@pytest.mark.skipif(why_not() is not None, reason="of root, who gives it up")
def test_a_mark_without_the_right_to_it() -> None:
    """As somebody else, really."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pyss.net.socket_check import check; from pyss.net.socket_options import SocketOptions\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "check(SocketOptions(mark=1))"
    )
    argv = [PYTHON, "-c", program, str(ROOT)]
    done = subprocess.run(argv, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert "ConfigError: outgoing packets cannot be marked (outbound_fwmark): Operation not permitted; " in done.stderr


@pytest.mark.parametrize("number", [errno.EPROTONOSUPPORT, errno.ENOPROTOOPT])
def test_multipath_that_the_kernel_refuses(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "new_stream", refused(number))
    text = refusal(SocketOptions(mptcp=True))
    assert text.startswith(f"Multipath TCP (mptcp) is not to be had: {os.strerror(number)}; ")
    assert "net.mptcp.enabled" in text and text.endswith("remove it to start")


@apart
def test_multipath_switched_off() -> None:
    def test() -> Optional[str]:
        try:
            with open("/proc/sys/net/mptcp/enabled", "w") as switch:
                switch.write("0")
        except FileNotFoundError:
            pass  # a kernel without it refuses all the same
        return refusal(SocketOptions(mptcp=True))

    assert str(in_new_network(test)).startswith("Multipath TCP (mptcp) is not to be had: ")


def test_what_other_systems_have_none_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_options, "MPTCP", None)
    assert ": this system has none; " in refusal(SocketOptions(mptcp=True))
    for name, options, key in (
        ("set_mark", SocketOptions(mark=1), "outbound_fwmark"),
        ("bind_interface", SocketOptions(interface="en0"), "outbound_bind_interface"),
        ("_set_code_point", SocketOptions(dscp=46), "dscp"),
    ):

        def lacks(*arguments: object) -> None:
            raise OSError("this system does not let programs do that")

        monkeypatch.setattr(socket_options, name, lacks)
        assert f"({key}): this system does not let programs do that; " in refusal(options)
    monkeypatch.setattr(module, "prepare_port", lacks)
    assert refusal(SocketOptions(reuse_port=True)) == (
        "a port cannot be shared between processes (reuse_port): this system does not let programs do that; "
        "remove it to start"
    )


def test_options_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each can be had, and not both; found at the start, not at the first connection over IPv6."""
    monkeypatch.setattr(module, "_trials", lambda options: iter(()))
    monkeypatch.setattr(module, "new_datagram", refused(errno.EOPNOTSUPP))
    text = refusal(SocketOptions(keep_alive=7, dscp=3) if sys.platform != "win32" else SocketOptions(keep_alive=7))
    assert text.startswith("what is asked of sockets does not go together for IPv4 on this system: ")


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no reason not to start."""
    for name, number in (("new_stream", errno.EAFNOSUPPORT), ("listening_socket", errno.EADDRNOTAVAIL)):
        real: Any = getattr(module, name)

        def without(first: Any, *more: Any, real: Any = real, number: int = number, **options: Any) -> Any:
            if first in (module._AF_INET6, "::1"):
                raise OSError(number, os.strerror(number))
            return real(first, *more, **options)

        monkeypatch.setattr(module, name, without)
    assert check(SocketOptions(keep_alive=7)) == []


# --- fast open -----------------------------------------------------------------------------------
FAST = SocketOptions(fast_open=True)


@apart
@pytest.mark.parametrize(("switched", "notes"), [(3, 0), (1, 0), (2, 1), (0, 1)])
def test_fast_open_as_the_system_is_set(switched: int, notes: int) -> None:
    """Linux refuses it to outgoing connections only; to the others it says nothing."""
    found = in_new_network(lambda: check(FAST), switched)
    assert len(found) == notes
    assert all(note.startswith("fast_open: outgoing connections go without TCP Fast Open; ") for note in found)


def test_fast_open_for_one_way_only_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS, Windows."""

    def one_way(sock: object, name: Optional[int], value: int) -> None:
        if value == 1:
            raise OSError("this system has none")

    monkeypatch.setattr(module, "FAST_OPEN_QUEUE", 5)
    monkeypatch.setattr(module, "set_fast_open", one_way)
    (note,) = check(FAST)
    assert note.startswith("fast_open: outgoing connections go without")


def test_fast_open_that_is_not_there_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAST_OPEN", None)
    monkeypatch.setattr(module, "FAST_OPEN_CONNECT", None)
    assert refusal(FAST) == "TCP Fast Open (fast_open) is not to be had on this system; remove it to start"
