"""The open event minute of one subject: exact post counts, bounded samples of its stories, a few headlines.

Whatever the order in which posts arrive, the same posts leave the same minute behind.
"""

from bisect import insort
from collections.abc import Iterator

from msgspec import Struct

from streamapp.contracts.messages import Activity
from streamapp.core.story import Evidence, scatter
from streamapp.core.version_past import Origin, Tally

# With these a subject's state stays below 16 KB even with four full open minutes.
NEGATIVE_SAMPLE = 64
OTHER_SAMPLE = 32
MINUTE_HEADLINES = 3
HASH_RANGE = 1 << 64

# Event time, topic UUID, partition, offset: the one order of posts that no arrival can change.
OrderKey = tuple[int, str, int, int]


def order_key(activity: Activity) -> OrderKey:
    """Where the activity stands among all others."""
    source = activity.source_offset
    return (activity.event_time_ms, source.topic_uuid, source.partition, source.offset)


class StorySample:
    """The distinct fingerprints with the smallest hashes, `size` at most; of each its first copy and the copies.

    A bottom-k sample (Cohen and Kaplan, PODC 2007): what it keeps does not depend on the order of arrival, and
    beyond `size` it estimates how many there were.
    """

    __slots__ = ("_ranked", "entries", "overflowed", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: dict[int, tuple[OrderKey, int]] = {}
        self.overflowed = False
        self._ranked: list[tuple[int, int]] = []

    def add(self, fingerprint: int, key: OrderKey, copies: int = 1) -> None:
        """Count one post (or `copies` of it)."""
        known = self.entries.get(fingerprint)
        if known is not None:
            self.entries[fingerprint] = (min(known[0], key), known[1] + copies)
            return
        rank = (scatter(fingerprint), fingerprint)
        if len(self._ranked) >= self.size:
            self.overflowed = True
            if rank > self._ranked[-1]:
                return
            _, least_wanted = self._ranked.pop()
            del self.entries[least_wanted]
        insort(self._ranked, rank)
        self.entries[fingerprint] = (key, copies)

    def stories_per_entry(self) -> float:
        """How many distinct fingerprints one entry stands for: 1 unless the sample overflowed."""
        if not self.overflowed:
            return 1.0
        return max(1.0, (self.size - 1) / self.size * HASH_RANGE / (self._ranked[-1][0] + 1))


class Headline(Struct, frozen=True):
    """A candidate for an alert's evidence."""

    key: OrderKey
    fingerprint: int
    evidence: Evidence


class OpenMinute:
    """Posts by sentiment, and by model version and channel; story samples of the negative and of the other posts, the
    3 earliest negative headlines.
    """

    __slots__ = ("counts", "headlines", "negative", "negatives", "neutral", "others", "positive")

    def __init__(self) -> None:
        self.negative = self.neutral = self.positive = 0
        self.negatives = StorySample(NEGATIVE_SAMPLE)
        self.others = StorySample(OTHER_SAMPLE)
        self.headlines: list[Headline] = []
        # (model version, channel): [negative, other]
        self.counts: dict[Origin, list[int]] = {}

    def add(self, activity: Activity, fingerprint: int) -> None:
        """Count one post."""
        key = order_key(activity)
        origin = (activity.model_version, activity.channel)
        counts = self.counts.get(origin)
        if counts is None:
            counts = self.counts[origin] = [0, 0]
        if activity.sentiment == "negative":
            self.negative += 1
            counts[0] += 1
            self.negatives.add(fingerprint, key)
            self._offer(activity, fingerprint, key)
            return
        self.others.add(fingerprint, key)
        counts[1] += 1
        if activity.sentiment == "neutral":
            self.neutral += 1
        else:
            self.positive += 1

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Posts by version and channel, in an order that no arrival can change."""
        if len(self.counts) == 1:
            (((version, channel), counts),) = self.counts.items()
            return (Tally(version, channel, *counts),)
        return tuple(Tally(*origin, *self.counts[origin]) for origin in sorted(self.counts))

    @property
    def only_version(self) -> str | None:
        """The version that scored all of the minute's posts; None where several did."""
        first = next(iter(self.counts))[0]
        if len(self.counts) > 1 and any(version != first for version, _ in self.counts):
            return None
        return first

    def _offer(self, activity: Activity, fingerprint: int, key: OrderKey) -> None:
        headlines = self.headlines
        if len(headlines) >= MINUTE_HEADLINES and key > headlines[-1].key:
            return
        same = next((kept for kept in headlines if kept.fingerprint == fingerprint), None)
        if same is not None:
            if same.key <= key:
                return
            headlines.remove(same)
        evidence = Evidence.of(activity.headline, activity.post_id, activity.channel)
        headlines.append(Headline(key, fingerprint, evidence))
        headlines.sort(key=lambda kept: kept.key)
        del headlines[MINUTE_HEADLINES:]

    def in_order(self) -> Iterator[tuple[int, OrderKey, int, bool]]:
        """(fingerprint, first copy, copies, negative) of every sampled entry, in the order of posts."""
        entries = [(key, fp, copies, True) for fp, (key, copies) in self.negatives.entries.items()]
        entries += [(key, fp, copies, False) for fp, (key, copies) in self.others.entries.items()]
        for key, fingerprint, copies, negative in sorted(entries):
            yield fingerprint, key, copies, negative
