"""One source partition that lags far behind, and a post from the far future."""

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streamapp.contracts.codec import decode
from streamapp.contracts.messages import SubjectActivity, Tick
from tests.harness.accounting import balance, newest_trends, recount
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.load import (
    EVENT_TIME,
    LATENESS_SECONDS,
    MINUTE_MS,
    SURGE,
    LoadPublisher,
    Stream,
    make_stream,
)
from tests.harness.progress import GroupProgress
from tests.harness.run import FaultRun
from tests.harness.verdict import Outcome, check_run, read_outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker


def trails(worker: WorkerProcess) -> list[float]:
    """How far each watermark trails the greatest frontier, in seconds of event time, as the metrics say."""
    answer = worker.health("metrics")
    return (
        [
            float(value)
            for value in re.findall(
                r"^streamapp_watermark_trail_seconds\{.*?\} (\S+)", answer[1], re.MULTILINE
            )
        ]
        if answer
        else []
    )


def test_a_partition_that_lags_within_the_allowance_holds_time_back_and_changes_nothing(
    fault_run: FaultRun, undisturbed: Outcome
) -> None:
    worker = fault_run.worker().start("hold:news/3:20").wait_ready()
    fault_run.begin()
    greatest = 0.0
    while fault_run.publishing():
        greatest = max([greatest, *trails(worker)])
        time.sleep(0.5)
    allowance = EVENT_TIME.watermark_allowance_seconds
    fault_run.notes["watermark trailed by event seconds"] = greatest
    outcome = fault_run.check(undisturbed)
    assert LATENESS_SECONDS < greatest <= allowance
    assert outcome.late_posts == 0


def test_a_partition_that_lags_beyond_the_allowance_is_waited_for_no_longer_and_counted_all_the_same(
    cluster: Callable[..., TestCluster],
    workers: Callable[..., WorkerProcess],
    stream: Stream,
    figures: list[str],
) -> None:
    allowance = 300.0
    narrow = msgspec.structs.replace(EVENT_TIME, lateness_seconds=60.0, watermark_allowance_seconds=allowance)
    test = cluster(event_time=narrow, surge=msgspec.structs.replace(SURGE, window_minutes=30))
    worker = workers(test.settings).start("hold:news/3:12").wait_ready()
    LoadPublisher(test, stream.records, 1e9).start().finish(60)
    progress = GroupProgress(test)
    greatest = 0.0
    while progress.in_flight():
        greatest = max([greatest, *trails(worker)])
        time.sleep(0.25)
    LoadPublisher(test, stream.closing).start().finish(60)
    progress.settle(60)
    progress.close()
    outcome = read_outcome(test)
    figures.append(
        f"a partition beyond the allowance: watermark trailed by {greatest} s, {outcome.late_posts} late posts"
    )
    assert allowance - 60 < greatest <= allowance
    assert outcome.late_posts > 0
    check_run(stream, outcome)


def test_a_partition_with_most_of_the_backlog_makes_no_post_late(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], figures: list[str]
) -> None:
    begin_ms = (int(time.time() * 1000) - 3 * 3_600_000) // MINUTE_MS * MINUTE_MS
    even = make_stream(20_000, begin_ms)
    crowded = tuple(
        msgspec.structs.replace(record, topic="news", partition=3) if index % 8 else record
        for index, record in enumerate(even.records)
    )
    stream = msgspec.structs.replace(even, records=crowded)
    test = cluster(event_time=msgspec.structs.replace(EVENT_TIME, lateness_seconds=60.0), surge=SURGE)
    LoadPublisher(test, stream.records, 1e9).start().finish(60)
    progress = GroupProgress(test)
    worker = workers(test.settings).start()
    wait_until(lambda: progress.written("scored-posts") > 0, 60, "work")
    wait_until(lambda: progress.in_flight() == 0, 120, "the backlog acknowledged")
    LoadPublisher(test, stream.closing).start().finish(60)
    progress.settle(60)
    progress.close()
    outcome = read_outcome(test)
    figures.append(
        f"a crowded partition: {outcome.books}, late {outcome.late_posts}, repeats {outcome.repeated_alerts}"
    )
    check_run(stream, outcome)
    assert outcome.late_posts == 0
    assert worker.stop() == 0


def post(number: int, event_time_ms: Any, partition: int) -> dict[str, Any]:
    return {
        "id": f"f{number}", "text": f"oil plunges {number}", "published_at": event_time_ms, "_partition": partition
    }  # fmt: skip


def test_a_post_dated_2099_closes_nothing_early_and_is_flagged(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    now_ms = int(time.time() * 1000)
    minute_ms = (now_ms - 60_000) // MINUTE_MS * MINUTE_MS
    test.publish([post(index, minute_ms + index, index % 4) for index in range(40)])
    test.publish([post(99, "2099-01-01T00:00:00Z", 2), {**post(98, now_ms, 1), "published_at": None}])
    test.publish([post(100 + index, minute_ms + 100 + index, index % 4) for index in range(40)])
    wait_until(lambda: len(test.scored()) == 82, 30, "all scored")
    time.sleep(2)
    flagged = {scored.post.id: scored.post for scored in test.scored() if scored.post.flags}
    assert {post_id: each.flags for post_id, each in flagged.items()} == {
        "f99": ("time_in_future",),
        "f98": ("time_missing",),
    }
    # The record's own time instead: within the run, not in 2099.
    assert all(now_ms - 1000 <= each.event_time_ms <= now_ms + 60_000 for each in flagged.values())
    assert test.trends() == [], "a minute closed although its lateness is not over"
    ticks = [decode(record.value, SubjectActivity) for record in test.read("subject-activity")]
    frontiers = [source.frontier_ms for tick in ticks if isinstance(tick, Tick) for source in tick.sources]
    assert max(at for at in frontiers if at is not None) <= int(time.time() * 1000)
    assert sum(sum(counts.values()) for counts in recount(test.scored()).values()) == 82
    assert newest_trends(test.trends()) == {}
    assert balance(test).balanced
    assert worker.stop() == 0
