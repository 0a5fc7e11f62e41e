"""Which offset of each partition comes next, and what became of those that were not handed over.

Records that Kafka deleted are counted and logged. Records that are still there stop the worker, which reads them again
when it starts.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from faust.types import TP

from streamapp import metrics

GAP_READ_SECONDS = 30.0

log = logging.getLogger(__name__)


class OffsetsWentBack(RuntimeError):
    """The next record of a partition is older than one already taken: the topic is another one, or was cut."""


class RecordsPassedOver(RuntimeError):
    """Records that are in Kafka were not handed over: nothing behind them may be acknowledged."""


class NextOffsets:
    """One a worker, of all that it consumes."""

    def __init__(self, consumer_options: Mapping[str, Any]) -> None:
        self._consumer_options = consumer_options
        self._next: dict[TP, int] = {}

    def assign(self, positions: Mapping[TP, int]) -> None:
        """These partitions will be read, from these offsets on."""
        self._next = dict(positions)

    @property
    def of(self) -> Mapping[TP, int]:
        """The next offset by partition."""
        return self._next

    def is_next(self, message: Any) -> bool:
        """Whether this message is the next one of its partition; the one after it is the next then."""
        tp, offset = message.tp, message.offset
        if self._next.get(tp, offset) != offset:
            return False
        self._next[tp] = offset + 1
        return True

    async def skip_to(self, message: Any) -> None:
        """Let this message be the next one, where it may. What raises here must end the worker: Faust takes a gap
        for acknowledged as soon as something behind it is.

        Raises `OffsetsWentBack`, and what `explain_gap` raises.
        """
        tp, offset = message.tp, message.offset
        expected = self._next[tp]
        if offset < expected:
            raise OffsetsWentBack(
                f"{tp.topic} partition {tp.partition} went back from offset {expected} to {offset}: it was recreated "
                "or cut; nothing of it was taken"
            )
        await explain_gap(tp, expected, offset, self._consumer_options)
        self._next[tp] = offset + 1


async def explain_gap(tp: TP, expected: int, offset: int, consumer_options: Mapping[str, Any]) -> None:
    """Of a partition of which `offset` was handed over where `expected` was to come: read what is between.

    Nothing is there after a transaction's marker or a compaction. Counts what was deleted; raises `RecordsPassedOver`
    for a record that is there, and TimeoutError where Kafka does not say within `GAP_READ_SECONDS`.
    """
    consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="none", **consumer_options)
    partition = TopicPartition(*tp)
    async with asyncio.timeout(GAP_READ_SECONDS), consumer:
        consumer.assign([partition])
        begin, found = await _first_from(consumer, partition, expected, offset)
    count_lost(tp, expected, min(begin, offset))
    if found < offset:
        raise RecordsPassedOver(
            f"{tp.topic} partition {tp.partition}: offset {found} was not handed over, and {offset} was. The worker "
            "stops before anything behind it is acknowledged; it will be read again"
        )


async def _first_from(
    consumer: AIOKafkaConsumer, partition: TopicPartition, expected: int, offset: int
) -> tuple[int, int]:
    """The oldest offset that is left, and the first from `expected` on, or `offset` where all before it is deleted."""
    while True:
        begin: int = (await consumer.beginning_offsets([partition]))[partition]
        if begin >= offset:
            return begin, offset
        consumer.seek(partition, max(expected, begin))
        try:
            record = await consumer.getone(partition)
        except OffsetOutOfRangeError:
            continue  # deleted meanwhile
        return begin, int(record.offset)


def count_lost(tp: TP, expected: int, begin: int) -> None:
    """`expected` was to be read next and `begin` is the oldest offset that is left; nothing if that is not later."""
    if expected >= begin:
        return
    metrics.OFFSETS_LOST.labels(tp.topic, str(tp.partition)).inc(begin - expected)
    log.critical(
        "%d records of %s partition %d were deleted before they were read (offsets %d to %d): raise the topic's "
        "retention.ms or add workers",
        begin - expected, tp.topic, tp.partition, expected, begin - 1,
    )  # fmt: skip
