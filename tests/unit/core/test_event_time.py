"""The watermark: what raises it, what holds it back, and for how long."""

import pytest

from streamapp.contracts.messages import SourceFrontier, Tick
from streamapp.core.event_time import MINUTE_MS, EventTimeRules, SourceClocks, minute_of

RULES = EventTimeRules(lateness_ms=2 * MINUTE_MS, allowance_ms=30 * MINUTE_MS)
T = 1_000 * MINUTE_MS


def source(name: str, offset: int, frontier_ms: int | None, *, caught_up: bool) -> SourceFrontier:
    return SourceFrontier(
        topic_uuid=name, partition=0, offset=offset, frontier_ms=frontier_ms, caught_up=caught_up
    )


def clocks_after(*ticks: tuple[SourceFrontier, ...]) -> SourceClocks:
    clocks = SourceClocks(RULES)
    for sources in ticks:
        clocks.apply(Tick(worker="w", sources=sources))
    return clocks


def test_before_any_frontier_there_is_no_watermark() -> None:
    clocks = clocks_after((source("a", -1, None, caught_up=False),))
    assert clocks.watermark_ms is None
    assert clocks.closed_before is None


def test_the_least_frontier_of_those_behind_counts() -> None:
    ahead, behind = source("a", 5, T + MINUTE_MS, caught_up=True), source("b", 5, T, caught_up=False)
    assert clocks_after((ahead, behind)).watermark_ms == T


def test_when_all_are_caught_up_the_greatest_frontier_counts() -> None:
    old, new = source("a", 5, T - 10 * MINUTE_MS, caught_up=True), source("b", 5, T, caught_up=True)
    assert clocks_after((old, new)).watermark_ms == T


def test_it_never_trails_the_greatest_frontier_by_more_than_the_allowance() -> None:
    ahead, behind = source("a", 5, T, caught_up=True), source("b", 5, T - 60 * MINUTE_MS, caught_up=False)
    assert clocks_after((ahead, behind)).watermark_ms == T - RULES.allowance_ms


def test_a_source_behind_without_a_frontier_holds_it_back_by_the_whole_allowance() -> None:
    ahead, unknown = source("a", 5, T, caught_up=True), source("b", -1, None, caught_up=False)
    assert clocks_after((ahead, unknown)).watermark_ms == T - RULES.allowance_ms


def test_it_never_falls() -> None:
    behind = source("b", 0, T - MINUTE_MS, caught_up=False)
    assert clocks_after((source("a", 5, T, caught_up=True),), (behind,)).watermark_ms == T


def test_an_older_offset_loses_and_of_equal_offsets_the_later_message_wins() -> None:
    held = (source("a", 9, T, caught_up=True), source("b", 5, T - MINUTE_MS, caught_up=False))
    zombie = (source("b", 4, T, caught_up=True),)
    newer = (source("b", 5, None, caught_up=True),)
    assert clocks_after(held, zombie).watermark_ms == T - MINUTE_MS
    assert clocks_after(held, newer).watermark_ms == T


def test_a_source_that_nobody_reports_any_more_is_forgotten_after_the_allowance() -> None:
    gone = (source("a", 1, T, caught_up=True), source("gone", 1, T - MINUTE_MS, caught_up=False))
    later = T + RULES.allowance_ms
    assert clocks_after(gone, (source("a", 2, later, caught_up=True),)).watermark_ms == T
    assert clocks_after(gone, (source("a", 2, later + 1, caught_up=True),)).watermark_ms == later + 1


@pytest.mark.parametrize(("past_end_ms", "closed"), [(-1, False), (0, True)])
def test_a_minute_closes_when_the_watermark_is_the_lateness_beyond_its_end(
    past_end_ms: int, closed: bool
) -> None:
    clocks = clocks_after((source("a", 1, T + MINUTE_MS + RULES.lateness_ms + past_end_ms, caught_up=True),))
    assert clocks.closed_before is not None
    assert (minute_of(T) < clocks.closed_before) is closed


def test_a_snapshot_restores_to_the_same_clocks() -> None:
    clocks = clocks_after((source("a", 1, T, caught_up=False), source("b", 1, None, caught_up=True)))
    again = SourceClocks(RULES)
    again.restore(clocks.snapshot(), clocks.greatest_ms, clocks.watermark_ms)
    assert (again.snapshot(), again.watermark_ms) == (clocks.snapshot(), clocks.watermark_ms)
