"""Paired tests and slices on cases that can be counted by hand or asked of scikit-learn."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [dev] or [retrain]")

from sklearn.metrics import f1_score

from retrain.core.evaluation import Answers, JudgedPost, evaluate, moved_by_channel, name_swaps
from streamapp.contracts.messages import SENTIMENTS, Sentiment

N, U, P = SENTIMENTS


def posts(*sentiments: Sentiment, channel: str = "news") -> list[JudgedPost]:
    return [
        JudgedPost(id=str(place), text="x", channel="chat" if channel == "chat" else "news", sentiment=label)
        for place, label in enumerate(sentiments)
    ]


def sure(*called: str) -> Answers:
    rows = np.array([[float(name == label) for name in SENTIMENTS] for label in called])
    return Answers({"sentiment": SENTIMENTS}, {"sentiment": rows})


def test_mcnemar_counts_only_posts_on_which_one_of_two_is_right() -> None:
    true = posts(*[N] * 10, *[P] * 10)
    before = sure(*[P] * 6, *[N] * 4, *[P] * 10)
    after = sure(*[N] * 10, *[P] * 9, N)
    test = evaluate("golden", true, before, after, 200, 1).heads["sentiment"].test
    assert (test.only_candidate_right, test.only_champion_right) == (6, 1)
    assert test.mcnemar_p == pytest.approx(2 * (1 + 7) / 2**7)


def test_macro_f1_of_the_bootstrap_is_scikit_learns() -> None:
    chance = np.random.default_rng(5)
    true, before, after = ([SENTIMENTS[place] for place in chance.integers(0, 3, 300)] for _ in range(3))
    found = evaluate("golden", posts(*true), sure(*before), sure(*after), 50, 1)
    expected = f1_score(true, after, average="macro") - f1_score(true, before, average="macro")
    assert found.overall is not None
    assert found.overall.difference == pytest.approx(expected, abs=1e-6)
    assert found.heads["sentiment"].test.difference == pytest.approx(expected, abs=1e-6)


def test_a_model_is_neither_better_nor_worse_than_itself() -> None:
    true = posts(*[N, U, P] * 20)
    same = sure(*[N, U, N] * 20)
    overall = evaluate("golden", true, same, same, 100, 1).overall
    assert overall is not None
    assert (overall.better_p, overall.worse_p, overall.difference, overall.mcnemar_p) == (1.0, 1.0, 0.0, 1.0)


def test_a_post_without_a_label_of_a_head_does_not_judge_it() -> None:
    true = [*posts(N, P), JudgedPost(id="t", text="x", channel="news", topic="macro")]
    found = evaluate("golden", true, sure(N, P, N), sure(N, N, N), 20, 1)
    assert found.heads["sentiment"].after.texts == 2
    assert "topic" not in found.heads


def test_slices_are_by_channel_and_source_and_count_sentiments_only() -> None:
    true = [
        *posts(N, P, channel="chat"),
        JudgedPost(id="w", text="x", channel="news", source="wire", sentiment="positive"),
    ]
    found = evaluate("golden", true, sure(N, N, N), sure(N, P, N), 20, 1)
    assert [(part.name, part.posts, part.before, part.after) for part in found.slices] == [
        ("channel chat", 2, 0.5, 1.0),
        ("channel news", 1, 0.0, 0.0),
        ("source wire", 1, 0.0, 0.0),
    ]


def test_labels_in_another_order_are_compared_by_name() -> None:
    turned = Answers({"sentiment": (P, U, N)}, {"sentiment": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])})
    found = evaluate("golden", posts(N, P), sure(N, P), turned, 20, 1)
    assert found.heads["sentiment"].after.accuracy == 1.0


def test_moves_are_counted_by_channel_old_and_new_sentiment() -> None:
    moved = moved_by_channel(posts(N, N, P, channel="chat"), sure(N, N, P), sure(N, P, P))
    assert moved == {"chat": {N: {N: 1, P: 1}, P: {P: 1}}}


def test_name_swaps_are_shares_of_exchanges_not_of_posts() -> None:
    swaps = name_swaps([[N, N, N], [P, P, P]], [[N, P, N], [P, P, P]])
    assert (swaps.exchanges, swaps.before, swaps.after) == (4, 0.0, 0.25)
