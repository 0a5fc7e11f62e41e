"""One partition's watch: closing, late posts, story counts, silence, size."""

import random

import pytest
from msgspec.structs import replace

from streamapp.contracts.messages import (
    Activity,
    ActivityBatch,
    Alert,
    SentimentCounts,
    SourceOffset,
    SwapPairs,
    Tick,
    TrendMinute,
)
from streamapp.core.event_time import HOUR_MS, MINUTE_MS
from streamapp.core.subject_state import StateError
from streamapp.core.surge import SurgeRules
from streamapp.core.trend_state import FRONTIERS_KEY, PartitionWatch, WatchRules
from tests.surge_streams import START_MS, Told, activity_of, tick

SUBJECT = "company:AAA"
DAY_MS = 24 * HOUR_MS
EAGER = SurgeRules(
    min_negative_stories=2, false_alarm_probability=0.4, share_probability=1.0, warm_up_minutes=0
)
TEXTS = [" ".join(f"w{story}x{word}" for word in range(9)) for story in range(100)]


class Log:
    """A watch and the log that feeds it."""

    def __init__(self, rules: WatchRules | None = None) -> None:
        self.watch = PartitionWatch(rules or WatchRules())
        self.offset = -1
        self.source_offset = -1

    def post(
        self, at_ms: int, story: int = 0, sentiment: str = "negative", suffix: str = ""
    ) -> list[TrendMinute | Alert]:
        self.source_offset += 1
        told = Told(SUBJECT, START_MS + at_ms, sentiment, TEXTS[story] + suffix)  # type: ignore[arg-type]
        return self.apply(
            ActivityBatch(
                subject=SUBJECT, activities=(activity_of(told, SourceOffset("N", 0, self.source_offset)),)
            )
        )

    def tick(self, at_ms: int) -> list[TrendMinute | Alert]:
        """Event time has come to `at_ms` after the begin."""
        return self.apply(tick({("N", 0): self.source_offset}, START_MS + at_ms))

    def apply(self, message: ActivityBatch | Tick | SwapPairs) -> list[TrendMinute | Alert]:
        self.offset += 1
        return self.watch.apply(self.offset, message)


def trends(told: list[TrendMinute | Alert]) -> list[TrendMinute]:
    return [message for message in told if isinstance(message, TrendMinute)]


def test_a_minute_is_told_once_when_the_watermark_is_the_lateness_beyond_it() -> None:
    log = Log()
    log.post(10_000, 0)
    log.post(20_000, 1, "neutral")
    assert log.tick(3 * MINUTE_MS - 1) == []
    (trend,) = trends(log.tick(3 * MINUTE_MS))
    assert (trend.minute_start_ms, trend.revision) == (START_MS, 1)
    assert trend.posts == SentimentCounts(1, 1, 0)
    assert (trend.stories, trend.negative_stories) == (2, 1)
    assert log.tick(10 * MINUTE_MS) == []


def test_copies_are_posts_but_one_story_also_over_minutes() -> None:
    log = Log()
    for minute in range(3):
        log.post(minute * MINUTE_MS, 0)
        log.post(minute * MINUTE_MS + 1, 0, suffix=" - Reuters")
    told = trends(log.tick(10 * MINUTE_MS))
    assert [trend.posts.negative for trend in told] == [2, 2, 2]
    assert [(trend.stories, trend.negative_stories) for trend in told] == [(1, 1), (0, 0), (0, 0)]


def test_a_story_counts_as_negative_once_when_its_first_negative_copy_comes() -> None:
    log = Log()
    for minute, sentiment in enumerate(("neutral", "negative", "negative")):
        log.post(minute * MINUTE_MS, 0, sentiment)
    told = trends(log.tick(10 * MINUTE_MS))
    assert [(trend.stories, trend.negative_stories) for trend in told] == [(1, 0), (0, 1), (0, 0)]


def test_a_late_post_raises_the_revision_of_its_minute_and_no_story_count() -> None:
    log = Log()
    log.post(0, 0)
    log.tick(5 * MINUTE_MS)
    (late,) = trends(log.post(1_000, 1))
    assert (late.revision, late.late_posts, late.posts.negative) == (2, 1, 2)
    assert (late.stories, late.negative_stories) == (1, 1)
    assert log.watch.late_posts == 1


def test_a_late_post_in_a_silent_minute_makes_its_first_record() -> None:
    log = Log()
    log.post(0, 0)
    log.tick(10 * MINUTE_MS)
    (late,) = trends(log.post(3 * MINUTE_MS, 1))
    assert (late.revision, late.late_posts, late.posts.negative, late.stories) == (1, 1, 1, 0)


def test_a_post_older_than_what_is_kept_is_only_counted() -> None:
    log = Log()
    log.post(0, 0)
    log.tick(2 * HOUR_MS)
    assert log.post(1_000, 1) == []
    assert log.watch.statistics.too_late_posts == 1


