"""A call in a network of its own (Linux, root): its loopback, its settings, and nobody else in it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import threading
from typing import Callable, Optional, TypeVar

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, linux/sched.h
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS, linux/sockios.h
_UP = 0x41  # IFF_UP | IFF_RUNNING

Value = TypeVar("Value")


def why_not() -> Optional[str]:
    """Why there can be no such network here; None if there can."""
    if sys.platform != "linux":
        return "network namespaces are of Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    return None


def set_up(fast_open: int) -> None:
    """Take this thread, and what it starts, to a new network; `fast_open` is its sysctl net.ipv4.tcp_fastopen."""
    import fcntl  # not of Windows, where this file is imported all the same

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as switch:
        switch.write(str(fast_open))


def in_a_thread(function: Callable[[], Value]) -> Value:
    """What `function` returns, or raises, in a thread that ends with it."""
    outcome: list[Value] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if error:
        raise error[0]
    return outcome[0]


def in_new_network(function: Callable[[], Value], fast_open: int = 3) -> Value:
    """What `function` returns.  The threads that it starts are in that network too."""

    def inside() -> Value:
        set_up(fast_open)
        return function()

    return in_a_thread(inside)
