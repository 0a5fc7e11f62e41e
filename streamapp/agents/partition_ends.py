"""Where the records of each partition end: the marker of a transaction stands behind its last record, and what is taken
never comes up to the end that Kafka tells.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError
from faust.types import TP
from msgspec import Struct

from streamapp.agents.gap_reader import GapReader
from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.next_offsets import NextOffsets

LOOK_SECONDS = 0.5
# What is behind for so long, with nothing taken and nothing added, is looked at.
STILL_SECONDS = 2.0
# Records that are there have stopped on their way, for as long as the broker is away or the model is slow.
AGAIN_SECONDS = 30.0

log = logging.getLogger(__name__)


class _Rest(Struct):
    """A partition of which `expected` is to come next, up to `end`; looked at when it is `due` (monotonic seconds)."""

    expected: int
    end: int
    due: float


class PartitionEnds:
    """One a worker. Looks behind the last record of each partition that rests short of its end."""

    def __init__(self, app: StreamApp, next_offsets: NextOffsets, gaps: GapReader) -> None:
        self._app = app
        self._next_offsets = next_offsets
        self._gaps = gaps
        self._resting: dict[TP, _Rest] = {}

    def of(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The offset behind the last record of those partitions of which the broker told lately, open transactions
        included: what they hold will come.
        """
        ends = self._app.consumer.ends(tps)
        return {tp: self._next_offsets.end_of_records(tp, end) for tp, end in ends.items()}

    def last_told(self, tp: TP) -> int | None:
        """The offset behind the last record of one partition that may be read now, however long ago the broker told."""
        end = self._app.consumer.highwater(tp)
        return None if end is None else self._next_offsets.end_of_records(tp, end)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while not self._app.should_stop:
                await asyncio.sleep(LOOK_SECONDS)
                if not self._app.rebalancing:
                    await self._look(time.monotonic())
        finally:
            await self._gaps.close()

    async def _look(self, now: float) -> None:
        resting: dict[TP, _Rest] = {}
        for tp in self._app.consumer.assignment():
            expected, end = self._next_offsets.of.get(tp), self.last_told(tp)
            if expected is None or end is None or tp.topic in self._app.paused_topics:
                continue
            if expected < end:
                known = self._resting.get(tp)
                still = known is not None and (known.expected, known.end) == (expected, end)
                resting[tp] = known if known and still else _Rest(expected, end, now + STILL_SECONDS)
        self._resting = resting
        for tp, rest in resting.items():
            # An assignment may have come while another partition was looked at.
            if rest.due <= now and self._rests(tp, rest):
                rest.due = now + AGAIN_SECONDS
                await self._look_behind(tp, rest)

    def _rests(self, tp: TP, rest: _Rest) -> bool:
        return self._next_offsets.of.get(tp) == rest.expected

    async def _look_behind(self, tp: TP, rest: _Rest) -> None:
        try:
            empty = await self._next_offsets.look_behind(tp, rest.end)
        except (KafkaError, TimeoutError) as error:
            # It will be looked at again. Whoever sends or reads posts gives up in time.
            log.warning("cannot read the end of %s partition %d: %r", tp.topic, tp.partition, error)
            return
        if empty and self._rests(tp, rest):
            self._app.consumer.commit_to_end(tp, rest.expected, rest.end)
