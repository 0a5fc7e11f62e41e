"""The numbers of the detector, checked against closed forms and brute force."""

from math import comb, exp, lgamma, log

import pytest

from streamapp.core.surge import (
    Baseline,
    SurgeRules,
    WindowCounts,
    assess,
    beta_binomial_tail,
    negative_binomial_tail,
)

RULES = SurgeRules()


def past(hours: float, stories: float, negative: float) -> Baseline:
    return Baseline(0, exposure_minutes=hours * 60, stories=stories, negative_stories=negative)


@pytest.mark.parametrize(
    ("count", "mean", "shape"), [(1, 0.5, 2), (6, 1.0, 3), (40, 20.0, 25), (10, 30.0, 4)]
)
def test_the_negative_binomial_tail_is_one_minus_the_sum_below(count: int, mean: float, shape: int) -> None:
    q = mean / (mean + shape)
    below = sum(comb(at + shape - 1, at) * q**at * (1 - q) ** shape for at in range(count))
    assert negative_binomial_tail(count, mean, shape) == pytest.approx(1 - below, rel=1e-6)


def test_the_tail_of_a_rate_that_is_hardly_known_is_found_without_adding_up_its_terms() -> None:
    count, mean, shape = 6_000, 5_000.0, 1e-4
    # Its thousand million terms fall like 1 / at until exp(-at * shape / mean) ends them: an exponential integral.
    start = count * shape / mean
    euler = 0.5772156649
    assert negative_binomial_tail(count, mean, shape) == pytest.approx(
        shape * (-euler - log(start)), rel=2e-3
    )
    assert negative_binomial_tail(1_000_000, 1e6, 1e-9) < negative_binomial_tail(1, 1e6, 1e-9) < 1e-6


@pytest.mark.parametrize(("hits", "trials", "alpha", "beta"), [(3, 5, 1, 1), (9, 9, 2, 4), (20, 60, 8, 30)])
def test_the_beta_binomial_tail_is_the_sum_of_its_terms(
    hits: int, trials: int, alpha: int, beta: int
) -> None:
    def log_beta(left: float, right: float) -> float:
        return lgamma(left) + lgamma(right) - lgamma(left + right)

    terms = (
        comb(trials, at) * exp(log_beta(at + alpha, trials - at + beta) - log_beta(alpha, beta))
        for at in range(hits, trials + 1)
    )
    assert beta_binomial_tail(hits, trials, alpha, beta) == pytest.approx(sum(terms), rel=1e-9)


def test_tails_far_beyond_what_a_float_holds_are_near_nought_or_one() -> None:
    assert negative_binomial_tail(100_000, 1.0, 25.0) < 1e-300
    assert beta_binomial_tail(1, 1_000_000, 100.0, 1.0) == 1.0
    assert beta_binomial_tail(0, 10, 1.0, 1.0) == negative_binomial_tail(0, 1.0, 1.0) == 1.0


def test_a_past_of_many_minutes_is_the_same_in_one_step_and_in_many() -> None:
    leap, walk = Baseline(0), Baseline(0)
    leap.include(0, 10, 4, RULES)
    walk.include(0, 10, 4, RULES)
    leap.advance(600, RULES)
    for minute in range(1, 601):
        walk.advance(minute, RULES)
    assert leap.exposure_minutes == pytest.approx(walk.exposure_minutes)
    assert leap.negative_stories == pytest.approx(walk.negative_stories)


def test_a_story_of_one_half_life_ago_counts_half() -> None:
    baseline = Baseline(0)
    baseline.include(0, 10, 4, RULES)
    baseline.advance(1 + 24 * 60, RULES)
    assert (baseline.stories, baseline.negative_stories) == pytest.approx((5, 2))


def test_a_clear_surge_is_one() -> None:
    found = assess(WindowCounts(30, 28), past(6, 24, 6), RULES)
    assert found.is_surge
    assert found.expected_negative_stories == pytest.approx((1 + 6) / (30 + 360) * 60)


@pytest.mark.parametrize(
    ("why", "window", "baseline"),
    [
        ("too few stories", WindowCounts(5, 5), past(48, 0, 0)),
        ("what is usual", WindowCounts(60, 24), past(24, 1_440, 480)),
        ("twice the volume, same share", WindowCounts(1_200, 400), past(24, 14_400, 4_800)),
        ("five times the volume, same share", WindowCounts(300, 100), past(24, 1_440, 480)),
        ("no past to judge by", WindowCounts(50, 45), past(0.5, 2, 1)),
    ],
)
def test_silent(why: str, window: WindowCounts, baseline: Baseline) -> None:
    assert not assess(window, baseline, RULES).is_surge, why


def test_what_lasts_becomes_the_normal_level() -> None:
    baseline = past(10, 100, 10)
    baseline.accept_as_normal(WindowCounts(40, 30), RULES)
    assert not assess(WindowCounts(40, 30), baseline, RULES).is_surge
