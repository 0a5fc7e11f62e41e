"""`streamapp trends`: what was said about subjects, minute by minute, as the workers closed them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamapp.cli.alerts import company_names, open_lines
from streamapp.cli.options import (
    EXIT_USAGE,
    BrokerOption,
    ConfigFile,
    JsonFile,
    broker_errors,
    parse_moment,
    settings_from,
    speaker,
    stop,
    write_json,
)
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import TrendMinute
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import SUBJECT_TRENDS
from streamapp.local.alert_card import NameOf, subject_text, utc_time
from streamapp.local.signals import StoppedBySignalError, stopped_by_signal
from streamapp.local.stream_reader import StreamReader, TopicMissingError
from streamapp.local.terminal_text import foreign
from streamapp.local.trend_chart import Bucket, ChartSpan, draw, fill_buckets

POLL_SECONDS: Final = 0.5
MINUTE_MS: Final = 60_000
CHART_BUCKETS: Final = 40
LEAST_TOP: Final = 4

Seen = dict[tuple[str, int], TrendMinute]


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
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with every minute as it closes.")
    ] = False,
    subject: Annotated[
        str | None, typer.Option(help="Minute by minute for this one: company:AAPL, topic:central_banks.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Published at or after: a time, or a duration back from now (2h).")
    ] = None,
    rows: Annotated[int, typer.Option(help="At most that many rows.", min=1)] = 30,
    json_file: JsonFile = None,
) -> None:
    """Subjects with the most negative stories first; with --subject its newest minutes."""
    settings = settings_from(config, broker)
    since_ms = None if since is None else parse_moment(since, int(time.time() * 1000))
    words = speaker(json_file)
    name_of = company_names(settings)
    try:
        with broker_errors(settings), stopped_by_signal(), ExitStack() as stack:
            topic = settings.topics.prefix + SUBJECT_TRENDS.name
            reader = stack.enter_context(StreamReader(settings.broker, [topic], since_ms))
            seen: Seen = {}
            while not reader.at_end():
                fold(seen, reader.poll(POLL_SECONDS), subject)
            minutes = sorted(seen.values(), key=lambda minute: (minute.minute_start_ms, minute.subject))
            show(words, minutes, subject, rows, name_of)
            if not follow:
                write_json(minutes, json_file)
                return
            sink = open_lines(stack, json_file)
            while True:
                for minute in fold(seen, reader.poll(POLL_SECONDS), subject):
                    words.print(minute_line(minute, name_of))
                    sink(minute)
    except TopicMissingError as error:
        raise stop(str(error), EXIT_USAGE) from error
    except StoppedBySignalError as signal:
        raise typer.Exit(signal.exit_code) from signal


def fold(seen: Seen, records: Iterable[RawRecord], subject: str | None) -> list[TrendMinute]:
    """Takes records into `seen` (of a subject's minute the greatest revision); returns what was news."""
    news = []
    for record in records:
        try:
            minute: TrendMinute = decode(record.value, TrendMinute)
        except DecodeError:
            continue
        key = (minute.subject, minute.minute_start_ms)
        known = seen.get(key)
        if (subject is None or minute.subject == subject) and (
            known is None or minute.revision > known.revision
        ):
            seen[key] = minute
            news.append(minute)
    return news


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
    table.add_column("subject", no_wrap=True)
    table.add_column(f"negative stories, {bucket_ms / MINUTE_MS:.0f} min a bar", no_wrap=True)
    for name in ("posts", "negative", "stories", "negative stories", "expected"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last minute (UTC)", no_wrap=True)
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
    table.add_column("minute (UTC)", no_wrap=True)
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
        table.add_column(name, justify="right", no_wrap=True)
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
