"""In which order the records of several source partitions are handed over: by their time, as they would have come live.

A backlog that is read by number of records lets a partition with fewer posts an hour run ahead in event time without
bound, and the slower ones' posts become late. Merging by record time is what Kafka Streams does (KIP-353, KIP-695);
waiting for sources of other workers is Flink's watermark alignment (FLIP-182). Must not know how records are fetched.
"""

import heapq
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from msgspec import Struct


class Stamped(Protocol):
    """A record with the time that Kafka keeps for it, in milliseconds; -1 where there is none."""

    @property
    def timestamp(self) -> int:
        """When the record was made, or came to Kafka."""


K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=Stamped)

NO_TIME_MS = -1
FOREVER_MS = 1 << 62
# A producer's clock that is ahead by more says nothing of when the record came.
CLOCK_SKEW_MS = 60_000
# Up to so many records in a row whose producer's clock is ahead keep nothing back that follows them.
OUTLIERS = 4


class OrderRules(Struct, frozen=True, kw_only=True):
    """How partitions wait for each other.

    Not at all once they are more than `apart_ms` from each other: the posts of the slower one are late by then. For
    `patience_ms` for one that has a backlog and gives nothing. `lead_ms` is how far they may be ahead of what other
    workers read, and what is younger than `live_ms` does not wait for other workers.
    """

    apart_ms: int
    lead_ms: int
    live_ms: int
    patience_ms: int = 5_000


class _Lane(Struct, Generic[R]):
    """One partition: what waits, the newest time handed over, and whether the broker has more than was fetched."""

    waiting: deque[R]
    reached_ms: int = NO_TIME_MS
    behind: bool = True
    dry_since_ms: int | None = None


