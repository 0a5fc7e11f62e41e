"""When watch is told how far event time has come, and what it is told."""

from itertools import pairwise

from streamapp.contracts.messages import SourceFrontier, SourceOffset, Tick
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.frontier import FLIP_INTERVAL_MS, FrontierTracker

T = 1_000 * MINUTE_MS
AGE_MS = 5_000
A, B = ("U", 0), ("U", 1)
OLD = T - 3_600_000  # record time of a backlog: never young


def tracker(*sources: tuple[str, int]) -> FrontierTracker:
    made = FrontierTracker("worker-1", AGE_MS)
    made.assign(dict.fromkeys(sources or (A,), 10))
    return made


def acknowledge(
    made: FrontierTracker,
    offset: int,
    frontier_ms: int | None,
    *,
    source: tuple[str, int] = A,
    record_ms: int = OLD,
) -> None:
    made.acknowledge(SourceOffset(*source, offset), frontier_ms, record_ms)


def only(tick: Tick | None) -> SourceFrontier:
    assert tick is not None
    (source,) = tick.sources
    return source


def test_nothing_is_told_before_an_assignment() -> None:
    assert FrontierTracker("worker-1", AGE_MS).tick(T, {}) is None


def test_an_assignment_is_told_at_once_with_the_offset_before_the_next() -> None:
    made = tracker()
    assert only(made.tick(T, {A: 50})) == SourceFrontier(
        topic_uuid="U", partition=0, offset=9, frontier_ms=None, caught_up=False
    )
    assert made.tick(T, {A: 50}) is None


def test_a_worker_without_partitions_tells_nothing() -> None:
    made = tracker()
    made.assign({})
    assert made.tick(T, {}) is None


def test_a_new_assignment_is_told_even_where_nothing_else_changed() -> None:
    made = tracker()
    made.tick(T, {A: 50})
    made.assign({A: 10})
    assert made.tick(T, {A: 50}) is not None


def test_a_partition_that_was_taken_away_is_told_no_more() -> None:
    made = tracker(A, B)
    made.assign({B: 3})
    tick = made.tick(T, {})
    assert tick is not None
    assert [source.partition for source in tick.sources] == [1]


def test_a_frontier_is_told_when_it_enters_another_minute_and_not_within() -> None:
    made = tracker()
    made.tick(T, {A: 50})
    acknowledge(made, 10, T)
    assert only(made.tick(T, {A: 50})).frontier_ms == T
    acknowledge(made, 11, T + MINUTE_MS - 1)
    assert made.tick(T, {A: 50}) is None
    acknowledge(made, 12, T + MINUTE_MS)
    assert only(made.tick(T, {A: 50})) == SourceFrontier(
        topic_uuid="U", partition=0, offset=12, frontier_ms=T + MINUTE_MS, caught_up=False, record_ms=OLD
    )


def test_the_newest_record_is_told_when_it_enters_another_minute_though_no_frontier_moves() -> None:
    made = tracker()
    acknowledge(made, 10, None, record_ms=OLD)
    assert only(made.tick(T, {A: 50})).record_ms == OLD
    acknowledge(made, 11, None, record_ms=OLD + 1)
    assert made.tick(T, {A: 50}) is None
    acknowledge(made, 12, None, record_ms=OLD + MINUTE_MS)
    assert only(made.tick(T, {A: 50})).record_ms == OLD + MINUTE_MS


def test_before_the_first_record_is_acknowledged_the_time_of_the_next_is_told() -> None:
    made = tracker()
    made.tick(T, {A: 50})
    made.expect({A: OLD})
    assert only(made.tick(T, {A: 50})).record_ms == OLD
    acknowledge(made, 10, T, record_ms=OLD + MINUTE_MS)
    made.expect({A: OLD + 9 * MINUTE_MS})
    assert only(made.tick(T, {A: 50})).record_ms == OLD + MINUTE_MS


def test_a_minute_is_told_however_short_after_the_last_tick() -> None:
    made = tracker()
    made.tick(T, {A: 50})
    for minute in range(5):
        acknowledge(made, 10 + minute, T + minute * MINUTE_MS)
        assert made.tick(T, {A: 50}) is not None


def test_one_tick_tells_of_every_source_in_a_fixed_order() -> None:
    made = tracker(B, A)
    acknowledge(made, 10, T, source=B)
    tick = made.tick(T, {A: 50, B: 50})
    assert tick is not None
    assert [(source.partition, source.frontier_ms) for source in tick.sources] == [(0, None), (1, T)]
    assert tick.worker == "worker-1"


