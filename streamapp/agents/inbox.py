"""The bounded hand-over from a Faust stream to the agent's own pump.

Faust's `take()` acknowledges a batch whose body raised, so batches are made here, from un-acked events. What waits
here is what a rebalance must wait for: the bound is the back-pressure.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

E = TypeVar("E")


class Inbox(Generic[E]):
    """First in, first out; one writer, one reader, one event loop. `max_events` may be changed at any time."""

    def __init__(self, max_events: int) -> None:
        self.max_events = max_events
        self._events: deque[E] = deque()
        self._wake_at = 1
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def __len__(self) -> int:
        return len(self._events)

    async def put(self, event: E) -> None:
        """Add one event; waits while the inbox is full."""
        while len(self._events) >= self.max_events:
            self._drained.clear()
            await self._drained.wait()
        self._events.append(event)
        if len(self._events) >= self._wake_at:
            self._filled.set()

    async def take(self, max_events: int, may_be_few: Callable[[], bool] = lambda: True) -> list[E]:
        """What waits, oldest first, at most `max_events`; waits for the first one. While `may_be_few` says no it waits
        for `max_events`; whoever makes it say yes calls `wake`.
        """
        while not self._events or (len(self._events) < max_events and not may_be_few()):
            self._wake_at = 1 if may_be_few() else max_events
            self._filled.clear()
            await self._filled.wait()
        return self.take_waiting(max_events)

    def wake(self) -> None:
        """Have `take` look again."""
        self._filled.set()

    def take_waiting(self, max_events: int) -> list[E]:
        """What waits now, at most `max_events`; may be empty."""
        events = self._events
        batch = [events.popleft() for _ in range(min(max_events, len(events)))]
        self._drained.set()
        return batch
