"""A change of the model neither causes nor hides an alert, on generated days; crashes change nothing of it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streamapp.contracts.messages import (
    SENTIMENTS,
    ActivityBatch,
    Alert,
    SubjectActivity,
    SwapPair,
    SwapPairs,
)
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.trend_state import PartitionWatch, WatchRules
from tests.properties.test_watch import run_whole, run_with_crashes, wild_log
from tests.surge_streams import START_MS, Boost
from tests.swap_streams import (
    SWAP_MINUTE,
    Model,
    day,
    half_as_many,
    markets_to_energy,
    same,
    swap_log,
    thirty_points_more,
    three_in_ten_more,
)

SEEDS = range(20)
SURGING = "topic:markets"
DRAWS = st.integers(0, 2**32)


def opened(log: list[SubjectActivity]) -> list[tuple[str, float]]:
    """(subject, minutes after the first worker's swap) of every alert that opened."""
    watch = PartitionWatch(WatchRules())
    told = [come for offset, message in enumerate(log) for come in watch.apply(offset, message)]
    return [
        (alert.subject, (alert.opened_at_ms - START_MS) / MINUTE_MS - SWAP_MINUTE)
        for alert in told
        if isinstance(alert, Alert) and alert.state == "opened"
    ]


def surge(begin_minute: int) -> Boost:
    """Three hours of three times the negative stories about one subject, begun so long after the swap."""
    begin = SWAP_MINUTE + begin_minute
    return Boost(begin, begin + 180, 3.0, 1.0, (SURGING,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [same, three_in_ten_more, thirty_points_more, half_as_many, markets_to_energy]
)
def test_a_stationary_stream_alerts_on_nothing_when_the_model_changes(model: Model) -> None:
    assert {seed: found for seed in SEEDS if (found := opened(swap_log(day(seed), model)))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("model", [thirty_points_more, markets_to_energy])
def test_without_the_workers_pairs_the_same_changes_would_have_looked_like_surges(model: Model) -> None:
    assert sum(bool(opened(swap_log(day(seed), model, pairs=[]))) for seed in SEEDS) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("begin_minute", [-20, 10])
@pytest.mark.parametrize("model", [same, three_in_ten_more])
def test_a_real_surge_across_the_change_is_found_on_its_subject_only(model: Model, begin_minute: int) -> None:
    days = [opened(swap_log(day(seed, surge(begin_minute)), model)) for seed in SEEDS]
    assert [
        alert
        for found in days
        for alert in found
        if alert[0] != SURGING or not begin_minute < alert[1] < begin_minute + 210
    ] == []
    assert sum(bool(found) for found in days) >= 19


def lives(log: list[SubjectActivity]) -> list[tuple[str, int, float]]:
    """(subject, revisions, minute of the resolution after the swap) of every alert that was open at the swap."""
    watch = PartitionWatch(WatchRules())
    told = [come for offset, message in enumerate(log) for come in watch.apply(offset, message)]
    alerts = [alert for alert in told if isinstance(alert, Alert) and alert.state == "resolved"]
    return [
        (alert.subject, alert.revision, alert.window_end_ms / MINUTE_MS - START_MS / MINUTE_MS - SWAP_MINUTE)
        for alert in alerts
        if alert.opened_at_ms < START_MS + SWAP_MINUTE * MINUTE_MS < alert.window_end_ms
    ]


@pytest.mark.slow
@pytest.mark.parametrize("model", [half_as_many, thirty_points_more])
def test_an_alert_that_is_open_when_the_model_changes_lives_about_as_long_as_without_the_change(
    model: Model,
) -> None:
    boost = Boost(SWAP_MINUTE - 120, SWAP_MINUTE + 120, 4.0, 1.0, (SURGING,))
    for seed in range(5):
        posts = day(seed, boost)
        ((subject, _, resolved),) = lives(swap_log(posts, same))
        ((changed_subject, _, changed_resolved),) = lives(swap_log(posts, model))
        assert subject == changed_subject == SURGING
        assert abs(resolved - changed_resolved) <= 30


def wild_swaps(seed: int) -> list[SubjectActivity]:
    """A wild log in which versions follow each other, mix and come back, with pairs of some of the changes."""
    chance = random.Random(seed)
    versions = ["m-1"]
    log: list[SubjectActivity] = []
    for message in wild_log(seed):
        if chance.random() < 0.15:
            old, new = versions[-1], chance.choice(("m-1", "m-2", "m-3"))
            for worker in ("a", "b")[: chance.randrange(3)]:
                log.append(wild_pairs(worker, old, new, chance))
            versions.append(new)
        if isinstance(message, ActivityBatch):
            activities = tuple(
                replace(
                    activity,
                    model_version=chance.choice(versions[-2:]),
                )
                for activity in message.activities
            )
            log.append(replace(message, activities=activities))
        else:
            log.append(message)
    return log


def wild_pairs(worker: str, old: str, new: str, chance: random.Random) -> SwapPairs:
    pairs = tuple(
        SwapPair(
            channel=chance.choice(("news", "chat")),
            topic=chance.choice(("a", "b", None)),
            old=chance.choice(SENTIMENTS),
            new=chance.choice(SENTIMENTS),
            posts=chance.randrange(0, 40),
            new_topic=chance.choice((None, None, "a", "")),
        )
        for _ in range(chance.randrange(8))
    )
    return SwapPairs(worker=worker, old_model_version=old, new_model_version=new, pairs=pairs, gate=pairs[:2])


@settings(max_examples=200, deadline=None)
@given(DRAWS, DRAWS)
def test_crashes_anywhere_around_changes_of_the_model_change_neither_state_nor_what_was_told(
    log_seed: int, seed: int
) -> None:
    log = wild_swaps(log_seed)
    calm, rough = run_whole(log), run_with_crashes(log, seed)
    assert rough.told == calm.told
    assert rough.newest() == calm.newest()


@settings(max_examples=50, deadline=None)
@given(DRAWS, DRAWS)
def test_pairs_that_a_worker_sends_again_change_nothing_that_is_told(log_seed: int, seed: int) -> None:
    chance = random.Random(seed)
    log = wild_swaps(log_seed)
    again: list[SubjectActivity] = []
    for message in log:
        again.append(message)
        known = [sent for sent in again if isinstance(sent, SwapPairs)]
        if known and chance.random() < 0.3:
            again.append(known[-1])
    assert run_whole(again).told == run_whole(log).told
