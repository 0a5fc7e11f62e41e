"""Which offset of each partition comes next, and what became of those that were not handed over.

Records that Kafka deleted are counted and logged. Records that are still there stop the worker, which reads them again
when it starts.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from faust.types import TP

from streamapp import metrics
from streamapp.agents.gap_reader import GapReader

log = logging.getLogger(__name__)


class OffsetsWentBack(RuntimeError):
    """The next record of a partition is older than one already taken: the topic is another one, or was cut."""


class RecordsPassedOver(RuntimeError):
    """Records that are in Kafka were not handed over: nothing behind them may be acknowledged."""


class NextOffsets:
    """One a worker, of all that it consumes.

    `pass_over` is told of every stretch of a partition (its first offset, and the one behind it) that no record is in.
    """

    def __init__(self, gaps: GapReader, pass_over: Callable[[TP, int, int], None]) -> None:
        self._gaps = gaps
        self._pass_over = pass_over
        self._next: dict[TP, int] = {}
        self._empty: dict[TP, tuple[int, int]] = {}

    def assign(self, positions: Mapping[TP, int]) -> None:
        """These partitions will be read, from these offsets on."""
        self._next = dict(positions)
        self._empty = {}

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

        Raises `OffsetsWentBack`; `RecordsPassedOver` for a record that is there, deleted ones are counted; and what
        `GapReader.first_record` raises.
        """
        tp, offset = message.tp, message.offset
        expected = self._next[tp]
        if offset < expected:
            raise OffsetsWentBack(
                f"{tp.topic} partition {tp.partition} went back from offset {expected} to {offset}: it was recreated "
                "or cut; nothing of it was taken"
            )
        begin, found = await self._gaps.first_record(tp, expected, offset)
        # Nothing is there after a transaction's marker or a compaction.
        count_lost(tp, expected, min(begin, offset))
        if found < offset:
            raise RecordsPassedOver(
                f"{tp.topic} partition {tp.partition}: offset {found} was not handed over, and {offset} was. The "
                "worker stops before anything behind it is acknowledged; it will be read again"
            )
        self._pass_over(tp, expected, offset)
        self._next[tp] = offset + 1

    async def look_behind(self, tp: TP, end: int) -> bool:
        """Read whether there is any record from the next offset up to the partition's `end`: True where there is none;
        see `end_of_records`.

        Raises what `GapReader.first_record` raises. A record that is there may still be on its way, and is left alone.
        """
        expected = self._next[tp]
        _, found = await self._gaps.first_record(tp, expected, end)
        if found >= end:
            self._empty[tp] = (expected, end)
        return found >= end

    def end_of_records(self, tp: TP, end: int) -> int:
        """The partition's `end` offset, or the next offset where nothing is known to stand between the two.

        The marker of the last transaction does: what is acknowledged will not come to the end that Kafka tells.
        """
        begin, known_end = self._empty.get(tp, (0, -1))
        expected = self._next.get(tp, end)
        return expected if begin <= expected <= end <= known_end else end


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
