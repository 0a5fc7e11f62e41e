"""A subject's trend as one line of bars, and an alert as a few lines of text: shared by demo and commands.

The bar's height is the number of negative stories of its bucket, its colour the share of negative posts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from rich.text import Text

from streamapp.contracts.messages import TrendMinute

BARS: Final = "▁▂▃▄▅▆▇█"
QUIET: Final = "·"
NEGATIVE_SHARES: Final = ((0.6, "bold red"), (0.34, "yellow"), (0.0, "green"))


class Bucket(Struct):
    """What one bar stands for."""

    posts: int = 0
    negative_posts: int = 0
    stories: int = 0
    negative_stories: int = 0

    @property
    def negative_share(self) -> float:
        return self.negative_posts / self.posts if self.posts else 0.0


class ChartSpan(Struct, frozen=True, kw_only=True):
    """The time that a chart covers. What is not closed yet (`closed_ms`) is left blank."""

    start_ms: int
    bucket_ms: int
    buckets: int
    closed_ms: int | None = None

    def index(self, time_ms: int) -> int | None:
        """The bucket of a time, None outside the span."""
        at = (time_ms - self.start_ms) // self.bucket_ms
        return at if 0 <= at < self.buckets else None


def fill_buckets(minutes: Iterable[TrendMinute], span: ChartSpan) -> list[Bucket]:
    """Closed minutes added up per bucket."""
    buckets = [Bucket() for _ in range(span.buckets)]
    for minute in minutes:
        at = span.index(minute.minute_start_ms)
        if at is None:
            continue
        bucket = buckets[at]
        posts = minute.posts
        bucket.posts += posts.negative + posts.neutral + posts.positive
        bucket.negative_posts += posts.negative
        bucket.stories += minute.stories
        bucket.negative_stories += minute.negative_stories
    return buckets


def draw(buckets: list[Bucket], span: ChartSpan, top: int, cell: int = 1, rows: int = 1) -> Text:
    """Bars, `rows` lines high; `top` is the count that fills them, `cell` the width of a bar."""
    chart = Text(no_wrap=True)
    for row in reversed(range(rows)):
        for at, bucket in enumerate(buckets):
            if span.closed_ms is not None and span.start_ms + at * span.bucket_ms >= span.closed_ms:
                chart.append(" " * cell)
            elif bucket.posts == 0:
                chart.append((QUIET if row == 0 else " ") * cell, style="dim")
            else:
                eighths = height_eighths(bucket.negative_stories, top, rows) - row * len(BARS)
                chart.append(block(eighths) * cell, style=share_style(bucket.negative_share))
        chart.append("\n" if row else "")
    return chart


def height_eighths(count: int, top: int, rows: int = 1) -> int:
    """How high `count` of `top` stands, in eighths of a line; 1 for nothing, so that watched time is visible."""
    full = rows * len(BARS)
    return 1 if count <= 0 else max(2, min(full, round(count / max(top, 1) * full)))


def block(eighths: int) -> str:
    """One line's part of a bar."""
    return " " if eighths <= 0 else BARS[min(eighths, len(BARS)) - 1]


def share_style(negative_share: float) -> str:
    """The colour of a share of negative posts."""
    return next(style for least, style in NEGATIVE_SHARES if negative_share >= least)
