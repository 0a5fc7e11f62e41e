"""The bounded hand-over from a Faust stream to the agent's own pump.

Faust's `take()` acknowledges a batch whose body raised, so batches are made here, from un-acked events. What waits
here is what a rebalance must wait for: the bound is the back-pressure.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

E = TypeVar("E")


class Inbox(Generic[E]):
    """First in, first out; one writer, one reader, one event loop. `max_events` may be changed at any time."""

    def __init__(self, max_events: int) -> None:
        self.max_events = max_events
        self._events: deque[E] = deque()
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
        self._filled.set()

    async def take(self, max_events: int) -> list[E]:
        """What waits, oldest first, at most `max_events`; waits for the first one, never to fill a batch."""
        while not self._events:
            self._filled.clear()
            await self._filled.wait()
        return self.take_waiting(max_events)

    def take_waiting(self, max_events: int) -> list[E]:
        """What waits now, at most `max_events`; may be empty."""
        events = self._events
        batch = [events.popleft() for _ in range(min(max_events, len(events)))]
        self._drained.set()
        return batch
