"""`streamapp bench watch`: trend state of very many subjects, and of one that takes every post.

Each case is run twice: through `PartitionWatch` alone in this process, and through the real worker from a
`subject-activity` topic that was filled before; then the worker is started again on the state that it wrote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
from aiokafka import AIOKafkaConsumer
from msgspec import Struct

from streamapp.bench.figures import megabytes, number
from streamapp.bench.house import BenchHouse, BenchWorker, Say
from streamapp.bench.load import Load, LoadPost
from streamapp.bench.machine import Machine, this_machine
from streamapp.bench.traffic import end_offset, fill, open_receiver, partitions_of, run_async
from streamapp.cluster.access import aiokafka_options
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import (
    SENTIMENTS,
    Activity,
    ActivityBatch,
    SourceFrontier,
    SourceOffset,
    SubjectActivity,
    Tick,
)
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.trend_state import FRONTIERS_KEY, PartitionWatch
from streamapp.local.worker_pages import values
from streamapp.rules import watch_rules
from streamapp.settings import Settings

PARTITIONS: Final = 4
SOURCE: Final = "bench-source-topic-uuid"
STORIES: Final = 2_000
# A subject of its own is told by one message a post; one that takes every post by one a scored batch.
BATCH_ACTIVITIES: Final = 64
MINUTES: Final = 30
START_MS: Final = 1_773_324_000_000
POLL_SECONDS: Final = 0.1
STALLED_SECONDS: Final = 60.0


class WatchSizes(Struct, frozen=True, kw_only=True):
    """How much is measured: `activities` in each case, over `MINUTES` event minutes."""

    subjects: int = 100_000
    activities: int = 400_000


class StateBytes(Struct, frozen=True, kw_only=True):
    """Encoded state of one subject, and of all."""

    median: int
    greatest: int
    total: int


class WatchFigures(Struct, frozen=True, kw_only=True):
    """One case. Rates in activities a second."""

    subjects: int
    activities: int
    alone_rate: float
    alone_load_seconds: float
    state: StateBytes
    worker_rate: float
    worker_cpu_us: float
    worker_resident_bytes: int
    worker_subjects: int
    state_records: int
    recovery_seconds: float
    restart_seconds: float


class WatchReport(Struct, frozen=True, kw_only=True):
    """Both cases."""

    command: str
    machine: Machine
    sizes: WatchSizes
    many: WatchFigures
    one: WatchFigures

    def lines(self) -> list[str]:
        """All of it for people."""
        return [
            f"machine     {self.machine.line()}",
            f"sizes       {self.sizes.activities:,} activities a case over {MINUTES} event minutes, "
            f"{PARTITIONS} partitions",
            *_case_lines("many", self.many),
            *_case_lines("one", self.one),
            f"again       {self.command}",
        ]


def _case_lines(name: str, case: WatchFigures) -> list[str]:
    return [
        f"{name:<5} {case.subjects:>7,} subject{'s' if case.subjects > 1 else ' '} alone   "
        f"{number(case.alone_rate)} activities/s, state loaded in {case.alone_load_seconds:.2f} s",
        f"{'':<22} worker  {number(case.worker_rate)} activities/s, CPU {number(case.worker_cpu_us)} us an activity, "
        f"{megabytes(case.worker_resident_bytes)} resident at most",
        f"{'':<22} state   median {case.state.median:,} bytes, greatest {case.state.greatest:,}, "
        f"all {megabytes(case.state.total)}; {case.state_records:,} records written by the worker",
        f"{'':<22} restart {case.recovery_seconds:.2f} s to read the state, {case.restart_seconds:.1f} s to ready",
    ]


class WatchBench:
    """One run."""

    def __init__(self, house: BenchHouse, sizes: WatchSizes, say: Say) -> None:
        self._house = house
        self._sizes = sizes
        self._say = say

    def run(self, command: str) -> WatchReport:
        """Measures and reports."""
        machine = this_machine()
        many = self._case("many", self._sizes.subjects)
        one = self._case("one", 1)
        return WatchReport(command=command, machine=machine, sizes=self._sizes, many=many, one=one)

    def _case(self, name: str, subjects: int) -> WatchFigures:
        settings = self._house.settings(name, PARTITIONS, None)
        self._say(f"{name}: {self._sizes.activities:,} activities of {subjects:,} subjects")
        messages = list(activity_log(subjects, self._sizes.activities))
        alone_rate, records = apply_all(settings, messages, self._sizes.activities)
        load_seconds = load_all(settings, records)
        sizes = [len(value) for key, value in records if value is not None and key != FRONTIERS_KEY]
        topic = settings.topics.prefix + "subject-activity"
        log_length = run_async(fill_by_subject(settings, topic, messages))
        del messages
        readings, worker = self._drain(settings, log_length)
        samples = worker.metrics()
        worker.stop()
        again = self._house.start_worker(settings, ("streamapp.bench.null_worker", "whole"))
        recovery_seconds = values(again.metrics(), "streamapp_state_recovery_seconds")[0]
        again.stop()
        first, last = readings[0], readings[-1]
        return WatchFigures(
            subjects=subjects,
            activities=self._sizes.activities,
            alone_rate=alone_rate,
            alone_load_seconds=load_seconds,
            state=StateBytes(median=int(np.median(sizes)), greatest=max(sizes), total=sum(sizes)),
            worker_rate=self._sizes.activities / (last[0] - first[0]),
            worker_cpu_us=(last[1] - first[1]) / self._sizes.activities * 1e6,
            worker_resident_bytes=last[2],
            worker_subjects=int(sum(values(samples, "streamapp_subjects"))),
            state_records=int(sum(values(samples, "streamapp_state_records_total"))),
            recovery_seconds=recovery_seconds,
            restart_seconds=again.start_seconds,
        )

    def _drain(self, settings: Settings, log_length: int) -> tuple[list[_Reading], BenchWorker]:
        """Readings before the first and after the last message is committed, and the worker."""
        worker = self._house.start_worker(settings, ("streamapp.bench.null_worker", "whole"))
        return run_async(_follow(settings, worker, log_length)), worker


_Reading = tuple[float, float, int]


def _reading(worker: BenchWorker) -> _Reading:
    usage = worker.meter.usage()
    return time.monotonic(), usage.cpu_seconds, usage.peak_resident_bytes


async def _follow(settings: Settings, worker: BenchWorker, log_length: int) -> list[_Reading]:
    receiver = open_receiver(settings)
    committed = _group_reader(settings)
    await receiver.start()
    await committed.start()
    topic = settings.topics.prefix + "subject-activity"
    readings = [_reading(worker)]
    moved_at, before = time.monotonic(), -1
    try:
        while True:
            worker.check()
            done = 0
            for partition in partitions_of(topic, PARTITIONS):
                done += await committed.committed(partition) or 0
            # The worker's own ticks come on top of what the benchmark wrote, so its end is beyond `log_length`.
            if done >= log_length and done >= await end_offset(receiver, topic, PARTITIONS) - PARTITIONS:
                break
            moved_at = time.monotonic() if done > before else moved_at
            before = done
            if time.monotonic() > moved_at + STALLED_SECONDS:
                raise TimeoutError(f"watch stopped at {done:,} of {log_length:,} messages")
            await asyncio.sleep(POLL_SECONDS)
        readings.append(_reading(worker))
    finally:
        await receiver.stop()
        await committed.stop()
    return readings


def _group_reader(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        group_id=settings.worker.group, enable_auto_commit=False, **aiokafka_options(settings.broker)
    )


def activity_log(subjects: int, activities: int) -> Iterator[SubjectActivity]:
    """Activity batches in event-time order with a tick at each new minute, and one that closes the last."""
    load = Load()
    stories = [(text[:120], format_fingerprint(fingerprint(text))) for text in load.texts(0, STORIES)]
    step_ms = MINUTES * MINUTE_MS / activities
    batch = BATCH_ACTIVITIES if subjects == 1 else 1
    minute = START_MS // MINUTE_MS
    for first in range(0, activities, batch):
        event_time_ms = START_MS + int(first * step_ms)
        if event_time_ms // MINUTE_MS != minute:
            minute = event_time_ms // MINUTE_MS
            yield _tick(first, event_time_ms)
        yield ActivityBatch(
            subject=f"company:{first % subjects if subjects > 1 else 0}",
            activities=tuple(
                _activity(place, START_MS + int(place * step_ms), stories[place % STORIES])
                for place in range(first, min(first + batch, activities))
            ),
        )
    yield _tick(activities, START_MS + (MINUTES + 60) * MINUTE_MS)


def _activity(place: int, event_time_ms: int, story: tuple[str, str]) -> Activity:
    return Activity(
        source_offset=SourceOffset(SOURCE, 0, place),
        post_id=f"post-{place}",
        channel="news",
        event_time_ms=event_time_ms,
        sentiment=SENTIMENTS[place % 5 % 3],
        story_fingerprint=story[1],
        headline=story[0],
        model_version="null-0",
    )


def _tick(offset: int, frontier_ms: int) -> Tick:
    source = SourceFrontier(
        topic_uuid=SOURCE, partition=0, offset=offset, frontier_ms=frontier_ms, caught_up=True
    )
    return Tick(worker="bench", sources=(source,))


def apply_all(
    settings: Settings, messages: list[SubjectActivity], activities: int
) -> tuple[float, list[tuple[bytes, bytes | None]]]:
    """Activities a second through one `PartitionWatch`, state records taken once an event minute; the last ones."""
    watch = PartitionWatch(watch_rules(settings))
    records: dict[bytes, bytes | None] = {}
    began = time.monotonic()
    for offset, message in enumerate(messages):
        watch.apply(offset, message)
        if isinstance(message, Tick):
            records.update(watch.take_changes())
    seconds = time.monotonic() - began
    return activities / seconds, list(records.items())


def load_all(settings: Settings, records: list[tuple[bytes, bytes | None]]) -> float:
    """Seconds to read that state back."""
    watch = PartitionWatch(watch_rules(settings))
    began = time.monotonic()
    for key, value in records:
        watch.load(key, value)
    watch.finish_loading()
    return time.monotonic() - began


async def fill_by_subject(settings: Settings, topic: str, messages: list[SubjectActivity]) -> int:
    """Each subject's messages to one partition, ticks to all, in order; how many records that made."""
    by_partition: list[list[LoadPost]] = [[] for _ in range(PARTITIONS)]
    for message in messages:
        value = encode(message)
        if isinstance(message, ActivityBatch):
            place = int(message.subject.rpartition(":")[2]) % PARTITIONS
            by_partition[place].append(LoadPost(message.subject.encode(), value))
        else:
            for log in by_partition:
                log.append(LoadPost(b"tick", value))
    sent = 0
    for partition, log in enumerate(by_partition):
        sent += await fill(settings, topic, log, partitions=1, first_partition=partition)
    return sent
