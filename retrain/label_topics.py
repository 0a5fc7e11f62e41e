"""The consumer of `labels`, `label-requests` and `model-announcements`: every partition, from where the store stands.

Assigned, not subscribed: one process reads for one store, so a restart after a kill waits for no session to expire.
What the store says it read counts; offsets are committed to the group for people and lag tools.
"""

import logging
import time
from collections.abc import Mapping
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from retrain import metrics
from retrain.settings import RetrainSettings
from retrain.stall_check import StallCheck
from streamapp.cluster.kafka_clients import kafka_uuid, open_admin, open_client, raw_record
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import LABEL_REQUESTS, LABELS, MODEL_ANNOUNCEMENTS

# How often new partitions, and topics that were recreated, are looked for.
LOOK_AGAIN_SECONDS: Final = 60.0
REQUEST_TIMEOUT_MS: Final = 15_000
POLL_RECORDS: Final = 500

Positions = Mapping[tuple[str, int], int]

log = logging.getLogger(__name__)


class LabelTopicsError(RuntimeError):
    """A topic does not exist; the text names it and the command that makes it."""


class LabelTopics:
    """Reads the three topics in order. Raises the client's errors; `place` puts it right after any of them."""

    def __init__(self, settings: RetrainSettings) -> None:
        prefix = settings.topics.prefix
        self.labels = prefix + LABELS.name
        self.requests = prefix + LABEL_REQUESTS.name
        self.announcements = prefix + MODEL_ANNOUNCEMENTS.name
        self._access = settings.broker
        self._consumer = open_client(
            KafkaConsumer,
            settings.broker,
            group_id=settings.topics.prefix + settings.labels.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            max_poll_records=POLL_RECORDS,
        )
        self._uuids: dict[str, str] = {}
        self._partitions: list[TopicPartition] = []
        self._looked_at = 0.0
        self._stall = StallCheck(self._consumer)

    def place(self, stored: Positions) -> None:
        """Assigns every partition there is and goes to the stored positions, which are committed too.

        Records that Kafka deleted unread are counted and logged. Raises LabelTopicsError.
        """
        self._look()
        self._consumer.assign(self._partitions)
        starts = self._consumer.beginning_offsets(self._partitions, timeout_ms=REQUEST_TIMEOUT_MS)
        ends = self._consumer.end_offsets(self._partitions, timeout_ms=REQUEST_TIMEOUT_MS)
        for partition in self._partitions:
            wanted = stored.get((self._uuids[partition.topic], partition.partition))
            self._consumer.seek(partition, _start(partition, wanted, starts[partition], ends[partition]))
        self.commit(stored)
        self._stall = StallCheck(self._consumer)

    def due_to_look(self) -> bool:
        """Whether it is time to look for new partitions and recreated topics, by `place`."""
        return time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS

    def poll(self, timeout_seconds: float) -> list[RawRecord]:
        """What came, in offset order per partition.

        A consumer whose broker is gone gives nothing and says nothing, so it is asked now and then: KafkaTimeoutError
        where nobody answers, StalledReadError where records wait that it does not give (open another one then).
        """
        batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        if not batches:
            self._stall.check(self._partitions)
        return [
            raw_record(record, self._uuids[record.topic])
            for records in batches.values()
            for record in records
        ]

    def poll_requests_to_end(self, patience_seconds: float) -> list[RawRecord]:
        """What `label-requests` holds from here to its present end; the other topics wait meanwhile.

        Raises KafkaTimeoutError where that takes longer than `patience_seconds`.
        """
        waiting = [each for each in self._partitions if each.topic == self.requests]
        others = [each for each in self._partitions if each.topic != self.requests]
        ends = self._consumer.end_offsets(waiting, timeout_ms=REQUEST_TIMEOUT_MS)
        deadline = time.monotonic() + patience_seconds
        self._consumer.pause(*others)
        records: list[RawRecord] = []
        try:
            while any(
                self._consumer.position(each, timeout_ms=REQUEST_TIMEOUT_MS) < ends[each] for each in waiting
            ):
                records += self.poll(0.2)
                if time.monotonic() > deadline:
                    raise KafkaTimeoutError(f"{self.requests} could not be read to its end")
        finally:
            self._consumer.resume(*others)
        return records

    def commit(self, positions: Positions) -> None:
        """Commits the stored positions of the topics that exist now; waits for the answer."""
        offsets = {
            partition: OffsetAndMetadata(positions[key], "", -1)
            for partition in self._partitions
            if (key := (self._uuids[partition.topic], partition.partition)) in positions
        }
        if offsets:
            self._consumer.commit(offsets, timeout_ms=REQUEST_TIMEOUT_MS)

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=REQUEST_TIMEOUT_MS)

    def _look(self) -> None:
        names = [self.labels, self.requests, self.announcements]
        with open_admin(self._access) as admin:
            described = {
                each["name"]: each for each in admin.describe_topics(names) if each["error_code"] == 0
            }
        missing = [name for name in names if name not in described]
        if missing:
            raise LabelTopicsError(f"no topic {', '.join(missing)}: run `streamapp topics create`")
        self._uuids = {name: kafka_uuid(described[name]["topic_id"]) for name in names}
        self._partitions = [
            TopicPartition(name, number)
            for name in names
            for number in range(len(described[name]["partitions"]))
        ]
        self._looked_at = time.monotonic()


def _start(partition: TopicPartition, stored: int | None, start: int, end: int) -> int:
    if stored is None:
        return start
    if stored < start:
        lost = start - stored
        metrics.LABEL_OFFSETS_LOST.labels(partition.topic).inc(lost)
        log.error("%d records of %s were deleted by Kafka before they were read", lost, partition)
        return start
    if (
        stored > end
    ):  # the cluster lost its newest records; what is known is not stored twice, so all is read again
        log.error(
            "%s ends at %d, %d was read before: reading it again from %d", partition, end, stored, start
        )
        return start
    return stored
