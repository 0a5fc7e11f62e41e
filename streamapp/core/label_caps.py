"""How much may be asked of people: an hourly cap split over source partitions, and the stories already asked about.

Every source partition has its own share of a cap, so that no worker needs to know what another one does: the shares
of an hour add up to the cap exactly, however the partitions are spread. Knows no verdicts, clocks or brokers.
"""

from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Mapping

from msgspec import Struct

from streamapp.contracts.messages import SourceOffset
from streamapp.core.event_time import HOUR_MS
from streamapp.core.story import LEADER_AGE_MS, SAME_STORY_BITS

# Posts that come later than this belong to hours that nobody counts any more: they are not asked about.
KEPT_HOURS = 3
MAX_STORIES = 256


class SourcePlaces(Struct, frozen=True):
    """All source partitions in one row: `first` is the place of a topic's partition 0, by topic UUID."""

    first: Mapping[str, int]
    partitions: int

    def of(self, source: SourceOffset) -> int | None:
        """The place of a post's partition; None for a topic that has none (redriven posts)."""
        first = self.first.get(source.topic_uuid)
        return None if first is None else first + source.partition


def source_places(partitions_by_uuid: Mapping[str, int]) -> SourcePlaces:
    """The places of these topics' partitions; every worker must give the topics in one order, that of the settings."""
    first: dict[str, int] = {}
    places = 0
    for topic_uuid, partitions in partitions_by_uuid.items():
        first[topic_uuid] = places
        places += partitions
    return SourcePlaces(first, places)


def share_of(cap: int, place: int, partitions: int, hour: int) -> int:
    """What one partition may take of an hour's cap. The remainder goes to other partitions every hour, so that a cap
    below the number of partitions silences none of them for ever.
    """
    whole, rest = divmod(cap, partitions)
    return whole + ((place + hour) % partitions < rest)


def allowed_by_now(share: int, event_time_ms: int) -> int:
    """How much of a share may be taken by that moment of its hour: one at once, the rest as the hour goes on."""
    return min(share, 1 + share * (event_time_ms % HOUR_MS) // HOUR_MS)


class HourlyCounts:
    """What one source partition took, by event hour and any keys; only the newest 3 hours are kept."""

    __slots__ = ("_hours", "_newest")

    def __init__(self) -> None:
        self._hours: dict[int, Tally[str]] = {}
        self._newest = -1

    def at(self, hour: int) -> Tally[str] | None:
        """The counts of an hour; None where it is older than what is kept."""
        if hour > self._newest:
            self._newest = hour
            for old in [kept for kept in self._hours if kept <= hour - KEPT_HOURS]:
                del self._hours[old]
        if hour <= self._newest - KEPT_HOURS:
            return None
        counts = self._hours.get(hour)
        if counts is None:
            counts = self._hours[hour] = Tally()
        return counts


class StoriesTold:
    """The stories of the last 6 event hours that were asked about or labelled, at most 256."""

    def __init__(self) -> None:
        self._told: OrderedDict[int, int] = OrderedDict()

    def knows(self, fingerprint: int, event_time_ms: int) -> bool:
        """Whether a story within 10 bits was noted within the 6 hours before (or any time after) this moment."""
        since_ms = event_time_ms - LEADER_AGE_MS
        return any(
            told_ms >= since_ms and (told ^ fingerprint).bit_count() <= SAME_STORY_BITS
            for told, told_ms in self._told.items()
        )

    def note(self, fingerprint: int, event_time_ms: int) -> None:
        """From now on the story is known; the one noted longest ago makes room."""
        self._told[fingerprint] = event_time_ms
        self._told.move_to_end(fingerprint)
        if len(self._told) > MAX_STORIES:
            self._told.popitem(last=False)
