"""Hours come and go, versions are kept apart, and the first posts of a model are its reference."""

from retrain.core.quality_window import HOUR_MS, FirstPosts, QualityWindow
from streamapp.contracts.messages import (
    Post,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    TopicVerdict,
    Verdict,
)

NOW_MS = 500_000 * HOUR_MS


def scored(probability: float, version: str = "m-1", *, topic: bool = False) -> ScoredPost:
    rest = (1 - probability) / 2
    return ScoredPost(
        post=Post(id="1", channel="chat", text="t", event_time_ms=0),
        verdict=Verdict(
            sentiment=SentimentVerdict("neutral", rest, probability, rest),
            topic=TopicVerdict("macro", 0.5) if topic else None,
        ),
        model_version=version,
        source_offset=SourceOffset("u", 0, 0),
        story_fingerprint="0" * 16,
    )


def test_the_window_joins_its_hours_and_lets_go_of_older_ones() -> None:
    window = QualityWindow(2)
    for hours_ago, probability in ((3, 0.4), (2, 0.6), (0, 0.8)):
        window.add(NOW_MS - hours_ago * HOUR_MS, scored(probability))
    window.forget(NOW_MS)
    (found,) = window.present("m-1")
    assert found.posts == 2
    assert round(found.accuracy, 9) == 0.7


def test_models_are_never_mixed() -> None:
    window = QualityWindow(2)
    window.add(NOW_MS, scored(0.9, "m-1"))
    window.add(NOW_MS, scored(0.5, "m-2"))
    assert [each.accuracy for each in window.present("m-1")] == [0.9]
    assert window.present("m-3") == ()


def test_each_head_has_its_own_figures() -> None:
    window = QualityWindow(2)
    window.add(NOW_MS, scored(0.9, topic=True))
    assert {each.head: each.accuracy for each in window.present("m-1")} == {"sentiment": 0.9, "topic": 0.5}


def test_first_posts_are_complete_once_and_later_ones_do_not_change_them() -> None:
    first = FirstPosts(2)
    assert [first.add(scored(probability)) for probability in (0.8, 0.6, 0.1)] == [False, True, False]
    (found,) = first.complete
    assert (found.posts, round(found.accuracy, 9)) == (2, 0.7)


def test_what_was_kept_is_not_collected_again() -> None:
    first = FirstPosts(1)
    first.add(scored(0.8))
    again = FirstPosts(1, first.complete)
    assert not again.add(scored(0.1))
    assert again.complete == first.complete
