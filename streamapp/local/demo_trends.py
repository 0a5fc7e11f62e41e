"""The demo's chart of subjects: one row of bars each, alerting ones first and taller."""

from __future__ import annotations

from typing import Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamapp.local.alert_card import subject_text
from streamapp.local.demo_figures import DemoFigures
from streamapp.local.demo_scene import DAY_MS, DAY_START_MS, Scene
from streamapp.local.terminal_text import foreign
from streamapp.local.trend_chart import Bucket, ChartSpan, draw, fill_buckets

BUCKET_MS: Final = 15 * 60_000
TALL_ROWS: Final = 3
# A bar fills its line at this many negative stories or more, so that one bad story does not look like a surge.
LEAST_TOP: Final = 4
RECENT_BUCKETS: Final = 4


def trend_panel(figures: DemoFigures, scene: Scene, lines: int, width: int) -> Panel:
    """The chart in its frame."""
    closed = figures.closed_to_ms()
    told = "no minute closed yet" if closed is None else f"minutes closed to {scene.day_time(closed)}"
    return Panel(
        trend_table(figures, scene, lines, width - 4),
        title=f"Negative stories per subject, a bar for each 15 minutes ({told})",
        title_align="left",
        subtitle=_legend(),
        subtitle_align="right",
    )


def _legend() -> Text:
    legend = Text("height: negative stories, colour: share of negative posts", style="dim")
    for style, words in (("green", "under 34 %"), ("yellow", "from 34 %"), ("bold red", "from 60 %")):
        legend.append(f"  █ {words}", style=style)
    return legend


def trend_table(figures: DemoFigures, scene: Scene, lines: int, width: int) -> Table:
    """The chart in so many lines: alerting subjects first and taller, then where it is bad, then the busy ones."""
    span = ChartSpan(
        start_ms=DAY_START_MS + scene.shift_ms,
        bucket_ms=BUCKET_MS,
        buckets=DAY_MS // BUCKET_MS,
        closed_ms=figures.closed_to_ms(),
    )
    filled = {subject: fill_buckets(minutes.values(), span) for subject, minutes in figures.trends.items()}
    alerted = figures.alerted_subjects()
    tall = sorted(alerted & filled.keys(), key=lambda name: _rank(filled[name], span))
    others = sorted(filled.keys() - alerted, key=lambda name: (_rank(filled[name], span), name))
    room = lines - 1 - TALL_ROWS * len(tall)
    shown = [*tall, *others[: max(0, room)]]
    top = max([LEAST_TOP, *(bucket.negative_stories for name in shown for bucket in filled[name])])
    cell = 2 if width >= 2 * span.buckets + 62 else 1
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, width=34, overflow="ellipsis")
    table.add_column(no_wrap=True, width=span.buckets * cell)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("", _hours(span, cell, scene), Text("posts", style="dim"), Text("negative", style="dim"))
    for name in shown:
        chart = draw(filled[name], span, top, cell, TALL_ROWS if name in tall else 1)
        table.add_row(*_subject_row(name, filled[name], chart, figures, scene))
    return table


def _subject_row(
    name: str, buckets: list[Bucket], chart: Text, figures: DemoFigures, scene: Scene
) -> tuple[Text, Text, str, Text]:
    posts = sum(bucket.posts for bucket in buckets)
    negative = sum(bucket.negative_posts for bucket in buckets)
    state = Text(f"{negative / posts:>4.0%} " if posts else "     ", no_wrap=True)
    style = ""
    if name in figures.open_subjects():
        state.append(" ALERT ", "bold white on red")
        style = "bold red"
    elif name in figures.alerted_subjects():
        state.append(" resolved ", "black on green")
        style = "bold"
    return foreign(subject_text(name, scene.name_of), style), chart, str(posts), state


def _rank(buckets: list[Bucket], span: ChartSpan) -> tuple[int, int]:
    """Sorts first what had the most negative stories in the last closed hour, then what has the most posts."""
    closed = (
        span.buckets if span.closed_ms is None else -(-(span.closed_ms - span.start_ms) // span.bucket_ms)
    )
    recent = buckets[max(0, closed - RECENT_BUCKETS) : closed]
    return -sum(bucket.negative_stories for bucket in recent), -sum(bucket.posts for bucket in buckets)


def _hours(span: ChartSpan, cell: int, scene: Scene) -> Text:
    line = [" "] * (span.buckets * cell)
    for at in range(span.buckets):
        text = scene.day_time(span.start_ms + at * span.bucket_ms)
        if text.endswith(":00") and at * cell + 5 <= len(line):
            line[at * cell : at * cell + 5] = text
    return Text("".join(line), style="dim")
