"""Dead letters of a wrong mapping, sent again after it was mended, become what they would have been."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamapp.contracts.messages import ScoredPost, SourceOffset
from streamapp.settings import EventTimeSettings, FieldMapping, Settings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

POSTS = 24
NOWHERE = SourceOffset("", 0, 0)


def with_text_field(settings: Settings, field: str) -> Settings:
    fields = FieldMapping(text=(field,))
    inputs = tuple(msgspec.structs.replace(source, fields=fields) for source in settings.inputs)
    return msgspec.structs.replace(settings, inputs=inputs)


def articles(start_ms: int) -> list[dict[str, Any]]:
    """Some without an id, all in the same event minute but the last, which closes it."""
    found: list[dict[str, Any]] = [
        {
            "id": f"a{i}",
            "body": f"profit grows {i}",
            "published_at": start_ms + i,
            "symbols": ["AAPL"],
            "_partition": i % 4,
        }
        for i in range(POSTS)
    ]
    for article in found[::3]:
        del article["id"]
    return found


def redrive(worker: WorkerProcess, *arguments: str) -> tuple[int, Any]:
    config = worker.folder / f"{worker.name}.json"
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "redrive", *arguments, "--config", str(config), "--json", "-"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def comparable(scored: list[ScoredPost]) -> list[ScoredPost]:
    """Without the identity of the record, which a redriven post has of its own, and in one order."""
    found = [msgspec.structs.replace(each, source_offset=NOWHERE, duplicate_text=False) for each in scored]
    return sorted(found, key=lambda each: each.post.id)


def test_redriven_posts_are_what_they_would_have_been_and_late_to_their_trend(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], broker: str, tiny_bundle: Path
) -> None:
    event_time = EventTimeSettings(lateness_seconds=10, backfill_after_seconds=1e9)
    test = cluster(event_time=event_time)
    start_ms = (int(time.time()) // 60 - 10) * 60_000
    test.publish(articles(start_ms))

    wrong = workers(with_text_field(test.settings, "article"), name="wrong").start().wait_ready()
    wait_until(lambda: balance(test).dead == POSTS, 30, "every article a dead letter")
    assert wrong.stop() == 0

    right = workers(with_text_field(test.settings, "body"), name="right").start().wait_ready()
    # One later post on every partition, so that the articles' minute closes before they are redriven.
    closing = [{"body": "calendar", "published_at": start_ms + 300_000, "_partition": i} for i in range(4)]
    test.publish(closing)
    wait_until(lambda: balance(test).scored == 4, 30, "the closing posts scored")

    code, report = redrive(right, "send", "--reason", "text_missing")
    assert code == 0, report
    wait_until(lambda: balance(test).scored == 4 + POSTS, 30, "every article scored")
    redriven = [scored for scored in test.scored() if scored.post.text != "calendar"]

    again, _ = redrive(right, "send", "--reason", "text_missing")
    assert again != 0, "a second redrive of the same origins must be refused"
    assert len(test.read("redriven")) == POSTS

    # What they would have been: the same input read by another installation with the right mapping from the start.
    other = TestCluster(broker, test.prefix + "other-", tiny_bundle, event_time=event_time)
    settings = msgspec.structs.replace(
        other.settings,
        inputs=with_text_field(test.settings, "body").inputs,
        http=msgspec.structs.replace(other.settings.http, port=free_port()),
    )
    reader = workers(settings, name="other").start().wait_ready()
    wait_until(lambda: len(other.scored()) == POSTS + 4, 30, "the other installation read everything")
    straight = [scored for scored in other.scored() if scored.post.text != "calendar"]
    assert comparable(redriven) == comparable(straight)

    def late_posts() -> int:
        trends = [trend for trend in test.trends() if trend.minute_start_ms == start_ms]
        company = [trend for trend in trends if trend.subject == "company:AAPL"]
        return max((trend.late_posts for trend in company), default=0)

    wait_until(lambda: late_posts() == POSTS, 20, "the redriven posts counted as late")
    assert balance(test).balanced
    assert (right.stop(), reader.stop()) == (0, 0)
