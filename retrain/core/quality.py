"""How good the serving model is likely to be without labels: estimated accuracy, and drift of the labels it gives.

Estimated accuracy is the mean of the likeliest label's calibrated probability: the expected accuracy of a calibrated
model (Guillory et al. 2021, average confidence; the accuracy of nannyml's CBPE). It falls when posts become harder,
and cannot see that the meaning of labels changed. Pure numbers; must not know where posts come from.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streamapp.contracts.messages import SENTIMENTS, Channel, ScoredPost

Head = Literal["sentiment", "topic"]
HEADS: Final[tuple[Head, ...]] = ("sentiment", "topic")
# A label that one side never had would make the index infinite: it counts as this share there.
SMALLEST_SHARE: Final = 1e-4


class HeadQuality(Struct, frozen=True, kw_only=True):
    """One head of one channel over some posts.

    `accuracy` is the mean probability of the likeliest label, `shares` how often each label was given (sum 1).
    """

    channel: Channel
    head: Head
    posts: int
    accuracy: float
    shares: dict[str, float]


class QualityRules(Struct, frozen=True, kw_only=True):
    """When the estimate asks for a retrain. Zero switches a rule off.

    `accuracy_drop` below the reference or an accuracy under `least_accuracy` is one alarm, a population stability
    index above `drift_limit` the other (0.1 is usually called a moderate, 0.25 a large shift: Siddiqi 2006).
    Fewer than `fewest_posts` on either side say nothing.
    """

    accuracy_drop: float = 0.05
    least_accuracy: float = 0.0
    drift_limit: float = 0.25
    fewest_posts: int = 500


class QualityAlarm(Struct, frozen=True, kw_only=True):
    """One limit that the estimate broke, with its figures in words."""

    kind: Literal["accuracy", "drift"]
    channel: Channel
    head: Head
    reason: str


class HeadTally(Struct, kw_only=True):
    """Running sums of one head of one channel; adds up with others of the same."""

    posts: int = 0
    confidence: float = 0.0
    labels: dict[str, int] = {}

    def add(self, label: str, probability: float) -> None:
        """One more post."""
        self.posts += 1
        self.confidence += probability
        self.labels[label] = self.labels.get(label, 0) + 1

    def join(self, other: "HeadTally") -> None:
        """The other's posts too."""
        self.posts += other.posts
        self.confidence += other.confidence
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count


def top_probabilities(scored: ScoredPost) -> Iterable[tuple[Head, str, float]]:
    """Each head's likeliest label and its probability. Copies of a text that was scored before give nothing: one
    story that is repeated all day is not many judgements.
    """
    if scored.duplicate_text:
        return
    sentiment, topic = scored.verdict.sentiment, scored.verdict.topic
    if sentiment is not None:
        yield "sentiment", sentiment.label, max(float(getattr(sentiment, label)) for label in SENTIMENTS)
    if topic is not None:
        yield "topic", topic.label, topic.probability


def quality_of(channel: Channel, head: Head, tally: HeadTally) -> HeadQuality | None:
    """The tally as shares; None without a post."""
    if tally.posts <= 0:
        return None
    shares = {label: count / tally.posts for label, count in sorted(tally.labels.items())}
    return HeadQuality(
        channel=channel, head=head, posts=tally.posts, accuracy=tally.confidence / tally.posts, shares=shares
    )


def quality_of_answers(
    channels: Sequence[Channel], labels: Mapping[str, Sequence[str]], rows: Mapping[str, NDArray[np.float64]]
) -> tuple[HeadQuality, ...]:
    """What a model's answers for some posts say. `rows` has one of probabilities a post, columns in the order of
    `labels`; both by head.
    """
    tallies: dict[tuple[Channel, Head], HeadTally] = {}
    for head in (head for head in HEADS if head in labels):
        for channel, row in zip(channels, rows[head], strict=True):
            likeliest = int(row.argmax())
            tallies.setdefault((channel, head), HeadTally()).add(
                labels[head][likeliest], float(row[likeliest])
            )
    found = (quality_of(channel, head, tally) for (channel, head), tally in tallies.items())
    return tuple(each for each in found if each is not None)


def chosen_reference(
    given: Iterable[HeadQuality], first: Iterable[HeadQuality], fewest_posts: int
) -> tuple[HeadQuality, ...]:
    """Per channel and head what the gate gave, where it rests on enough posts, else the first posts in service."""
    enough = {(each.channel, each.head): each for each in given if each.posts >= fewest_posts}
    return tuple(({(each.channel, each.head): each for each in first} | enough).values())


def population_stability_index(reference: Mapping[str, float], present: Mapping[str, float]) -> float:
    """How far two distributions of labels lie apart, 0 for equal ones: sum of (p - q) ln(p / q). Symmetric."""
    total = 0.0
    for label in reference.keys() | present.keys():
        p = max(present.get(label, 0.0), SMALLEST_SHARE)
        q = max(reference.get(label, 0.0), SMALLEST_SHARE)
        total += (p - q) * math.log(p / q)
    return total


def jensen_shannon_distance(reference: Mapping[str, float], present: Mapping[str, float]) -> float:
    """Between 0 (equal) and 1 (no label in common): the root of the divergence in bits (Endres and Schindelin 2003)."""
    divergence = 0.0
    for label in reference.keys() | present.keys():
        p, q = present.get(label, 0.0), reference.get(label, 0.0)
        middle = (p + q) / 2
        divergence += sum(share * math.log2(share / middle) / 2 for share in (p, q) if share > 0)
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def alarms(
    rules: QualityRules, reference: Iterable[HeadQuality], present: Iterable[HeadQuality]
) -> tuple[QualityAlarm, ...]:
    """Every limit that the present breaks against the reference of the same channel and head."""
    references = {(each.channel, each.head): each for each in reference}
    found: list[QualityAlarm] = []
    for now in present:
        before = references.get((now.channel, now.head))
        if before is None or min(now.posts, before.posts) < rules.fewest_posts:
            continue
        found += _alarms_of(rules, before, now)
    return tuple(found)


def _alarms_of(rules: QualityRules, before: HeadQuality, now: HeadQuality) -> Iterable[QualityAlarm]:
    what = f"{now.head} of {now.channel}"
    dropped = rules.accuracy_drop > 0 and now.accuracy < before.accuracy - rules.accuracy_drop
    if dropped or now.accuracy < rules.least_accuracy:
        reason = (
            f"estimated accuracy of {what} is {now.accuracy:.3f}, the reference was {before.accuracy:.3f}"
        )
        yield QualityAlarm(kind="accuracy", channel=now.channel, head=now.head, reason=reason)
    drift = population_stability_index(before.shares, now.shares)
    if rules.drift_limit > 0 and drift > rules.drift_limit:
        reason = (
            f"labels of {what} drifted: stability index {drift:.2f}, the limit is {rules.drift_limit:.2f}"
        )
        yield QualityAlarm(kind="drift", channel=now.channel, head=now.head, reason=reason)


def gate_reference(metrics: Mapping[str, Any]) -> tuple[HeadQuality, ...]:
    """The reference in a manifest's metrics: `gate.quality_reference`, a list of HeadQuality over posts that were drawn
    uniformly from the stream (other judging posts have another mix of labels). Empty where the gate gave none.
    """
    gate = metrics.get("gate")
    found = gate.get("quality_reference") if isinstance(gate, Mapping) else None
    try:
        return msgspec.convert(found, tuple[HeadQuality, ...]) if found else ()
    except msgspec.ValidationError:
        return ()
