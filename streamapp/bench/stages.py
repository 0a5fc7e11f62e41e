"""CPU time of each pure stage of a post's way, measured alone in this process: microseconds a post.

The functions are those that the worker calls; what surrounds them there (Faust, asyncio, Kafka) is not in here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from streamapp.bench.load import Load
from streamapp.contracts.codec import encode
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import SENTIMENTS, Post, ScoredPost
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.activity import batches_of
from streamapp.core.companies import find_companies
from streamapp.core.intake import InputRules, decode_post
from streamapp.core.label_caps import source_places
from streamapp.core.label_requests import LabelRules, RequestChooser
from streamapp.core.payload import parse_object
from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.verdict import ScoredText, TextReading, give_verdict, sentiment_verdict, topic_verdict
from streamapp.inference.language import LanguageDetector
from streamapp.settings import IntakeSettings
from streamapp.symbols import load_symbol_table

REPEATS: Final = 3
BATCH_POSTS: Final = 64
_TOPICS: Final = ("earnings", "macro", "markets")


def stage_costs(posts: int) -> dict[str, float]:
    """Stage to CPU microseconds a post over the first `posts` of the load; the best of three passes."""
    load = Load()
    now_ms = int(time.time() * 1000)
    records = [
        RawRecord(
            topic="news",
            topic_uuid="u" * 22,
            partition=0,
            offset=offset,
            timestamp_ms=now_ms,
            key=post.key,
            value=post.value,
        )
        for offset, post in enumerate(load.posts(0, posts, now_ms, 1.0))
    ]
    texts = load.texts(0, posts)
    rules = InputRules(channel="news")
    taken = [post for record in records if isinstance(post := decode_post(record, rules), Post)]
    intake = IntakeSettings()
    language = LanguageDetector(("en",), intake.language_probability, intake.language_min_letters)
    symbols = load_symbol_table(None)
    scored = [_scored(post, record) for post, record in zip(taken, records, strict=True)]
    batches = [scored[at : at + BATCH_POSTS] for at in range(0, len(scored), BATCH_POSTS)]
    chooser = RequestChooser(LabelRules(), source_places({"u" * 22: 1}))
    whole = _microseconds(lambda record: decode_post(record, rules), records)
    clean = _microseconds(clean_text, texts)
    return {
        "decode": _microseconds(lambda record: parse_object(record.value), records),
        "intake beside decode and clean": max(
            0.0, whole - clean - _microseconds(lambda record: parse_object(record.value), records)
        ),
        "clean": clean,
        "language": _microseconds(language.is_other_language, [post.text for post in taken]),
        "fingerprint": _microseconds(fingerprint, [post.text for post in taken]),
        "companies": _microseconds(lambda post: find_companies(post.text, post.symbols, symbols), taken),
        "verdict": _microseconds(lambda pair: _scored(*pair), list(zip(taken, records, strict=True))),
        "encode": _microseconds(encode, scored),
        "activities": _microseconds(_activities, batches) / min(BATCH_POSTS, posts),
        "label requests": _microseconds(chooser.choose, batches) / min(BATCH_POSTS, posts),
    }


def _activities(batch: Sequence[ScoredPost]) -> list[bytes]:
    return [encode(activity) for activity in batches_of(batch)]


def _scored(post: Post, record: RawRecord) -> ScoredPost:
    reading = TextReading(
        sentiment=sentiment_verdict((0.2, 0.5, 0.3), SENTIMENTS),
        topic=topic_verdict((0.5, 0.3, 0.2), _TOPICS),
        story_fingerprint=format_fingerprint(0),
        other_language=False,
    )
    text = ScoredText(reading=reading, model_version="null-0", duplicate_text=False)
    return give_verdict(post, text, (), record.source_offset)


def _microseconds(stage: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    work = list(inputs)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.thread_time()
        for each in work:
            stage(each)
        best = min(best, time.thread_time() - began)
    return best / len(work) * 1e6
