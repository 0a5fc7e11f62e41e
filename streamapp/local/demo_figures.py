"""What the topics told so far, folded into the figures that the demo shows and judges. Pure.

Record by record, in any order between partitions; repeats by source offset count once. Must not know Kafka or how
anything is drawn.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from streamapp.contracts.codec import decode
from streamapp.contracts.dead_letter import parse_dead_letter
from streamapp.contracts.messages import Alert, Channel, ScoredPost, SourceOffset, TrendMinute
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import ALERTS, DEAD_LETTERS, SCORED_POSTS, SUBJECT_TRENDS

LATEST_POSTS: Final = 24
RATE_WINDOW_MS: Final = 5_000
FOLLOWED: Final = (SCORED_POSTS, SUBJECT_TRENDS, ALERTS, DEAD_LETTERS)


class Accounting(Struct, frozen=True, kw_only=True):
    """The identity `in = scored + dead`, by distinct source offset; `published` is the broker's own count."""

    published: int
    scored: int
    dead: int
    duplicate_texts: int
    repeated_records: int

    @property
    def balanced(self) -> bool:
        """Whether every record that came in is accounted for."""
        return self.published == self.scored + self.dead


class SeenAlert(Struct):
    """An alert's newest revision, the one at its height, and when each revision was seen (real time)."""

    newest: Alert
    height: Alert
    seen_at_ms: dict[int, int]


class DemoFigures:
    """The fold. `prefix` stands before our topic names; `inputs` maps input topic to channel."""

    def __init__(self, prefix: str, inputs: Mapping[str, Channel]) -> None:
        self._inputs = inputs
        self._folds = {
            prefix + SCORED_POSTS.name: self._fold_scored,
            prefix + SUBJECT_TRENDS.name: self._fold_trend,
            prefix + ALERTS.name: self._fold_alert,
            prefix + DEAD_LETTERS.name: self._fold_dead_letter,
        }
        self.published_at_ms: dict[SourceOffset, int] = {}
        self.published: Counter[Channel] = Counter()
        self.scored_at_ms: dict[SourceOffset, int] = {}
        self.dead: set[SourceOffset] = set()
        self.reasons: Counter[str] = Counter()
        self.sentiments: dict[Channel, Counter[str]] = {"news": Counter(), "chat": Counter()}
        self.duplicate_texts = 0
        self.repeated_records = 0
        self.latest: deque[ScoredPost] = deque(maxlen=LATEST_POSTS)
        self.trends: dict[str, dict[int, TrendMinute]] = {}
        self.alerts: dict[str, SeenAlert] = {}
        self.last_record_ms = 0

    def apply(self, record: RawRecord, now_ms: int) -> Alert | None:
        """Counts one record; returns the alert revision that it brought, if it is news."""
        self.last_record_ms = now_ms
        channel = self._inputs.get(record.topic)
        if channel is not None:
            self.published_at_ms[record.source_offset] = record.timestamp_ms
            self.published[channel] += 1
            return None
        return self._folds[record.topic](record, now_ms)

    @property
    def scored(self) -> int:
        return len(self.scored_at_ms)

    def rate(self, now_ms: int) -> float:
        """Posts a second that got a verdict within the last five seconds."""
        newest = sum(1 for at in self.scored_at_ms.values() if at > now_ms - RATE_WINDOW_MS)
        return newest / (RATE_WINDOW_MS / 1000)

    def delays_ms(self) -> list[int]:
        """Publish-to-verdict times, ascending: from the input record's timestamp to that of its verdict."""
        starts = self.published_at_ms
        return sorted(at - starts[source] for source, at in self.scored_at_ms.items() if source in starts)

    def accounting(self, published: int) -> Accounting:
        """The books, given the broker's own count of what came in."""
        return Accounting(
            published=published,
            scored=self.scored,
            dead=len(self.dead),
            duplicate_texts=self.duplicate_texts,
            repeated_records=self.repeated_records,
        )

    def open_subjects(self) -> set[str]:
        """Subjects with an alert that is not resolved."""
        return {seen.newest.subject for seen in self.alerts.values() if seen.newest.state != "resolved"}

    def alerted_subjects(self) -> set[str]:
        """Subjects that ever alerted."""
        return {seen.newest.subject for seen in self.alerts.values()}

    def closed_to_ms(self) -> int | None:
        """The end of the last closed minute that anything was told about."""
        starts = [max(minutes) for minutes in self.trends.values()]
        return max(starts) + 60_000 if starts else None

    def _fold_scored(self, record: RawRecord, now_ms: int) -> None:
        del now_ms
        scored = decode(record.value, ScoredPost)
        if scored.source_offset in self.scored_at_ms:
            self.repeated_records += 1
            return
        self.scored_at_ms[scored.source_offset] = record.timestamp_ms
        self.duplicate_texts += scored.duplicate_text
        sentiment = scored.verdict.sentiment
        self.sentiments[scored.post.channel][sentiment.label if sentiment else "none"] += 1
        self.latest.append(scored)

    def _fold_dead_letter(self, record: RawRecord, now_ms: int) -> None:
        del now_ms
        letter = parse_dead_letter(record.headers)
        if letter.origin.source_offset in self.dead:
            self.repeated_records += 1
            return
        self.reasons[letter.reason] += 1
        if letter.origin.topic in self._inputs:  # else one of watch's, which no post became
            self.dead.add(letter.origin.source_offset)

    def _fold_trend(self, record: RawRecord, now_ms: int) -> None:
        del now_ms
        trend = decode(record.value, TrendMinute)
        minutes = self.trends.setdefault(trend.subject, {})
        known = minutes.get(trend.minute_start_ms)
        if known is None or trend.revision > known.revision:
            minutes[trend.minute_start_ms] = trend

    def _fold_alert(self, record: RawRecord, now_ms: int) -> Alert | None:
        alert = decode(record.value, Alert)
        seen = self.alerts.setdefault(alert.alert_id, SeenAlert(alert, alert, {}))
        if alert.revision in seen.seen_at_ms:
            return None
        seen.seen_at_ms[alert.revision] = now_ms
        if alert.revision >= seen.newest.revision:
            seen.newest = alert
        if alert.observed_negative_stories >= seen.height.observed_negative_stories:
            seen.height = alert
        return alert


def quantile(ascending: list[int], share: float) -> int | None:
    """The nearest-rank quantile of an ascending list, None of an empty one."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
