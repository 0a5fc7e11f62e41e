"""The verdict on a run: books balanced, trends equal to a recount, and nothing different from an undisturbed run."""

from collections.abc import Mapping

from msgspec import Struct

from streamapp.contracts.codec import decode
from streamapp.contracts.messages import Alert, LabelRequest, ScoredPost, TrendMinute
from streamapp.settings import LabelSettings
from tests.harness.accounting import (
    Books,
    asked_differently,
    compare_trends,
    conflicting_revisions,
    dead_offsets,
    newest_trends,
    scored_offsets,
)
from tests.harness.cluster import TestCluster
from tests.harness.load import Stream

INPUTS = ("news", "chat", "redriven")


class Outcome(Struct, frozen=True):
    """Everything that a run left in the topics, read once."""

    taken_in: int
    scored: list[ScoredPost]
    dead: set[tuple[str, int, int]]
    trends: list[TrendMinute]
    alerts: list[Alert]
    repeated_alerts: int
    requests: list[LabelRequest]
    labels: LabelSettings

    @property
    def books(self) -> Books:
        """The accounting identity by distinct source offset."""
        distinct = scored_offsets(self.scored)
        repeats = len(self.scored) - len(distinct)
        return Books(self.taken_in, len(distinct), len(self.dead), repeats, len(distinct & self.dead))

    @property
    def missing(self) -> int:
        """Records that were neither scored nor kept as dead letters."""
        return self.taken_in - self.books.scored - self.books.dead

    @property
    def verdicts(self) -> Mapping[str, tuple[str, str]]:
        """Sentiment and topic by post id."""
        return {
            scored.post.id: (scored.verdict.sentiment.label, scored.verdict.topic.label)
            for scored in self.scored
            if scored.verdict.sentiment and scored.verdict.topic
        }

    @property
    def late_posts(self) -> int:
        """Posts that came after their minute was decided."""
        return sum(trend.late_posts for trend in newest_trends(self.trends).values())


def read_outcome(cluster: TestCluster) -> Outcome:
    """What is in the topics now."""
    alerts = [decode(record.value, Alert) for record in cluster.read("alerts")]
    return Outcome(
        taken_in=sum(sum(cluster.end_offsets(topic).values()) for topic in INPUTS),
        scored=cluster.scored(),
        dead=dead_offsets(cluster.read("dead-letters")),
        trends=cluster.trends(),
        alerts=alerts,
        repeated_alerts=len(alerts) - len(set(alerts)),
        requests=cluster.label_requests(),
        labels=cluster.settings.labels,
    )


def check_run(stream: Stream, outcome: Outcome, undisturbed: Outcome | None = None) -> None:
    """Assert that nothing was lost, miscounted or told differently than in an undisturbed run."""
    assert outcome.taken_in == stream.size
    assert outcome.missing == 0, outcome.books
    assert outcome.books.balanced, outcome.books
    assert outcome.books.dead == stream.size - stream.posts
    assert conflicting_revisions(outcome.trends, outcome.alerts) == []
    assert compare_trends(outcome.scored, outcome.trends, stream.closed_before_ms) == []
    assert asking_faults(outcome) == []
    if undisturbed is not None:
        assert differences(outcome, undisturbed) == []


def asking_faults(outcome: Outcome) -> list[str]:
    """How the label requests differ from what must be asked, whatever happened to the workers."""
    labels = outcome.labels
    audits_per_hour = labels.audit_share * labels.requests_per_hour if labels.enabled else 0.0
    rate = audits_per_hour / labels.expected_posts_per_hour
    return asked_differently(outcome.scored, outcome.alerts, outcome.requests, rate)[:6]


def differences(outcome: Outcome, undisturbed: Outcome) -> list[str]:
    """How verdicts, newest trends and alert revisions differ from those of another run of the same stream."""
    found = []
    mine, wanted = outcome.verdicts, undisturbed.verdicts
    found += [
        f"post {key}: {mine.get(key)}, undisturbed {wanted[key]}"
        for key in wanted
        if mine.get(key) != wanted[key]
    ]
    trends, wanted_trends = newest_trends(outcome.trends), newest_trends(undisturbed.trends)
    for key in sorted(trends.keys() | wanted_trends.keys()):
        if trends.get(key) != wanted_trends.get(key):
            found.append(f"trend {key}: {trends.get(key)}, undisturbed {wanted_trends.get(key)}")
    found += [
        f"alert only when disturbed: {alert}" for alert in set(outcome.alerts) - set(undisturbed.alerts)
    ]
    found += [
        f"alert only when undisturbed: {alert}" for alert in set(undisturbed.alerts) - set(outcome.alerts)
    ]
    return found[:6]
