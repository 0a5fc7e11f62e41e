"""What a model's answer means: probabilities to a verdict, a post and its verdict to a scored post.

Knows labels and numbers only; companies are found elsewhere and handed in.
"""

from collections.abc import Sequence

from msgspec import Struct

from streamapp.contracts.messages import (
    CompanyMention,
    Post,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    TopicVerdict,
    Verdict,
)


class HeadLabels(Struct, frozen=True):
    """The labels of a bundle's heads in output order; None where the bundle has no such head."""

    sentiment: tuple[str, ...] | None
    topic: tuple[str, ...] | None
    entities: tuple[str, ...] | None = None


class TextReading(Struct, frozen=True):
    """Everything that depends on the cleaned text and the model alone, so that equal texts share it.

    `company_spans` is where the model found companies, [start, end) in characters, ascending.
    """

    sentiment: SentimentVerdict | None
    topic: TopicVerdict | None
    story_fingerprint: str
    other_language: bool
    company_spans: tuple[tuple[int, int], ...] = ()


_PROBABILITY_DIGITS = 6


def sentiment_verdict(probabilities: Sequence[float], labels: tuple[str, ...]) -> SentimentVerdict:
    """The likeliest sentiment; a class that the bundle lacks has probability 0. Ties go to the first label."""
    by_label = dict(zip(labels, (round(p, _PROBABILITY_DIGITS) for p in probabilities), strict=True))
    label = max(labels, key=by_label.__getitem__)
    return SentimentVerdict(
        label,  # type: ignore[arg-type]  # the manifest admits sentiment labels only
        by_label.get("negative", 0.0),
        by_label.get("neutral", 0.0),
        by_label.get("positive", 0.0),
    )


def topic_verdict(probabilities: Sequence[float], labels: tuple[str, ...]) -> TopicVerdict:
    """The likeliest topic with its probability. Ties go to the first label."""
    best = max(range(len(labels)), key=probabilities.__getitem__)
    return TopicVerdict(labels[best], round(probabilities[best], _PROBABILITY_DIGITS))


class ScoredText(Struct, frozen=True, kw_only=True):
    """A reading with the model that made it, and whether another post had the same text."""

    reading: TextReading
    model_version: str
    duplicate_text: bool


def give_verdict(
    post: Post, scored: ScoredText, companies: tuple[CompanyMention, ...], source_offset: SourceOffset
) -> ScoredPost:
    """The scored post. A text in another language keeps its verdict and is flagged."""
    reading = scored.reading
    if reading.other_language:
        post = Post(
            id=post.id,
            channel=post.channel,
            text=post.text,
            event_time_ms=post.event_time_ms,
            source=post.source,
            symbols=post.symbols,
            flags=(*post.flags, "other_language"),
        )
    return ScoredPost(
        post=post,
        verdict=Verdict(sentiment=reading.sentiment, topic=reading.topic, companies=companies),
        model_version=scored.model_version,
        source_offset=source_offset,
        story_fingerprint=reading.story_fingerprint,
        duplicate_text=scored.duplicate_text,
    )
