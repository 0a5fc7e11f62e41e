"""What a real worker says of itself while it is not well: the reason stands on /readyz or /livez, and goes with it."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streamapp.health import EXIT_NOT_LIVE
from streamapp.settings import ModelSettings, Settings
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

Workers = Callable[..., WorkerProcess]


def patient(settings: Settings) -> Settings:
    """Long sessions: what holds a worker up here must not end it, however slow the machine.

    The guard ends a worker whose loop stands still for half a session; an assignment may take two.
    """
    worker = msgspec.structs.replace(settings.worker, session_timeout_seconds=300.0, stall_exit_seconds=120.0)
    return msgspec.structs.replace(settings, worker=worker)


def waits_for(worker: WorkerProcess) -> dict[str, str]:
    """What /readyz says is missing; empty when ready, and while nothing answers yet."""
    answer = worker.health()
    assert worker.running(), worker.log()[-3000:]
    if answer is None:
        return {}
    waiting: dict[str, str] = json.loads(answer[1])["waiting_for"]
    assert answer[0] == (503 if waiting else 200)
    return waiting


def says(worker: WorkerProcess, part: str, words: str) -> None:
    """Until /readyz names that part with these words."""
    wait_until(
        lambda: words in waits_for(worker).get(part, ""), 60, f"{worker.name} waits for {part}: {words}"
    )


def alive(worker: WorkerProcess) -> bool:
    answer = worker.health("livez")
    assert worker.running(), worker.log()[-3000:]
    return answer is not None and answer[0] == 200


def metric(worker: WorkerProcess, name: str) -> float:
    answer = worker.health("metrics")
    assert answer is not None
    assert answer[0] == 200
    return next(float(line.split()[1]) for line in answer[1].splitlines() if line.startswith(f"{name} "))


def beside(settings: Settings) -> Settings:
    """The same for a second worker on this machine."""
    return msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, port=free_port()))


def test_a_worker_is_alive_and_not_ready_while_its_model_loads_and_while_state_is_read(
    cluster: Callable[..., TestCluster], workers: Workers, tmp_path: Path
) -> None:
    loaded, read = tmp_path / "loaded", tmp_path / "read"
    worker = workers(patient(cluster().settings)).start(f"slow-model:{loaded}", f"slow-state:{read}")
    says(worker, "model", "is being loaded")
    assert alive(worker)
    assert metric(worker, "streamapp_ready") == 0
    loaded.touch()
    says(worker, "partitions", "trend state is being read")
    assert "model" not in waits_for(worker)
    assert alive(worker)
    assert metric(worker, "streamapp_ready") == 0
    read.touch()
    worker.wait_ready()
    assert metric(worker, "streamapp_ready") == 1


def test_sigterm_while_the_model_loads_is_a_clean_end(
    cluster: Callable[..., TestCluster], workers: Workers, tmp_path: Path
) -> None:
    worker = workers(cluster().settings).start(f"slow-model:{tmp_path / 'never'}")
    says(worker, "model", "is being loaded")
    assert worker.stop(10) == 0


def test_a_model_that_cannot_be_loaded_ends_the_worker_with_the_reason_and_frees_its_port(
    cluster: Callable[..., TestCluster], workers: Workers, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(
        cluster().settings, model=ModelSettings(bundle=str(tmp_path / "no-bundle"))
    )
    worker = workers(settings).start()
    assert worker.wait(60) == 2
    assert "no-bundle" in worker.log().splitlines()[-1]
    assert "Traceback" not in worker.log()
    with socket.socket() as listener:
        listener.bind((settings.http.host, settings.http.port))


def test_a_worker_is_not_ready_while_the_group_rebalances(
    cluster: Callable[..., TestCluster], workers: Workers
) -> None:
    """One of the group is stopped, so the rebalance that a third begins cannot end until it goes on."""
    settings = patient(cluster().settings)
    first, second, third = (workers(beside(settings), name=f"worker-{n}") for n in range(3))
    for worker in (first.start(), second.start()):
        worker.wait_ready()
    # The second came into the first's group: the first is ready again only after it.
    first.wait_ready()
    second.signal(signal.SIGSTOP)
    third.start()
    says(first, "partitions", "rebalancing")
    assert alive(first)
    assert metric(first, "streamapp_ready") == 0
    says(third, "worker", "starting")
    second.signal(signal.SIGCONT)
    for worker in (first, second, third):
        worker.wait_ready()


def test_a_worker_whose_loop_stays_blocked_ends_itself_and_says_where_its_threads_stand(
    cluster: Callable[..., TestCluster], workers: Workers, tmp_path: Path
) -> None:
    block = tmp_path / "block"
    settings = cluster().settings
    impatient = msgspec.structs.replace(settings.worker, session_timeout_seconds=6.0, stall_exit_seconds=1.0)
    worker = workers(msgspec.structs.replace(settings, worker=impatient)).start(f"block-loop:{block}")
    worker.wait_ready()
    block.touch()
    assert worker.wait(60) == EXIT_NOT_LIVE
    said = worker.log()
    assert "event loop has not ticked for" in said
    assert "worker_with_faults.py" in said[said.index("Thread 0x") :]


def test_a_blocked_event_loop_is_dead_until_it_goes_on_and_a_start_that_takes_as_long_is_not(
    cluster: Callable[..., TestCluster], workers: Workers, tmp_path: Path
) -> None:
    block, read = tmp_path / "block", tmp_path / "read"
    settings = patient(cluster().settings)
    worker = workers(settings).start(f"block-loop:{block}")
    group_of_its_own = msgspec.structs.replace(settings.worker, group="starting-" + settings.worker.group)
    starting = workers(
        beside(msgspec.structs.replace(settings, worker=group_of_its_own)), name="worker-1"
    ).start(f"slow-state:{read}")
    worker.wait_ready()
    says(starting, "partitions", "trend state is being read")
    assert alive(worker)
    block.touch()
    wait_until(lambda: not alive(worker), 60, "/livez says 503")
    answer = worker.health("livez")
    assert answer is not None
    assert "event loop has not ticked for" in answer[1]
    assert alive(starting)
    block.unlink()
    wait_until(lambda: alive(worker), 30, "/livez says 200 again")
    worker.wait_ready()
    assert worker.stop() == 0
    read.touch()
    starting.wait_ready()
