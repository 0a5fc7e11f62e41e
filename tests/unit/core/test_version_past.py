"""Whose counts a past and a window hold."""

import pytest

from streamapp.core.surge import Baseline, SurgeRules, past_of
from streamapp.core.swap_pairs import SwapLinks
from streamapp.core.version_past import CommonScale, PastOrigins, Tally, change_between, weights_of

RULES = SurgeRules()


def test_a_past_belongs_to_versions_and_channels_in_the_parts_that_they_counted() -> None:
    origins = PastOrigins()
    baseline = Baseline(0)
    for minute, tally in enumerate(
        (Tally("m-1", "news", 3, 7), Tally("m-1", "chat", 1, 9), Tally("m-2", "news", 4, 6))
    ):
        origins.join(baseline, 10.0, tally.negative, (tally,))
        baseline.include(minute, 10.0, tally.negative, SurgeRules(baseline_half_life_hours=1e9))
    fractions = {origin: (part.stories, part.negative) for origin, part in origins.parts.items()}
    assert fractions["m-1", "news"] == pytest.approx((1 / 3, 3 / 8))
    assert fractions["m-1", "chat"] == pytest.approx((1 / 3, 1 / 8))
    assert fractions["m-2", "news"] == pytest.approx((1 / 3, 4 / 8))


def test_a_minute_that_two_versions_scored_joins_in_two_parts() -> None:
    origins = PastOrigins()
    origins.join(Baseline(0), 8.0, 4.0, (Tally("m-1", "news", 1, 3), Tally("m-2", "news", 3, 1)))
    assert (origins.parts["m-1", "news"].stories, origins.parts["m-1", "news"].negative) == (0.5, 0.25)
    assert (origins.parts["m-2", "news"].stories, origins.parts["m-2", "news"].negative) == (0.5, 0.75)


def test_every_minute_of_a_window_weighs_the_same_however_many_posts_it_had() -> None:
    quiet, busy = (Tally("m-1", "news", 0, 1),), (Tally("m-2", "news", 90, 10),)
    assert weights_of([quiet, busy, ()]) == {"m-1": 0.5, "m-2": 0.5}
    assert weights_of([]) == {}


def test_a_past_of_one_version_is_taken_as_it_was_counted() -> None:
    baseline = Baseline(0, 600.0, 100.0, 30.0)
    origins = PastOrigins()
    origins.join(baseline, 1.0, 1.0, (Tally("m-1", "news", 1, 0),))
    found = CommonScale(SwapLinks()).past("topic:x", baseline, origins, {"m-1": 1.0})
    assert found == past_of(baseline)
    assert change_between(found, found, RULES).count == 1.0


def test_what_no_version_accounts_for_is_on_any_scale() -> None:
    baseline = Baseline(0, 600.0, 100.0, 30.0)
    found = CommonScale(SwapLinks()).past("topic:x", baseline, PastOrigins(), {"m-1": 0.5, "m-2": 0.5})
    assert (found.stories, found.negative_stories, found.deviation) == pytest.approx((100.0, 30.0, 0.0))
