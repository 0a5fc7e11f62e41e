"""Quality without labels: estimated accuracy, drift, and when they ask for a retrain."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.core.quality import (
    HeadQuality,
    HeadTally,
    QualityRules,
    alarms,
    chosen_reference,
    gate_reference,
    jensen_shannon_distance,
    population_stability_index,
    quality_of,
    quality_of_answers,
    top_probabilities,
)
from streamapp.contracts.messages import (
    SENTIMENTS,
    Post,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    TopicVerdict,
    Verdict,
)
from tests.nannyml_figures import LATER, NANNYML, REFERENCE, posts

shares = st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any).map(
    lambda counts: {f"l{place}": count / sum(counts) for place, count in enumerate(counts)}
)  # fmt: skip


def scored(*, duplicate: bool = False) -> ScoredPost:
    return ScoredPost(
        post=Post(id="1", channel="news", text="t", event_time_ms=0),
        verdict=Verdict(
            sentiment=SentimentVerdict("negative", 0.7, 0.2, 0.1), topic=TopicVerdict("earnings", 0.6)
        ),
        model_version="m-1",
        source_offset=SourceOffset("u", 0, 0),
        story_fingerprint="0" * 16,
        duplicate_text=duplicate,
    )


def head(accuracy: float, posts: int = 1000, **labels: float) -> HeadQuality:
    shares = labels or {"neutral": 1.0}
    return HeadQuality(channel="chat", head="sentiment", posts=posts, accuracy=accuracy, shares=shares)


def test_each_head_gives_its_likeliest_label_and_a_copy_gives_nothing() -> None:
    assert list(top_probabilities(scored())) == [("sentiment", "negative", 0.7), ("topic", "earnings", 0.6)]
    assert list(top_probabilities(scored(duplicate=True))) == []


def test_estimated_accuracy_is_the_true_one_where_probabilities_are_calibrated() -> None:
    random = np.random.default_rng(5)
    probabilities = random.dirichlet((0.6, 0.6, 0.6), size=40_000)
    truth = (probabilities.cumsum(axis=1) > random.random((40_000, 1))).argmax(axis=1)
    tally = HeadTally()
    for row in probabilities:
        tally.add(str(row.argmax()), float(row.max()))
    found = quality_of("news", "sentiment", tally)
    assert found is not None
    assert found.accuracy == pytest.approx(float((probabilities.argmax(axis=1) == truth).mean()), abs=0.01)
    assert sum(found.shares.values()) == pytest.approx(1.0)


def tally_of(exponents: tuple[float, ...], offset: float) -> tuple[HeadQuality, float]:
    """Our estimate of nannyml's posts, and the accuracy that is true of them."""
    probabilities, truth = posts(exponents, offset)
    tally = HeadTally()
    for row in probabilities:
        tally.add(SENTIMENTS[int(row.argmax())], float(row.max()))
    found = quality_of("chat", "sentiment", tally)
    assert found is not None
    return found, float((probabilities.argmax(axis=1) == truth).mean())


def test_the_estimate_is_that_of_nannyml_and_near_the_truth() -> None:
    found, true_accuracy = tally_of(LATER, 0.3)
    assert found.accuracy == pytest.approx(NANNYML["accuracy"], abs=0.01)
    assert found.accuracy == pytest.approx(true_accuracy, abs=0.01)


def test_the_drift_is_that_of_nannyml() -> None:
    (before, _), (after, _) = tally_of(REFERENCE, 0.1), tally_of(LATER, 0.3)
    drift = jensen_shannon_distance(before.shares, after.shares)
    assert drift == pytest.approx(NANNYML["jensen_shannon"], abs=1e-9)


def test_the_gate_s_reference_is_read_from_a_manifest_and_nothing_else_is_taken_for_one() -> None:
    given = [msgspec.to_builtins(head(0.9))]
    assert gate_reference({"gate": {"quality_reference": given}}) == (head(0.9),)
    assert gate_reference({}) == gate_reference({"gate": "old"}) == ()
    assert gate_reference({"gate": {"quality_reference": [{"channel": "fax"}]}}) == ()


