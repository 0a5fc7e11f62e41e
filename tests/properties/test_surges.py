"""Generated days, 20 seeds each: what must alert does, what must not stays silent."""

from collections.abc import Callable

import pytest

from streamapp.contracts.messages import Alert
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.trend_state import PartitionWatch, WatchRules
from tests.surge_streams import (
    BUSY_SUBJECT,
    START_MS,
    Told,
    as_log,
    copied_story,
    doubled_volume,
    quiet_day,
    surge_day,
    trading_day,
)

pytestmark = pytest.mark.slow

SEEDS = range(20)


def opened(posts: list[Told]) -> list[tuple[str, float]]:
    """(subject, hours after the stream's begin) of every alert that opened."""
    watch = PartitionWatch(WatchRules())
    told = [come for offset, message in enumerate(as_log(posts)) for come in watch.apply(offset, message)]
    return [
        (alert.subject, (alert.opened_at_ms - START_MS) / MINUTE_MS / 60)
        for alert in told
        if isinstance(alert, Alert) and alert.state == "opened"
    ]


@pytest.mark.parametrize(
    "day",
    [
        quiet_day,
        lambda seed: copied_story(seed, spread_minutes=1),
        lambda seed: copied_story(seed, spread_minutes=180),
        doubled_volume,
    ],
    ids=["quiet day", "50 copies in a minute", "50 copies in three hours", "twice the volume, same share"],
)
def test_a_day_without_a_surge_alerts_on_nothing(day: Callable[[int], list[Told]]) -> None:
    assert {seed: found for seed in SEEDS if (found := opened(day(seed)))} == {}


def test_three_times_the_negative_stories_are_found_on_their_subject_only() -> None:
    days = [opened(surge_day(seed)) for seed in SEEDS]
    assert [
        alert for found in days for alert in found if alert[0] != BUSY_SUBJECT or not 14 < alert[1] < 17.5
    ] == []
    assert sum(bool(found) for found in days) >= 19


def test_a_short_past_is_enough_for_a_company_and_a_topic_that_turn_bad_and_for_no_other() -> None:
    days = [sorted({subject for subject, _ in opened(trading_day(seed))}) for seed in SEEDS]
    assert sum(found == ["company:HURT", "topic:hurt"] for found in days) >= 19
    assert {subject for found in days for subject in found} == {"company:HURT", "topic:hurt"}
