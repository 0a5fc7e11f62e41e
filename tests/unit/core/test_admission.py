"""Which bundle may stand in for another, what a shadow run says against it, and whose word counts for all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.manifest import Outputs
from streamapp.contracts.messages import (
    SENTIMENTS,
    ModelEvent,
    ModelEventCause,
    ModelEventKind,
    Sentiment,
    SwapPair,
)
from streamapp.core.admission import (
    PairKey,
    Shadow,
    ShadowRules,
    parity_refusal,
    refusal_of,
    shadow_refusal,
    speaks_for_all,
)
from tests.unit.contracts.test_manifest import MANIFEST

PRESENT = msgspec.structs.replace(
    MANIFEST, languages=("en",), outputs=Outputs(sentiment=SENTIMENTS, topic=("earnings", "macro"))
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outputs": Outputs(topic=("earnings", "macro"))}, "no sentiment head"),
        ({"outputs": Outputs(sentiment=SENTIMENTS, topic=("earnings", "ipo"))}, "topic head lacks macro"),
        ({"languages": ("de",)}, "does not read en"),
    ],
)
def test_a_bundle_that_lacks_what_readers_rely_on_is_refused(changes: dict[str, object], words: str) -> None:
    candidate = msgspec.structs.replace(PRESENT, version="2", **changes)
    refuse = refusal_of(candidate, PRESENT)
    assert refuse is not None
    assert words in refuse.reason


def test_more_labels_another_order_and_more_languages_are_no_reason() -> None:
    outputs = Outputs(sentiment=SENTIMENTS[::-1], topic=("ipo", "macro", "earnings"))
    candidate = msgspec.structs.replace(PRESENT, version="2", outputs=outputs, languages=("de", "en"))
    assert refusal_of(candidate, PRESENT) is None


def test_another_bundle_under_the_serving_version_is_refused() -> None:
    refuse = refusal_of(msgspec.structs.replace(PRESENT, licence="MIT"), PRESENT)
    assert refuse is not None
    assert "already serves as" in refuse.reason
    assert refusal_of(PRESENT, PRESENT) is None


def shadow(
    *counts: tuple[Sentiment, Sentiment, int], old_seconds: float = 1.0, new_seconds: float = 1.0
) -> Shadow:
    seen = Shadow()
    for old, new, posts in counts:
        seen.pairs[PairKey("news", "macro", old, new, "macro")] += posts
    seen.old_seconds, seen.new_seconds = old_seconds, new_seconds
    return seen


def test_a_model_that_calls_thirty_percent_more_posts_negative_passes() -> None:
    seen = shadow(("neutral", "neutral", 50), ("neutral", "negative", 30), ("negative", "negative", 20))
    assert seen.label_shift == pytest.approx(0.3)
    assert shadow_refusal(seen, ShadowRules()) is None


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            shadow(("neutral", "negative", 30), ("negative", "neutral", 30), ("neutral", "neutral", 40)),
            "disagrees",
        ),
        (shadow(("neutral", "negative", 60), ("neutral", "neutral", 40)), "disagrees"),
        (shadow(("neutral", "neutral", 100), new_seconds=5.1), "5.1 times as long"),
    ],
)
def test_a_model_beyond_a_limit_is_refused_in_words(seen: Shadow, words: str) -> None:
    refuse = shadow_refusal(seen, ShadowRules())
    assert refuse is not None
    assert words in refuse.reason


def test_a_model_that_moves_topics_on_balance_is_refused() -> None:
    seen = Shadow()
    seen.pairs[PairKey("chat", "macro", "neutral", "neutral", "ipo")] = 60
    seen.pairs[PairKey("chat", "ipo", "neutral", "neutral", "ipo")] = 40
    refuse = shadow_refusal(seen, ShadowRules())
    assert refuse is not None
    assert "moves 60%" in refuse.reason


def test_too_few_posts_say_nothing_but_two_failures_do() -> None:
    seen = shadow(("neutral", "negative", 49))
    assert shadow_refusal(seen, ShadowRules()) is None
    seen.failures = 2
    refuse = shadow_refusal(seen, ShadowRules())
    assert refuse is not None
    assert "fails on 2 of 51 posts" in refuse.reason


def test_an_empty_shadow_run_has_figures() -> None:
    assert (Shadow().disagreement, Shadow().label_shift, Shadow().slowdown) == (0.0, 0.0, None)
    assert Shadow().swap_pairs() == ()


def test_pairs_travel_with_the_new_topic_only_where_it_differs() -> None:
    seen = Shadow()
    seen.pairs[PairKey("news", "macro", "neutral", "neutral", "macro")] = 1
    seen.pairs[PairKey("news", "macro", "neutral", "neutral", "ipo")] = 2
    seen.pairs[PairKey("news", "macro", "neutral", "neutral", None)] = 3
    seen.pairs[PairKey("news", None, "neutral", "neutral", None)] = 4
    pairs = {pair.posts: (pair.topic, pair.new_topic) for pair in seen.swap_pairs()}
    assert pairs == {1: ("macro", None), 2: ("macro", "ipo"), 3: ("macro", ""), 4: (None, None)}


KEYS = st.builds(
    PairKey,
    st.sampled_from(("news", "chat")),
    st.sampled_from((None, "macro", "ipo")),
    st.sampled_from(SENTIMENTS),
    st.sampled_from(SENTIMENTS),
    st.sampled_from((None, "macro", "ipo")),
)


@given(st.dictionaries(KEYS, st.integers(1, 50)))
def test_pairs_keep_every_post_and_figures_stay_within_bounds(counts: dict[PairKey, int]) -> None:
    seen = Shadow()
    seen.pairs.update(counts)
    pairs: tuple[SwapPair, ...] = seen.swap_pairs()
    assert sum(pair.posts for pair in pairs) == seen.posts == sum(counts.values())
    assert 0.0 <= seen.disagreement <= 1.0
    assert 0.0 <= seen.label_shift <= 1.0


def test_a_parity_sample_is_compared_head_by_head() -> None:
    wanted = [{"sentiment": (0.2, 0.3, 0.5)}, {"sentiment": (0.1, 0.1, 0.8)}]
    assert parity_refusal(wanted, wanted, 1e-5) is None
    refuse = parity_refusal([wanted[0], {"sentiment": (0.1, 0.2, 0.7)}], wanted, 0.05)
    assert refuse is not None
    assert "text 1 of the parity sample its sentiment differs by 0.1" in refuse.reason
    assert parity_refusal([wanted[0], {}], wanted, 0.05) is not None


def said(worker: str, event: ModelEventKind, cause: ModelEventCause, sequence: int = 3) -> ModelEvent:
    return ModelEvent(
        model_name="m", model_version="m-2", sequence=sequence, worker=worker, event=event, happened_at_ms=1,
        cause=cause,
    )  # fmt: skip


def test_a_slow_worker_turns_back_alone_until_a_second_one_agrees() -> None:
    mine = said("w-1", "rolled_back", "latency")
    assert not speaks_for_all("latency", 3, "w-1", [mine], members=2)
    assert speaks_for_all("latency", 3, "w-1", [mine, said("w-2", "refused", "shadow")], members=2)
    assert speaks_for_all("latency", 3, "w-1", [mine], members=1)


def test_another_announcement_a_store_that_is_away_and_good_news_are_no_agreement() -> None:
    others = [
        said("w-2", "rolled_back", "latency", sequence=2),
        said("w-2", "failed", "store"),
        said("w-2", "serving", ""),
    ]
    assert not speaks_for_all("latency", 3, "w-1", others, members=3)


def test_what_is_plainly_the_models_fault_speaks_for_all_at_once() -> None:
    assert speaks_for_all("not_finite", 3, "w-1", [], members=9)
    assert speaks_for_all("errors", 3, "w-1", [], members=9)
