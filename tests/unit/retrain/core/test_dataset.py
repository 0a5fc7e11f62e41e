"""Sides of a run: no story on two of them, judges never trained on, the newest uniformly drawn labels judge."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.core.dataset import Split, SplitRules, print_of, rehearsed, split_posts, story_of_each
from retrain.core.labels import TrainingLabel
from streamapp.contracts.messages import CompanyMention, DrawnBy, LabelOrigin

RULES = SplitRules(seed=1, dev_share=0.2, most_judging=50, topics=("macro", "ipo"))
WORDS = [f"{first}{second}" for first in "bcdfghklmnprst" for second in ("ano", "elu", "iri", "oka", "uma")]


def label(number: int, text: str | None = None, **changes: object) -> TrainingLabel:
    made = TrainingLabel(
        post_id=f"p{number}",
        text=text or story(number),
        channel="news",
        sentiment="negative" if number % 2 else "positive",
        origin="person",
        labelled_at_ms=number,
    )
    return msgspec.structs.replace(made, **changes)


def story(number: int) -> str:
    """Ten words that no other number has in this order; their fingerprints are far apart."""
    return " ".join(
        WORDS[(number * 7 + place * (number % 11 + 3)) % len(WORDS)] + str(number) for place in range(10)
    )


def sides(split: Split) -> dict[str, set[str]]:
    named = {"train": split.train, "dev": split.dev, "judging": split.judging, "rehearsal": split.rehearsal}
    return {name: {post.post_id for post in posts} for name, posts in named.items()}


def test_copies_of_a_story_are_on_one_side() -> None:
    posts = [label(number, story(number // 5)) for number in range(200)]
    split = split_posts(posts, [], [], RULES)
    stories = {side: {int(name[1:]) // 5 for name in names} for side, names in sides(split).items()}
    assert stories["train"] & stories["dev"] == set()
    assert len(stories["train"] | stories["dev"]) == 40
    assert 0.1 < len(split.dev) / 200 < 0.3


def test_a_repost_with_a_few_other_words_is_the_same_story() -> None:
    numbers = story_of_each([story(1), f"RT @someone: {story(1)}", story(2), story(1).upper()])
    assert numbers[0] == numbers[1] == numbers[3] != numbers[2]


def test_the_newest_uniformly_drawn_labels_of_people_judge() -> None:
    draws: list[tuple[DrawnBy, LabelOrigin]] = [
        ("audit", "person"),
        ("uncertain", "person"),
        ("audit", "rule"),
    ]
    posts = [label(number, drawn=draws[number % 3][0], origin=draws[number % 3][1]) for number in range(90)]
    split = split_posts(posts, [], [], msgspec.structs.replace(RULES, most_judging=10))
    assert sides(split)["judging"] == {f"p{number}" for number in range(60, 90, 3)}
    assert (
        sides(split)["train"] | sides(split)["dev"] == {f"p{n}" for n in range(90)} - sides(split)["judging"]
    )


def test_labels_that_may_have_trained_the_champion_do_not_judge_it() -> None:
    posts = [label(number, drawn="audit") for number in range(40)]
    split = split_posts(posts, [], [], msgspec.structs.replace(RULES, judging_not_before_ms=30))
    assert sides(split)["judging"] == {f"p{number}" for number in range(30, 40)}


def test_what_tells_a_judging_story_trains_nobody_and_is_counted() -> None:
    posts = [label(1), label(2), label(3, story(1)), label(4, story(9))]
    judge = label(100, story(2), drawn="audit")
    split = split_posts([*posts, judge], [label(5, story(9)), label(6)], [story(9)], RULES)
    assert sides(split)["judging"] == {"p100"}
    trained = sides(split)["train"] | sides(split)["dev"] | sides(split)["rehearsal"]
    assert trained <= {"p1", "p3", "p6"}
    assert split.left_out["tells a story that judges"] == 2
    assert split.left_out["old post whose story judges"] == 1


def test_a_topic_that_the_model_does_not_have_is_dropped_and_the_sentiment_stays() -> None:
    split = split_posts([label(1, topic="weather"), label(2, topic="ipo")], [], [], RULES)
    assert {post.topic for post in (*split.train, *split.dev)} == {None, "ipo"}
    assert split.left_out["unknown topic"] == 1


def test_old_posts_are_replayed_in_their_own_proportions() -> None:
    old = [label(n, sentiment="neutral") for n in range(300)] + [
        label(n, sentiment="negative") for n in range(300, 400)
    ]
    chosen = rehearsed(old, 20, 2.0, seed=1)
    assert Counter(post.sentiment for post in chosen) == {"neutral": 30, "negative": 10}
    assert chosen != rehearsed(old, 20, 2.0, seed=2)


def test_no_old_stratum_is_so_small_that_it_is_not_replayed() -> None:
    old = [label(0, channel="chat"), label(1, sentiment="neutral")] + [label(n) for n in range(2, 500)]
    chosen = rehearsed(old, 10, 1.0, seed=1)
    assert {"p0", "p1"} < {post.post_id for post in chosen}
    assert len(chosen) == 10


def test_old_posts_without_a_label_fill_up_what_labelled_ones_leave() -> None:
    old = [label(n, sentiment=None) for n in range(50)] + [label(n) for n in range(50, 55)]
    chosen = rehearsed(old, 10, 1.0, seed=1)
    assert [post.sentiment is None for post in chosen] == [False] * 5 + [True] * 5


def test_a_rules_labels_train_but_neither_choose_the_epoch_nor_make_a_run_worth_while() -> None:
    posts = [label(number, origin="rule" if number % 2 else "person") for number in range(100)]
    split = split_posts(posts, [], [], RULES)
    assert {post.origin for post in split.dev} == {"person"}
    assert {post.origin for post in split.train} == {"person", "rule"}
    assert {post.origin for post in split.peoples} == {"person"}


def test_fingerprints_name_the_labels_whatever_their_order() -> None:
    posts = [label(number) for number in range(20)]
    assert print_of(posts) == print_of(reversed(posts))
    assert print_of(posts) != print_of([msgspec.structs.replace(posts[0], sentiment="neutral"), *posts[1:]])


posts_of_few_stories = st.lists(
    st.builds(
        label,
        st.integers(0, 400),
        st.integers(0, 12).map(story),
        drawn=st.sampled_from(["audit", "uncertain", "none"]),
        sentiment=st.sampled_from(["negative", "neutral", None]),
    ),
    max_size=40,
    unique_by=lambda post: post.post_id,
)


@settings(max_examples=60, deadline=None)
@given(posts_of_few_stories, st.integers(0, 5))
def test_no_post_and_no_story_is_ever_on_two_sides(posts: list[TrainingLabel], most: int) -> None:
    split = split_posts(
        posts[::2], posts[1::2], [story(0)], msgspec.structs.replace(RULES, most_judging=most)
    )
    learnt = [*split.train, *split.rehearsal]
    for one, other in (
        (learnt, split.dev),
        (learnt, split.judging),
        (split.dev, split.judging),
    ):
        assert {post.text for post in one} & {post.text for post in other} == set()
    assert story(0) not in {post.text for post in (*learnt, *split.dev)}
    again = split_posts(
        posts[::2], posts[1::2], [story(0)], msgspec.structs.replace(RULES, most_judging=most)
    )
    assert again.prints == split.prints


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_nothing_can_be_split(count: int) -> None:
    split = split_posts([label(number) for number in range(count)], [], [], RULES)
    assert len(split.train) + len(split.dev) == count


def test_a_label_of_companies_alone_counts_only_for_a_run_that_learns_them() -> None:
    marked = (CompanyMention(symbol="UNLISTED", span=(0, 3)),)
    posts = [
        label(n, sentiment=None, companies=marked, drawn="audit" if n % 4 else "none") for n in range(80)
    ]
    posts += [label(n, sentiment=None, companies=(CompanyMention(symbol="AAPL"),)) for n in range(80, 90)]
    without = split_posts(posts, [], [], RULES)
    assert (without.peoples, without.dev, without.judging) == ((), (), ())
    assert without.left_out["without a label"] == 90
    learns = split_posts(posts, [], [], msgspec.structs.replace(RULES, companies=True))
    assert len(learns.judging) == 50
    assert len(learns.peoples) + len(learns.dev) == 30
    assert learns.left_out["without a label"] == 10


def test_fingerprints_name_the_places_of_companies_where_they_are_learnt() -> None:
    one = [label(1, companies=(CompanyMention(symbol="UNLISTED", span=(0, 3)),))]
    other = [label(1, companies=(CompanyMention(symbol="UNLISTED", span=(0, 4)),))]
    assert print_of(one) == print_of(other)
    assert print_of(one, companies=True) != print_of(other, companies=True)
