"""The golden set that ships is whole and balanced; one that cannot judge is refused by its line."""

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [dev] or [retrain]")

from retrain.judging_posts import GoldenSetError, read_golden, with_name
from streamapp.contracts.bundle import read_bundle
from streamapp.core.story import SAME_STORY_BITS, distance, fingerprint
from streamapp.starter import STARTER_MODEL


def test_the_golden_set_that_ships_has_every_sentiment_channel_and_topic_equally_often() -> None:
    posts = read_golden(None)
    outputs = read_bundle(STARTER_MODEL).manifest.outputs
    assert len(posts) == 240
    assert set(Counter((post.channel, post.sentiment) for post in posts).values()) == {40}
    assert Counter(post.topic for post in posts) == dict.fromkeys(outputs.topic or (), 12)
    assert sum(post.company is not None for post in posts) > 100


def test_no_two_golden_posts_tell_the_same_story() -> None:
    prints = [fingerprint(post.text.lower()) for post in read_golden(None)]
    near = [
        (one, other)
        for place, one in enumerate(prints)
        for other in prints[place + 1 :]
        if distance(one, other) <= SAME_STORY_BITS
    ]
    assert near == []


def test_exchanging_a_name_changes_nothing_else() -> None:
    post = next(post for post in read_golden(None) if post.company)
    assert post.company is not None
    exchanged = with_name(post, "Siemens")
    assert post.company not in exchanged
    assert exchanged.replace("Siemens", post.company) == post.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "a"', "line 2"),
        ('{"id": "a", "text": "t", "channel": "radio", "sentiment": "neutral"}', "channel"),
        ('{"id": "a", "text": " ", "channel": "chat", "sentiment": "neutral"}', "needs a text"),
        ('{"id": "a", "text": "t", "channel": "chat"}', "needs a text, and a sentiment or a topic"),
        (
            '{"id": "a", "text": "t", "channel": "chat", "topic": "x", "company": "Acme"}',
            "'Acme' is not in the text",
        ),
        ('{"id": "ok", "text": "t", "channel": "chat", "topic": "x"}', "ids that occur twice: \\['ok'\\]"),
    ],
)
def test_a_golden_set_that_cannot_judge_is_refused_by_its_line(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(f'{{"id": "ok", "text": "t", "channel": "chat", "topic": "x"}}\n{line}\n')
    with pytest.raises(GoldenSetError, match=reason):
        read_golden(path)