def test_answers_of_judging_posts_become_a_reference_per_channel_and_head() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
    found = quality_of_answers(["news", "chat", "news"], {"sentiment": SENTIMENTS}, {"sentiment": rows})
    by_channel = {each.channel: each for each in found}
    assert by_channel["news"].shares == {"negative": 0.5, "positive": 0.5}
    assert by_channel["news"].accuracy == pytest.approx(0.6)
    assert (by_channel["chat"].posts, by_channel["chat"].accuracy) == (1, 0.6)
    assert quality_of_answers([], {"sentiment": SENTIMENTS}, {"sentiment": rows[:0]}) == ()


def test_the_gate_s_reference_counts_where_it_rests_on_enough_posts() -> None:
    given, first = head(0.9, posts=600), head(0.8, posts=2000)
    assert chosen_reference([given], [first], fewest_posts=500) == (given,)
    assert chosen_reference([given], [first], fewest_posts=601) == (first,)
    assert chosen_reference([], [first], fewest_posts=500) == (first,)


def test_tallies_add_up() -> None:
    one, other, both = HeadTally(), HeadTally(), HeadTally()
    for tally in (one, both):
        tally.add("negative", 0.5)
    for tally in (other, both):
        tally.add("positive", 0.9)
    one.join(other)
    assert one == both


def test_an_empty_tally_says_nothing() -> None:
    assert quality_of("news", "topic", HeadTally()) is None


def test_the_stability_index_is_that_of_the_textbook() -> None:
    before, after = {"a": 0.5, "b": 0.5}, {"a": 0.8, "b": 0.2}
    expected = 0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5)
    assert population_stability_index(before, after) == pytest.approx(expected)


@given(shares, shares)
def test_distances_are_symmetric_bounded_and_zero_for_equals(
    one: dict[str, float], two: dict[str, float]
) -> None:
    assert population_stability_index(one, one) == 0.0
    assert jensen_shannon_distance(one, one) == pytest.approx(0.0, abs=1e-7)
    assert population_stability_index(one, two) == pytest.approx(population_stability_index(two, one))
    assert population_stability_index(one, two) >= 0.0
    assert 0.0 <= jensen_shannon_distance(one, two) <= 1.0


def test_a_label_that_is_new_gives_a_large_and_finite_index() -> None:
    assert 1.0 < population_stability_index({"a": 1.0}, {"b": 1.0}) < 100.0
    assert jensen_shannon_distance({"a": 1.0}, {"b": 1.0}) == 1.0


@pytest.mark.parametrize(
    ("rules", "now", "kinds"),
    [
        (QualityRules(accuracy_drop=0.05), head(0.84), ["accuracy"]),
        (QualityRules(accuracy_drop=0.05), head(0.86), []),
        (QualityRules(accuracy_drop=0.0, least_accuracy=0.85), head(0.84), ["accuracy"]),
        (QualityRules(accuracy_drop=0.0), head(0.2), []),
        (QualityRules(drift_limit=0.25), head(0.9, neutral=0.5, negative=0.5), ["drift"]),
        (QualityRules(drift_limit=0.0), head(0.9, neutral=0.5, negative=0.5), []),
        (QualityRules(fewest_posts=1001), head(0.1, neutral=0.5, negative=0.5), []),
    ],
)
def test_limits_that_are_broken_are_named(rules: QualityRules, now: HeadQuality, kinds: list[str]) -> None:
    found = alarms(rules, [head(0.9)], [now])
    assert [alarm.kind for alarm in found] == kinds
    assert all("sentiment of chat" in alarm.reason for alarm in found)


def test_without_a_reference_of_the_same_channel_and_head_there_is_no_alarm() -> None:
    other = HeadQuality(channel="news", head="sentiment", posts=1000, accuracy=0.9, shares={"neutral": 1.0})
    assert alarms(QualityRules(), [other], [head(0.1)]) == ()
