"""SIGKILL at random moments and in every gap between two steps of a batch."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import TestCluster
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, make_stream
from tests.harness.run import FaultRun, undisturbed_run
from tests.harness.verdict import Outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

# In this order: those of results come when the first minutes close, late in the stream, and the last by the replay of
# the one before it.
GAPS = ("mid-scored:2", "after-scored:2", "after-tick:2", "mid-score-ack:300", "mid-subjects:2", "after-subjects:2",
        "after-frontiers:2", "mid-watch-ack:100", "mid-results:1", "after-results:1")  # fmt: skip
# So that the stream lasts for all of them: each costs what a life of two seconds takes.
SLOW = "model-posts-per-second:1000"
# What the closing posts decide comes in one write.
CLOSING_GAPS = ("after-alert:1", "mid-results:1", "mid-subjects:1", "after-frontiers:1")


def kill_at_random(run: FaultRun, kills: int, seed: int) -> None:
    """Most kills hit a worker at work, some one that starts."""
    draw = random.Random(seed)
    worker = run.worker().start().wait_ready()
    run.begin()
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 1.0))
        run.kill(worker)
        if draw.random() < 0.15:
            worker.start()
            time.sleep(draw.uniform(0.5, 3.0))
        else:
            run.revive(worker)


def kill_in_gap(run: FaultRun, worker: WorkerProcess, gap: str) -> None:
    """Start a worker that kills itself there."""
    worker.start(f"{gap}:kill")
    assert worker.wait(60) == -signal.SIGKILL, f"{gap} was not reached:\n{worker.log()[-2000:]}"
    run.note_kill("news", "chat", "subject-activity")


def test_twenty_kills_at_random_moments_change_nothing(fault_run: FaultRun, undisturbed: Outcome) -> None:
    kill_at_random(fault_run, 20, seed=1)
    fault_run.check(undisturbed)
    assert fault_run.kills_with_work >= 15, fault_run.figures()
    assert fault_run.worker().stop() == 0


def test_a_kill_in_any_gap_between_sends_state_and_ack_changes_nothing(
    fault_run: FaultRun, undisturbed: Outcome
) -> None:
    worker = fault_run.worker()
    worker.faults = (SLOW,)
    fault_run.begin()
    for gap in GAPS:
        kill_in_gap(fault_run, worker, gap)
    worker.start()
    fault_run.drain()
    worker.kill()
    fault_run.close_minutes()
    for gap in CLOSING_GAPS:
        kill_in_gap(fault_run, worker, gap)
    worker.start()
    outcome = fault_run.check(undisturbed)
    assert outcome.repeated_alerts > 0, "no kill fell between alerts and state"
    assert worker.stop() == 0


@pytest.mark.chaos
def test_two_hundred_kills_at_random_moments_change_nothing(
    cluster: Callable[..., TestCluster], broker: str, tiny_bundle: Path, tmp_path: Path, topic_prefix: str,
    figures: list[str],
) -> None:  # fmt: skip
    begin_ms = int(time.time() * 1000) - 24 * 3_600_000
    stream = make_stream(240_000, begin_ms // MINUTE_MS * MINUTE_MS)
    quiet = TestCluster(broker, f"{topic_prefix}quiet-", tiny_bundle, event_time=EVENT_TIME, surge=SURGE)
    (tmp_path / "quiet").mkdir()
    undisturbed = undisturbed_run(quiet, stream, tmp_path / "quiet")
    run = FaultRun(cluster(event_time=EVENT_TIME, surge=SURGE), stream, tmp_path)
    try:
        kill_at_random(run, 200, seed=2)
        run.check(undisturbed)
        assert run.kills_with_work >= 150, run.figures()
    finally:
        run.end()
        figures.append(f"200 kills: {run.figures()}")
