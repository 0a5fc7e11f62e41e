"""Which posts of a stream get a person's label in an experiment: by chance, or by the label queue as it is served.

Pure. The queue is `streamapp.core.label_requests` itself; here is only a stream for it to look at.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import DrawnBy, Post, ScoredPost, SourceOffset, Verdict
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import source_places
from streamapp.core.label_requests import LabelRules, RequestChooser
from streamapp.core.novelty import Vocabulary
from streamapp.core.verdict import ScoredText, TextReading, give_verdict

_TOPIC_UUID = "experiment"
# No post of the epoch's first hour: hours are counted from there.
_START_MS = 1_000 * HOUR_MS

_T = TypeVar("_T")


class PooledPost(Struct, frozen=True, kw_only=True):
    """A post that nobody labelled yet, as the serving model scored it. Its label is known by `post.id`."""

    post: Post
    reading: TextReading
    verdict: Verdict
    model_version: str


def stream_of(pool: Sequence[_T], seed: int) -> list[_T]:
    """The pool in the order in which a stream brings it: sets without times have none, so chance says."""
    return random.Random(f"stream {seed}").sample(pool, len(pool))


def chosen_by_chance(pool: Sequence[_T], labels: int, seed: int) -> list[_T]:
    """`labels` posts, uniformly: the stream's first, so that more labels are the same ones and others."""
    return stream_of(pool, seed)[:labels]


def chosen_by_queue(
    pool: Sequence[PooledPost], labels: int, seed: int, rules: LabelRules, known_texts: Sequence[str]
) -> list[tuple[PooledPost, DrawnBy]]:
    """What the queue asks about while the pool streams by at such a pace that its caps allow `labels` requests.

    One source partition and one feed. The stream is as long as `rules.requests_per_hour` make it; the rate of the
    audit follows from that, as an operator would set it. `known_texts` went by before: the vocabulary knows them.
    Asks for fewer where doubt, novelty, subjects and stories leave no more.
    """
    hours = labels / rules.requests_per_hour
    rules = msgspec.structs.replace(
        rules,
        expected_posts_per_hour=max(1, round(len(pool) / hours)),
        requests_per_source_and_hour=rules.requests_per_hour,
    )
    vocabulary = Vocabulary()
    for text in known_texts:
        vocabulary.read(text, (), rules.novel_share)
    chooser = RequestChooser(rules, source_places({_TOPIC_UUID: 1}), vocabulary)
    stream = stream_of(pool, seed)
    step_ms = hours * HOUR_MS / max(1, len(stream))
    scored = [
        _scored(each, offset, _START_MS + round(offset * step_ms)) for offset, each in enumerate(stream)
    ]
    reasons = chooser.choose(scored)
    asked = [(each, reason) for each, reason in zip(stream, reasons, strict=True) if reason is not None]
    return asked[:labels]


def _scored(pooled: PooledPost, offset: int, event_time_ms: int) -> ScoredPost:
    return give_verdict(
        msgspec.structs.replace(pooled.post, event_time_ms=event_time_ms),
        ScoredText(reading=pooled.reading, model_version=pooled.model_version, duplicate_text=False),
        pooled.verdict.companies,
        SourceOffset(topic_uuid=_TOPIC_UUID, partition=0, offset=offset),
    )
