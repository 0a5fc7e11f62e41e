"""Posts in, verdicts, trends and alerts out, through real processes on a real Kafka."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from streamapp.contracts.messages import ScoredPost
from streamapp.settings import EventTimeSettings
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.worker_process import WorkerProcess
from tests.tiny_bundle import expected_verdict

pytestmark = pytest.mark.broker


def posts(number: int, start_ms: int, step_ms: int) -> list[dict[str, Any]]:
    texts = (
        "Acme plunges after default",
        "Acme soars on profit",
        "Acme publishes a calendar",
        "Oil pipeline loss grows",
    )
    return [
        {
            "id": f"p{i}",
            "text": f"{texts[i % 4]} number {i}",
            "published_at": start_ms + i * step_ms,
            "symbols": ["AAPL"],
            "_partition": i % 4,
        }
        for i in range(number)
    ]


def test_every_post_gets_its_verdict_and_a_sigkill_loses_none(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster(event_time=EventTimeSettings(backfill_after_seconds=1e9))
    number = 12_000
    start_ms = int(time.time() * 1000) - number * 200
    worker = workers(test.settings).start().wait_ready()
    test.publish(posts(number, start_ms, 200))
    wait_until(lambda: len(test.scored()) > number // 3, 30, "a third of the posts scored")
    worker.kill()
    worker.start().wait_ready()

    def all_scored() -> list[ScoredPost]:
        found = test.scored()
        return found if len({each.post.id for each in found}) == number else []

    scored = wait_until(all_scored, 60, "all posts scored")
    by_offset = {s.source_offset: s for s in scored}
    assert len(by_offset) == number == sum(test.end_offsets("news").values())
    for each in by_offset.values():
        assert each.verdict.sentiment is not None
        wanted = expected_verdict(each.post.text)
        assert wanted.sentiment is not None
        assert each.verdict.sentiment.label == wanted.sentiment.label
    assert worker.stop() == 0
