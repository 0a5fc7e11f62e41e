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


def draw(buckets: list[Bucket], span: ChartSpan, top: int, cell: int = 1) -> Text:
    """One line of bars; `top` is the count that fills a whole cell, `cell` the width of a bar."""
    line = Text(no_wrap=True)
    for at, bucket in enumerate(buckets):
        if span.closed_ms is not None and span.start_ms + at * span.bucket_ms >= span.closed_ms:
            line.append(" " * cell)
        elif bucket.posts == 0:
            line.append(QUIET * cell, style="dim")
        else:
            line.append(bar(bucket.negative_stories, top) * cell, style=share_style(bucket.negative_share))
    return line


def bar(count: int, top: int) -> str:
    """The block whose height is `count` of `top`; anything above nothing is visible."""
    if count <= 0:
        return BARS[0]
    return BARS[max(1, min(len(BARS) - 1, round(count / max(top, 1) * (len(BARS) - 1))))]


def share_style(negative_share: float) -> str:
    """The colour of a share of negative posts."""
    return next(style for least, style in NEGATIVE_SHARES if negative_share >= least)
