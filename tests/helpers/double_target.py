"""A target at one number of both protocols, as name servers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from helpers.datagrams import PacketTarget, packet_target
from helpers.traffic import Target, echo, target


@contextmanager
def double_target() -> Iterator[tuple[Target, PacketTarget]]:
    """Echoes what comes by TCP, and by UDP."""
    while True:
        with ExitStack() as stack:
            stream = stack.enter_context(target(echo))
            try:
                packets = stack.enter_context(packet_target(port=stream.port))
            except OSError:  # somebody has that number for UDP
                continue
            yield stream, packets
            return
