"""Score's side of event time: what was acknowledged, per source partition, and when watch must be told.

Must not know how ticks are sent. `now_ms` is the wall clock, handed in; it decides only how often a flip of
`caught_up` is told and whether the newest record is young, never where a frontier is.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from streamapp.contracts.messages import SourceFrontier, SourceOffset, Tick
from streamapp.core.event_time import minute_of

FLIP_INTERVAL_MS = 1_000

SourcePartition = tuple[str, int]


class _Source(Struct):
    offset: int
    frontier_ms: int | None = None
    newest_record_ms: int | None = None
    record_ms: int | None = None
    told_minutes: tuple[int | None, int | None] | None = None
    told_caught_up: bool | None = None


class FrontierTracker:
    """The frontiers of one worker's source partitions.

    A frontier is the greatest min(event time, record timestamp) acknowledged since assignment; watch keeps what was
    told before. A partition is caught up when it was acknowledged up to the end offset last seen, or when its newest
    acknowledged record is younger than `caught_up_age_ms`. Without an end offset it is not.
    """

    def __init__(self, worker: str, caught_up_age_ms: int) -> None:
        self._worker = worker
        self._caught_up_age_ms = caught_up_age_ms
        self._sources: dict[SourcePartition, _Source] = {}
        self._told_at_ms: int | None = None
        self._assigned = False
        self._paused: frozenset[SourcePartition] = frozenset()

    def assign(self, next_offsets: Mapping[SourcePartition, int]) -> None:
        """From here on the worker has these source partitions, and no others, from these offsets on."""
        self._sources = {source: _Source(offset=offset - 1) for source, offset in next_offsets.items()}
        self._assigned = True

    def acknowledge(self, source_offset: SourceOffset, frontier_ms: int | None, record_ms: int) -> None:
        """Every message that this record caused is in Kafka. `frontier_ms` None: it was no post.

        A record of a partition that is not assigned (any more) is ignored.
        """
        source = self._sources.get((source_offset.topic_uuid, source_offset.partition))
        if source is None:
            return
        source.offset = max(source.offset, source_offset.offset)
        source.newest_record_ms = _greatest(source.newest_record_ms, record_ms)
        source.record_ms = _greatest(source.record_ms, record_ms)
        if frontier_ms is not None:
            source.frontier_ms = _greatest(source.frontier_ms, frontier_ms)

    def pause(self, paused: Iterable[SourcePartition]) -> None:
        """These partitions, and no others, are paused: they count as caught up, so that they hold no watermark back."""
        self._paused = frozenset(paused)

    def expect(self, next_ms: Mapping[SourcePartition, int]) -> None:
        """The times of the records that come next; told of sources of which nothing was acknowledged yet."""
        for key, source in self._sources.items():
            if source.record_ms is None:
                source.record_ms = next_ms.get(key)

    def tick(self, now_ms: int, end_offsets: Mapping[SourcePartition, int]) -> Tick | None:
        """The tick that is due, else None.

        Due: after an assignment, when a frontier or the newest record enters another minute, and when `caught_up`
        flips, the last at most once a second. It tells of every source, so that one message brings a reader up to
        date.
        """
        caught_up = {key: self._is_caught_up(key, now_ms, end_offsets) for key in self._sources}
        if not self._sources or not self._is_due(now_ms, caught_up):
            return None
        for key, source in self._sources.items():
            source.told_caught_up = caught_up[key]
            source.told_minutes = _minutes(source)
        self._told_at_ms = now_ms
        self._assigned = False
        sources = tuple(
            SourceFrontier(
                topic_uuid=key[0],
                partition=key[1],
                offset=source.offset,
                frontier_ms=source.frontier_ms,
                caught_up=caught_up[key],
                record_ms=source.record_ms,
            )
            for key, source in sorted(self._sources.items())
        )
        return Tick(worker=self._worker, sources=sources)

    def _is_due(self, now_ms: int, caught_up: Mapping[SourcePartition, bool]) -> bool:
        if self._assigned or any(
            _minutes(source) != source.told_minutes for source in self._sources.values()
        ):
            return True
        may_flip = self._told_at_ms is None or now_ms - self._told_at_ms >= FLIP_INTERVAL_MS
        return may_flip and any(
            caught_up[key] != source.told_caught_up for key, source in self._sources.items()
        )

    def _is_caught_up(
        self, key: SourcePartition, now_ms: int, end_offsets: Mapping[SourcePartition, int]
    ) -> bool:
        source = self._sources[key]
        if key in self._paused:
            return True
        end = end_offsets.get(key)
        if end is not None and source.offset + 1 >= end:
            return True
        newest = source.newest_record_ms
        return newest is not None and now_ms - newest < self._caught_up_age_ms


def _greatest(known_ms: int | None, new_ms: int) -> int:
    return new_ms if known_ms is None else max(known_ms, new_ms)


def _minutes(source: _Source) -> tuple[int | None, int | None]:
    """Of the frontier and of the newest record: other workers wait for the one or the other."""
    frontier_ms, record_ms = source.frontier_ms, source.record_ms
    return (
        None if frontier_ms is None else minute_of(frontier_ms),
        None if record_ms is None else minute_of(record_ms),
    )
