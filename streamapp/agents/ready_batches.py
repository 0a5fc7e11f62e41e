"""Batches that are computed side by side, given out in order, joined where several are ready.

Under load one publish for several batches costs little more than for one: fewer round trips, and one activity message
a subject where there would be several. What is joined is one batch in every respect, so the delivery rules hold.
"""

import asyncio
from typing import Any, Generic, Protocol, Self, TypeVar

B = TypeVar("B", bound="Joinable")


class Joinable(Protocol):
    """A result that can take up the one behind it."""

    def joined(self, later: Self) -> Self:
        """Both as one, in order."""


class ReadyBatches(Generic[B]):
    """Bounded: `max_waiting` batches, and one that is ready but does not fit to the one given out before it.

    `given_out` is true from `take` to `done`.
    """

    def __init__(self, max_waiting: int, max_events: int) -> None:
        self._queue: asyncio.Queue[tuple[list[Any], asyncio.Task[B]]] = asyncio.Queue(max_waiting)
        self._held: tuple[list[Any], asyncio.Task[B]] | None = None
        self._max_events = max_events
        self.given_out = False

    async def put(self, events: list[Any], computing: asyncio.Task[B]) -> None:
        """Add the next batch; waits while there are too many."""
        await self._queue.put((events, computing))

    async def take(self) -> tuple[list[Any], B]:
        """The next batch once it is ready, with those behind it that are ready too, at most `max_events` together.

        Raises what computing one of them raised: nothing of any of them was given out then.
        """
        events, computing = self._held or await self._queue.get()
        self._held = None
        batch = await computing
        while self._held is None and not self._queue.empty():
            later, computing = self._queue.get_nowait()
            if computing.done() and len(events) + len(later) <= self._max_events:
                events = events + later
                batch = batch.joined(computing.result())
            else:
                self._held = (later, computing)
        self.given_out = True
        return events, batch

    def done(self) -> None:
        """What was given out is published."""
        self.given_out = False
