"""What another model version would have counted where one version counted so many stories.

Pure numbers from the workers' paired counts: knows topics and channels, nothing of subjects' pasts or alerts.

Method: each old class's chance of turning negative is a row of a transition matrix (the misclassification matrix of
quantification: Forman, Data Mining and Knowledge Discovery 17, 2008), each estimated as a beta-binomial whose prior is
the next wider group's estimate with a strength in posts (Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.1).
"""

from collections.abc import Iterator
from typing import NamedTuple

from streamapp.core.swap_pairs import CAME, GROUP_SIZE, LEFT, REVERSED, STAYED, Counts, SwapLinks, VersionLink

# What is taken for granted of any two models, as if that had been seen on 5 posts: few verdicts differ.
ROOT_POSTS = 5.0
ROOT_NEGATIVE_STAYS = 0.9
ROOT_OTHER_TURNS = 0.05
ROOT_MOVES = 0.02
# How many posts of its own make a group as credible as the wider group. A habit of a model (what it calls negative)
# is much the same everywhere; which topics it moves posts between is not.
HABIT_POSTS = 30.0
MOVE_POSTS = 5.0
# Relative standard deviation of the past's scale where nobody reported any pairs.
UNKNOWN_SPREAD = 0.25


class Estimate(NamedTuple):
    """A probability or rate and its variance."""

    mean: float
    variance: float


class Counted(NamedTuple):
    """Stories on one version's scale.

    `variance` is that of `negative` from not knowing the scale exactly, `noise` its Poisson variance: that of the
    counts it was made from, each weighted by its factor squared.
    """

    negative: float
    other: float
    variance: float = 0.0
    noise: float = 0.0


class _Habits(NamedTuple):
    """Chances to be called negative by the new version: of the old version's negative, and of its other posts."""

    negative: Estimate
    other: Estimate


class _Step(NamedTuple):
    """Expected new negative and new other stories per old negative and old other story of one channel and topic."""

    negative_of_negative: Estimate
    negative_of_other: Estimate
    other_of_negative: float
    other_of_other: float


class VersionScale:
    """Converts counts between versions over the shortest chain of links; a link also serves backwards (rollback)."""

    def __init__(self, links: SwapLinks) -> None:
        self._links = links
        self._revision = links.revision
        self._steps: dict[tuple[str, str, str, str | None], list[_Step] | None] = {}

    def convert(
        self, counted: Counted, versions: tuple[str, str], channel: str, topic: str | None
    ) -> Counted:
        """What `versions[0]` counted in that channel, as `versions[1]` would have.

        `topic` None: of any topic (a company). Without a known way between the versions the counts stay, uncertain.
        """
        old, new = versions
        if old == new:
            return counted
        if self._revision != self._links.revision:
            self._steps.clear()
            self._revision = self._links.revision
        key = (old, new, channel, topic)
        if key not in self._steps:
            way = _way(self._links, old, new)
            self._steps[key] = None if way is None else [_step(seen, channel, topic) for seen in way]
        steps = self._steps[key]
        if steps is None:
            spread = UNKNOWN_SPREAD * counted.negative
            return counted._replace(variance=counted.variance + spread * spread)
        for step in steps:
            counted = _apply(step, counted)
        return counted


def _apply(step: _Step, counted: Counted) -> Counted:
    """Delta method: the terms' variances add; what is uncertain in the negative is so, reversed, in the other."""
    negative, other, variance, noise = counted
    of_negative, of_other = step.negative_of_negative, step.negative_of_other
    slope = of_negative.mean - of_other.mean
    return Counted(
        negative * of_negative.mean + other * of_other.mean,
        negative * step.other_of_negative + other * step.other_of_other,
        variance * slope * slope + negative**2 * of_negative.variance + other**2 * of_other.variance,
        noise * of_negative.mean**2 + other * of_other.mean**2,
    )


class _Seen:
    """A link's counts read from the old version's side, whichever that is."""

    def __init__(self, link: VersionLink, backwards: bool) -> None:
        self._link = link
        self._backwards = backwards

    def total(self, gate: bool = False, channel: str | None = None) -> Counts:
        """All topics of a channel, or of both, together."""
        cells = self._link.gate if gate else self._link.shadow
        chosen = [counts for cell, counts in cells.items() if channel is None or cell[0] == channel]
        return self._turned([sum(column) for column in zip(*chosen, strict=True)] or [0] * GROUP_SIZE)

    def cell(self, channel: str, topic: str) -> Counts:
        """One topic of one channel."""
        return self._turned(self._link.shadow.get((channel, topic), [0] * GROUP_SIZE))

    def _turned(self, counts: Counts) -> Counts:
        return [counts[place] for place in REVERSED] if self._backwards else counts


