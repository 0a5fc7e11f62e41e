"""Which model versions counted a subject's past and its window, and what that past would be on the window's scale.

Joins a subject's counts with the scale between versions; decides no surge and knows no posts.
"""

from collections.abc import Iterable, Mapping
from math import sqrt

from msgspec import Struct

from streamapp.core.surge import Baseline, ScaledPast, SurgeRules, past_of
from streamapp.core.swap_pairs import SwapLinks
from streamapp.core.version_scale import Counted, VersionScale

MAX_ORIGINS = 8
SMALLEST_PART = 1e-4

# Model version and channel.
Origin = tuple[str, str]


class Tally(Struct, array_like=True, frozen=True):
    """Posts of one minute by one version in one channel: negative and other."""

    version: str
    channel: str
    negative: int
    other: int


def settled(tallies: tuple[Tally, ...], stories: int, negative_stories: int) -> tuple[Tally, ...]:
    """What a closed minute keeps: an only tally holds the minute's stories, which are kept anyway."""
    if len(tallies) != 1:
        return tallies
    only = tallies[0]
    return (Tally(only.version, only.channel, negative_stories, max(0, stories - negative_stories)),)


class Part(Struct, array_like=True):
    """An origin's fraction of a past's stories and of its negative stories."""

    stories: float
    negative: float


class PastOrigins:
    """Of each origin its fractions of the baseline. Decay leaves fractions as they are, so only joining changes them.

    What no origin accounts for (a record from before versions were kept) is taken to be on any scale.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: dict[Origin, Part] | None = None) -> None:
        self.parts: dict[Origin, Part] = parts or {}

    def join(self, before: Baseline, stories: float, negative: float, tallies: tuple[Tally, ...]) -> None:
        """A minute with that many stories, told by these posts, is about to join the baseline `before`."""
        if not tallies:
            return
        if len(tallies) == 1:
            origin = (tallies[0].version, tallies[0].channel)
            if not self.parts:
                # The first to join also owns what came before versions were kept.
                self.parts[origin] = Part(1.0, 1.0)
                return
            if len(self.parts) == 1 and origin in self.parts:
                return
        self._mix(before, stories, negative, tallies)
        # Two channels of one version are always kept.
        if len(self.parts) > 2:
            self._drop_smallest()

    def _mix(self, before: Baseline, stories: float, negative: float, tallies: tuple[Tally, ...]) -> None:
        kept_stories = _fraction(before.stories, stories)
        kept_negative = _fraction(before.negative_stories, negative)
        for part in self.parts.values():
            part.stories *= kept_stories
            part.negative *= kept_negative
        owned_stories, owned_negative = (1 - kept_stories, 1 - kept_negative) if self.parts else (1.0, 1.0)
        if len(tallies) == 1:
            part = self.parts.setdefault((tallies[0].version, tallies[0].channel), Part(0.0, 0.0))
            part.stories += owned_stories
            part.negative += owned_negative
            return
        posts = sum(tally.negative + tally.other for tally in tallies)
        negatives = sum(tally.negative for tally in tallies)
        for tally in tallies:
            share = (tally.negative + tally.other) / posts if posts else 1 / len(tallies)
            part = self.parts.setdefault((tally.version, tally.channel), Part(0.0, 0.0))
            part.stories += owned_stories * share
            part.negative += owned_negative * (tally.negative / negatives if negatives else share)

    def _drop_smallest(self) -> None:
        for origin, part in list(self.parts.items()):
            if part.stories < SMALLEST_PART and part.negative < SMALLEST_PART:
                del self.parts[origin]
        while len(self.parts) > MAX_ORIGINS:
            least = min(self.parts, key=lambda origin: (self.parts[origin].negative, origin))
            del self.parts[least]

    def is_of(self, version: str) -> bool:
        """Whether all of the past is that version's."""
        return all(origin[0] == version for origin in self.parts)


def _fraction(before: float, added: float) -> float:
    total = before + added
    return before / total if total > 0 else 1.0


# How much of a window's event time each version counted; sums to 1.
VersionWeights = dict[str, float]


def weights_of(minutes: Iterable[tuple[Tally, ...]]) -> VersionWeights:
    """Every minute that had posts weighs the same, so that a surge under one version does not shift the weights."""
    weights: VersionWeights = {}
    told = 0
    for tallies in minutes:
        if len(tallies) == 1:
            version = tallies[0].version
            weights[version] = weights.get(version, 0.0) + 1.0
            told += 1
        elif tallies:
            posts = sum(tally.negative + tally.other for tally in tallies)
            for tally in tallies:
                share = (tally.negative + tally.other) / posts
                weights[tally.version] = weights.get(tally.version, 0.0) + share
            told += 1
    if len(weights) == 1:
        return dict.fromkeys(weights, 1.0)
    return {version: weights[version] / told for version in sorted(weights)}


class CommonScale:
    """The scale between versions as a partition's subjects see it."""

    def __init__(self, links: SwapLinks) -> None:
        self._scale = VersionScale(links)

    def past(
        self, subject: str, baseline: Baseline, origins: PastOrigins, weights: Mapping[str, float]
    ) -> ScaledPast:
        """The baseline as versions with these weights would have counted it."""
        if not weights or (len(weights) == 1 and origins.is_of(next(iter(weights)))):
            return past_of(baseline)
        topic = subject.removeprefix("topic:") if subject.startswith("topic:") else None
        stories = negative = deviation = noise = 0.0
        for version, weight in weights.items():
            for counted in self._counted(baseline, origins, version, topic):
                negative += weight * counted.negative
                stories += weight * (counted.negative + counted.other)
                # Scales of one subject err together: their deviations add, not their variances.
                deviation += weight * sqrt(counted.variance)
                noise += weight * counted.noise
        return ScaledPast(
            exposure_minutes=baseline.exposure_minutes,
            stories=stories,
            negative_stories=negative,
            noise=noise,
            deviation=deviation,
        )

    def _counted(
        self, baseline: Baseline, origins: PastOrigins, version: str, topic: str | None
    ) -> Iterable[Counted]:
        unowned_stories, unowned_negative = baseline.stories, baseline.negative_stories
        for (old, channel), part in origins.parts.items():
            negative = part.negative * baseline.negative_stories
            other = max(0.0, part.stories * baseline.stories - negative)
            unowned_stories -= part.stories * baseline.stories
            unowned_negative -= negative
            yield self._scale.convert(Counted(negative, other, 0.0, negative), (old, version), channel, topic)
        unowned_negative = max(0.0, unowned_negative)
        yield Counted(unowned_negative, max(0.0, unowned_stories - unowned_negative), 0.0, unowned_negative)


class ScaleChange(Struct, frozen=True):
    """From an alert's opening to now: factors on counts and on the share of negative stories, and their spread."""

    count: float = 1.0
    share: float = 1.0
    spread: float = 0.0


UNCHANGED = ScaleChange()


def change_between(opening: ScaledPast, now: ScaledPast, rules: SurgeRules) -> ScaleChange:
    """How one past looks now against how it would have at the opening."""
    return ScaleChange(
        now.expected_per_minute(rules) / opening.expected_per_minute(rules),
        now.expected_share(rules) / opening.expected_share(rules),
        max(now.spread(rules), opening.spread(rules)),
    )
