"""Labels that the model may give itself: only where it is calibrated and sure, few, balanced, each story once.

Self-training feeds a model its own mistakes, so every guard is here: posts that the audit draws are left out (what
judges is never trained on), a class runs ahead of the rarest by little, and the author names the model, so that what a
bad one said can be taken back. Must not know brokers or clocks.
"""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from streamapp.contracts.messages import SENTIMENTS, Label, ScoredPost, Sentiment
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import HourlyCounts, SourcePlaces, StoriesTold, allowed_by_now, share_of
from streamapp.core.label_requests import AuditDraw
from streamapp.core.story import parse_fingerprint

MAX_LEAD = 5


class SelfLabelRules(Struct, frozen=True, kw_only=True):
    """When a verdict is a label. `labels_per_hour` is the cap of the whole stream, a third of it for each class."""

    confidence: float = 0.98
    labels_per_hour: int = 60
    audit_rate: float = 0.0


class SelfLabeller:
    """Labels among the scored posts of one worker, in the order in which they are published; bounded memory."""

    def __init__(self, rules: SelfLabelRules, places: SourcePlaces) -> None:
        self._rules = rules
        self._places = places
        self._audit = AuditDraw(rules.audit_rate)
        self._counts: defaultdict[int, HourlyCounts] = defaultdict(HourlyCounts)
        self._stories = StoriesTold()
        self._given: Tally[Sentiment] = Tally()

    def labels(self, posts: Iterable[ScoredPost]) -> list[Label]:
        """The labels, in order. `labelled_at_ms` is the post's time: a repeated post repeats its label to the byte."""
        return [label_of(scored) for scored in posts if self._is_sure(scored) and self._admit(scored)]

    def _is_sure(self, scored: ScoredPost) -> bool:
        sentiment = scored.verdict.sentiment
        if sentiment is None or scored.duplicate_text or "other_language" in scored.post.flags:
            return False
        highest = max(sentiment.negative, sentiment.neutral, sentiment.positive)
        return highest >= self._rules.confidence and not self._audit.draws(scored.source_offset)

    def _admit(self, scored: ScoredPost) -> bool:
        place = self._places.of(scored.source_offset)
        sentiment = scored.verdict.sentiment
        if place is None or sentiment is None:
            return False
        label, moment_ms = sentiment.label, scored.post.event_time_ms
        if self._given[label] - min(self._given[each] for each in SENTIMENTS) >= MAX_LEAD:
            return False
        hour = moment_ms // HOUR_MS
        share = share_of(self._rules.labels_per_hour, place, self._places.partitions, hour)
        counts = self._counts[place].at(hour)
        if counts is None or counts.total() >= allowed_by_now(share, moment_ms):
            return False
        if counts[label] >= -(-share // len(SENTIMENTS)):
            return False
        fingerprint = parse_fingerprint(scored.story_fingerprint)
        if self._stories.knows(fingerprint, moment_ms):
            return False
        self._stories.note(fingerprint, moment_ms)
        counts[label] += 1
        self._given[label] += 1
        return True


def label_of(scored: ScoredPost) -> Label:
    """The verdict's sentiment as a label of origin `rule`. The topic is left out: its probability has no guard."""
    sentiment = scored.verdict.sentiment
    if sentiment is None:
        raise ValueError("a post without a sentiment gives no label")
    return Label(
        post_id=scored.post.id,
        text=scored.post.text,
        channel=scored.post.channel,
        sentiment=sentiment.label,
        author=f"rule:{scored.model_version}",
        labelled_at_ms=scored.post.event_time_ms,
        origin="rule",
        source=scored.post.source,
    )
