"""An exception in a pump commits nothing past itself; a SIGTERM in the middle of a batch drains."""

import re
import time
from pathlib import Path

import pytest

from tests.harness.cluster import wait_until
from tests.harness.run import FaultRun
from tests.harness.verdict import Outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

DRAIN_LIMIT_SECONDS = 20


def failing_batch(worker: WorkerProcess, agent: str) -> dict[tuple[str, int], int]:
    """The first offset of each partition in the last batch that the agent began, from the log."""
    line = re.findall(rf"^fault: {agent} batch (.*)$", worker.log(), re.MULTILINE)[-1]
    return {
        (topic, int(partition)): int(offset)
        for topic, partition, offset in re.findall(r"(\S+)/(\d+)=(\d+)", line)
    }


def batches_begun(worker: WorkerProcess) -> int:
    """Slowed batches since the worker's last start, from the log."""
    return worker.log()[worker.log_start :].count("fault: a batch of")


def fail_once(run: FaultRun, agent: str, point: str) -> int:
    """Start a worker whose pump raises there; its exit code, after the look at what it committed."""
    worker = run.worker().start("say-batches", f"{point}:raise")
    code = worker.wait(90)
    assert code > 0, worker.log()[-2000:]
    failing = failing_batch(worker, agent)
    assert failing, "no batch was under way"
    committed = run.progress.committed("news", "chat", "subject-activity")
    prefix = run.cluster.prefix
    past = {place: committed[place[0].removeprefix(prefix), place[1]] for place in failing}
    assert {place: at for place, at in past.items() if at > failing[place]} == {}
    return code


def test_an_exception_in_a_pump_ends_the_worker_and_commits_nothing_past_the_failure(
    fault_run: FaultRun, undisturbed: Outcome
) -> None:
    fault_run.begin()
    points = (("score", "after-scored:60"), ("watch", "after-results:1"))
    codes = [fail_once(fault_run, agent, point) for agent, point in points]
    fault_run.notes["exit codes"] = codes
    worker = fault_run.worker()
    fault_run.revive(worker)
    outcome = fault_run.check(undisturbed)
    assert outcome.books.scored_repeats > 0, "nothing was replayed"
    assert worker.stop() == 0


def test_records_that_a_fetch_lost_stop_the_worker_before_anything_behind_them_is_acknowledged(
    fault_run: FaultRun, undisturbed: Outcome, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    worker = fault_run.worker().start(f"lossy-fetch:{now}").wait_ready()
    fault_run.begin()
    wait_until(lambda: fault_run.progress.written("scored-posts") > 0, 30, "the first posts scored")
    now.touch()
    assert worker.wait(60) > 0
    assert re.search(r"offset \d+ was not handed over, and \d+ was", worker.log()), worker.log()[-2000:]
    fault_run.revive(worker)
    fault_run.check(undisturbed)
    assert worker.stop() == 0


def test_sigterm_in_the_middle_of_a_batch_drains_it_and_exits_0(
    fault_run: FaultRun, undisturbed: Outcome
) -> None:
    worker = fault_run.worker()
    fault_run.begin()
    seconds = []
    for _ in range(3):
        worker.start("slow-batch:1.5")
        wait_until(lambda: batches_begun(worker) > 3, 60, "batches under way")
        time.sleep(0.5)
        began = time.monotonic()
        assert worker.stop(DRAIN_LIMIT_SECONDS) == 0, worker.log()[-2000:]
        seconds.append(round(time.monotonic() - began, 1))
    fault_run.notes["drained in seconds"] = seconds
    worker.start()
    outcome = fault_run.check(undisturbed)
    assert outcome.books.scored_repeats == 0, "drained work was not committed"
    assert outcome.repeated_alerts == 0
    assert worker.stop() == 0
