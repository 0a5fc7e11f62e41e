"""Inputs whose producer writes in transactions: markers behind every one of them, and some that are aborted."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import msgspec
import pytest
from kafka import KafkaProducer

from streamapp.cluster.kafka_clients import open_producer
from streamapp.settings import EventTimeSettings
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.progress import GroupProgress
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

PARTITIONS = range(4)
TRANSACTIONS = 90


@contextmanager
def writer(test: TestCluster) -> Iterator[KafkaProducer]:
    with closing(open_producer(test.settings.broker, transactional_id=test.name("writer"))) as producer:
        producer.init_transactions()
        yield producer


def write(test: TestCluster, producer: KafkaProducer, name: str, partition: int, at_ms: int) -> None:
    """A post, inside of the transaction that was begun."""
    post = {"id": name, "text": f"oil plunges {name}", "published_at": at_ms}
    producer.send(test.name("news"), value=json.dumps(post).encode(), partition=partition).get(timeout=30)


def lags(worker: WorkerProcess, topic: str) -> dict[int, float]:
    answer = worker.health("metrics")
    assert answer is not None
    found = re.findall(
        rf'^streamapp_consumer_lag_records\{{partition="(\d)",topic="{topic}"\}} (\S+)',
        answer[1],
        re.MULTILINE,
    )
    return {int(partition): float(lag) for partition, lag in found}


def more_than(test: TestCluster, number: int) -> bool:
    return len({scored.source_offset for scored in test.scored()}) > number


def test_quiet_partitions_that_end_with_a_marker_hold_no_time_back_and_have_no_lag(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    times = EventTimeSettings(backfill_after_seconds=1e9, caught_up_age_seconds=0.5)
    test = cluster(event_time=times)
    worker = workers(test.settings).start().wait_ready()
    now_ms = int(time.time() * 1000)
    with writer(test) as producer:
        for transaction in range(20):
            producer.begin_transaction()
            for partition in PARTITIONS:
                write(test, producer, f"p{transaction}-{partition}", partition, now_ms - 600_000)
            producer.commit_transaction()
        wait_until(lambda: len(test.scored()) == 80, 30, "every post scored")
        # Forty offsets a partition, of which twenty are records.
        assert set(test.end_offsets("news").values()) == {40}
        none_behind = dict.fromkeys(PARTITIONS, 0.0)
        wait_until(lambda: lags(worker, test.name("news")) == none_behind, 15, "no lag behind the markers")
        assert test.trends() == []
        producer.begin_transaction()
        write(test, producer, "closing", 0, now_ms)
        producer.commit_transaction()
    minutes = wait_until(test.trends, 15, "the minute closed, although three partitions are quiet")
    topics = [minute for minute in minutes if minute.subject.startswith("topic:")]
    assert sum(minute.posts.negative for minute in topics) == 80
    assert worker.stop() == 0
    # What is read behind the last record again is a marker, and no record comes twice.
    worker.start().wait_ready()
    wait_until(lambda: lags(worker, test.name("news")) == none_behind, 15, "no lag after a restart")
    assert len(test.scored()) == 81
    assert worker.stop() == 0


def test_kills_among_transactions_lose_no_post(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    broker = msgspec.structs.replace(test.settings.broker, isolation_level="read_committed")
    worker = workers(msgspec.structs.replace(test.settings, broker=broker))
    now_ms = int(time.time() * 1000)
    with writer(test) as producer:
        for transaction in range(TRANSACTIONS):
            producer.begin_transaction()
            for partition in PARTITIONS:
                write(test, producer, f"p{transaction}-{partition}", partition, now_ms)
            # Every third is a gap of two offsets at least, the first ones at the very beginning.
            (producer.abort_transaction if transaction % 3 == 1 else producer.commit_transaction)()
    expected = {f"p{n}-{partition}" for n in range(TRANSACTIONS) if n % 3 != 1 for partition in PARTITIONS}
    for kill in range(3):
        worker.start("slow-batch:0.5")
        wait_until(partial(more_than, test, kill * 60), 60, "some more posts scored")
        worker.kill()
    worker.start()
    with GroupProgress(test) as progress:
        progress.settle(60)
    assert set(lags(worker, test.name("news")).values()) == {0}
    # Those that were aborted are no posts.
    assert {scored.post.id for scored in test.scored()} == expected
    assert test.read("dead-letters") == []
    assert worker.stop() == 0
