"""SIGKILL at each step of a swap under load, and how many posts two models scored because of it."""

import signal
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from streamapp.contracts.messages import ScoredPost
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, make_stream
from tests.harness.models import ModelDesk, cluster_for_swaps, tiny
from tests.harness.run import FaultRun
from tests.harness.worker_process import WorkerProcess
from tests.tiny_bundle import expected_sentiment

pytestmark = pytest.mark.broker

# In the order of a swap. At its start a worker loads too: its first passage of the first two is not the swap's.
STEPS = ("model-fetched:2", "model-loaded:2", "model-shadowed:1", "swap-drained:1", "mid-pairs:1", "after-pairs:1",
         "model-exchanged:1", "after-event:3")  # fmt: skip
POSTS, POSTS_PER_SECOND = 20_000, 250


def scored_and_not_committed(run: FaultRun, scored: list[ScoredPost]) -> int:
    """Posts whose verdicts are in Kafka and which the next worker reads again."""
    committed = run.progress.committed("news", "chat")
    by_channel = {post.post.channel for post in scored}
    assert by_channel <= {"news", "chat"}
    return len(
        {
            post.source_offset
            for post in scored
            if post.source_offset.offset >= committed[post.post.channel, post.source_offset.partition]
        }
    )


def killed_at(run: FaultRun, worker: WorkerProcess, desk: ModelDesk, step: str, version: str) -> None:
    """Start a worker that kills itself in the swap to `version`."""
    worker.start(f"{step}:kill").wait_ready()
    desk.promote(desk.publish(tiny(desk.folder, version)))
    assert worker.wait(60) == -signal.SIGKILL, f"{step} was not reached:\n{worker.log()[-2000:]}"
    run.note_kill()


def test_a_kill_at_any_step_of_a_swap_loses_nothing_and_doubles_only_what_was_not_committed(
    cluster: Callable[..., TestCluster], tmp_path: Path, figures: list[str]
) -> None:
    test = cluster_for_swaps(cluster, tmp_path, event_time=EVENT_TIME, surge=SURGE, shadow_seconds=1.0)
    desk = ModelDesk(test, tmp_path)
    stream = make_stream(POSTS, (int(time.time() * 1000) - 3 * 3_600_000) // MINUTE_MS * MINUTE_MS)
    run = FaultRun(test, stream, tmp_path)
    doubles_allowed = 0
    try:
        worker = run.worker()
        run.begin(POSTS_PER_SECOND)
        for number, step in enumerate(STEPS):
            killed_at(run, worker, desk, step, str(number + 2))
            doubles_allowed += scored_and_not_committed(run, test.scored())
        worker.start().wait_ready()
        newest = desk.line()[-1].model_version
        wait_until(
            lambda: newest in {post.model_version for post in test.scored()[-500:]}, 60, "the newest serves"
        )
        outcome = run.check()
        assert worker.stop() == 0
    finally:
        run.end()
    versions: dict[object, set[str]] = defaultdict(set)
    for post in outcome.scored:
        versions[post.source_offset].add(post.model_version)
        assert post.verdict.sentiment is not None
        assert post.verdict.sentiment.label == expected_sentiment(post.post.text)
    by_two = sum(len(found) > 1 for found in versions.values())
    run.notes["scored by two models"] = f"{by_two} (scored and not committed at the kills: {doubles_allowed})"
    figures.append(f"kills in a swap: {run.figures()}")
    assert run.kills_with_work >= len(STEPS) // 2, run.figures()
    assert by_two <= doubles_allowed
