"""How far the source partitions have come that other workers read and that have a backlog: `TimeOrder` waits for them.

Told by the ticks that every worker hears. A source that stands still is waited for only so long: its topic may be gone,
or its worker dead and nobody in its place.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from streamapp.contracts.messages import Tick
from streamapp.core.time_order import NO_TIME_MS

SourcePartition = tuple[str, int]


class _Elsewhere(Struct):
    record_ms: int | None
    moved_at_ms: int
    offset: int | None = None
    caught_up: bool = False


class SourcesElsewhere:
    """What one worker knows of the sources that are not its own.

    For `settle_ms` after an assignment a source that nobody told of yet is waited for with everything: it may have a
    backlog that begins with older records. `stands_still_ms` is the patience with one that was told of.
    """

    def __init__(self, settle_ms: int = 10_000, stands_still_ms: int = 60_000) -> None:
        self._settle_ms = settle_ms
        self._stands_still_ms = stands_still_ms
        self._sources: dict[SourcePartition, _Elsewhere] = {}

    def assign(
        self, others: Collection[SourcePartition], known_ms: Mapping[SourcePartition, int], now_ms: int
    ) -> None:
        """These are read by others from here on; `known_ms`: the record times that some had come to before."""
        self._sources = {source: _Elsewhere(known_ms.get(source), now_ms) for source in others}

    def hear(self, tick: Tick, now_ms: int) -> None:
        """What a worker says of its sources. One that slept and says what was true before has no say."""
        for told in tick.sources:
            source = self._sources.get((told.topic_uuid, told.partition))
            if source is None or (source.offset is not None and told.offset < source.offset):
                continue
            if told.offset != source.offset:
                source.offset, source.moved_at_ms = told.offset, now_ms
            source.caught_up = told.caught_up
            if told.record_ms is not None:
                source.record_ms = max(told.record_ms, source.record_ms or told.record_ms)

    def times_ms(self, now_ms: int) -> tuple[int, ...]:
        """The record times that those with a backlog have come to, `NO_TIME_MS` for one of which it is not known."""
        return tuple(
            NO_TIME_MS if source.offset is None or source.record_ms is None else source.record_ms
            for source in self._sources.values()
            if not source.caught_up and now_ms - source.moved_at_ms < self._patience_ms(source)
        )

    def _patience_ms(self, source: _Elsewhere) -> int:
        return self._settle_ms if source.offset is None else self._stands_still_ms
