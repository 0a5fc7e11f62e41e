"""What probabilities mean, and what a reading makes of a post."""

import pytest

from streamapp.contracts.messages import (
    CompanyMention,
    Post,
    SentimentVerdict,
    SourceOffset,
    TopicVerdict,
)
from streamapp.core.verdict import ScoredText, TextReading, give_verdict, sentiment_verdict, topic_verdict

POST = Post(
    id="n-1",
    channel="news",
    text="Oil slips",
    event_time_ms=5,
    source="wire",
    symbols=("XOM",),
    flags=("time_missing",),
)
SENTIMENT = SentimentVerdict("negative", 0.9, 0.08, 0.02)
TOPIC = TopicVerdict("energy_oil", 0.7)
SOURCE = SourceOffset("U", 1, 2)


def scored_text(
    *,
    sentiment: SentimentVerdict | None = SENTIMENT,
    topic: TopicVerdict | None = TOPIC,
    other_language: bool = False,
) -> ScoredText:
    reading = TextReading(sentiment, topic, "00000000000000ff", other_language)
    return ScoredText(reading=reading, model_version="m-1", duplicate_text=True)


@pytest.mark.parametrize(
    ("labels", "probabilities", "expected"),
    [
        (("negative", "neutral", "positive"), (0.1, 0.2, 0.7), SentimentVerdict("positive", 0.1, 0.2, 0.7)),
        (("positive", "negative", "neutral"), (0.1, 0.2, 0.7), SentimentVerdict("neutral", 0.2, 0.7, 0.1)),
        (("negative", "positive"), (0.4, 0.6), SentimentVerdict("positive", 0.4, 0.0, 0.6)),
        (("neutral", "negative", "positive"), (0.4, 0.4, 0.2), SentimentVerdict("neutral", 0.4, 0.4, 0.2)),
    ],
)
def test_sentiment_is_the_likeliest_label_in_any_output_order(
    labels: tuple[str, ...], probabilities: tuple[float, ...], expected: SentimentVerdict
) -> None:
    assert sentiment_verdict(probabilities, labels) == expected


def test_probabilities_are_rounded_so_that_equal_verdicts_have_equal_bytes() -> None:
    verdict = sentiment_verdict((0.12345649, 0.5, 0.37654351), ("negative", "neutral", "positive"))
    assert verdict.negative == 0.123456


def test_as_many_probabilities_as_labels_are_wanted() -> None:
    with pytest.raises(ValueError, match="zip"):
        sentiment_verdict((0.5, 0.5), ("negative", "neutral", "positive"))


def test_topic_is_the_likeliest_and_ties_go_to_the_first() -> None:
    assert topic_verdict((0.2, 0.5, 0.3), ("a", "b", "c")) == TopicVerdict("b", 0.5)
    assert topic_verdict((0.5, 0.5), ("a", "b")) == TopicVerdict("a", 0.5)


def test_a_scored_post_carries_what_was_read_and_who_read_it() -> None:
    companies = (CompanyMention(symbol="XOM", name="Exxon Mobil"),)
    scored = give_verdict(POST, scored_text(), companies, SOURCE)
    assert scored.post == POST
    assert (scored.verdict.sentiment, scored.verdict.topic, scored.verdict.companies) == (
        SENTIMENT,
        TOPIC,
        companies,
    )
    assert (scored.model_version, scored.source_offset, scored.story_fingerprint, scored.duplicate_text) == (
        "m-1", SOURCE, "00000000000000ff", True,
    )  # fmt: skip


def test_a_post_in_another_language_keeps_its_verdict_and_all_else_and_is_flagged() -> None:
    scored = give_verdict(POST, scored_text(other_language=True), (), SOURCE)
    assert scored.verdict.sentiment == SENTIMENT
    assert scored.post.flags == ("time_missing", "other_language")
    assert scored.post == Post(
        id=POST.id,
        channel=POST.channel,
        text=POST.text,
        event_time_ms=POST.event_time_ms,
        source=POST.source,
        symbols=POST.symbols,
        flags=scored.post.flags,
    )


def test_a_head_that_the_bundle_lacks_stays_empty() -> None:
    verdict = give_verdict(POST, scored_text(sentiment=None, topic=None), (), SOURCE).verdict
    assert (verdict.sentiment, verdict.topic) == (None, None)