def _step(seen: _Seen, channel: str, topic: str | None) -> _Step:
    """The chain of groups: any two models, the gate, other channels, the channel's other topics, the topic.

    No post stands in two of them, or few posts would be believed as if they were many.
    """
    habits = _Habits(
        _shrunk(0.0, 0.0, Estimate(ROOT_NEGATIVE_STAYS, 0.0), ROOT_POSTS),
        _shrunk(0.0, 0.0, Estimate(ROOT_OTHER_TURNS, 0.0), ROOT_POSTS),
    )
    strength = ROOT_POSTS
    here = seen.total(channel=channel)
    cell = [0] * GROUP_SIZE if topic is None else seen.cell(channel, topic)
    for counts in (seen.total(gate=True), _without(seen.total(), here), _without(here, cell)):
        if any(counts):
            habits = _learn(habits, counts, strength)
            strength = HABIT_POSTS
    if topic is None:
        negative, other = habits
        return _Step(negative, other, 1 - negative.mean, 1 - other.mean)
    return _with_moves(_learn(habits, cell, strength), cell, here)


def _without(counts: Counts, part: Counts) -> Counts:
    return [every - some for every, some in zip(counts, part, strict=True)]


def _learn(habits: _Habits, counts: Counts, strength: float) -> _Habits:
    rows = [counts[STAYED + place] + counts[LEFT + place] for place in range(4)]
    return _Habits(
        _shrunk(rows[0], rows[0] + rows[1], habits.negative, strength),
        _shrunk(rows[2], rows[2] + rows[3], habits.other, strength),
    )


def _with_moves(habits: _Habits, cell: Counts, channel: Counts) -> _Step:
    """A topic keeps a part of its posts and wins some from others, counted per post that it had."""
    posts = sum(cell[:CAME])
    everywhere = sum(channel[:CAME])
    wide = [
        _shrunk(sum(channel[LEFT + row : LEFT + row + 2]), _row(channel, row), _root(ROOT_MOVES), ROOT_POSTS)
        for row in (0, 2)
    ]
    leaves = [
        _shrunk(sum(cell[LEFT + row : LEFT + row + 2]), _row(cell, row), prior, MOVE_POSTS)
        for row, prior in zip((0, 2), wide, strict=True)
    ]
    comes = []
    for new in (0, 1):
        prior = _rate(
            channel[LEFT + new] + channel[LEFT + 2 + new], everywhere, _root(ROOT_MOVES / 2), ROOT_POSTS
        )
        comes.append(_rate(cell[CAME + new] + cell[CAME + 2 + new], posts, prior, MOVE_POSTS))
    negative = [
        Estimate(
            (1 - left.mean) * habit.mean + comes[0].mean,
            (1 - left.mean) ** 2 * habit.variance + habit.mean**2 * left.variance + comes[0].variance,
        )
        for left, habit in zip(leaves, habits, strict=True)
    ]
    other = [
        (1 - left.mean) * (1 - habit.mean) + comes[1].mean for left, habit in zip(leaves, habits, strict=True)
    ]
    return _Step(negative[0], negative[1], other[0], other[1])


def _root(mean: float) -> Estimate:
    return Estimate(mean, 0.0)


def _row(counts: Counts, row: int) -> int:
    return sum(counts[STAYED + row : STAYED + row + 2]) + sum(counts[LEFT + row : LEFT + row + 2])


def _shrunk(successes: float, trials: float, prior: Estimate, strength: float) -> Estimate:
    """Posterior of a probability whose Beta prior has that mean and weighs `strength` posts."""
    size = trials + strength
    mean = (successes + strength * prior.mean) / size
    return Estimate(mean, mean * (1 - mean) / (size + 1) + (strength / size) ** 2 * prior.variance)


def _rate(events: float, exposure: float, prior: Estimate, strength: float) -> Estimate:
    """Posterior of a rate (arrivals per post) whose Gamma prior has that mean and weighs `strength` posts."""
    size = exposure + strength
    mean = (events + strength * prior.mean) / size
    return Estimate(mean, mean / size + (strength / size) ** 2 * prior.variance)


def _way(links: SwapLinks, old: str, new: str) -> list[_Seen] | None:
    """The shortest chain of links from `old` to `new`, forwards or backwards; None where there is none."""
    ways: dict[str, list[_Seen]] = {old: []}
    queue = [old]
    for version in queue:
        for following, seen in _leading_on(links, version):
            if following not in ways:
                ways[following] = [*ways[version], seen]
                queue.append(following)
    return ways.get(new)


def _leading_on(links: SwapLinks, version: str) -> Iterator[tuple[str, _Seen]]:
    for link in links:
        if link.old == version:
            yield link.new, _Seen(link, backwards=False)
    for link in links:
        if link.new == version:
            yield link.old, _Seen(link, backwards=True)
