"""EpollSelector beside the standard library's, in any order of operations."""

from __future__ import annotations

import selectors
import socket
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

if sys.platform != "linux":
    pytest.skip("epoll is of Linux", allow_module_level=True)

from helpers.twins import Twins

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BOTH = READ | WRITE

Pair = tuple[socket.socket, socket.socket]


class Operations(RuleBasedStateMachine):
    """Any operations on a few sockets, which are closed and made anew under the same numbers."""

    SOCKETS = st.integers(0, 2)
    EVENTS = st.sampled_from([READ, WRITE, BOTH])

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins()
        self.pairs = [self.new_pair() for _ in range(3)]

    def new_pair(self) -> Pair:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        return near, far

    def fd(self, which: int) -> int:
        return self.pairs[which][0].fileno()

    @rule(which=SOCKETS, events=st.sampled_from([READ, WRITE, BOTH, 0, 4]), data=st.integers())
    def register(self, which: int, events: int, data: int) -> None:
        self.twins.same(lambda selector: selector.register(self.fd(which), events, data))

    @rule(which=SOCKETS, events=EVENTS, data=st.integers())
    def modify(self, which: int, events: int, data: int) -> None:
        self.twins.same(lambda selector: selector.modify(self.fd(which), events, data))

    @rule(which=SOCKETS)
    def unregister(self, which: int) -> None:
        self.twins.same(lambda selector: selector.unregister(self.fd(which)))

    @rule(which=SOCKETS)
    def speak(self, which: int) -> None:
        self.pairs[which][1].send(b"x")

    @rule(which=SOCKETS)
    def hear(self, which: int) -> None:
        try:
            self.pairs[which][0].recv(4096)
        except BlockingIOError:
            pass

    @rule(which=SOCKETS)
    def begin_anew(self, which: int) -> None:
        """The socket is closed while it is registered or not, and unregistered afterwards."""
        fd = self.fd(which)
        for sock in self.pairs[which]:
            sock.close()
        self.twins.same(lambda selector: selector.unregister(fd))
        self.pairs[which] = self.new_pair()

    @invariant()
    def all_looks_the_same(self) -> None:
        self.twins.same(lambda selector: selector.select(0))
        for which in range(3):
            self.twins.same(lambda selector, which=which: selector.get_map().get(self.fd(which)))

    def teardown(self) -> None:
        self.twins.close()
        for pair in self.pairs:
            for sock in pair:
                sock.close()


TestOperations = Operations.TestCase
TestOperations.settings = settings(max_examples=50, stateful_step_count=30)
