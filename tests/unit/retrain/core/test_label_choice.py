"""Which posts of a pool get a label: by chance, or by the queue that serves."""

from collections import Counter

from retrain.core.label_choice import PooledPost, chosen_by_chance, chosen_by_queue, stream_of
from streamapp.contracts.messages import Post, SentimentVerdict, Verdict
from streamapp.core.label_requests import LabelRules, margin_of
from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.verdict import TextReading

WORDS = ("rally", "slump", "merger", "default", "listing", "payout", "strike", "recall", "upgrade", "probe")


def text_of(number: int) -> str:
    """Letters only, no two alike: words with a digit in them are not read as new ones."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in f"{number:05d}")
    return f"{letters}x moved {WORDS[number % 10]} {letters}y today as {WORDS[number // 10 % 10]} {letters}z spread"


def pooled(number: int, doubt: float) -> PooledPost:
    """A post whose model leaves `1 - doubt` between its two likeliest sentiments."""
    low = doubt / 2
    sentiment = SentimentVerdict("positive", 0.0, round(low, 6), round(1 - low, 6))
    text = text_of(number)
    return PooledPost(
        post=Post(id=f"p{number}", channel="chat", text=text, event_time_ms=0),
        reading=TextReading(
            sentiment=sentiment,
            topic=None,
            story_fingerprint=format_fingerprint(fingerprint(text)),
            other_language=False,
        ),
        verdict=Verdict(sentiment=sentiment, topic=None, companies=()),
        model_version="starter-1",
    )


POOL = [pooled(number, doubt=(number % 20) / 20) for number in range(3_000)]


def test_more_labels_by_chance_are_the_same_ones_and_others() -> None:
    assert chosen_by_chance(POOL, 50, seed=3) == chosen_by_chance(POOL, 200, seed=3)[:50]
    assert chosen_by_chance(POOL, 50, seed=3) != chosen_by_chance(POOL, 50, seed=4)


def test_chance_and_the_queue_look_at_the_same_stream() -> None:
    stream = [each.post.id for each in stream_of(POOL, 3)]
    asked = [each.post.id for each, _ in chosen_by_queue(POOL, 200, 3, LabelRules(), [])]
    places = [stream.index(post_id) for post_id in asked]
    assert places == sorted(places)
    assert [each.post.id for each in chosen_by_chance(POOL, 10, seed=3)] == stream[:10]


def test_the_queue_asks_for_about_as_many_as_wanted_a_fifth_of_them_audits() -> None:
    asked = chosen_by_queue(POOL, 400, 3, LabelRules(), [])
    drawn = Counter(reason for _, reason in asked)
    assert 300 <= len(asked) <= 400
    assert 50 <= drawn["audit"] <= 110
    assert drawn["uncertain"] > drawn["audit"]


def test_what_the_queue_is_uncertain_of_are_the_posts_with_the_smallest_margins() -> None:
    asked = chosen_by_queue(POOL, 200, 3, LabelRules(), [])
    margins = [margin_of(each.verdict) for each, reason in asked if reason == "uncertain"]
    assert max(margins) <= LabelRules().uncertain_margin


def test_words_that_went_by_before_are_not_novel() -> None:
    certain = [pooled(number, doubt=0.0) for number in range(3_000)]
    known = [each.post.text for each in certain]

    def novel(known_texts: list[str]) -> int:
        return sum(
            reason == "novel" for _, reason in chosen_by_queue(certain, 300, 3, LabelRules(), known_texts)
        )

    assert novel(known[:1_000]) > 20
    assert novel(known) < novel(known[:1_000])
