"""A backlog of hours is read in the order of time, whatever partition holds more and whatever worker is slower."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streamapp.settings import HttpSettings
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, LoadPublisher, LoadRecord, Stream, make_stream
from tests.harness.progress import GroupProgress
from tests.harness.verdict import Outcome, check_run, read_outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

POSTS = 10_000
HOURS = 4
NARROW = msgspec.structs.replace(EVENT_TIME, lateness_seconds=120.0)


def backlog() -> Stream:
    """Posts over hours, one in twenty of them chat, which one partition holds most of."""
    begin_ms = (int(time.time() * 1000) - (HOURS + 1) * 3_600_000) // MINUTE_MS * MINUTE_MS
    step_ms = HOURS * 3_600_000 // POSTS
    even = make_stream(POSTS, begin_ms)
    draw = random.Random(3)
    records = []
    for index, record in enumerate(even.records):
        chat = draw.random() < 0.05
        partition = 3 if chat and draw.random() < 0.7 else record.partition
        moved = msgspec.structs.replace(record, topic="chat" if chat else "news", partition=partition)
        records.append(dated(moved, begin_ms + index * step_ms))
    end_ms = begin_ms + HOURS * 3_600_000
    closing = [dated(record, end_ms + 10 * MINUTE_MS + index) for index, record in enumerate(even.closing)]
    return Stream(tuple(records), tuple(closing), end_ms)


def dated(record: LoadRecord, event_time_ms: int) -> LoadRecord:
    """The same record of another time."""
    if record.event_time_ms is None:
        return record
    post = {**msgspec.json.decode(record.value), "published_at": event_time_ms}
    return msgspec.structs.replace(record, value=msgspec.json.encode(post), event_time_ms=event_time_ms)


def read_through(test: TestCluster, stream: Stream, start: Callable[[], None]) -> Outcome:
    """Publish everything, then start the workers; what they made of it."""
    LoadPublisher(test, stream.records, 1e9, as_if_live=True).start().finish(60)
    progress = GroupProgress(test)
    start()
    wait_until(lambda: progress.written("scored-posts") > 0, 60, "work")
    wait_until(lambda: progress.in_flight() == 0, 180, "the backlog acknowledged")
    LoadPublisher(test, stream.closing, as_if_live=True).start().finish(60)
    progress.settle(60)
    progress.close()
    outcome = read_outcome(test)
    check_run(stream, outcome)
    return outcome


def test_a_channel_with_few_posts_an_hour_makes_no_post_late(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], figures: list[str]
) -> None:
    test = cluster(event_time=NARROW, surge=SURGE)
    worker = workers(test.settings)
    outcome = read_through(test, backlog(), lambda: (worker.start(), None)[1])
    figures.append(f"a backlog of {HOURS} h, uneven: {outcome.books}, late {outcome.late_posts}")
    assert outcome.late_posts == 0
    assert worker.stop() == 0


def test_a_slower_worker_makes_no_post_late(
    cluster: Callable[..., TestCluster], tmp_path: Path, figures: list[str]
) -> None:
    test = cluster(event_time=NARROW, surge=SURGE)
    second = msgspec.structs.replace(test.settings, http=HttpSettings(port=free_port()))
    pair = (
        WorkerProcess(test.settings, tmp_path, "quick"),
        WorkerProcess(second, tmp_path, "slow", faults=("model-posts-per-second:250",)),
    )

    def start() -> None:
        for worker in pair:
            worker.start()

    try:
        outcome = read_through(test, backlog(), start)
        figures.append(f"a backlog of {HOURS} h, two workers: {outcome.books}, late {outcome.late_posts}")
        assert outcome.late_posts == 0
        assert [worker.stop() for worker in pair] == [0, 0]
    finally:
        for worker in pair:
            worker.kill()