class TimeOrder(Generic[K, R]):
    """Records that were fetched and not handed over yet, by partition; each partition in its own order."""

    def __init__(self, rules: OrderRules) -> None:
        self._rules = rules
        self._lanes: dict[K, _Lane[R]] = {}
        self._known_ms: dict[K, int] = {}

    def assume(self, known_ms: Mapping[K, int]) -> None:
        """How far partitions had come when others read them; for partitions that are kept from now on."""
        self._known_ms = dict(known_ms)

    def keep(self, partitions: Iterable[K]) -> None:
        """These partitions, and no others, are read. What waits of others is dropped: it will be fetched again."""
        known = self._known_ms
        self._lanes = {
            key: self._lanes.get(key) or _Lane(deque(), known.get(key, NO_TIME_MS)) for key in partitions
        }

    def clear(self) -> None:
        """Nothing waits: every partition is read anew from what was acknowledged."""
        self._lanes = {}

    def drop(self, partition: K) -> None:
        """What waits of this partition will be fetched again."""
        if partition in self._lanes:
            self._lanes[partition].waiting.clear()

    def add(self, partition: K, records: Iterable[R]) -> None:
        """Records that follow those which wait already. KeyError for a partition that is not kept."""
        self._lanes[partition].waiting.extend(records)

    @property
    def waiting(self) -> Mapping[K, int]:
        """How many records wait, of each partition that has any."""
        return {key: len(lane.waiting) for key, lane in self._lanes.items() if lane.waiting}

    def next_ms(self, now_ms: int) -> Mapping[K, int]:
        """The time of what comes next, of each partition of which anything waits."""
        return {key: _next_ms(lane.waiting, now_ms) for key, lane in self._lanes.items() if lane.waiting}

    @property
    def stocked(self) -> set[K]:
        """The partitions of which enough waits to tell a wrong clock."""
        return {key for key, lane in self._lanes.items() if len(lane.waiting) > OUTLIERS}

    def take(
        self, most: int, now_ms: int, behind: Collection[K], elsewhere_ms: Sequence[int] = ()
    ) -> list[tuple[K, R]]:
        """The records to hand over now, at most `most`, oldest first.

        `behind`: partitions that have more than was fetched; one of which nothing waits could bring an older record
        than all others, so they wait for it. `elsewhere_ms`: the times that other workers' sources have come to,
        `NO_TIME_MS` for one that was never read.
        """
        self._look(behind, now_ms)
        groups = self._groups(now_ms)
        taken: list[tuple[K, R]] = []
        for group in groups:
            taken += self._merge(group, max(1, most // len(groups)), now_ms, elsewhere_ms)
        return taken

    def _look(self, behind: Collection[K], now_ms: int) -> None:
        for key, lane in self._lanes.items():
            lane.behind = key in behind
            if lane.waiting or not lane.behind:
                lane.dry_since_ms = None
            elif lane.dry_since_ms is None:
                lane.dry_since_ms = now_ms

    def _is_awaited(self, lane: _Lane[R], now_ms: int) -> bool:
        return lane.dry_since_ms is not None and now_ms - lane.dry_since_ms < self._rules.patience_ms

    def _groups(self, now_ms: int) -> list[dict[K, _Lane[R]]]:
        """Partitions that wait for each other, the slowest group first. One that was never read and one whose next
        record has no time join every group: theirs could be of any time.
        """
        timed: dict[K, tuple[int, int]] = {}
        anywhere: list[K] = []
        for key, lane in self._lanes.items():
            if not lane.waiting and not self._is_awaited(lane, now_ms):
                continue
            next_ms = _next_ms(lane.waiting, now_ms) if lane.waiting else lane.reached_ms
            if next_ms == NO_TIME_MS:
                anywhere.append(key)
            else:
                # Of one that was never read, what comes next tells best where it is.
                timed[key] = (
                    next_ms,
                    next_ms if lane.reached_ms == NO_TIME_MS else min(lane.reached_ms, next_ms),
                )
        groups = []
        while timed:
            slowest_ms = min(next_ms for next_ms, _ in timed.values())
            members = [key for key, (_, at_ms) in timed.items() if at_ms - slowest_ms <= self._rules.apart_ms]
            groups.append({key: self._lanes[key] for key in (*members, *anywhere)})
            for key in members:
                del timed[key]
        return groups or [{key: self._lanes[key] for key in anywhere}]

    def _merge(
        self, group: dict[K, _Lane[R]], most: int, now_ms: int, elsewhere_ms: Sequence[int]
    ) -> list[tuple[K, R]]:
        heads = [
            (_next_ms(lane.waiting, now_ms), place, key)
            for place, (key, lane) in enumerate(group.items())
            if lane.waiting
        ]
        heapq.heapify(heads)
        # Nothing newer than this: a partition that is awaited could still bring what is older.
        limit_ms = min((lane.reached_ms for lane in group.values() if not lane.waiting), default=FOREVER_MS)
        horizon_ms = self._horizon_ms(heads[0][0], elsewhere_ms) if heads else FOREVER_MS
        live_from_ms = now_ms - self._rules.live_ms
        taken: list[tuple[K, R]] = []
        while heads and heads[0][0] <= limit_ms and len(taken) < most:
            time_ms, place, key = heads[0]
            if horizon_ms < time_ms < live_from_ms:
                heapq.heappop(heads)
                continue
            lane = group[key]
            taken.append((key, lane.waiting.popleft()))
            lane.reached_ms = max(lane.reached_ms, time_ms)
            if lane.waiting:
                heapq.heapreplace(heads, (_next_ms(lane.waiting, now_ms), place, key))
            else:
                heapq.heappop(heads)
                if lane.behind:
                    limit_ms = min(limit_ms, lane.reached_ms)
        return taken

    def _horizon_ms(self, oldest_ms: int, elsewhere_ms: Sequence[int]) -> int:
        """How far the sources of other workers let these go on; those that are too far behind have no say."""
        if NO_TIME_MS in elsewhere_ms:
            return NO_TIME_MS
        heard = [time_ms for time_ms in elsewhere_ms if oldest_ms - time_ms <= self._rules.apart_ms]
        return min(heard) + self._rules.lead_ms if heard else FOREVER_MS


def _next_ms(waiting: deque[R], now_ms: int) -> int:
    """The time of what comes next. Where the records after it are older, its producer's clock was ahead: theirs."""
    time_ms = waiting[0].timestamp
    if len(waiting) > 1 and (
        waiting[1].timestamp < time_ms or waiting[min(OUTLIERS, len(waiting) - 1)].timestamp < time_ms
    ):
        time_ms = min(record.timestamp for record in islice(waiting, OUTLIERS + 1))
    return time_ms if time_ms <= now_ms + CLOCK_SKEW_MS else NO_TIME_MS
