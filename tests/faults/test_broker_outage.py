"""The broker is gone for a while, under load; the worker's supervisor starts it again where it ends."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from streamapp.agents.guard import EXIT_SHUTDOWN_TOO_LONG
from streamapp.local.broker import BrokerSettings, LocalBroker
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.load import EVENT_TIME, SURGE, Stream
from tests.harness.progress import GroupProgress
from tests.harness.run import FaultRun
from tests.harness.verdict import Outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

MAX_LOG_BYTES = 1_000_000


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """A broker that may be stopped: the shared one serves other tests."""
    with LocalBroker.start(BrokerSettings(data_dir=tmp_path / "broker"), die_with_parent=True) as local:
        yield local


@pytest.fixture
def own_run(own_broker: LocalBroker, tiny_bundle: Path, stream: Stream, tmp_path: Path) -> Iterator[FaultRun]:
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    run = FaultRun(
        TestCluster(own_broker.bootstrap, prefix, tiny_bundle, event_time=EVENT_TIME, surge=SURGE),
        stream,
        tmp_path,
    )
    yield run
    run.end()


def stay_up(worker: WorkerProcess, seconds: float) -> int:
    """Start the worker again whenever it ends, as a supervisor would, and count that."""
    restarts = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not worker.running():
            restarts += 1
            worker.start()
        time.sleep(0.5)
    return restarts


def scored_since(run: FaultRun, begin_seconds: float) -> list[float]:
    """The times at which the worker made verdicts from then on, by its own clock."""
    times = (record.timestamp_ms / 1000 for record in run.cluster.read("scored-posts"))
    return [seconds for seconds in times if seconds >= begin_seconds]


def outage(run: FaultRun, broker: LocalBroker, seconds: float, take_away: Callable[[], None]) -> None:
    """Load, outage, recovery; the time from the broker's return to the first verdict made after it is kept.

    Not to a verdict seen later than that: what publishes the load has to come back too, and is slower.
    """
    worker = run.worker().start().wait_ready()
    run.begin()
    time.sleep(6)
    run.progress.close()
    take_away()
    restarts = stay_up(worker, seconds)
    began = time.time()
    broker.restart()
    back = time.time()
    run.progress = GroupProgress(run.cluster)
    while not (scored := scored_since(run, began)):
        restarts += stay_up(worker, 0.5)
        assert time.time() - back < 120, f"nothing was scored after the outage:\n{worker.log()[-3000:]}"
    run.recovery_seconds.append(max(0.0, min(scored) - back))
    run.notes |= {"outage seconds": seconds, "restarts": restarts}


def test_ten_seconds_without_a_broker_change_nothing(
    own_run: FaultRun, own_broker: LocalBroker, undisturbed: Outcome, figures: list[str]
) -> None:
    outage(own_run, own_broker, 10, own_broker.stop)
    own_run.check(undisturbed)
    figures.append(f"a broker gone for 10 s: {own_run.figures()}")
    worker = own_run.worker()
    assert worker.starts == 1, "a short outage must not end the worker"
    assert worker.log_path.stat().st_size < MAX_LOG_BYTES, "the log is flooded while the broker is away"
    assert worker.stop() == 0


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [60, 300])
@pytest.mark.parametrize("by", ["stop", "kill"])
def test_minutes_without_a_broker_change_nothing(
    own_run: FaultRun,
    own_broker: LocalBroker,
    undisturbed: Outcome,
    figures: list[str],
    seconds: int,
    by: str,
) -> None:
    outage(own_run, own_broker, seconds, own_broker.stop if by == "stop" else own_broker.kill)
    own_run.check(undisturbed)
    figures.append(f"a broker gone for {seconds} s by {by}: {own_run.figures()}")


def test_sigterm_while_the_broker_is_gone_ends_within_the_shutdown_budget(
    own_run: FaultRun, own_broker: LocalBroker, figures: list[str]
) -> None:
    settings = own_run.cluster.settings
    budget_seconds = 12.0
    impatient = msgspec.structs.replace(settings.worker, shutdown_timeout_seconds=budget_seconds)
    worker = own_run.worker(settings=msgspec.structs.replace(settings, worker=impatient)).start().wait_ready()
    own_run.begin()
    wait_until(lambda: own_run.progress.written("scored-posts") > 500, 30, "work in flight")
    own_broker.kill()
    time.sleep(1)
    began = time.monotonic()
    code = worker.stop(budget_seconds + 20)
    seconds = time.monotonic() - began
    figures.append(
        f"SIGTERM without a broker: exit {code} after {seconds:.1f} s of a budget of {budget_seconds:.0f}"
    )
    assert seconds < budget_seconds + 5
    assert code in (0, EXIT_SHUTDOWN_TOO_LONG)
