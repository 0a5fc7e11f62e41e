"""Records as the topics of a demo would hold them."""

from typing import Any

import msgspec

from streamapp.contracts.codec import encode
from streamapp.contracts.dead_letter import dead_letter_headers
from streamapp.contracts.messages import (
    Alert,
    Channel,
    DeadLetterReason,
    Post,
    ScoredPost,
    Sentiment,
    SentimentCounts,
    SentimentVerdict,
    SourceOffset,
    StoryEvidence,
    TopicVerdict,
    TrendMinute,
    Verdict,
)
from streamapp.contracts.raw_record import RawRecord

PREFIX = "x-"
INPUTS: dict[str, Channel] = {"x-news": "news", "x-chat": "chat"}


def record(topic: str, message: msgspec.Struct | None = None, **fields: Any) -> RawRecord:
    defaults = {"topic_uuid": topic, "partition": 0, "offset": 0, "timestamp_ms": 1_000}
    value = None if message is None else encode(message)
    return RawRecord(topic=topic, value=value, **{**defaults, **fields})


def published(offset: int, timestamp_ms: int = 1_000, topic: str = "x-news") -> RawRecord:
    return record(topic, offset=offset, timestamp_ms=timestamp_ms)


def scored(
    offset: int,
    label: Sentiment = "neutral",
    at_ms: int = 1_010,
    text: str = "Acme files",
    event_time_ms: int = 0,
) -> RawRecord:
    message = ScoredPost(
        post=Post(id=f"p{offset}", channel="news", text=text, event_time_ms=event_time_ms),
        verdict=Verdict(
            sentiment=SentimentVerdict(label, 0.2, 0.3, 0.5), topic=TopicVerdict("energy_oil", 0.9)
        ),
        model_version="tiny-1",
        source_offset=SourceOffset("x-news", 0, offset),
        story_fingerprint="0" * 16,
    )
    return record("x-scored-posts", message, offset=offset, timestamp_ms=at_ms)


def dead(offset: int, reason: DeadLetterReason = "not_json", topic: str = "x-news") -> RawRecord:
    headers = dead_letter_headers(record(topic, offset=offset), "news", reason, "", 0, "1")
    return record("x-dead-letters", offset=offset, headers=tuple(headers))


def trend_message(subject: str, minute_start_ms: int, **fields: Any) -> TrendMinute:
    defaults = {
        "revision": 1, "posts": SentimentCounts(1, 1, 1), "stories": 3, "negative_stories": 1,
        "expected_negative_stories": 0.1,
    }  # fmt: skip
    return TrendMinute(subject=subject, minute_start_ms=minute_start_ms, **{**defaults, **fields})


def trend(subject: str, minute_start_ms: int, **fields: Any) -> RawRecord:
    return record("x-subject-trends", trend_message(subject, minute_start_ms, **fields))


def alert_message(subject: str = "company:CLDB", revision: int = 1, **fields: Any) -> Alert:
    defaults = {
        "alert_id": f"id-{subject}", "state": "opened", "severity": "critical", "opened_at_ms": 600_000,
        "window_start_ms": 0, "window_end_ms": 600_000, "expected_negative_stories": 0.6,
        "observed_negative_stories": 12, "observed_stories": 20, "expected_share": 0.1, "observed_share": 0.6,
        "p_value": 1e-9, "reason": "12 negative stories in 60 min",
        "top_stories": (
            StoryEvidence(
                headline="Calderon Bank halts", post_id="p", channel="news", first_seen_ms=0, copies=3,
                story_fingerprint="0" * 16,
            ),
        ),
    }  # fmt: skip
    return Alert(subject=subject, revision=revision, **{**defaults, **fields})


def alert(subject: str = "company:CLDB", revision: int = 1, **fields: Any) -> RawRecord:
    return record("x-alerts", alert_message(subject, revision, **fields), offset=revision)
