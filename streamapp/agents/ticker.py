"""Tells watch how far event time has come: what was acknowledged, as ticks to every partition of subject-activity.

What a tick says is decided by `FrontierTracker`; here it is fed and its ticks are sent.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from streamapp.agents.inputs import Inputs
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import ScoredPost
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.frontier import FrontierTracker
from streamapp.core.intake import Rejected

TICK_KEY = b"tick"

TopicPartition = tuple[str, int]
EndOffsets = Callable[[], Mapping[TopicPartition, int]]


class Ticker:
    """One a worker. `ends` gives the end offsets last seen of the assigned partitions, `next_ms` the times of the
    records that come next.
    """

    def __init__(
        self,
        tracker: FrontierTracker,
        inputs: Inputs,
        outbox: Outbox,
        activity: tuple[str, int],
        ends: EndOffsets,
        next_ms: Callable[[], Mapping[TopicPartition, int]] = dict,
    ) -> None:
        self._tracker = tracker
        self._inputs = inputs
        self._outbox = outbox
        self._activity_topic, self._activity_partitions = activity
        self._end_offsets = ends
        self._next_ms = next_ms
        self._sending = asyncio.Lock()

    def assign(self, committed: Mapping[TopicPartition, int]) -> None:
        """These input partitions, and no others, are this worker's from here on, at these next offsets."""
        self._tracker.assign(self._by_source(committed))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """These input partitions, and no others, are paused."""
        self._tracker.pause(self._by_source(dict.fromkeys(partitions, 0)))

    def acknowledge(self, records: Iterable[RawRecord], results: Iterable[ScoredPost | Rejected]) -> None:
        """Everything that these records caused is in Kafka."""
        for record, result in zip(records, results, strict=True):
            if record.redriven:
                continue
            frontier_ms = None
            if isinstance(result, ScoredPost):
                event_time_ms = result.post.event_time_ms
                # A record without a time of its own (-1) cannot bound the payload's.
                frontier_ms = (
                    min(record.timestamp_ms, event_time_ms) if record.timestamp_ms >= 0 else event_time_ms
                )
            self._tracker.acknowledge(record.source_offset, frontier_ms, record.timestamp_ms)

    async def send_due(self) -> None:
        """Send a tick where one is due. Ticks of one worker never overtake each other."""
        async with self._sending:
            self._tracker.expect(self._by_source(self._next_ms()))
            tick = self._tracker.tick(int(time.time() * 1000), self._by_source(self._end_offsets()))
            if tick is None:
                return
            value = encode(tick)
            await self._outbox.deliver(
                [
                    Outgoing(topic=self._activity_topic, key=TICK_KEY, value=value, partition=partition)
                    for partition in range(self._activity_partitions)
                ]
            )

    def _by_source(self, offsets: Mapping[TopicPartition, int]) -> dict[tuple[str, int], int]:
        """Only of topics that move event time."""
        return {
            (self._inputs.uuid_of(topic), partition): offset
            for (topic, partition), offset in offsets.items()
            if self._inputs.moves_time(topic)
        }
