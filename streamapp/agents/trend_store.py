"""Trend state in `subject-state`: read to its end before a partition is worked on, written before input is acked.

State goes to the partition number of its input. Not Faust's tables: their changelog is not awaited by a commit, and
one was seen to lose counts (docs/architecture.md, Trend state).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streamapp import metrics
from streamapp.agents.current_series import CurrentSeries
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.core.trend_state import PartitionWatch, WatchRules


class TrendStore:
    """The assigned partitions' trend state, in memory and in Kafka."""

    def __init__(
        self, topic: str, rules: WatchRules, outbox: Outbox, consumer_options: Mapping[str, Any]
    ) -> None:
        self._topic = topic
        self._rules = rules
        self._outbox = outbox
        self._consumer_options = consumer_options
        self._partitions: dict[int, PartitionWatch] = {}
        self._record_bytes: dict[int, dict[bytes, int]] = {}
        self._bytes = CurrentSeries(metrics.STATE_BYTES)
        self.on_read: Callable[[], None] = lambda: None

    def __getitem__(self, partition: int) -> PartitionWatch:
        return self._partitions[partition]

    @property
    def partitions(self) -> Mapping[int, PartitionWatch]:
        """What was read last, by partition."""
        return self._partitions

    async def read(self, partitions: Iterable[int]) -> None:
        """Forget everything and read these partitions to their end.

        Everything, because a partition that was kept may have moved away and back in between.
        """
        started = time.monotonic()
        self._partitions = {partition: PartitionWatch(self._rules) for partition in partitions}
        self._record_bytes = {partition: {} for partition in self._partitions}
        if self._partitions:
            consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._consumer_options)
            await consumer.start()
            try:
                await self._read_to_end(consumer)
            finally:
                await consumer.stop()
        for watch in self._partitions.values():
            watch.finish_loading()
        metrics.STATE_RECOVERY_SECONDS.set(time.monotonic() - started)
        sizes = self._record_bytes.items()
        self._bytes.replace({(str(number),): sum(records.values()) for number, records in sizes})
        self.on_read()

    async def _read_to_end(self, consumer: AIOKafkaConsumer) -> None:
        tps = [TopicPartition(self._topic, partition) for partition in self._partitions]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        waiting = {tp for tp in tps if ends[tp] > begins[tp]}
        while waiting:
            for tp, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
                watch = self._partitions[tp.partition]
                for record in records:
                    watch.load(record.key, record.value)
                    self._record_bytes[tp.partition][record.key] = len(record.value or b"")
            waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}

    async def write(self, partition: int) -> None:
        """Write what changed in one partition: subjects first, then frontiers, each step awaited.

        Frontiers last: a crash in between leaves the older watermark, under which a replay closes the same minutes
        again; the other way round the replay would take posts for late that were not.
        """
        changes = self._partitions[partition].take_changes()
        if not changes:
            return
        *subjects, frontiers = [
            Outgoing(topic=self._topic, key=key, value=value, partition=partition) for key, value in changes
        ]
        if subjects:
            await self._outbox.deliver(subjects)
        await self._outbox.deliver([frontiers])
        metrics.STATE_RECORDS.inc(len(changes))
        records = self._record_bytes[partition]
        for key, value in changes:
            size_bytes = len(value or b"")
            metrics.STATE_BYTES.labels(str(partition)).inc(size_bytes - records.get(key, 0))
            records[key] = size_bytes
