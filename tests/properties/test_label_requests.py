"""Label requests over generated streams: the audit is chance alone, and no way to cut a stream breaks a cap."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, kstest

from streamapp.contracts.messages import SENTIMENTS, DrawnBy, ScoredPost
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_requests import AuditDraw, LabelRules, RequestChooser, margin_of
from streamapp.core.novelty import Vocabulary
from streamapp.core.self_labels import SelfLabeller, SelfLabelRules
from streamapp.core.story import distance, parse_fingerprint
from tests.label_posts import BASE_MS, PLACES, scored_post, sentiment

PARTITIONS = [(uuid, number) for uuid in ("N", "C") for number in range(4)]
WORDS = [f"{a}{b}{c}d" for a in "bcdfg" for b in "aeiou" for c in "klmnp"]
RULES = LabelRules(
    requests_per_hour=40, requests_per_source_and_hour=12, audit_share=0.25, expected_posts_per_hour=100
)


def stream(chance: Random, posts: int) -> list[ScoredPost]:
    """Posts of all partitions in one order of arrival, offsets ascending; about 600 an event hour, some late."""
    offsets: Counter[tuple[str, int]] = Counter()
    made = []
    for number in range(posts):
        place = chance.choice(PARTITIONS)
        moment_ms = BASE_MS + number * 6_000 - (chance.randrange(HOUR_MS) if chance.random() < 0.1 else 0)
        first = chance.uniform(0.34, 1.0)
        second = min(first, (1 - first) * chance.uniform(0.5, 1.0))
        shares = [first, second, 1 - first - second]
        chance.shuffle(shares)
        made.append(
            scored_post(
                offsets[place],
                source_partition=place,
                verdict=sentiment(*shares),
                text=" ".join(chance.choices(WORDS, k=8)),
                source=chance.choice(["wire", "forum", "blog", None]),
                topic=f"t{chance.randrange(12)}",
                channel="news" if place[0] == "N" else "chat",
                event_time_ms=moment_ms,
                story=chance.randrange(posts),
                duplicate=chance.random() < 0.1,
            )
        )
        offsets[place] += 1
    return made


def new_chooser() -> RequestChooser:
    return RequestChooser(RULES, PLACES, Vocabulary(warm_up_posts=50))


def cut(posts: Sequence[ScoredPost], sizes: Iterable[int]) -> list[Sequence[ScoredPost]]:
    """The posts as batches of these sizes, the rest as one."""
    batches = []
    at = 0
    for size in sizes:
        batches.append(posts[at : at + size])
        at += size
    return [*batches, posts[at:]]


def choose_all(batches: Iterable[Sequence[ScoredPost]]) -> list[DrawnBy | None]:
    chooser = new_chooser()
    return [drawn for batch in batches for drawn in chooser.choose(batch)]


def audited(posts: Sequence[ScoredPost], drawn: Sequence[DrawnBy | None]) -> set[str]:
    return {post.post.id for post, why in zip(posts, drawn, strict=True) if why == "audit"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=20))
def test_any_cut_of_a_stream_into_batches_asks_about_the_same_posts(seed: int, sizes: list[int]) -> None:
    posts = stream(Random(seed), 400)
    assert choose_all(cut(posts, sizes)) == choose_all([posts])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.lists(st.integers(0, 399), max_size=4))
def test_any_spread_over_workers_with_restarts_and_repeats_audits_the_same_posts(
    seed: int, workers: int, restarts: list[int]
) -> None:
    chance = Random(seed)
    posts = stream(chance, 400)
    wanted = audited(posts, choose_all([posts]))
    owner = {place: chance.randrange(workers) for place in PARTITIONS}
    found: set[str] = set()
    for worker in range(workers):
        mine = [
            post
            for post in posts
            if owner[post.source_offset.topic_uuid, post.source_offset.partition] == worker
        ]
        for restart in [0, *restarts]:
            again = mine[restart:]
            found |= audited(again, choose_all(cut(again, [chance.randrange(50) for _ in range(8)])))
    assert found == wanted


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_caps_hold_over_all_workers_and_a_worker_asks_about_a_story_once(seed: int, workers: int) -> None:
    chance = Random(seed)
    posts = stream(chance, 1_200)
    owner = {place: chance.randrange(workers) for place in PARTITIONS}
    choosers = [new_chooser() for _ in range(workers)]
    hours: Counter[int] = Counter()
    sources: Counter[tuple[int, str | None]] = Counter()
    stories: dict[int, list[ScoredPost]] = defaultdict(list)
    for post in posts:
        worker = owner[post.source_offset.topic_uuid, post.source_offset.partition]
        (why,) = choosers[worker].choose([post])
        if why not in (None, "audit"):
            hour = post.post.event_time_ms // HOUR_MS
            hours[hour] += 1
            sources[hour, post.post.source] += 1
            stories[worker].append(post)
    assert sum(hours.values()) > 30
    assert max(hours.values()) <= RULES.others_per_hour
    assert max(sources.values()) <= RULES.requests_per_source_and_hour
    for asked in stories.values():
        prints = [parse_fingerprint(post.story_fingerprint) for post in asked]
        assert all(distance(one, other) > 10 for at, one in enumerate(prints) for other in prints[:at])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=20))
def test_any_cut_gives_the_same_self_labels_within_the_cap(seed: int, sizes: list[int]) -> None:
    posts = stream(Random(seed), 600)
    rules = SelfLabelRules(confidence=0.8, labels_per_hour=24, audit_rate=0.1)
    whole = SelfLabeller(rules, PLACES).labels(posts)
    labeller = SelfLabeller(rules, PLACES)
    assert [label for batch in cut(posts, sizes) for label in labeller.labels(batch)] == whole
    assert max(Counter(label.labelled_at_ms // HOUR_MS for label in whole).values(), default=0) <= 24


def confidence_band(post: ScoredPost) -> int:
    return int(margin_of(post.verdict) * 10)


GROUPS: dict[str, Callable[[ScoredPost], Any]] = {
    "channel": lambda post: post.post.channel,
    "source": lambda post: post.post.source,
    "sentiment": lambda post: post.verdict.sentiment.label if post.verdict.sentiment else None,
    "confidence": confidence_band,
    "topic": lambda post: post.verdict.topic.label if post.verdict.topic else None,
    "partition": lambda post: (post.source_offset.topic_uuid, post.source_offset.partition),
    "duplicate": lambda post: post.duplicate_text,
    "hour": lambda post: post.post.event_time_ms // (4 * HOUR_MS),
    "offset modulo 2": lambda post: post.source_offset.offset % 2,
    "offset modulo 16": lambda post: post.source_offset.offset % 16,
}


@pytest.fixture(scope="module")
def audited_stream() -> tuple[list[ScoredPost], list[bool]]:
    """60,000 posts through one worker with tight caps, and which of them its audit drew."""
    posts = stream(Random(20), 60_000)
    rules = LabelRules(
        requests_per_hour=30, requests_per_source_and_hour=5, audit_share=0.5, expected_posts_per_hour=300
    )
    drawn = RequestChooser(rules, PLACES).choose(posts)
    assert {"audit", "uncertain"} <= set(drawn)
    return posts, [why == "audit" for why in drawn]


def uniformity(
    posts: Sequence[ScoredPost], drawn: Sequence[bool], group: Callable[[ScoredPost], Any]
) -> float:
    """The p-value of a chi-square test: is the share drawn the same in every group?"""
    table: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for post, yes in zip(posts, drawn, strict=True):
        table[group(post)][yes] += 1
    rows = [row for row in table.values() if sum(row) >= 200]
    assert len(rows) >= 2
    return float(chi2_contingency(rows).pvalue)


@pytest.mark.parametrize("name", GROUPS)
def test_the_audit_is_uniform_over(name: str, audited_stream: tuple[list[ScoredPost], list[bool]]) -> None:
    posts, drawn = audited_stream
    assert uniformity(posts, drawn, GROUPS[name]) > 1e-3
    assert abs(sum(drawn) / len(posts) - 0.05) < 0.004


def test_the_test_of_uniformity_sees_a_small_bias(
    audited_stream: tuple[list[ScoredPost], list[bool]],
) -> None:
    """One audit in four of a sentiment lost, as a cap within the hour would lose it."""
    posts, drawn = audited_stream
    chance = Random(1)
    negative = SENTIMENTS[0]
    biased = [
        yes and not (GROUPS["sentiment"](post) == negative and chance.random() < 0.25)
        for post, yes in zip(posts, drawn, strict=True)
    ]
    assert uniformity(posts, biased, GROUPS["sentiment"]) < 1e-3


def test_the_numbers_behind_the_audit_are_uniform_and_say_nothing_of_their_neighbours() -> None:
    draw = AuditDraw(0.1)
    numbers = [
        draw.number_of(scored_post(offset, source_partition=place).source_offset) / 2**64
        for place in PARTITIONS
        for offset in range(5_000)
    ]
    assert kstest(numbers, "uniform").pvalue > 1e-3
    pairs = Counter(
        (one < 0.5, other < 0.5) for one, other in zip(numbers[:-1:2], numbers[1::2], strict=True)
    )
    rows = [[pairs[a, b] for b in (False, True)] for a in (False, True)]
    assert chi2_contingency(rows).pvalue > 1e-3
