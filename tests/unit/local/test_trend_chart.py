"""A bar's height is its negative stories, its colour their share, and blank means not closed yet."""

from streamapp.contracts.messages import SentimentCounts
from streamapp.local.trend_chart import Bucket, ChartSpan, draw, fill_buckets, height_eighths, share_style
from tests.unit.local.demo_records import trend_message

SPAN = ChartSpan(start_ms=0, bucket_ms=120_000, buckets=3, closed_ms=240_000)


def test_minutes_are_added_up_in_their_bucket_and_others_left_out() -> None:
    minutes = [
        trend_message("s", at, posts=SentimentCounts(2, 1, 0))
        for at in (-60_000, 0, 60_000, 120_000, 360_000)
    ]
    buckets = fill_buckets(minutes, SPAN)
    assert [(bucket.posts, bucket.negative_posts, bucket.negative_stories) for bucket in buckets] == [
        (6, 4, 2),
        (3, 2, 1),
        (0, 0, 0),
    ]


def test_what_is_not_closed_is_blank_and_a_quiet_bucket_is_a_dot() -> None:
    chart = draw([Bucket(), Bucket(1, 0, 1, 0), Bucket(1, 1, 1, 1)], SPAN, top=4)
    assert chart.plain == "·▁ "


def test_a_tall_chart_stacks_lines_and_never_exceeds_them() -> None:
    span = ChartSpan(start_ms=0, bucket_ms=1, buckets=2)
    chart = draw([Bucket(9, 9, 9, 9), Bucket(9, 1, 9, 3)], span, top=6, rows=2, cell=2)
    assert chart.plain == "██  \n████"


def test_one_story_is_visible_and_nothing_is_a_line() -> None:
    assert (height_eighths(0, 10), height_eighths(1, 100), height_eighths(500, 10)) == (1, 2, 8)


def test_the_colour_follows_the_share_of_negative_posts() -> None:
    assert [share_style(share) for share in (0.0, 0.34, 0.6)] == ["green", "yellow", "bold red"]
