"""Scored posts for tests of label requests: what stands in them is the test's choice, the rest is plain."""

from typing import Any

from streamapp.contracts.messages import (
    Alert,
    AlertState,
    CompanyMention,
    Post,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    StoryEvidence,
    TopicVerdict,
    Verdict,
)
from streamapp.core.label_caps import SourcePlaces, source_places
from streamapp.core.story import format_fingerprint, scatter

BASE_MS = 497_222 * 3_600_000
PLACES: SourcePlaces = source_places({"N": 4, "C": 4})


def sentiment(negative: float, neutral: float, positive: float) -> SentimentVerdict:
    """A verdict with these probabilities."""
    shares = {"negative": negative, "neutral": neutral, "positive": positive}
    return SentimentVerdict(max(shares, key=shares.__getitem__), negative, neutral, positive)  # type: ignore[arg-type]


SURE = sentiment(0.01, 0.98, 0.01)
DOUBTFUL = sentiment(0.45, 0.1, 0.45)


def scored_post(
    offset: int,
    *,
    source_partition: tuple[str, int] = ("N", 0),
    verdict: SentimentVerdict | None = SURE,
    topic: str | None = None,
    companies: tuple[CompanyMention, ...] = (),
    story: int | None = None,
    duplicate: bool = False,
    **of_post: Any,
) -> ScoredPost:
    """One scored post; `of_post` are fields of the post itself. Without `story` it tells one of its own."""
    uuid, partition = source_partition
    number = scatter(story if story is not None else (offset << 8) + partition * 2 + (uuid == "C"))
    plain: dict[str, Any] = {
        "id": f"{uuid}{partition}-{offset}",
        "channel": "news",
        "text": "plain words",
        "source": "wire",
        "event_time_ms": BASE_MS + offset * 1000,
    }
    return ScoredPost(
        post=Post(**(plain | of_post)),
        verdict=Verdict(
            sentiment=verdict, topic=TopicVerdict(topic, 0.9) if topic else None, companies=companies
        ),
        model_version="m-1",
        source_offset=SourceOffset(uuid, partition, offset),
        story_fingerprint=format_fingerprint(number),
        duplicate_text=duplicate,
    )


def alert(state: AlertState, *post_ids: str) -> Alert:
    """A revision whose top stories have these post ids."""
    return Alert(
        alert_id="a1", revision=1, state=state, subject="topic:macro", severity="warning", opened_at_ms=0,
        window_start_ms=0, window_end_ms=60_000, expected_negative_stories=1.0, observed_negative_stories=9,
        observed_stories=9, expected_share=0.1, observed_share=1.0, p_value=1e-9, reason="many",
        top_stories=tuple(
            StoryEvidence(headline=f"headline {post_id[:9]}", post_id=post_id, channel="chat", first_seen_ms=0,
                          copies=1, story_fingerprint="0" * 16)
            for post_id in post_ids
        ),
    )  # fmt: skip
