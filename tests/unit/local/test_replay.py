"""When a told-again stream's posts are due, how they are dated, and what lateness its speed asks for."""

import pytest

from streamapp.local.replay import (
    closing_offset_seconds,
    delay_seconds,
    lateness_for,
    rfc3339,
    shift_to_end_at,
)


def test_the_last_post_of_a_dated_stream_falls_on_now() -> None:
    assert 1_000_000 + shift_to_end_at(1_000_000, now_ms=5_000_000) == 5_000_000


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 600.0), (60.0, 10.0), (0.0, 0.0)])
def test_a_post_is_due_after_its_distance_from_the_first_divided_by_the_speed(
    speed: float, seconds: float
) -> None:
    assert delay_seconds(due_ms=700_000, first_ms=100_000, speed=speed) == seconds


def test_the_lateness_stays_at_its_default_while_ten_real_seconds_fit_into_it() -> None:
    assert lateness_for(speed=12.0, default_seconds=120.0) == 120.0


def test_a_faster_replay_gets_ten_real_seconds_of_lateness_in_whole_minutes() -> None:
    assert lateness_for(speed=312.0, default_seconds=120.0) == 3120.0
    assert lateness_for(speed=312.1, default_seconds=120.0) == 3180.0


def test_closing_posts_are_dated_a_minute_beyond_the_lateness() -> None:
    assert closing_offset_seconds(length_seconds=100.0, lateness_seconds=120.0) == 280.0


def test_times_are_written_as_our_own_format_has_them() -> None:
    assert rfc3339(1_773_322_200_125) == "2026-03-12T13:30:00.125Z"
