"""The one loop: sockets, timers and calls from other threads, on any `selectors` selector.

    select ──► on_ready of each channel ──► due timers ──► calls made for soon ──► close retired

* The selector's `data` is the channel itself: one lookup, no second table that could go stale.
* `retire` disarms a channel at once and closes its socket after the batch, so that a descriptor number
  cannot be taken anew while an event for its old bearer still waits in the batch.
* Every entry is guarded: an exception aborts the owner of that callback and nothing else.
* No `on_ready` is called from another; what completes at once is finished by `call_soon`.
* Calls from threads come with a byte through a pair of sockets, and so are one event like the others.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections import deque
from typing import Callable, Optional

from .channel import Channel, Failable, ignore
from .clock import monotonic
from .epoll import default_selector
from .sockets import READ_SIZE, WOULD_BLOCK, reset_on_close
from .timers import Timer, Timers

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

# Seconds until the next turn of a loop that waits for nothing: no selector overflows at that.
LONGEST_WAIT = 3600.0

# What sealing can add to one read: 34 bytes for each chunk of 0x3FFF, and one header.
_HEADROOM = 34 * (READ_SIZE // 0x3FFF + 1) + 4096


class Loop:
    """One thread, one selector.

    now   monotonic seconds, read once per tick: when its events were seen
    rx    scratch for reading, valid within one callback
    tx    scratch for what is to be sent, valid within one callback
    """

    def __init__(self, selector: Optional[selectors.BaseSelector] = None, *, debug: bool = False) -> None:
        self._selector = selector or default_selector()
        self._select: Callable[[Optional[float]], list[tuple[selectors.SelectorKey, int]]] = self._selector.select
        # A descriptor that is about to be closed need not be taken out of epoll first.
        self._forget = getattr(self._selector, "forget", self._selector.unregister)
        self.rx = memoryview(bytearray(READ_SIZE))
        self.tx = memoryview(bytearray(READ_SIZE + _HEADROOM))
        self.now = monotonic()
        self.on_fault: Callable[[BaseException], None] = _log_fault
        self.timers = Timers()
        self._soon: deque[tuple[Callable[[], None], Failable]] = deque()
        self._from_threads: deque[tuple[Callable[[], None], Failable]] = deque()
        self._retired: list[Channel] = []
        self._running = False
        if debug:
            self._select = self._poison_and_select
        self._wake_end, far_end = socket.socketpair()
        self._wake_end.setblocking(False)
        far_end.setblocking(False)
        self._far_end = far_end
        self.watch(Channel(far_end, self._on_wake, self), READ)

    # --- channels --------------------------------------------------------------------------------
    def watch(self, channel: Channel, events: int) -> None:
        """Wait for READ, WRITE, both, or (0) for nothing."""
        before = channel.events
        if events == before:
            return
        if not before:
            self._selector.register(channel.fd, events, channel)
        elif not events:
            self._selector.unregister(channel.fd)
        else:
            self._selector.modify(channel.fd, events, channel)
        channel.events = events

    def retire(self, channel: Channel, *, reset: bool = False) -> None:
        """Disarm now, close after the batch; with `reset` the peer sees RST instead of FIN."""
        if channel.on_ready is ignore:
            return
        channel.on_ready = ignore
        channel.incoming = channel.outgoing = None  # else whoever reads or writes here would live on in a cycle
        if reset:
            reset_on_close(channel.sock)
        if channel.events:
            channel.events = 0
            self._forget(channel.fd)
        self._retired.append(channel)

    # --- calls -----------------------------------------------------------------------------------
    def call_later(self, delay: float, callback: Callable[[], None], owner: Optional[Failable] = None) -> Timer:
        return self.timers.arm(self.now + max(delay, 0), callback, owner or self)

    def call_soon(self, callback: Callable[[], None], owner: Optional[Failable] = None) -> None:
        """After this batch, before the next wait."""
        self._soon.append((callback, owner or self))

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        """From any thread."""
        self._from_threads.append((callback, self))
        self.wake()

    def wake(self) -> None:
        try:
            self._wake_end.send(b"\0")
        except OSError:  # full: it wakes anyway; closed: nobody is left to wake
            pass

    @property
    def wakeup_fd(self) -> int:
        """For `signal.set_wakeup_fd`: a signal ends the wait."""
        return self._wake_end.fileno()

    def abort(self, error: BaseException) -> None:
        """The owner of callbacks that have no other: report, go on."""
        self.on_fault(error)

    # --- running ---------------------------------------------------------------------------------
    def run(self) -> None:
        """Until `stop`."""
        self._running = True
        tick = self.tick
        while self._running:
            tick()

    def stop(self) -> None:
        self._running = False

    def tick(self, longest: float = LONGEST_WAIT) -> None:
        """One turn: wait for an event, a timer or a call, `longest` seconds at most; then do all that is due."""
        timers = self.timers
        timeout = timers.due - self.now
        if timeout > longest:
            timeout = longest
        if self._soon:
            timeout = 0.0
        select = self._select  # and `on_ready` below: a call of an attribute is slower than one of a local name
        ready = select(timeout)
        self.now = now = monotonic()
        for key, mask in ready:
            channel: Channel = key.data
            on_ready = channel.on_ready
            try:
                on_ready(channel, mask)
            except Exception as error:
                self._fault(channel.owner, error)
        if timers.due <= now:
            self._run_timers()
        if self._soon:
            self._run_calls(self._soon)
        if self._retired:
            self._close_retired()

    def close(self) -> None:
        """Release what the loop itself holds."""
        self._run_calls(self._soon)
        self._run_calls(self._from_threads)
        self._close_retired()
        self._selector.close()
        self._wake_end.close()
        self._far_end.close()

    def _run_timers(self) -> None:
        newest = self.timers.number  # what they arm for at once waits for the next tick
        while (timer := self.timers.pop_due(self.now, newest)) is not None:
            callback, owner = timer.callback, timer.owner
            timer.callback = timer.owner = None
            self._guard(callback, owner or self)

    def _run_calls(self, calls: deque[tuple[Callable[[], None], Failable]]) -> None:
        for _ in range(len(calls)):  # what they add waits for the next tick
            self._guard(*calls.popleft())

    def _guard(self, callback: Optional[Callable[[], None]], owner: Failable) -> None:
        try:
            if callback is not None:
                callback()
        except Exception as error:
            self._fault(owner, error)

    def _fault(self, owner: Failable, error: Exception) -> None:
        try:
            owner.abort(error)
        except Exception as second:
            self.on_fault(second)

    def _close_retired(self) -> None:
        retired, self._retired = self._retired, []
        for channel in retired:
            try:
                channel.sock.close()
            except OSError:  # ECONNRESET on some systems: closed all the same
                pass

    def _on_wake(self, channel: Channel, mask: int) -> None:
        try:
            while len(channel.sock.recv(4096)) == 4096:
                pass
        except WOULD_BLOCK:
            pass
        self._run_calls(self._from_threads)

    def _poison_and_select(self, timeout: Optional[float]) -> list[tuple[selectors.SelectorKey, int]]:
        """Debug mode: whoever kept a view of scratch reads rubbish from now on."""
        self.rx[:] = b"\xdd" * len(self.rx)
        self.tx[:] = b"\xdd" * len(self.tx)
        return self._selector.select(timeout)


def _log_fault(error: BaseException) -> None:
    logging.getLogger("pyss").error("internal error: %r", error, exc_info=error)
