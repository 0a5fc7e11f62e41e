"""Event time of one `subject-activity` partition: source clocks, the watermark, and which minutes it closes.

Knows ticks and nothing of subjects. The wall clock has no say here: the same log gives the same watermark.
"""

from msgspec import Struct

from streamapp.contracts.messages import Tick

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def minute_of(event_time_ms: int) -> int:
    """The event minute (minutes since the epoch, floored) that holds `event_time_ms`."""
    return event_time_ms // MINUTE_MS


class EventTimeRules(Struct, frozen=True, kw_only=True):
    """`lateness_ms`: how long after its end a minute stays open. `allowance_ms`: the most that the watermark may
    trail the greatest frontier.
    """

    lateness_ms: int = 120_000
    allowance_ms: int = 1_800_000


class SourceClock(Struct, array_like=True):
    """How far one source partition has come. `heard_ms` is the greatest frontier of all when it last reported,
    `record_ms` the greatest record timestamp; the watermark knows nothing of that one.
    """

    topic_uuid: str
    partition: int
    offset: int
    frontier_ms: int | None
    caught_up: bool
    heard_ms: int | None
    record_ms: int | None = None


class SourceClocks:
    """Folds ticks into a watermark.

    - An entry counts only if its offset is at least the one stored for its source: a worker that slept and
      wakes up reports an older offset and loses. Of equal offsets the later message counts.
    - A frontier never falls.
    - Watermark: the least frontier over sources that are not caught up; when all are, the greatest. It never
      falls and never trails the greatest frontier by more than the allowance.
    - A source that is behind and has no frontier yet could hold anything, so it holds the watermark back by the
      whole allowance. Before any frontier is known the watermark is None.
    - A source that nobody has reported while event time moved by more than the allowance (a deleted or recreated
      topic) is forgotten; it would otherwise hold the watermark back for ever.
    """

    def __init__(self, rules: EventTimeRules) -> None:
        self._rules = rules
        self._clocks: dict[tuple[str, int], SourceClock] = {}
        self.greatest_ms: int | None = None
        self.watermark_ms: int | None = None

    def apply(self, tick: Tick) -> bool:
        """Fold one tick in; True if it raised the watermark."""
        for source in tick.sources:
            key = (source.topic_uuid, source.partition)
            clock = self._clocks.get(key)
            if clock is not None and source.offset < clock.offset:
                continue
            frontier = _greater(clock.frontier_ms if clock else None, source.frontier_ms)
            self.greatest_ms = _greater(self.greatest_ms, frontier)
            record_ms = _greater(clock.record_ms if clock else None, source.record_ms)
            self._clocks[key] = SourceClock(
                *key, source.offset, frontier, source.caught_up, self.greatest_ms, record_ms
            )
        return self._raise_watermark()

    def _raise_watermark(self) -> bool:
        greatest = self.greatest_ms
        if greatest is None:
            return False
        floor = greatest - self._rules.allowance_ms
        candidate = greatest
        for key, clock in list(self._clocks.items()):
            if clock.heard_ms is not None and clock.heard_ms < floor:
                del self._clocks[key]
            elif not clock.caught_up:
                candidate = min(
                    candidate, floor if clock.frontier_ms is None else max(clock.frontier_ms, floor)
                )
        if self.watermark_ms is not None and candidate <= self.watermark_ms:
            return False
        self.watermark_ms = candidate
        return True

    @property
    def closed_before(self) -> int | None:
        """Every event minute below this one is closed; None before the first watermark."""
        if self.watermark_ms is None:
            return None
        return (self.watermark_ms - self._rules.lateness_ms) // MINUTE_MS

    def snapshot(self) -> list[SourceClock]:
        """The clocks in a fixed order, for the frontiers record."""
        return [self._clocks[key] for key in sorted(self._clocks)]

    def restore(self, clocks: list[SourceClock], greatest_ms: int | None, watermark_ms: int | None) -> None:
        """Take over what a frontiers record holds."""
        self._clocks = {(clock.topic_uuid, clock.partition): clock for clock in clocks}
        self.greatest_ms = greatest_ms
        self.watermark_ms = watermark_ms


def _greater(left: int | None, right: int | None) -> int | None:
    if left is None:
        return right
    return left if right is None else max(left, right)
