"""How far the sources of other workers have come."""

from streamapp.contracts.messages import SourceFrontier, Tick
from streamapp.core.sources_elsewhere import SourcesElsewhere
from streamapp.core.time_order import NO_TIME_MS

SETTLE_MS, STILL_MS = 10_000, 60_000
OWN, OTHER = ("N", 0), ("N", 1)


def told(
    offset: int, record_ms: int | None, *, source: tuple[str, int] = OTHER, caught_up: bool = False
) -> Tick:
    frontier = SourceFrontier(
        topic_uuid=source[0],
        partition=source[1],
        offset=offset,
        frontier_ms=record_ms,
        caught_up=caught_up,
        record_ms=record_ms,
    )
    return Tick(worker="w", sources=(frontier,))


def elsewhere(**known_ms: int) -> SourcesElsewhere:
    made = SourcesElsewhere(SETTLE_MS, STILL_MS)
    made.assign([OTHER], {OTHER: known_ms["known"]} if known_ms else {}, 0)
    return made


def test_a_source_that_nobody_told_of_yet_is_waited_for_until_the_group_has_settled() -> None:
    made = elsewhere(known=100)
    assert made.times_ms(SETTLE_MS - 1) == (NO_TIME_MS,)
    assert made.times_ms(SETTLE_MS) == ()


def test_a_source_with_a_backlog_is_told_with_the_time_that_it_has_come_to() -> None:
    made = elsewhere()
    made.hear(told(5, 200), 1)
    assert made.times_ms(2) == (200,)
    made.hear(told(6, 300), 3)
    assert made.times_ms(4) == (300,)


def test_a_source_that_begins_anew_is_where_others_left_it() -> None:
    made = elsewhere(known=100)
    made.hear(told(4, None), 1)
    assert made.times_ms(2) == (100,)


def test_a_source_that_was_never_read_has_no_time() -> None:
    made = elsewhere()
    made.hear(told(-1, None), 1)
    assert made.times_ms(2) == (NO_TIME_MS,)


def test_a_source_that_caught_up_is_not_waited_for() -> None:
    made = elsewhere()
    made.hear(told(5, 200, caught_up=True), 1)
    assert made.times_ms(2) == ()


def test_a_source_that_stands_still_is_waited_for_no_longer_until_it_moves() -> None:
    made = elsewhere()
    made.hear(told(5, 200), 1)
    made.hear(told(5, 200), 50_000)
    assert made.times_ms(STILL_MS) == (200,)
    assert made.times_ms(STILL_MS + 1) == ()
    made.hear(told(6, 210), STILL_MS + 2)
    assert made.times_ms(STILL_MS + 3) == (210,)


def test_a_worker_that_slept_and_says_what_was_true_before_has_no_say() -> None:
    made = elsewhere()
    made.hear(told(9, 400, caught_up=True), 1)
    made.hear(told(5, 200), 2)
    assert made.times_ms(3) == ()


def test_what_is_said_of_own_sources_is_no_reason_to_wait() -> None:
    made = elsewhere()
    made.hear(told(5, 200, caught_up=True), 1)
    made.hear(told(5, 200, source=OWN), 1)
    assert made.times_ms(2) == ()
