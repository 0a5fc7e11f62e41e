"""The demo's stream with its intended labels: its two subjects alert, and shuffled sentiments alert on nothing."""

import random
from collections.abc import Sequence

import pytest

from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Alert, Sentiment
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.trend_state import PartitionWatch, WatchRules
from streamapp.local.sample import SamplePost, load_sample
from tests.surge_streams import START_MS, Told, as_log

pytestmark = pytest.mark.slow

SEEDS = range(20)


def posts() -> list[SamplePost]:
    return [record for record in load_sample() if isinstance(record, SamplePost)]


def told(sentiments: Sequence[Sentiment]) -> list[Told]:
    """Each post for its topic and each of its companies, and a neutral one that closes the day."""
    stream = [
        Told(subject, START_MS + int(post.offset_seconds * 1000), sentiment, clean_text(post.text))
        for post, sentiment in zip(posts(), sentiments, strict=True)
        for subject in (f"topic:{post.intended.topic}", *(f"company:{symbol}" for symbol in post.symbols))
    ]
    last_ms = max(each.event_time_ms for each in stream)
    return [*stream, Told("topic:macro", last_ms + 10 * MINUTE_MS, "neutral", "calendar of the coming week")]


def alerted(sentiments: Sequence[Sentiment]) -> set[str]:
    watch = PartitionWatch(WatchRules())
    results = [
        come
        for offset, message in enumerate(as_log(told(sentiments)))
        for come in watch.apply(offset, message)
    ]
    return {result.subject for result in results if isinstance(result, Alert)}


def test_the_day_as_written_alerts_on_its_two_subjects() -> None:
    assert alerted([post.intended.sentiment for post in posts()]) == {"company:CLDB", "topic:energy_oil"}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_day_with_shuffled_sentiments_alerts_on_nothing(seed: int) -> None:
    sentiments = [post.intended.sentiment for post in posts()]
    random.Random(seed).shuffle(sentiments)
    assert alerted(sentiments) == set()
