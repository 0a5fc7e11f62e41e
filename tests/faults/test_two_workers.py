"""Workers come, go, are slow to read state, and wake up after others have taken their partitions."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streamapp.agents.guard import EXIT_CLOCK_JUMPED
from streamapp.settings import HttpSettings, Settings, WorkerSettings
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, Stream, make_stream
from tests.harness.run import FaultRun, undisturbed_run
from tests.harness.verdict import Outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

SESSION_SECONDS = 6.0
STATE_SECONDS = 10
PARTITIONS = 16  # news, chat, redriven and subject-activity, four each
_READY = re.compile(r"ready for (\d+) partitions, (\d+) of them with trend state")


def settings_of_second(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, http=HttpSettings(port=free_port()))


def held(worker: WorkerProcess) -> tuple[int, int]:
    """Partitions, and those of them with trend state, that the worker was given last."""
    found = _READY.findall(worker.log())
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def shared_out(*workers: WorkerProcess) -> bool:
    """Every partition has an owner and every worker some."""
    held_by_each = [held(worker) for worker in workers]
    return sum(all_of for all_of, _ in held_by_each) == PARTITIONS and all(
        with_state > 0 for _, with_state in held_by_each
    )


def wake_after_takeover(run: FaultRun, sleeper: WorkerProcess, other: WorkerProcess) -> None:
    """SIGSTOP until the other has everything, then SIGCONT: the sleeper must end itself."""
    run.note_kill()
    stopped_at = time.monotonic()
    sleeper.signal(signal.SIGSTOP)
    wait_until(lambda: held(other)[0] == PARTITIONS, 40, "the other took over")
    run.recovery_seconds.append(time.monotonic() - stopped_at)
    time.sleep(1.0)
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait(20) == EXIT_CLOCK_JUMPED, sleeper.log()[-2000:]


def test_a_worker_joins_with_state_that_takes_10_s_to_read_and_leaves_under_load(
    fault_run: FaultRun, undisturbed: Outcome
) -> None:
    first = fault_run.worker().start().wait_ready()
    second = fault_run.worker("worker-1", settings_of_second(fault_run.cluster.settings))
    fault_run.begin()
    time.sleep(2)
    began = time.monotonic()
    second.start(f"slow-state:{STATE_SECONDS}")
    wait_until(lambda: shared_out(first, second), 60, "the partitions shared out")
    assert time.monotonic() - began >= STATE_SECONDS
    second.wait_ready()
    assert fault_run.progress.in_flight() > 0, "the worker did not join under load"
    fault_run.notes["joined in seconds"] = round(time.monotonic() - began, 1)
    assert second.stop() == 0
    wait_until(lambda: held(first)[0] == PARTITIONS, 40, "the partitions are back")
    fault_run.notes["shared then"] = f"{held(second)} partitions (with state) of {PARTITIONS}"
    fault_run.check(undisturbed)
    assert first.stop() == 0


def joined_while(run: FaultRun, fault: str, now: Path) -> tuple[WorkerProcess, WorkerProcess]:
    """A worker with that fault, from when the file `now` came, and a second that joined it under load since."""
    first = run.worker().start(f"{fault}:{now}").wait_ready()
    second = run.worker("worker-1", settings_of_second(run.cluster.settings))
    run.begin()
    wait_until(lambda: run.progress.written("scored-posts") > 0, 30, "the first posts scored")
    now.touch()
    second.start()
    wait_until(lambda: shared_out(first, second), 60, "the partitions shared out")
    return first, second


def test_records_of_a_fetch_that_outlasts_a_rebalance_are_read_again(
    fault_run: FaultRun, undisturbed: Outcome, tmp_path: Path
) -> None:
    first, second = joined_while(fault_run, "stale-fetch", tmp_path / "now")
    wait_until(lambda: "fault: it brings" in first.log(), 30, "the old fetch ended")
    fault_run.check(undisturbed)
    assert second.stop() == 0
    assert first.stop() == 0


def test_a_worker_whose_partitions_go_while_it_seeks_them_goes_on_with_the_others(
    fault_run: FaultRun, undisturbed: Outcome, tmp_path: Path
) -> None:
    first, second = joined_while(fault_run, "late-seek", tmp_path / "now")
    wait_until(lambda: "were taken while" in first.log(), 30, "the seek ended")
    fault_run.check(undisturbed)
    assert second.stop() == 0
    assert first.stop() == 0


def test_a_worker_that_wakes_after_its_partitions_were_taken_does_not_win(
    cluster: Callable[..., TestCluster], stream: Stream, undisturbed: Outcome, tmp_path: Path, figures: list[str],
    topic_prefix: str,
) -> None:  # fmt: skip
    run = zombie_run(cluster, stream, tmp_path, topic_prefix)
    try:
        sleep_and_wake(run, rounds=1)
        run.check(undisturbed)
    finally:
        run.end()
        figures.append(f"a zombie: {run.figures()}")


@pytest.mark.chaos
def test_ten_workers_that_wake_after_their_partitions_were_taken_do_not_win(
    cluster: Callable[..., TestCluster], broker: str, tiny_bundle: Path, tmp_path: Path, figures: list[str],
    topic_prefix: str,
) -> None:  # fmt: skip
    begin_ms = int(time.time() * 1000) - 24 * 3_600_000
    stream = make_stream(160_000, begin_ms // MINUTE_MS * MINUTE_MS)
    quiet = TestCluster(broker, f"{topic_prefix}quiet-", tiny_bundle, event_time=EVENT_TIME, surge=SURGE)
    (tmp_path / "quiet").mkdir()
    undisturbed = undisturbed_run(quiet, stream, tmp_path / "quiet")
    run = zombie_run(cluster, stream, tmp_path, topic_prefix)
    try:
        sleep_and_wake(run, rounds=10)
        run.check(undisturbed)
    finally:
        run.end()
        figures.append(f"ten zombies: {run.figures()}")


def zombie_run(
    cluster: Callable[..., TestCluster], stream: Stream, folder: Path, topic_prefix: str
) -> FaultRun:
    worker = WorkerSettings(
        group=f"{topic_prefix}group", session_timeout_seconds=SESSION_SECONDS, heartbeat_seconds=1.0
    )
    return FaultRun(cluster(event_time=EVENT_TIME, surge=SURGE, worker=worker), stream, folder)


def sleep_and_wake(run: FaultRun, rounds: int) -> None:
    """Each round another of two workers sleeps."""
    names = ("worker-0", "worker-1")
    workers = [run.worker(names[0]), run.worker(names[1], settings_of_second(run.cluster.settings))]
    for worker in workers:
        worker.start()
    wait_until(lambda: shared_out(*workers), 60, "the partitions shared out")
    run.begin()
    for number in range(rounds):
        sleeper, other = workers if number % 2 == 0 else reversed(workers)
        time.sleep(4)
        wake_after_takeover(run, sleeper, other)
        sleeper.start()
        wait_until(lambda: shared_out(*workers), 60, "the partitions shared out again")
