"""An exception in a pump commits nothing past itself; a SIGTERM in the middle of a batch drains."""

import re
import time

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


@pytest.mark.parametrize(
    ("agent", "point"), [("score", "after-scored:60"), ("watch", "after-results:4")], ids=["score", "watch"]
)
def test_an_exception_in_a_pump_ends_the_worker_and_commits_nothing_past_the_failure(
    fault_run: FaultRun, undisturbed: Outcome, agent: str, point: str
) -> None:
    worker = fault_run.worker().start("say-batches", f"{point}:raise").wait_ready()
    fault_run.begin()
    code = worker.wait(90)
    assert code > 0, worker.log()[-2000:]
    failing = failing_batch(worker, agent)
    assert failing
    prefix = fault_run.cluster.prefix
    committed = fault_run.progress.committed("news", "chat", "subject-activity")
    past = {place: committed[place[0].removeprefix(prefix), place[1]] for place in failing}
    assert {place: at for place, at in past.items() if at > failing[place]} == {}
    fault_run.notes |= {"exit code": code, "failing batch on partitions": len(failing)}
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
