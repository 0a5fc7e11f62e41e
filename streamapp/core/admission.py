"""May a bundle serve in place of the present one? Judged from manifests and from what a shadow run saw.

Also whose word counts: one worker's complaint turns only that worker back, unless it is plainly the model's fault.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from streamapp.contracts.manifest import Manifest
from streamapp.contracts.messages import Channel, ModelEvent, ModelEventCause, Sentiment, SwapPair

# Causes that no slow or broken machine can make up.
MODELS_FAULT: frozenset[ModelEventCause] = frozenset({"errors", "not_finite"})


class Refuse(Struct, frozen=True):
    """Why a bundle may not serve, in words, and the kind of reason."""

    reason: str
    cause: ModelEventCause


class PairKey(Struct, frozen=True):
    """What two models said of one post; the topics decide its place, the sentiments its count."""

    channel: Channel
    topic: str | None
    old: Sentiment
    new: Sentiment
    new_topic: str | None


def refusal_of(candidate: Manifest, present: Manifest) -> Refuse | None:
    """Why `candidate` cannot stand in for `present` at all; None where it can.

    It must have every head and every label that readers of the present one rely on, and its languages, and another
    version: readings and counts are kept by version.
    """
    if candidate.model_version == present.model_version and candidate.digest != present.digest:
        return Refuse(f"another bundle already serves as {present.model_version}", "bundle")
    for head in ("sentiment", "topic"):
        had, has = getattr(present.outputs, head), getattr(candidate.outputs, head)
        if had is None:
            continue
        if has is None:
            return Refuse(f"it has no {head} head, the serving model has one", "bundle")
        missing = sorted(set(had) - set(has))
        if missing:
            return Refuse(f"its {head} head lacks {', '.join(missing)}", "bundle")
    languages = sorted(set(present.languages) - set(candidate.languages))
    if languages:
        return Refuse(f"it does not read {', '.join(languages)}", "bundle")
    return None


class ShadowRules(Struct, frozen=True, kw_only=True):
    """Limits of a shadow run; below `least_posts` it says nothing.

    A share of disagreement above `most_disagreement`, or of posts that move between sentiments or topics on balance
    above `most_label_shift`, is no improvement but another task. `most_slowdown` is a ratio of times a post.
    """

    least_posts: int = 50
    most_disagreement: float = 0.5
    most_label_shift: float = 0.5
    most_slowdown: float = 5.0


class Shadow:
    """What both models said of the same posts, and how long each took over those that both were timed on."""

    def __init__(self) -> None:
        self.pairs: Counter[PairKey] = Counter()
        self.failures = 0
        self.old_seconds = 0.0
        self.new_seconds = 0.0

    @property
    def posts(self) -> int:
        """How many posts both read."""
        return self.pairs.total()

    @property
    def disagreement(self) -> float:
        """Share of posts whose sentiment the models do not agree on."""
        return _share(sum(n for key, n in self.pairs.items() if key.old != key.new), self.posts)

    @property
    def label_shift(self) -> float:
        """Total variation distance between the models' labels, of sentiments or topics, whichever is greater."""
        sentiment, topic = Counter[str | None](), Counter[str | None]()
        for key, posts in self.pairs.items():
            sentiment[key.old] += posts
            sentiment[key.new] -= posts
            topic[key.topic] += posts
            topic[key.new_topic] -= posts
        moved = max(sum(map(abs, sentiment.values())), sum(map(abs, topic.values())))
        return _share(moved, 2 * self.posts)

    @property
    def slowdown(self) -> float | None:
        """How many times as long a post takes; None where nothing was timed."""
        return self.new_seconds / self.old_seconds if self.old_seconds > 0 else None

    def swap_pairs(self) -> tuple[SwapPair, ...]:
        """The pairs as they travel to watch."""
        ordered = sorted(self.pairs.items(), key=repr)
        return tuple(_swap_pair(key, posts) for key, posts in ordered)


def shadow_refusal(shadow: Shadow, rules: ShadowRules) -> Refuse | None:
    """Why what the shadow run saw speaks against the candidate; None where it does not."""
    read = shadow.posts + shadow.failures
    if shadow.failures > 1:
        return Refuse(f"it fails on {shadow.failures} of {read} posts of the shadow run", "shadow")
    if shadow.posts < rules.least_posts:
        return None
    if shadow.disagreement > rules.most_disagreement:
        return Refuse(
            f"it disagrees with the serving model on {shadow.disagreement:.0%} of {shadow.posts} posts",
            "shadow",
        )
    if shadow.label_shift > rules.most_label_shift:
        return Refuse(f"it moves {shadow.label_shift:.0%} of {shadow.posts} posts to other labels", "shadow")
    if shadow.slowdown is not None and shadow.slowdown > rules.most_slowdown:
        return Refuse(f"it takes {shadow.slowdown:.1f} times as long a post as the serving model", "latency")
    return None


def parity_refusal(
    said: Sequence[Mapping[str, Sequence[float]]],
    wanted: Sequence[Mapping[str, Sequence[float]]],
    tolerance: float,
) -> Refuse | None:
    """Why the probabilities per head that were `said` of some texts are not the `wanted` ones, within `tolerance`."""
    for number, (mine, other) in enumerate(zip(said, wanted, strict=True)):
        for head, probabilities in other.items():
            difference = max(map(_distance, mine.get(head, ()), probabilities), default=1.0)
            if len(mine.get(head, ())) != len(probabilities) or difference > tolerance:
                return Refuse(
                    f"on text {number} of the parity sample its {head} differs by {difference:.3g}, more than "
                    f"{tolerance:.3g}",
                    "parity",
                )
    return None


def speaks_for_all(
    cause: ModelEventCause, sequence: int, worker: str, events: Iterable[ModelEvent], members: int
) -> bool:
    """May `worker`, which has reason to turn the announced champion away, roll it back for everyone?

    At once where the reason is the model itself or there is no other worker; else when another worker turned the same
    announcement away too. `events` is what workers said so far, `members` how many there are.
    """
    if cause in MODELS_FAULT or members <= 1:
        return True
    return any(
        event.sequence == sequence
        and event.worker != worker
        and event.event in ("refused", "rolled_back")
        and event.cause not in ("", "store")
        for event in events
    )


def _swap_pair(key: PairKey, posts: int) -> SwapPair:
    new_topic = None if key.new_topic == key.topic else key.new_topic or ""
    return SwapPair(
        channel=key.channel, topic=key.topic, old=key.old, new=key.new, posts=posts, new_topic=new_topic
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _distance(mine: float, other: float) -> float:
    return abs(mine - other)
