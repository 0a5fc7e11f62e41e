"""Score's side of event time, for any order of acknowledgements, assignments, pauses and ticks."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from streamapp.contracts.messages import SourceOffset, Tick
from streamapp.core.event_time import MINUTE_MS, minute_of
from streamapp.core.frontier import FLIP_INTERVAL_MS, FrontierTracker

SOURCES = [("U", 0), ("U", 1), ("V", 0)]
AGE_MS = 5_000


class Acknowledge(Struct, frozen=True):
    """A record of a source; no frontier means a dead letter."""

    source: tuple[str, int]
    offset: int
    frontier_ms: int | None
    record_ms: int


class Assign(Struct, frozen=True):
    """The worker has these sources from here on."""

    sources: tuple[tuple[str, int], ...]


class Pause(Struct, frozen=True):
    """These sources are paused."""

    sources: tuple[tuple[str, int], ...]


class AskTick(Struct, frozen=True):
    """Some time later a tick is asked for, and these ends were seen."""

    after_ms: int
    ends: dict[tuple[str, int], int]


Step = Acknowledge | Assign | Pause | AskTick
SOURCE = st.sampled_from(SOURCES)
SETS = st.lists(SOURCE, unique=True).map(tuple)
TIMES = st.integers(-2 * MINUTE_MS, 3 * MINUTE_MS)
ACKNOWLEDGE = st.builds(Acknowledge, SOURCE, st.integers(0, 20), st.none() | TIMES, TIMES)
STEPS = st.lists(
    ACKNOWLEDGE
    | ACKNOWLEDGE
    | st.builds(Assign, SETS)
    | st.builds(Pause, SETS)
    | st.builds(AskTick, st.integers(0, 2_000), st.dictionaries(SOURCE, st.integers(0, 22))),
    max_size=30,
)


class Run:
    """Plays steps and keeps what was told, and when."""

    def __init__(self) -> None:
        self.tracker = FrontierTracker("worker-1", AGE_MS)
        self.now_ms = 0
        self.ticks: list[Tick] = []

    def play(self, step: Step) -> Tick | None:
        """One step; the tick that was due, if any."""
        match step:
            case Acknowledge(source, offset, frontier_ms, record_ms):
                self.tracker.acknowledge(SourceOffset(*source, offset), frontier_ms, record_ms)
            case Assign(sources):
                self.tracker.assign(dict.fromkeys(sources, 0))
            case Pause(sources):
                self.tracker.pause(sources)
            case AskTick(after_ms, ends):
                self.now_ms += after_ms
                tick = self.tracker.tick(self.now_ms, ends)
                if tick is not None:
                    self.ticks.append(tick)
                return tick
        return None


@given(STEPS)
def test_a_tick_tells_the_greatest_of_what_was_acknowledged_since_the_assignment(
    steps: list[Step],
) -> None:
    run = Run()
    since: dict[tuple[str, int], list[Acknowledge]] = {}
    for step in steps:
        tick = run.play(step)
        if isinstance(step, Assign):
            since = {source: [] for source in step.sources}
        elif isinstance(step, Acknowledge) and step.source in since:
            since[step.source].append(step)
        if tick is None:
            continue
        assert [(told.topic_uuid, told.partition) for told in tick.sources] == sorted(since)
        for told in tick.sources:
            seen = since[told.topic_uuid, told.partition]
            frontiers = [step.frontier_ms for step in seen if step.frontier_ms is not None]
            assert told.offset == max((step.offset for step in seen), default=-1)
            assert told.frontier_ms == (max(frontiers) if frontiers else None)


@given(STEPS)
def test_whenever_nothing_is_due_watch_knows_every_minute(steps: list[Step]) -> None:
    run = Run()
    assigned: set[tuple[str, int]] = set()
    greatest: dict[tuple[str, int], int] = {}
    for step in steps:
        tick = run.play(step)
        if isinstance(step, Assign):
            assigned, greatest = set(step.sources), {}
        elif isinstance(step, Acknowledge) and step.frontier_ms is not None:
            greatest[step.source] = max(greatest.get(step.source, step.frontier_ms), step.frontier_ms)
        elif isinstance(step, AskTick) and tick is None and run.ticks:
            told = {
                (source.topic_uuid, source.partition): source.frontier_ms for source in run.ticks[-1].sources
            }
            for source in assigned.intersection(greatest):
                frontier_ms = told[source]
                assert frontier_ms is not None
                assert minute_of(frontier_ms) == minute_of(greatest[source])


@given(STEPS)
def test_a_tick_is_never_due_twice_in_a_row(steps: list[Step]) -> None:
    run = Run()
    for step in steps:
        if run.play(step) is not None and isinstance(step, AskTick):
            assert run.play(AskTick(0, step.ends)) is None


@given(st.lists(st.integers(1, 700), max_size=40), st.lists(st.integers(0, 1), min_size=40, max_size=40))
def test_flips_alone_are_told_at_most_once_a_second(pauses_ms: list[int], ends: list[int]) -> None:
    run = Run()
    run.play(Assign((SOURCES[0],)))
    told_at_ms = []
    for after_ms, end in zip(pauses_ms, ends, strict=False):
        if run.play(AskTick(after_ms, {SOURCES[0]: end})) is not None:
            told_at_ms.append(run.now_ms)
    gaps = [later - earlier for earlier, later in pairwise(told_at_ms)]
    assert all(gap >= FLIP_INTERVAL_MS for gap in gaps)


@given(st.lists(ACKNOWLEDGE, max_size=12), st.randoms(use_true_random=False), st.integers(0, 22))
def test_the_order_of_acknowledgements_does_not_matter(
    records: list[Acknowledge], chance: Random, end: int
) -> None:
    shuffled = list(records)
    chance.shuffle(shuffled)
    told = []
    for order in (records, shuffled):
        run = Run()
        run.play(Assign(tuple(SOURCES)))
        for record in order:
            run.play(record)
        told.append(run.play(AskTick(3 * MINUTE_MS, dict.fromkeys(SOURCES, end))))
    assert told[0] == told[1]
