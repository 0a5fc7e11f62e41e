"""Crashes, replays, repeats and other orders of arrival change nothing that watch tells or keeps."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from streamapp.contracts.codec import encode
from streamapp.contracts.messages import (
    ActivityBatch,
    Alert,
    SourceFrontier,
    SourceOffset,
    SubjectActivity,
    Tick,
    TrendMinute,
)
from streamapp.core.event_time import MINUTE_MS, EventTimeRules
from streamapp.core.surge import SurgeRules
from streamapp.core.trend_state import FRONTIERS_KEY, PartitionWatch, WatchRules
from tests.surge_streams import START_MS, Told, activity_of

# So eager that a few posts make an alert, update it and resolve it.
EAGER = SurgeRules(
    window_minutes=5,
    min_negative_stories=2,
    false_alarm_probability=0.4,
    share_probability=1.0,
    resolve_probability=0.5,
    warm_up_minutes=0,
)
RULES = WatchRules(event_time=EventTimeRules(lateness_ms=120_000, allowance_ms=600_000), surge=EAGER)
PATIENT = WatchRules(event_time=EventTimeRules(lateness_ms=120_000, allowance_ms=36_000_000), surge=EAGER)
SOURCES = (("N", 0), ("N", 1), ("C", 0))
SUBJECTS = ("topic:a", "company:B", "company:C")
TEXTS = tuple(" ".join(f"w{story}x{word}" for word in range(9)) for story in range(12))
SEEDS = st.integers(0, 2**32)

Message = TrendMinute | Alert
Store = list[tuple[bytes, bytes | None]]


def draw_post(chance: random.Random, event_time_ms: int) -> Told:
    text = chance.choice(TEXTS)
    return Told(
        chance.choice(SUBJECTS),
        event_time_ms,
        chance.choice(("negative", "negative", "neutral", "positive")),
        chance.choice((text, text, f"{text} - Reuters")),
    )


def batch_of(subject_posts: Iterable[tuple[Told, SourceOffset]]) -> list[SubjectActivity]:
    """One message per subject, offsets ascending per source."""
    by_subject: dict[str, list[tuple[Told, SourceOffset]]] = {}
    for post, source in subject_posts:
        by_subject.setdefault(post.subject, []).append((post, source))
    return [
        ActivityBatch(subject=subject, activities=tuple(activity_of(post, source) for post, source in posts))
        for subject, posts in by_subject.items()
    ]


def tick_of(reached: dict[tuple[str, int], tuple[int, int | None]], behind: set[tuple[str, int]]) -> Tick:
    sources = tuple(
        SourceFrontier(
            topic_uuid=key[0], partition=key[1], offset=at, frontier_ms=frontier, caught_up=key not in behind
        )
        for key, (at, frontier) in reached.items()
    )
    return Tick(worker="w", sources=sources)


def wild_log(seed: int) -> list[SubjectActivity]:
    """Posts late and early, sources behind, ticks at any place, jumps of event time, parts of the log repeated."""
    chance = random.Random(seed)
    reached: dict[tuple[str, int], tuple[int, int | None]] = dict.fromkeys(SOURCES, (-1, None))
    log: list[SubjectActivity] = []
    now = START_MS
    for _ in range(chance.randrange(5, 60)):
        now += chance.choice((0, 5_000, 30_000, MINUTE_MS, MINUTE_MS, 2 * MINUTE_MS, 20 * MINUTE_MS))
        posts = []
        for _ in range(chance.randrange(0, 6)):
            source = chance.choice(SOURCES)
            at, frontier = reached[source]
            time_ms = max(START_MS, now - chance.choice((0, 1_000, 60_000, 200_000, 400_000)))
            reached[source] = (at + 1, max(frontier or time_ms, time_ms))
            posts.append((draw_post(chance, time_ms), SourceOffset(*source, at + 1)))
        log += batch_of(posts)
        if chance.random() < 0.5:
            log.append(tick_of(reached, {source for source in SOURCES if chance.random() < 0.3}))
        if log and chance.random() < 0.2:
            begin = chance.randrange(len(log))
            log += log[begin : begin + 3]
    return log


@dataclass
class World:
    """What outlives a crash: messages told, state records, the acknowledged offset."""

    told: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    store: Store = field(default_factory=list)
    acknowledged: int = -1

    def tell(self, messages: Iterable[Message]) -> None:
        """Send; the same identity must always carry the same content."""
        for message in messages:
            raw = encode(message)
            known = self.told.setdefault(identity(message), raw)
            assert known == raw

    def newest(self) -> dict[bytes, bytes | None]:
        """What compaction leaves when nobody wrote out of turn."""
        return dict(self.store)


def identity(message: Message) -> tuple[str, ...]:
    if isinstance(message, Alert):
        return ("alert", message.alert_id, str(message.revision))
    return ("trend", message.subject, str(message.minute_start_ms), str(message.revision))


def recovered(world: World, chance: random.Random | None = None, rules: WatchRules = RULES) -> PartitionWatch:
    watch = PartitionWatch(rules)
    records = list(world.store)
    if chance is not None:
        chance.shuffle(records)
    for key, value in records:
        watch.load(key, value)
    watch.finish_loading()
    return watch


def run_whole(log: list[SubjectActivity], rules: WatchRules = RULES) -> World:
    world = World()
    watch = recovered(world, rules=rules)
    for offset, message in enumerate(log):
        world.tell(watch.apply(offset, message))
    world.store += watch.take_changes()
    return world


def run_with_crashes(log: list[SubjectActivity], seed: int) -> World:
    chance = random.Random(seed)
    world = World()
    watch = recovered(world)
    at = 0
    while world.acknowledged < len(log) - 1:
        end = min(len(log), at + chance.randrange(1, 9))
        told = [message for offset in range(at, end) for message in watch.apply(offset, log[offset])]
        records = watch.take_changes()
        crash = chance.choice(("no", "no", "while telling", "while writing", "before the ack"))
        world.tell(told[: chance.randrange(len(told) + 1)] if crash == "while telling" else told)
        if crash == "while writing":
            world.store += subset_before_frontiers(records, chance)
        elif crash != "while telling":
            world.store += records
        if crash == "no":
            world.acknowledged = end - 1
            at = end
        else:
            watch = recovered(world, chance)
            at = chance.randrange(world.acknowledged + 1, world.acknowledged + 2)
    return world


def subset_before_frontiers(records: Store, chance: random.Random) -> Store:
    """Subject records are sent together: any of them may have arrived, the frontiers only after all of them."""
    subjects = [record for record in records if record[0] != FRONTIERS_KEY]
    return [record for record in subjects if chance.random() < 0.5]


@settings(max_examples=200, deadline=None)
@given(SEEDS, SEEDS)
def test_crashes_anywhere_and_any_cut_of_batches_change_neither_state_nor_what_was_told(
    log_seed: int, seed: int
) -> None:
    log = wild_log(log_seed)
    calm, rough = run_whole(log), run_with_crashes(log, seed)
    assert rough.told == calm.told
    assert rough.newest() == calm.newest()


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_a_stalled_workers_old_records_never_win(seed: int) -> None:
    log = wild_log(seed)
    world = World()
    watch = recovered(world)
    stale: Store = []
    for offset, message in enumerate(log):
        watch.apply(offset, message)
        records = watch.take_changes()
        world.store += records
        if offset == len(log) // 2:
            stale = list(world.store)
    expected = recovered(world)
    world.store += stale
    found = recovered(world)
    beyond = tick_of(dict.fromkeys(SOURCES, (10**6, START_MS + 90 * 24 * 60 * MINUTE_MS)), set())
    assert found.watermark_ms == expected.watermark_ms
    assert found.apply(len(log), beyond) == expected.apply(len(log), beyond)
    assert found.take_changes() == expected.take_changes()


@settings(max_examples=100, deadline=None)
@given(SEEDS, SEEDS)
def test_applying_any_part_of_the_activity_twice_changes_nothing(log_seed: int, seed: int) -> None:
    log = wild_log(log_seed)
    chance = random.Random(seed)
    twice: list[SubjectActivity] = []
    for message in log:
        twice.append(message)
        if chance.random() < 0.5:
            begin = chance.randrange(len(twice))
            repeated = twice[begin : begin + chance.randrange(1, 6)]
            twice += [again for again in repeated if isinstance(again, ActivityBatch)]
    assert run_whole(twice).told == run_whole(log).told


def merged(lines: dict[tuple[str, int], list[Told]], chance: random.Random) -> list[SubjectActivity]:
    """Each source in its own order, the sources interleaved by chance, ticks anywhere; no post becomes late."""
    reached: dict[tuple[str, int], tuple[int, int | None]] = dict.fromkeys(lines, (-1, None))
    log: list[SubjectActivity] = []
    left = [source for source, posts in lines.items() for _ in posts]
    chance.shuffle(left)
    while left:
        posts = []
        for _ in range(min(len(left), chance.randrange(1, 5))):
            source = left.pop()
            at, frontier = reached[source]
            post = lines[source][at + 1]
            reached[source] = (at + 1, max(frontier or 0, post.event_time_ms))
            posts.append((post, SourceOffset(*source, at + 1)))
        log += batch_of(posts)
        if chance.random() < 0.4:
            log.append(tick_of(reached, set(lines)))
    end = START_MS + 3_600_000
    log.append(tick_of({source: (at, end) for source, (at, _) in reached.items()}, set()))
    return log


@settings(max_examples=100, deadline=None)
@given(SEEDS, SEEDS, SEEDS)
def test_any_order_of_arrival_within_the_lateness_gives_the_same_counts_and_alerts(
    stream: int, left: int, right: int
) -> None:
    chance = random.Random(stream)
    lines: dict[tuple[str, int], list[Told]] = {}
    for source in SOURCES:
        ordered = sorted(chance.randrange(40 * MINUTE_MS) for _ in range(chance.randrange(1, 60)))
        lines[source] = [
            draw_post(chance, START_MS + max(0, at - chance.randrange(120_000))) for at in ordered
        ]
    one = run_whole(merged(lines, random.Random(left)), PATIENT)
    other = run_whole(merged(lines, random.Random(right)), PATIENT)
    assert one.told == other.told


def test_the_generated_logs_really_open_update_and_resolve_alerts_and_have_late_posts() -> None:
    worlds = [run_whole(wild_log(seed)) for seed in range(40)]
    told = b"".join(raw for world in worlds for raw in world.told.values())
    for what in (
        b'"state":"opened"',
        b'"state":"updated"',
        b'"state":"resolved"',
        b'"late_posts":1',
        b'"revision":2',
    ):
        assert told.count(what) > 10
