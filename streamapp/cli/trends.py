"""`streamapp trends`: what was said about subjects, minute by minute, as the workers closed them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamapp.cli.follow import Follow, Listing, Since, company_names, list_or_follow, wide
from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.console import JsonFile, speaker
from streamapp.contracts.messages import TrendMinute
from streamapp.contracts.topics import SUBJECT_TRENDS
from streamapp.local.alert_card import NameOf, subject_text, utc_time
from streamapp.local.newest_revisions import NewestRevisions
from streamapp.local.terminal_text import foreign
from streamapp.local.trend_chart import Bucket, ChartSpan, draw, fill_buckets

MINUTE_MS: Final = 60_000
CHART_BUCKETS: Final = 40
LEAST_TOP: Final = 4


class SubjectSummary(Struct, frozen=True, kw_only=True):
    """One subject's closed minutes added up."""

    subject: str
    posts: int
    negative_posts: int
    stories: int
    negative_stories: int
    expected_negative_stories: float
    first_minute_ms: int
    last_minute_ms: int


def trends(
    config: ConfigFile = None,
    broker: BrokerOption = None,
    follow: Follow = False,
    subject: Annotated[
        str | None, typer.Option(help="Minute by minute for this one: company:AAPL, topic:central_banks.")
    ] = None,
    since: Since = None,
    rows: Annotated[int, typer.Option(help="At most that many rows.", min=1)] = 30,
    json_file: JsonFile = None,
) -> None:
    """Subjects with the most negative stories first; with --subject its newest minutes."""
    settings = settings_from(config, broker)
    words = wide(speaker(json_file))
    name_of = company_names(settings)

    def show_all(found: list[TrendMinute]) -> list[TrendMinute]:
        minutes = sorted(found, key=lambda minute: (minute.minute_start_ms, minute.subject))
        show(words, minutes, subject, rows, name_of)
        return minutes

    newest = NewestRevisions(
        TrendMinute,
        lambda minute: (minute.subject, minute.minute_start_ms),
        lambda minute: subject is None or minute.subject == subject,
    )
    listing = Listing(
        SUBJECT_TRENDS.name, newest, show_all, lambda minute: words.print(minute_line(minute, name_of))
    )
    list_or_follow(settings, listing, since, follow, json_file)


def summaries(minutes: Iterable[TrendMinute]) -> list[SubjectSummary]:
    """Each subject's minutes added up, most negative stories first."""
    by_subject: dict[str, list[TrendMinute]] = {}
    for minute in minutes:
        by_subject.setdefault(minute.subject, []).append(minute)
    found = [_summary(subject, of_it) for subject, of_it in by_subject.items()]
    return sorted(found, key=lambda each: (-each.negative_stories, -each.posts, each.subject))


def show(words: Console, minutes: list[TrendMinute], subject: str | None, rows: int, name_of: NameOf) -> None:
    """The table that was asked for."""
    if not minutes:
        words.print("No closed minute with posts" + (f" about {subject}." if subject else "."), markup=False)
        return
    if subject is None:
        words.print(overview(minutes, rows, name_of))
    else:
        words.print(minute_table(minutes[-rows:]), foreign(f"{len(minutes)} minutes with posts, newest last"))


def overview(minutes: list[TrendMinute], rows: int, name_of: NameOf) -> Table:
    """One row a subject, with its negative stories over time."""
    first = minutes[0].minute_start_ms
    bucket_ms = max(MINUTE_MS, -(-(minutes[-1].minute_start_ms + MINUTE_MS - first) // CHART_BUCKETS))
    span = ChartSpan(start_ms=first, bucket_ms=bucket_ms, buckets=CHART_BUCKETS)
    listed = summaries(minutes)[:rows]
    filled: dict[str, list[Bucket]] = {
        each.subject: fill_buckets((m for m in minutes if m.subject == each.subject), span) for each in listed
    }
    top = max([LEAST_TOP, *(bucket.negative_stories for buckets in filled.values() for bucket in buckets)])
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("subject", no_wrap=True, overflow="ellipsis", ratio=1)
    minutes_a_bar = round(bucket_ms / MINUTE_MS)
    table.add_column(f"negative stories, {minutes_a_bar} min a bar", min_width=CHART_BUCKETS)
    for name in ("posts", "negative", "stories", "negative stories", "expected"):
        table.add_column(name, justify="right", min_width=5)
    table.add_column("last minute (UTC)", min_width=len("2026-03-12 13:30"))
    for each in listed:
        table.add_row(
            foreign(subject_text(each.subject, name_of)), draw(filled[each.subject], span, top),
            str(each.posts), f"{each.negative_posts / max(1, each.posts):.0%}", str(each.stories),
            str(each.negative_stories), f"{each.expected_negative_stories:.1f}", utc_time(each.last_minute_ms),
        )  # fmt: skip
    return table


def minute_table(minutes: Iterable[TrendMinute]) -> Table:
    """One row a minute."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("minute (UTC)", min_width=len("2026-03-12 13:30"))
    names = (
        "negative",
        "neutral",
        "positive",
        "stories",
        "negative stories",
        "expected",
        "late posts",
        "revision",
    )
    for name in names:
        table.add_column(name, justify="right")
    for minute in minutes:
        posts = minute.posts
        table.add_row(
            utc_time(minute.minute_start_ms), Text(str(posts.negative), "red" if posts.negative else "dim"),
            str(posts.neutral), str(posts.positive), str(minute.stories), str(minute.negative_stories),
            f"{minute.expected_negative_stories:.2f}", str(minute.late_posts), str(minute.revision),
        )  # fmt: skip
    return table


def minute_line(minute: TrendMinute, name_of: NameOf) -> Text:
    """One closed minute for --follow."""
    posts = minute.posts
    line = foreign(f"{utc_time(minute.minute_start_ms)}  {subject_text(minute.subject, name_of):<40}")
    line.append(f" negative {posts.negative}", "red" if posts.negative else "dim")
    line.append(
        f", neutral {posts.neutral}, positive {posts.positive}; negative stories {minute.negative_stories}"
    )
    return line.append(f", expected {minute.expected_negative_stories:.2f}", "dim")


def _summary(subject: str, minutes: list[TrendMinute]) -> SubjectSummary:
    return SubjectSummary(
        subject=subject,
        posts=sum(m.posts.negative + m.posts.neutral + m.posts.positive for m in minutes),
        negative_posts=sum(m.posts.negative for m in minutes),
        stories=sum(m.stories for m in minutes),
        negative_stories=sum(m.negative_stories for m in minutes),
        expected_negative_stories=sum(m.expected_negative_stories for m in minutes),
        first_minute_ms=minutes[0].minute_start_ms,
        last_minute_ms=minutes[-1].minute_start_ms,
    )