def test_beyond_the_sample_stories_are_estimated_and_posts_stay_exact() -> None:
    chance = random.Random(3)
    log = Log()
    activities = [_random_activity(chance, number, START_MS + number) for number in range(2_000)]
    log.apply(ActivityBatch(subject=SUBJECT, activities=tuple(activities)))
    (trend,) = trends(log.apply(tick({("N", 0): 2_000}, START_MS + 3 * MINUTE_MS)))
    assert trend.posts.negative + trend.posts.neutral + trend.posts.positive == 2_000
    assert trend.negative_stories == pytest.approx(trend.posts.negative, rel=0.4)
    assert trend.stories == pytest.approx(2_000, rel=0.4)


def test_an_alert_tells_its_stories_and_silence_resolves_it_however_far_time_jumps() -> None:
    log = Log(WatchRules(surge=EAGER))
    for story in range(12):
        log.post(story * 1_000, story)
        log.post(story * 1_000 + 1, 0)
    opened = [message for message in log.tick(3 * MINUTE_MS) if isinstance(message, Alert)]
    assert [(alert.state, alert.observed_negative_stories, len(alert.top_stories)) for alert in opened] == [
        ("opened", 12, 3)
    ]
    assert (opened[0].top_stories[0].headline, opened[0].top_stories[0].copies) == (TEXTS[0], 13)
    assert log.watch.open_alerts == ((SUBJECT, opened[0].alert_id),)
    resolved = log.tick(3 * DAY_MS)
    assert [(alert.state, alert.alert_id) for alert in resolved if isinstance(alert, Alert)] == [
        ("resolved", opened[0].alert_id)
    ]
    assert not log.watch.open_alerts


def test_a_subject_silent_for_thirty_days_is_dropped_with_a_tombstone() -> None:
    log = Log()
    log.post(0, 0)
    log.tick(30 * DAY_MS)
    log.watch.take_changes()
    assert log.watch.subjects == 1
    log.tick(30 * DAY_MS + 2 * HOUR_MS)
    assert log.watch.subjects == 0
    assert [(key, value is None) for key, value in log.watch.take_changes()] == [
        (SUBJECT.encode(), True),
        (FRONTIERS_KEY, False),
    ]


def test_changes_come_once_and_the_frontiers_last() -> None:
    log = Log()
    log.post(0, 0)
    assert [key for key, _ in log.watch.take_changes()] == [SUBJECT.encode(), FRONTIERS_KEY]
    assert log.watch.take_changes() == []


def test_a_bad_fingerprint_changes_nothing() -> None:
    log = Log()
    good = _random_activity(random.Random(1), 0, START_MS)
    bad = replace(good, story_fingerprint="?")
    with pytest.raises(ValueError, match="16 hex digits"):
        log.apply(ActivityBatch(subject=SUBJECT, activities=(good, bad)))
    assert (log.watch.subjects, log.watch.take_changes()) == (0, [])


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x90", b"\x93\x63\x00\x00"])
def test_unreadable_state_is_refused_by_name(value: bytes) -> None:
    watch = PartitionWatch(WatchRules())
    with pytest.raises(StateError, match="company:AAA"):
        watch.load(b"company:AAA", value)
    with pytest.raises(StateError, match="frontiers"):
        watch.load(FRONTIERS_KEY, value)


def test_swap_pairs_are_noted() -> None:
    log = Log()
    log.apply(SwapPairs(worker="w", old_model_version="m-1", new_model_version="m-2", pairs=()))
    assert log.watch.statistics.last_swap == ("m-1", "m-2")


@pytest.mark.parametrize(("headline", "post_id"), [("h" * 120, "tw-0123456789"), ("\u00e9" * 120, "p" * 500)])
def test_the_state_of_a_subject_that_takes_every_post_stays_below_16_kib(headline: str, post_id: str) -> None:
    chance = random.Random(1)
    log = Log(WatchRules(surge=EAGER))
    sizes = []
    number = 0
    for minute in range(70):
        begin = START_MS + minute * MINUTE_MS
        activities = []
        for step in range(600):
            number += 1
            activity = _random_activity(chance, number, begin + step * 100)
            activities.append(replace(activity, headline=headline, post_id=post_id))
        log.apply(ActivityBatch(subject=SUBJECT, activities=tuple(activities)))
        sizes.append(max(len(value or b"") for _, value in log.watch.take_changes()))
        log.apply(tick({("N", 0): number}, begin + MINUTE_MS - 1))
    assert 10_000 < max(sizes) <= 16 * 1024


def _random_activity(chance: random.Random, number: int, at_ms: int) -> Activity:
    return Activity(
        source_offset=SourceOffset("A" * 22, number % 8, 10**10 + number),
        post_id=f"tw-{10**17 + number}",
        channel="news",
        event_time_ms=at_ms,
        sentiment=chance.choice(("negative", "neutral", "positive")),
        story_fingerprint=f"{chance.getrandbits(64):016x}",
        headline="h" * 120,
        model_version="starter-2026-11-24",
    )
