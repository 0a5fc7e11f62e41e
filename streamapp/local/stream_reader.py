"""Follows topics from their beginning with one consumer without a group: what any user sees, no more."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kafka import TopicPartition

from streamapp.cluster.kafka_clients import open_admin, open_consumer, raw_record, topic_uuids
from streamapp.contracts.raw_record import RawRecord
from streamapp.settings import BrokerAccess


class TopicMissingError(RuntimeError):
    """A topic that should be followed does not exist; the text names it."""


class StreamReader:
    """Reads `topics`, every partition, from the oldest record on (or from a time). A context manager."""

    def __init__(self, access: BrokerAccess, topics: Sequence[str], since_ms: int | None = None) -> None:
        with open_admin(access) as admin:
            self.uuids = topic_uuids(admin, topics)
        missing = [topic for topic in topics if topic not in self.uuids]
        if missing:
            raise TopicMissingError(
                f"no topic {', '.join(missing)}: run `streamapp topics create`, or see --config"
            )
        self._consumer = open_consumer(access)
        self._partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(self._consumer.partitions_for_topic(topic))
        ]
        self._consumer.assign(self._partitions)
        self._seek(since_ms)

    def poll(self, timeout_seconds: float) -> list[RawRecord]:
        """What came, in offset order per partition; waits up to the time for the first."""
        batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        return [
            raw_record(record, self.uuids[record.topic]) for batch in batches.values() for record in batch
        ]

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The broker's own count of what a topic has taken, by partition."""
        wanted = [each for each in self._partitions if each.topic == topic]
        return {each.partition: end for each, end in self._consumer.end_offsets(wanted).items()}

    def at_end(self) -> bool:
        """Whether everything was read that the topics hold now."""
        ends = self._consumer.end_offsets(self._partitions)
        return all(self._consumer.position(each) >= ends[each] for each in self._partitions)

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seek(self, since_ms: int | None) -> None:
        starts = self._consumer.beginning_offsets(self._partitions)
        found = {}
        if since_ms is not None:
            ends = self._consumer.end_offsets(self._partitions)
            times = self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since_ms))
            found = {each: times[each].offset if times.get(each) else ends[each] for each in self._partitions}
        for each in self._partitions:
            self._consumer.seek(each, found.get(each, starts[each]))
