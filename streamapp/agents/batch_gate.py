"""Lets batches begin, and can be shut until everything that began has ended: the moment between two models.

Knows records by number only, nothing of what is done with them or while it is shut.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BatchGate:
    """For one event loop. A record is under way from `enter` to `leave`."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._one_at_a_time = asyncio.Lock()
        self.under_way = 0

    async def enter(self, records: int) -> None:
        """The records of a batch begin, at once or when the gate is open again."""
        await self._open.wait()
        self.under_way += records
        self._empty.clear()

    def leave(self, records: int) -> None:
        """These records are acknowledged."""
        self.under_way -= records
        if not self.under_way:
            self._empty.set()

    @asynccontextmanager
    async def shut(self) -> AsyncIterator[None]:
        """Within it nothing is under way and nothing begins. Waits for what is; one at a time; opens also on errors."""
        async with self._one_at_a_time:
            self._open.clear()
            try:
                await self._empty.wait()
                yield
            finally:
                self._open.set()
