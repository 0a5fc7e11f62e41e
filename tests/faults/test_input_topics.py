"""An input topic that was deleted and made anew, and records that were deleted before they were read."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from streamapp.cluster.access import kafka_python_options
from streamapp.cluster.kafka_clients import open_admin, topic_uuids
from streamapp.cluster.topic_admin import create_topics, plan_topics
from tests.harness.accounting import compare_trends
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.progress import GroupProgress
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

NOW_MS = int(time.time() * 1000)


def posts(number: int, first: int, event_time_ms: int = NOW_MS - 3_600_000) -> list[dict[str, Any]]:
    return [
        {"id": f"p{i}", "text": f"oil plunges {i}", "published_at": event_time_ms + i, "_partition": i % 4}
        for i in range(first, first + number)
    ]


def recreate(test: TestCluster, topic: str) -> None:
    name = test.name(topic)
    with open_admin(test.settings.broker) as admin:
        before = topic_uuids(admin, [name])[name]
        admin.delete_topics([name])
        wait_until(lambda: name not in topic_uuids(admin, [name]), 30, "the topic deleted")
        create_topics(admin, plan_topics(test.settings, dev=True))
        assert topic_uuids(admin, [name])[name] != before


def adopt(test: TestCluster, worker: WorkerProcess) -> None:
    command = [sys.executable, "-m", "streamapp", "topics", "adopt", test.name("news")]
    subprocess.run(
        [*command, "--config", str(worker.folder / f"{worker.name}.json")], check=True, capture_output=True
    )


def scored_of_new_topic(test: TestCluster) -> int:
    with open_admin(test.settings.broker) as admin:
        uuid = topic_uuids(admin, [test.name("news")])[test.name("news")]
    return len({s.source_offset for s in test.scored() if s.source_offset.topic_uuid == uuid})


@pytest.mark.parametrize("running", [False, True], ids=["while-the-worker-is-down", "under-a-running-worker"])
def test_a_recreated_input_topic_stops_the_worker_until_it_is_adopted(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], running: bool
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    test.publish(posts(400, 0))
    wait_until(lambda: len(test.scored()) == 400, 30, "the old topic's posts scored")
    time.sleep(1.5)
    if not running:
        assert worker.stop() == 0
    recreate(test, "news")
    test.publish(posts(80, 1000))
    if not running:
        worker.start()
    assert worker.wait(60) not in (0, -9)
    if running:
        assert worker.start().wait(60) not in (0, -9)
    assert f"streamapp topics adopt {test.name('news')}" in worker.log()
    assert len(test.scored()) == 400, "something of an unknown topic was read"
    adopt(test, worker)
    worker.start().wait_ready()
    wait_until(lambda: scored_of_new_topic(test) == 80, 30, "the new topic's posts scored")
    # Its offsets start anew: none may be taken for one that was counted already.
    test.publish([{**each, "published_at": NOW_MS} for each in posts(4, 2000)])
    wait_until(test.trends, 30, "trends")
    with GroupProgress(test) as progress:
        progress.settle(30)
    assert compare_trends(test.scored(), test.trends(), NOW_MS - 1_800_000) == []
    assert worker.stop() == 0


def lost(worker: WorkerProcess) -> float:
    """What the metric says."""
    answer = worker.health("metrics")
    values = (
        re.findall(r"^streamapp_offsets_lost_total\{.*?\} (\S+)", answer[1], re.MULTILINE) if answer else []
    )
    return sum(map(float, values))


def delete_before(test: TestCluster, offset: int) -> None:
    with open_admin(test.settings.broker) as admin:
        admin.delete_records({TopicPartition(test.name("news"), number): offset for number in range(4)})


def test_gaps_that_never_were_records_are_passed_over(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    options = kafka_python_options(test.settings.broker)
    with closing(KafkaProducer(**options, transactional_id=test.name("writer"))) as producer:
        producer.init_transactions()
        for transaction in range(5):
            producer.begin_transaction()
            for number in range(8):
                post = {"id": f"p{transaction}-{number}", "text": "oil plunges", "published_at": NOW_MS}
                producer.send(test.name("news"), value=json.dumps(post).encode(), partition=number % 4)
            producer.commit_transaction()
    test.publish(posts(4, 1000))
    wait_until(lambda: len(test.scored()) == 44, 30, "every post of every transaction scored")
    with GroupProgress(test) as progress:
        progress.settle(30)
    assert lost(worker) == 0
    assert worker.stop() == 0


def test_records_deleted_before_they_were_read_are_counted_and_logged(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    test.publish(posts(40, 0))
    wait_until(lambda: len(test.scored()) == 40, 30, "the first posts scored")
    assert worker.stop() == 0
    test.publish(posts(80, 1000))
    delete_before(test, 25)
    worker.start().wait_ready()
    wait_until(lambda: len(test.scored()) == 60, 30, "what was left scored")
    with GroupProgress(test) as progress:
        progress.settle(30)
    assert lost(worker) == 60
    assert worker.log().count("15 records of") == 4
    assert worker.stop() == 0


def test_records_deleted_under_a_worker_that_lags_are_counted_and_logged(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    test.publish(posts(40, 0))
    wait_until(lambda: len(test.scored()) == 40, 30, "the first posts scored")
    assert worker.stop() == 0
    deleted = tmp_path / "deleted"
    worker.start(*(f"hold:news/{number}:{deleted}" for number in range(4))).wait_ready()
    # A fetch is under way although the partitions are held, and brings what comes first. What it brought waits, and
    # while it waits nothing more is fetched: so one post each goes ahead.
    test.publish(posts(4, 500))
    time.sleep(4)
    test.publish(posts(80, 1000))
    delete_before(test, 25)
    deleted.touch()
    wait_until(
        lambda: worker.running() and len(test.scored()) + lost(worker) == 124, 40, "all scored or counted"
    )
    with GroupProgress(test) as progress:
        progress.settle(30)
    # Of 31 offsets a partition 10 were scored before, 1 was fetched, and 14 of the 20 others are gone.
    assert lost(worker) == 56
    assert worker.log().count("were deleted before they were read") == 4
    assert worker.stop() == 0
