"""Delivery, for any order in which predictions and acknowledgements complete and any cut of a backlog."""

import asyncio
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamapp.contracts.messages import ActivityBatch, SourceOffset, Tick
from tests.properties.score_simulation import (
    POISON,
    UUIDS,
    Arrival,
    Simulation,
    decoded,
    is_in_kafka,
    settle,
    sources_of,
)

TEXTS = st.sampled_from(
    ["selling $AAPL", "buying $MSFT and $AAPL", "quiet day", "$ZZZQ halted", POISON, None]
)
ARRIVALS = st.lists(
    st.builds(
        Arrival, topic=st.sampled_from(["news", "chat"]), partition=st.integers(0, 1), text=TEXTS,
        minutes=st.integers(0, 3),
    ),
    min_size=1, max_size=24,
)  # fmt: skip
MAX_POSTS = st.integers(1, 7)
IN_FLIGHT = st.integers(1, 3)
CHANCE = st.randoms(use_true_random=False)


def simulate(arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random) -> Simulation:
    """A whole run; the checks at acks and sends are the simulation's own."""

    async def whole() -> Simulation:
        made = Simulation(arrivals, max_posts=max_posts, in_flight=in_flight, chance=chance)
        await made.run()
        return made

    return asyncio.run(whole())


def expected_fates(arrivals: list[Arrival]) -> dict[SourceOffset, str]:
    counts: Counter[tuple[str, int]] = Counter()
    fates = {}
    for arrival in arrivals:
        key = (arrival.topic, arrival.partition)
        fates[SourceOffset(UUIDS[arrival.topic], arrival.partition, counts[key])] = arrival.fate
        counts[key] += 1
    return fates


def fates_in_order(run: Simulation) -> list[tuple[SourceOffset, str]]:
    scored = [(post.source_offset, "scored") for post in run.told("scored-posts")]
    dead = [(letter.origin.source_offset, str(letter.reason)) for letter in run.told("dead-letters")]
    return scored + dead


@settings(deadline=None, max_examples=150)
@given(ARRIVALS, MAX_POSTS, IN_FLIGHT, CHANCE)
def test_every_record_has_one_fate_whatever_the_cut_and_the_order_of_completions(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random
) -> None:
    run = simulate(arrivals, max_posts, in_flight, chance)
    fates = fates_in_order(run)
    assert len(fates) == len(arrivals)
    assert dict(fates) == expected_fates(arrivals)


@settings(deadline=None, max_examples=150)
@given(ARRIVALS, MAX_POSTS, IN_FLIGHT, CHANCE)
def test_acks_and_results_keep_the_order_of_their_partition(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random
) -> None:
    run = simulate(arrivals, max_posts, in_flight, chance)
    for (topic, partition), offsets in run.acked.items():
        count = sum((arrival.topic, arrival.partition) == (topic, partition) for arrival in arrivals)
        assert offsets == list(range(count))
    assert sum(map(len, run.acked.values())) == len(arrivals)
    for name in ("scored-posts", "dead-letters"):
        seen: dict[tuple[str, int], int] = {}
        for source in (getattr(told, "origin", told).source_offset for told in run.told(name)):
            key = (source.topic_uuid, source.partition)
            assert seen.get(key, -1) < source.offset
            seen[key] = source.offset


@settings(deadline=None, max_examples=100)
@given(ARRIVALS, MAX_POSTS, IN_FLIGHT, CHANCE)
def test_no_subject_loses_repeats_or_reorders_an_activity(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random
) -> None:
    run = simulate(arrivals, max_posts, in_flight, chance)
    told = activities_by_subject(run)
    alone = activities_by_subject(simulate(arrivals, len(arrivals), 1, Random(0)))
    assert told == alone
    for subject, sources in told.items():
        assert len(set(sources)) == len(sources), subject


def activities_by_subject(run: Simulation) -> dict[str, list[SourceOffset]]:
    """Source offsets of a subject's activities, by source partition in the order they were sent."""
    found: dict[str, list[SourceOffset]] = {}
    for told in run.told("subject-activity"):
        if isinstance(told, ActivityBatch):
            found.setdefault(told.subject, []).extend(activity.source_offset for activity in told.activities)
    by_partition = {
        subject: sorted(sources, key=lambda source: (source.topic_uuid, source.partition))
        for subject, sources in found.items()
    }
    assert all(in_partition_order(sources) for sources in by_partition.values())
    return by_partition


def in_partition_order(sources: list[SourceOffset]) -> bool:
    return sources == sorted(sources)


@settings(deadline=None, max_examples=100)
@given(ARRIVALS, MAX_POSTS, IN_FLIGHT, CHANCE)
def test_a_tick_covers_only_what_was_sent_before_it(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random
) -> None:
    run = simulate(arrivals, max_posts, in_flight, chance)
    finished: set[SourceOffset] = set()
    ticks = 0
    for message in run.producer.messages:
        told = decoded(message)
        if isinstance(told, Tick):
            ticks += 1
            for source in told.sources:
                covered = range(source.offset + 1)
                assert finished >= {SourceOffset(source.topic_uuid, source.partition, n) for n in covered}
        elif not isinstance(told, ActivityBatch):
            finished.add(getattr(told, "origin", told).source_offset)
    assert ticks > 0


@settings(deadline=None, max_examples=150)
@given(ARRIVALS, MAX_POSTS, IN_FLIGHT, CHANCE, st.integers(0, 30))
def test_a_failed_send_stops_the_agent_and_nothing_at_or_past_it_is_acknowledged(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random, fail_send: int
) -> None:
    run, stopped = asyncio.run(run_until_failure(arrivals, max_posts, in_flight, chance, fail_send))
    for offsets in run.acked.values():
        assert offsets == list(range(len(offsets)))
    failed = [sent for sent in run.producer.sent if sent.acknowledged.done() and not is_in_kafka(sent)]
    assert stopped == bool(failed)
    if failed:
        acked = {SourceOffset(UUIDS[done.topic], done.partition, done.offset) for done in run.stream.acked}
        assert not acked.intersection(sources_of(failed[0].message))


async def run_until_failure(
    arrivals: list[Arrival], max_posts: int, in_flight: int, chance: Random, fail_send: int
) -> tuple[Simulation, bool]:
    made = Simulation(arrivals, max_posts=max_posts, in_flight=in_flight, chance=chance)
    try:
        await made.run(fail_send=fail_send)
    except BaseExceptionGroup as group:
        (error,) = group.exceptions
        assert isinstance(error, ConnectionError), error
        return made, True
    return made, False


@pytest.mark.parametrize(("max_posts", "in_flight"), [(1, 1), (4, 2), (16, 3)])
def test_what_is_taken_and_not_acknowledged_is_bounded(max_posts: int, in_flight: int) -> None:
    bound = max_posts * (in_flight + 2) + 2 * max_posts + 1

    async def flood() -> int:
        arrivals = [Arrival("news", 0, "quiet day")] * (10 * bound)
        run = Simulation(arrivals, max_posts=max_posts, in_flight=in_flight, chance=Random(0))
        consuming = asyncio.create_task(run.agent.consume(run.stream))
        run.arrive(len(arrivals))
        for _ in range(100):
            await settle()
        taken = len(arrivals) - run.stream.arrivals.qsize()
        for task in (consuming, *run.stream.futures):
            task.cancel()
        await asyncio.gather(consuming, *run.stream.futures, return_exceptions=True)
        return taken

    assert asyncio.run(flood()) == bound
