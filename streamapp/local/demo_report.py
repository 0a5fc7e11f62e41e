"""What a demo run came to: the summary for people and programs, and whether it went as it must. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from rich.text import Text

from streamapp.contracts.messages import SENTIMENTS, Alert
from streamapp.local.alert_card import NameOf, subject_text
from streamapp.local.demo_figures import Accounting, DemoFigures, SeenAlert, quantile
from streamapp.local.demo_plan import SUBJECTS_TO_ALERT, DemoPlan


class AlertReport(Struct, frozen=True, kw_only=True):
    """One alert's life. `opened_after_seconds`: real seconds from the stream's begin until it was seen."""

    subject: str
    severity: str
    state: str
    opened_at_day_time: str
    opened_after_seconds: float
    expected_negative_stories: float
    observed_negative_stories: int
    reason: str
    headlines: tuple[str, ...]


class DemoReport(Struct, frozen=True, kw_only=True):
    """The result of a run; `differences` is empty when it went as it must."""

    succeeded: bool
    differences: tuple[str, ...]
    posts: Accounting
    sentiments: dict[str, dict[str, int]]
    dead_letters: dict[str, int]
    alerts: tuple[AlertReport, ...]
    publish_to_verdict_ms_p50: int | None
    publish_to_verdict_ms_p99: int | None
    seconds: dict[str, float]
    speed: float
    lateness_seconds: float
    backfill_after_seconds: float
    model: dict[str, str]


def differences(accounting: Accounting, alerted: set[str], replayed: int) -> list[str]:
    """What is not as it must be, in words."""
    found = []
    if accounting.published != replayed:
        found.append(f"{replayed} records were replayed, the broker took {accounting.published}")
    if not accounting.balanced:
        found.append(
            f"the books do not balance: {accounting.published} in,"
            f" {accounting.scored} scored and {accounting.dead} dead"
        )
    found += [f"no alert about {subject}" for subject in sorted(SUBJECTS_TO_ALERT - alerted)]
    found += [
        f"an alert about {subject}, which should be calm" for subject in sorted(alerted - SUBJECTS_TO_ALERT)
    ]
    return found


def alert_report(seen: SeenAlert, stream_began_ms: int, day_time: str) -> AlertReport:
    """One alert's life from its newest revision, the one at its height, and when its first was seen."""
    alert: Alert = seen.newest
    first_seen = seen.seen_at_ms[min(seen.seen_at_ms)]
    return AlertReport(
        subject=alert.subject,
        severity=alert.severity,
        state=alert.state,
        opened_at_day_time=day_time,
        opened_after_seconds=round((first_seen - stream_began_ms) / 1000, 1),
        expected_negative_stories=alert.expected_negative_stories,
        observed_negative_stories=seen.height.observed_negative_stories,
        reason=seen.height.reason,
        headlines=tuple(story.headline for story in alert.top_stories),
    )


def make_report(
    figures: DemoFigures,
    plan: DemoPlan,
    published: Mapping[str, int],
    alerts: Sequence[AlertReport],
    seconds: Mapping[str, float],
    model: Mapping[str, str],
) -> DemoReport:
    """The report; `published` holds the records replayed and the broker's own count of them."""
    accounting = figures.accounting(published["broker"])
    found = differences(accounting, figures.alerted_subjects(), published["replayed"])
    delays = figures.delays_ms()
    return DemoReport(
        succeeded=not found,
        differences=tuple(found),
        posts=accounting,
        sentiments={
            channel: {sentiment: counts[sentiment] for sentiment in SENTIMENTS}
            for channel, counts in figures.sentiments.items()
        },
        dead_letters=dict(figures.reasons.most_common()),
        alerts=tuple(alerts),
        publish_to_verdict_ms_p50=quantile(delays, 0.5),
        publish_to_verdict_ms_p99=quantile(delays, 0.99),
        seconds={phase: round(spent, 1) for phase, spent in seconds.items()},
        speed=round(plan.speed, 1),
        lateness_seconds=plan.lateness_seconds,
        backfill_after_seconds=plan.backfill_after_seconds,
        model=dict(model),
    )


def report_lines(report: DemoReport, name_of: NameOf) -> list[Text]:
    """The summary for people."""
    posts = report.posts
    sign = "=" if posts.balanced else "is not"
    rows = [
        ("posts", f"{posts.published} in {sign} {posts.scored} scored + {posts.dead} dead letters"
         f" ({posts.duplicate_texts} repeat a text, {posts.repeated_records} records came twice)"),
        ("dead", ", ".join(f"{count} {reason}" for reason, count in report.dead_letters.items()) or "none"),
        ("to verdict", f"{report.publish_to_verdict_ms_p50} ms for half of the posts,"
         f" {report.publish_to_verdict_ms_p99} ms for 99 of 100"),
        ("seconds", ", ".join(f"{phase} {spent:g}" for phase, spent in report.seconds.items())),
    ]  # fmt: skip
    for alert in report.alerts:
        rows.append(
            ("alert", f"{subject_text(alert.subject, name_of)}: {alert.severity}, opened {alert.opened_at_day_time}"
             f" (seen {alert.opened_after_seconds:.0f} s into the stream), now {alert.state}")
        )  # fmt: skip
    lines = [Text(f"  {name:<11}", style="dim").append(words, style="default") for name, words in rows]
    lines += [Text(f"  not as it must be: {each}", style="bold red") for each in report.differences]
    verdict = "Exactly the two subjects of the sample's story alerted, and every post is accounted for."
    if report.succeeded:
        lines.append(Text(f"  {verdict}", style="bold green"))
    return lines


def next_steps(program: str, config: Path | None, pages: str) -> list[tuple[str, str]]:
    """Commands that work now, each with what it shows. `config` None: the demo's broker is gone."""
    if config is None:
        return [
            (f"{program} demo --stay", "the same, and everything stays up to be looked at"),
            (f"{program} broker start", "a Kafka of your own; then topics create --dev, worker, replay FILE"),
        ]
    option = f"--config {config}"
    return [
        (f"{program} alerts {option}", "the alerts with their evidence"),
        (f"{program} trends {option} --subject company:CLDB", "one subject, minute by minute"),
        (f"{program} redrive list {option}", "the dead letters, and why"),
        (f"{program} topics list --dev {option}", "the topics as they are"),
        (f"curl {pages}/metrics", "what Prometheus would scrape"),
    ]