def test_frontier_and_offset_never_fall() -> None:
    made = tracker()
    acknowledge(made, 20, T + MINUTE_MS)
    acknowledge(made, 15, T)
    told = only(made.tick(T, {A: 50}))
    assert (told.offset, told.frontier_ms) == (20, T + MINUTE_MS)


def test_a_dead_letter_moves_the_offset_and_not_the_frontier() -> None:
    made = tracker()
    acknowledge(made, 10, T)
    acknowledge(made, 11, None)
    told = only(made.tick(T, {A: 50}))
    assert (told.offset, told.frontier_ms) == (11, T)


def test_dead_letters_alone_give_no_frontier() -> None:
    made = tracker()
    acknowledge(made, 10, None)
    told = only(made.tick(T, {A: 50}))
    assert (told.offset, told.frontier_ms, told.caught_up) == (10, None, False)


def test_what_comes_for_a_partition_of_another_worker_is_ignored() -> None:
    made = tracker(A)
    acknowledge(made, 10, T + 9 * MINUTE_MS, source=B)
    acknowledge(made, 10, T + 9 * MINUTE_MS, source=("recreated", 0))
    told = only(made.tick(T, {A: 50}))
    assert (told.offset, told.frontier_ms) == (9, None)


def test_event_time_before_1970_is_a_frontier_too() -> None:
    made = tracker()
    acknowledge(made, 10, -MINUTE_MS)
    acknowledge(made, 11, -2 * MINUTE_MS)
    assert only(made.tick(T, {A: 50})).frontier_ms == -MINUTE_MS


def test_a_frontier_at_the_epoch_never_falls() -> None:
    made = tracker()
    acknowledge(made, 10, 0)
    acknowledge(made, 11, -5)
    assert only(made.tick(T, {A: 50})).frontier_ms == 0


def test_caught_up_at_the_end_last_seen() -> None:
    made = tracker()
    acknowledge(made, 49, T)
    assert only(made.tick(T, {A: 50})).caught_up


def test_an_empty_partition_is_caught_up_from_the_start() -> None:
    made = FrontierTracker("worker-1", AGE_MS)
    made.assign({A: 0})
    told = only(made.tick(T, {A: 0}))
    assert (told.offset, told.caught_up) == (-1, True)


def test_not_caught_up_while_the_end_is_unknown() -> None:
    made = tracker()
    acknowledge(made, 49, T)
    assert not only(made.tick(T, {})).caught_up


def test_caught_up_while_the_newest_record_is_young() -> None:
    made = tracker()
    acknowledge(made, 10, T, record_ms=T)
    assert only(made.tick(T + AGE_MS - 1, {A: 50})).caught_up
    acknowledge(made, 11, T, record_ms=OLD)
    assert made.tick(T + AGE_MS - 1, {A: 50}) is None
    assert not only(made.tick(T + AGE_MS + FLIP_INTERVAL_MS, {A: 50})).caught_up


def test_a_flip_is_told_at_most_once_a_second() -> None:
    made = tracker()
    acknowledge(made, 49, T)
    told = [made.tick(T + at_ms, {A: 50 + (at_ms // 100) % 2}) for at_ms in range(0, 3_000, 100)]
    at_ms = [index * 100 for index, tick in enumerate(told) if tick is not None]
    assert at_ms[0] == 0
    assert all(later - earlier >= FLIP_INTERVAL_MS for earlier, later in pairwise(at_ms))
    assert len(at_ms) >= 2


def test_a_flip_that_had_to_wait_is_told_later() -> None:
    made = tracker()
    acknowledge(made, 49, T)
    made.tick(T, {A: 50})
    assert made.tick(T + 1, {A: 60}) is None
    assert not only(made.tick(T + FLIP_INTERVAL_MS, {A: 60})).caught_up


def test_a_paused_partition_counts_as_caught_up_until_it_is_resumed() -> None:
    made = tracker()
    made.tick(T, {A: 50})
    made.pause([A])
    assert only(made.tick(T + FLIP_INTERVAL_MS, {A: 50})).caught_up
    made.pause([])
    assert not only(made.tick(T + 2 * FLIP_INTERVAL_MS, {A: 50})).caught_up


def test_a_pause_outlives_a_new_assignment() -> None:
    made = tracker()
    made.pause([A])
    made.assign({A: 10})
    assert only(made.tick(T, {A: 50})).caught_up
