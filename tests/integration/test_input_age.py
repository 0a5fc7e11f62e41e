"""How old an input is, asked of a real Kafka."""

import time
from collections.abc import Callable
from contextlib import closing

import pytest
from aiokafka import TopicPartition

from streamapp.agents.input_age import newest_record_seconds
from streamapp.cluster.access import aiokafka_options
from streamapp.cluster.kafka_clients import open_producer
from tests.harness.cluster import TestCluster

pytestmark = pytest.mark.broker


async def test_the_newest_record_of_all_partitions_counts_and_an_empty_input_is_as_old_as_the_present(
    cluster: Callable[..., TestCluster],
) -> None:
    test = cluster()
    before = time.time()
    with test.producer() as producer:
        for partition, age_seconds in ((0, 3600), (1, 900), (2, 1800)):
            at_ms = int((before - age_seconds) * 1000)
            producer.send(test.name("news"), value=b"{}", partition=partition, timestamp_ms=at_ms)
    names = (test.name("news"), test.name("chat"))
    tps = [TopicPartition(name, number) for name in names for number in range(4)]
    newest = await newest_record_seconds(tps, aiokafka_options(test.settings.broker))
    assert newest[names[0]] == pytest.approx(before - 900, abs=0.01)
    assert before <= newest[names[1]] <= time.time()


async def test_an_input_that_ends_with_markers_of_transactions_is_as_old_as_its_newest_record(
    cluster: Callable[..., TestCluster],
) -> None:
    test = cluster()
    before = time.time()
    with closing(open_producer(test.settings.broker, transactional_id=test.name("writer"))) as producer:
        producer.init_transactions()
        for age_seconds in (3600, 900):
            producer.begin_transaction()
            at_ms = int((before - age_seconds) * 1000)
            producer.send(test.name("news"), value=b"{}", partition=0, timestamp_ms=at_ms)
            producer.commit_transaction()
    options = aiokafka_options(test.settings.broker)
    newest = await newest_record_seconds([TopicPartition(test.name("news"), 0)], options)
    assert newest == {test.name("news"): pytest.approx(before - 900, abs=0.01)}
