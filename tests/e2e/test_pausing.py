"""An input that gives nothing but dead letters pauses alone, stays paused over a restart, and resumes by command."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from streamapp.settings import BatchSettings, DeadLetterSettings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

PAUSE_AFTER = 50


def good(number: int, first: int = 0) -> list[dict[str, Any]]:
    now_ms = int(time.time() * 1000)
    return [
        {"id": f"g{i}", "text": f"profit grows {i}", "published_at": now_ms}
        for i in range(first, first + number)
    ]


def paused(worker: WorkerProcess) -> bool:
    answer = worker.health("readyz")
    return answer is not None and "paused_inputs" in answer[1] and '"paused_inputs": []' not in answer[1]


def test_a_broken_input_pauses_alone_over_restarts_and_loses_nothing_when_resumed(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    # Small batches: what is under way when the input pauses still becomes dead letters.
    limits = DeadLetterSettings(pause_after_in_a_row=PAUSE_AFTER)
    test = cluster(dead_letters=limits, batching=BatchSettings(max_posts=16))
    worker = workers(test.settings).start().wait_ready()
    test.publish([{"_raw": b"not json", "_partition": 0} for _ in range(600)], "chat")
    wait_until(lambda: paused(worker), 30, "the chat input paused")
    dead_before = balance(test).dead
    assert PAUSE_AFTER <= dead_before < 600
    test.publish(good(40), "news")
    test.publish(good(40, 100), "chat")
    wait_until(lambda: len(test.scored()) >= 40, 30, "news still scored")
    assert worker.stop() == 0

    worker.start().wait_ready()
    assert paused(worker)
    test.publish(good(10, 200), "news")
    wait_until(lambda: len(test.scored()) >= 50, 30, "news scored after the restart")
    books = balance(test)
    assert (books.scored, books.dead) == (50, dead_before)
    live = worker.health("livez")
    assert live is not None
    assert live[0] == 200

    # Every batch of what is left pauses the input again: a person resumes it until the bad stretch is behind.
    config = worker.folder / f"{worker.name}.json"
    command = [
        sys.executable,
        "-m",
        "streamapp",
        "topics",
        "resume",
        test.name("chat"),
        "--config",
        str(config),
    ]

    def resumed_to_the_end() -> bool:
        subprocess.run(command, check=True, capture_output=True)
        return balance(test).balanced

    wait_until(resumed_to_the_end, 60, "everything read")
    books = balance(test)
    assert (books.scored, books.dead, books.scored_repeats) == (90, 600, 0)
    assert worker.stop() == 0
