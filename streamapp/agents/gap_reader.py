"""Reads what stands between two offsets of a partition, past the consumer of the worker.

A gap is checked before anything behind it may be acknowledged, and every transaction leaves one: so one consumer serves
them all, and what it fetched beyond a gap answers for the gaps that follow.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from faust.types import TP
from msgspec import Struct

READ_SECONDS = 30.0
POLL_MS = 500


class Stretch(Struct, frozen=True):
    """The records of a partition from offset `begin` up to `end`, as they were when it was read."""

    begin: int
    end: int
    offsets: list[int]

    def is_empty(self, begin: int, end: int) -> bool:
        """Whether it covers the offsets from `begin` up to `end`, and none of them has a record."""
        if begin < self.begin or end > self.end:
            return False
        following = bisect_left(self.offsets, begin)
        return following == len(self.offsets) or self.offsets[following] >= end


class GapReader:
    """One a worker. Opens its consumer for the first gap; `close` ends it."""

    def __init__(self, consumer_options: Mapping[str, Any]) -> None:
        self._consumer_options = consumer_options
        self._consumer: AIOKafkaConsumer | None = None
        self._stretches: dict[TP, Stretch] = {}
        self._one_at_a_time = asyncio.Lock()

    async def first_record(self, tp: TP, expected: int, end: int) -> tuple[int, int]:
        """The oldest offset that is left (or `expected`, where that is not known to be later), and the first from
        `expected` on that has a record, or `end` where none before it has.

        Raises TimeoutError where Kafka does not say within `READ_SECONDS`, and the client's errors.
        """
        async with self._one_at_a_time:
            known = self._stretches.get(tp)
            if known is not None and known.is_empty(expected, end):
                return expected, end
            try:
                async with asyncio.timeout(READ_SECONDS):
                    return await self._read(tp, expected, end)
            except BaseException:  # whatever came of it, the next gap gets a new consumer
                await self._end_consumer()
                raise

    async def close(self) -> None:
        """End its consumer, if there is one."""
        async with self._one_at_a_time:
            await self._end_consumer()

    async def _read(self, tp: TP, expected: int, end: int) -> tuple[int, int]:
        consumer, partition = await self._opened(), TopicPartition(*tp)
        consumer.assign([partition])
        try:
            while True:
                begin: int = (await consumer.beginning_offsets([partition]))[partition]
                if begin >= end:
                    return begin, end
                try:
                    stretch = await _read_stretch(consumer, partition, max(expected, begin), end)
                except OffsetOutOfRangeError:
                    continue  # deleted meanwhile
                self._stretches[tp] = stretch
                return begin, min(stretch.offsets[0], end) if stretch.offsets else end
        finally:
            consumer.pause(partition)  # else it would fetch on

    async def _opened(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False, auto_offset_reset="none", **self._consumer_options
            )
            self._consumer = consumer
            await consumer.start()
        return self._consumer

    async def _end_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


async def _read_stretch(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
) -> Stretch:
    """From `begin` up to the first record at least, with all that was fetched beyond it, or to `end`."""
    consumer.seek(partition, begin)
    offsets: list[int] = []
    while (position := await consumer.position(partition)) < end and not offsets:
        fetched = await consumer.getmany(partition, timeout_ms=POLL_MS)
        offsets += [record.offset for records in fetched.values() for record in records]
    return Stretch(begin=begin, end=position, offsets=offsets)
