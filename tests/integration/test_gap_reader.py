"""What stands in a gap, asked of a real Kafka."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from faust.types import TP
from kafka import KafkaProducer

from streamapp.agents.gap_reader import GapReader
from streamapp.cluster.access import aiokafka_options
from streamapp.cluster.kafka_clients import open_admin, open_producer
from tests.harness.cluster import TestCluster

pytestmark = pytest.mark.broker

TRANSACTIONS = 50


def send(producer: KafkaProducer, test: TestCluster) -> None:
    producer.send(test.name("news"), value=b"{}", partition=0).get(timeout=30)


def options(test: TestCluster) -> dict[str, Any]:
    return {**aiokafka_options(test.settings.broker), "isolation_level": "read_committed"}


async def test_markers_leave_nothing_and_what_was_read_beyond_a_gap_answers_for_the_next(
    cluster: Callable[..., TestCluster],
) -> None:
    test = cluster()
    partition = TP(test.name("news"), 0)
    with closing(open_producer(test.settings.broker, transactional_id=test.name("writer"))) as producer:
        producer.init_transactions()
        for _ in range(TRANSACTIONS):
            producer.begin_transaction()
            send(producer, test)
            producer.commit_transaction()
    where = options(test)
    gaps = GapReader(where)
    assert await gaps.first_record(partition, 1, 2) == (0, 2)
    await gaps.close()
    where["bootstrap_servers"] = "127.0.0.1:1"  # nobody is asked again
    for number in range(TRANSACTIONS):
        assert await gaps.first_record(partition, 2 * number + 1, 2 * number + 2) == (
            2 * number + 1,
            2 * number + 2,
        )


async def test_a_record_in_a_gap_is_found_also_where_it_was_aborted_only_if_that_is_read(
    cluster: Callable[..., TestCluster],
) -> None:
    test = cluster()
    partition = TP(test.name("news"), 0)
    with closing(open_producer(test.settings.broker, transactional_id=test.name("writer"))) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        send(producer, test)
        producer.abort_transaction()
        producer.begin_transaction()
        send(producer, test)
        producer.commit_transaction()
    for isolation_level, first in (("read_committed", 2), ("read_uncommitted", 0)):
        gaps = GapReader({**options(test), "isolation_level": isolation_level})
        assert await gaps.first_record(partition, 0, 4) == (0, first)
        assert await gaps.first_record(partition, 3, 4) == (3, 4)
        # Found once, it is looked for again: a compaction may have taken it meanwhile.
        assert await gaps.first_record(partition, 1, 4) == (0, 2)
        await gaps.close()


async def test_the_oldest_offset_is_told_where_records_were_deleted(
    cluster: Callable[..., TestCluster],
) -> None:
    from kafka import TopicPartition

    test = cluster()
    partition = TP(test.name("news"), 0)
    with test.producer() as producer:
        for _ in range(10):
            send(producer, test)
    with open_admin(test.settings.broker) as admin:
        admin.delete_records({TopicPartition(*partition): 6})
    gaps = GapReader(options(test))
    assert await gaps.first_record(partition, 2, 9) == (6, 6)
    assert await gaps.first_record(partition, 2, 5) == (6, 5)
    await gaps.close()


async def test_a_broker_that_does_not_answer_is_told_and_the_next_gap_is_read(
    cluster: Callable[..., TestCluster],
) -> None:
    test = cluster()
    partition = TP(test.name("news"), 0)
    with test.producer() as producer:
        send(producer, test)
    where = options(test)
    right, where["bootstrap_servers"] = where["bootstrap_servers"], "127.0.0.1:1"
    gaps = GapReader(where)
    with pytest.raises(Exception, match="bootstrap"):
        await gaps.first_record(partition, 0, 1)
    where["bootstrap_servers"] = right
    assert await gaps.first_record(partition, 0, 1) == (0, 0)
    await gaps.close()
