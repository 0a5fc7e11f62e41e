"""What a scored post adds to the subjects that it is about.

A post in another language, or without a sentiment, adds nothing to trends. Knows no broker and no clock.
"""

from collections.abc import Iterable

from streamapp.contracts.messages import Activity, ActivityBatch, ScoredPost
from streamapp.core.companies import company_subjects

HEADLINE_CHARS = 120


def subjects_of(scored: ScoredPost) -> tuple[str, ...]:
    """The subjects of a post: its topic, then its companies; empty when it is left out of trends."""
    if scored.verdict.sentiment is None or "other_language" in scored.post.flags:
        return ()
    topic = scored.verdict.topic
    topics = (f"topic:{topic.label}",) if topic is not None else ()
    return (*topics, *company_subjects(scored.verdict.companies))


def activity_of(scored: ScoredPost) -> Activity:
    """The one activity of a scored post, the same for each of its subjects."""
    sentiment = scored.verdict.sentiment
    if sentiment is None:
        raise ValueError("a post without a sentiment has no activity")
    return Activity(
        source_offset=scored.source_offset,
        post_id=scored.post.id,
        channel=scored.post.channel,
        event_time_ms=scored.post.event_time_ms,
        sentiment=sentiment.label,
        story_fingerprint=scored.story_fingerprint,
        headline=scored.post.text[:HEADLINE_CHARS],
        model_version=scored.model_version,
    )


def batches_of(scored_posts: Iterable[ScoredPost]) -> list[ActivityBatch]:
    """One message per subject with its activities in the order of the posts.

    One message, because a subject's share of a batch must arrive whole or not at all: watch skips what is at or
    below the last source offset that it applied, per subject and source partition.
    """
    by_subject: dict[str, list[Activity]] = {}
    for scored in scored_posts:
        subjects = subjects_of(scored)
        if subjects:
            activity = activity_of(scored)
            for subject in subjects:
                by_subject.setdefault(subject, []).append(activity)
    return [ActivityBatch(subject=subject, activities=tuple(acts)) for subject, acts in by_subject.items()]
