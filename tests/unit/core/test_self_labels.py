from collections import Counter

import pytest

from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import source_places
from streamapp.core.label_requests import AuditDraw
from streamapp.core.self_labels import MAX_LEAD, SelfLabeller, SelfLabelRules, label_of
from tests.label_posts import BASE_MS, DOUBTFUL, SURE, scored_post, sentiment

ONE = source_places({"N": 1})
END_MS = BASE_MS + HOUR_MS - 1
OF = {
    "negative": sentiment(0.99, 0.005, 0.005),
    "neutral": sentiment(0.005, 0.99, 0.005),
    "positive": sentiment(0.005, 0.005, 0.99),
}
RULES = SelfLabelRules(confidence=0.95, labels_per_hour=30)


def test_a_sure_verdict_becomes_a_label_of_origin_rule_that_names_the_model() -> None:
    post = scored_post(1, verdict=SURE)
    (label,) = SelfLabeller(RULES, ONE).labels([scored_post(0, verdict=DOUBTFUL), post])
    assert label == label_of(post)
    assert (label.post_id, label.text, label.channel) == (post.post.id, post.post.text, "news")
    assert (label.sentiment, label.topic, label.origin, label.drawn) == ("neutral", None, "rule", "none")
    assert (label.author, label.labelled_at_ms) == ("rule:m-1", post.post.event_time_ms)
    assert label.source == "wire"


def test_a_class_runs_ahead_of_the_rarest_by_little() -> None:
    labeller = SelfLabeller(RULES, ONE)
    neutral = [scored_post(n, verdict=OF["neutral"], event_time_ms=END_MS) for n in range(50)]
    assert len(labeller.labels(neutral)) == MAX_LEAD
    others = [
        scored_post(100 + n, verdict=OF[("negative", "positive")[n % 2]], event_time_ms=END_MS)
        for n in range(4)
    ]
    assert len(labeller.labels(others)) == 4
    assert (
        len(
            labeller.labels(
                scored_post(200 + n, event_time_ms=END_MS, verdict=OF["neutral"]) for n in range(9)
            )
        )
        == 2
    )


def test_an_hour_has_its_cap_and_a_third_of_it_for_each_class() -> None:
    posts = [
        scored_post(n, verdict=OF[("negative", "neutral", "positive")[n % 3]], event_time_ms=END_MS)
        for n in range(300)
    ]
    labels = SelfLabeller(RULES, ONE).labels(posts)
    assert Counter(label.sentiment for label in labels) == {"negative": 10, "neutral": 10, "positive": 10}


def test_a_story_is_labelled_once_and_copies_and_other_languages_not_at_all() -> None:
    posts = [
        scored_post(0, story=1, event_time_ms=END_MS),
        scored_post(1, story=1, event_time_ms=END_MS),
        scored_post(2, duplicate=True, event_time_ms=END_MS),
        scored_post(3, flags=("other_language",), event_time_ms=END_MS),
        scored_post(4, verdict=None, event_time_ms=END_MS),
        scored_post(5, source_partition=("R", 0), event_time_ms=END_MS),
    ]
    assert [label.post_id for label in SelfLabeller(RULES, ONE).labels(posts)] == ["N0-0"]


def test_what_the_audit_draws_is_never_labelled_by_rule() -> None:
    rules = SelfLabelRules(confidence=0.5, labels_per_hour=1_000_000, audit_rate=0.3)
    posts = [
        scored_post(n, verdict=OF[("negative", "neutral", "positive")[n % 3]], event_time_ms=END_MS)
        for n in range(900)
    ]
    draw = AuditDraw(0.3)
    audited = {post.post.id for post in posts if draw.draws(post.source_offset)}
    labelled = {label.post_id for label in SelfLabeller(rules, ONE).labels(posts)}
    assert len(audited) > 200
    assert labelled
    assert not audited & labelled


def test_a_post_without_a_sentiment_gives_no_label() -> None:
    with pytest.raises(ValueError, match="without a sentiment"):
        label_of(scored_post(0, verdict=None))
