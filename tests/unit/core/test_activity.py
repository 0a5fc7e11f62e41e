"""What scored posts add to which subjects."""

from typing import Any

import pytest

from streamapp.contracts.messages import (
    CompanyMention,
    Post,
    PostFlag,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    TopicVerdict,
    Verdict,
)
from streamapp.core.activity import HEADLINE_CHARS, activity_of, batches_of, subjects_of

APPLE = CompanyMention(symbol="AAPL", name="Apple Inc.")
NEGATIVE = SentimentVerdict("negative", 1.0, 0.0, 0.0)
UNKNOWN = CompanyMention(symbol="ZZZQ")


def scored(
    offset: int = 0,
    *,
    topic: str | None = "earnings",
    companies: tuple[CompanyMention, ...] = (),
    sentiment: SentimentVerdict | None = NEGATIVE,
    text: str = "Loss widens",
    flags: tuple[PostFlag, ...] = (),
) -> ScoredPost:
    return ScoredPost(
        post=Post(id=f"n-{offset}", channel="news", text=text, event_time_ms=60_000 + offset, flags=flags),
        verdict=Verdict(
            sentiment=sentiment, topic=TopicVerdict(topic, 0.9) if topic else None, companies=companies
        ),
        model_version="m-1",
        source_offset=SourceOffset("U", 0, offset),
        story_fingerprint="00000000000000ff",
    )


@pytest.mark.parametrize(
    ("parts", "subjects"),
    [
        ({}, ("topic:earnings",)),
        ({"companies": (APPLE,)}, ("topic:earnings", "company:AAPL")),
        ({"companies": (UNKNOWN, APPLE)}, ("topic:earnings", "company:AAPL", "company:unlisted")),
        ({"topic": None, "companies": (APPLE,)}, ("company:AAPL",)),
        ({"topic": None}, ()),
        ({"sentiment": None, "companies": (APPLE,)}, ()),
        ({"flags": ("other_language",), "companies": (APPLE,)}, ()),
        ({"flags": ("time_missing",)}, ("topic:earnings",)),
    ],
)
def test_subjects_are_the_topic_then_the_companies(parts: dict[str, Any], subjects: tuple[str, ...]) -> None:
    assert subjects_of(scored(**parts)) == subjects


def test_activity_tells_what_watch_needs_and_no_more_of_the_text_than_a_headline() -> None:
    activity = activity_of(scored(7, text="x" * 500))
    assert activity.source_offset == SourceOffset("U", 0, 7)
    assert (activity.post_id, activity.channel, activity.event_time_ms) == ("n-7", "news", 60_007)
    assert (activity.sentiment, activity.model_version) == ("negative", "m-1")
    assert activity.headline == "x" * HEADLINE_CHARS


def test_a_post_without_sentiment_has_no_activity() -> None:
    with pytest.raises(ValueError, match="without a sentiment"):
        activity_of(scored(sentiment=None))


def test_a_batch_gives_one_message_a_subject_with_its_posts_in_order() -> None:
    batches = batches_of(
        [
            scored(1),
            scored(2, companies=(APPLE,)),
            scored(3, topic="macro"),
            scored(4, topic=None, companies=(APPLE,)),
        ]
    )
    told = {
        batch.subject: [activity.source_offset.offset for activity in batch.activities] for batch in batches
    }
    assert told == {"topic:earnings": [1, 2], "company:AAPL": [2, 4], "topic:macro": [3]}
    assert len(batches) == len(told)


def test_posts_without_subject_give_no_message() -> None:
    assert batches_of([scored(topic=None), scored(sentiment=None)]) == []
