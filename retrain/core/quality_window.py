"""The scored posts of the last hours as tallies, and the first ones under a champion as what they are compared with.

Pure: moments come with the posts; must not know Kafka, files or clocks.
"""

from collections.abc import Iterable
from typing import Final

from retrain.core.quality import Head, HeadQuality, HeadTally, quality_of, top_probabilities
from streamapp.contracts.messages import Channel, ScoredPost

HOUR_MS: Final = 3_600_000
Part = tuple[Channel, Head]


class QualityWindow:
    """Hourly tallies by model version, channel and head over the last `hours`; memory is bounded by that product."""

    def __init__(self, hours: int) -> None:
        self._hours = hours
        self._tallies: dict[tuple[int, str, Channel, Head], HeadTally] = {}

    def add(self, moment_ms: int, scored: ScoredPost) -> None:
        """One scored post; `moment_ms` is when it was published."""
        for head, label, probability in top_probabilities(scored):
            key = (moment_ms // HOUR_MS, scored.model_version, scored.post.channel, head)
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = HeadTally()
            tally.add(label, probability)

    def forget(self, now_ms: int) -> None:
        """Lets go of hours that ended before the window."""
        oldest = now_ms // HOUR_MS - self._hours
        for key in [key for key in self._tallies if key[0] < oldest]:
            del self._tallies[key]

    def present(self, model_version: str) -> tuple[HeadQuality, ...]:
        """What the model of that version said within the window, per channel and head."""
        sums: dict[Part, HeadTally] = {}
        for (_, version, channel, head), tally in sorted(self._tallies.items(), key=lambda item: item[0]):
            if version == model_version:
                sums.setdefault((channel, head), HeadTally()).join(tally)
        found = (quality_of(channel, head, tally) for (channel, head), tally in sums.items())
        return tuple(each for each in found if each is not None)


class FirstPosts:
    """The first `posts` of every channel and head under one model: the reference where the gate gave none."""

    def __init__(self, posts: int, known: Iterable[HeadQuality] = ()) -> None:
        self._posts = posts
        self._complete: dict[Part, HeadQuality] = {(each.channel, each.head): each for each in known}
        self._growing: dict[Part, HeadTally] = {}

    def add(self, scored: ScoredPost) -> bool:
        """Whether a part became complete with this post, so that it is worth keeping."""
        grew = False
        for head, label, probability in top_probabilities(scored):
            part = (scored.post.channel, head)
            if part in self._complete:
                continue
            tally = self._growing.setdefault(part, HeadTally())
            tally.add(label, probability)
            if tally.posts >= self._posts:
                found = quality_of(*part, self._growing.pop(part))
                if found is not None:
                    self._complete[part] = found
                    grew = True
        return grew

    @property
    def complete(self) -> tuple[HeadQuality, ...]:
        """The parts whose posts are together."""
        return tuple(self._complete.values())
