"""A set of topics of a test's own on the shared broker, with independent readers and writers."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from kafka import KafkaProducer

from streamapp.cluster.kafka_clients import open_admin, open_consumer, open_producer, read_topic_to_end
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.contracts.codec import decode
from streamapp.contracts.messages import Alert, LabelRequest, ScoredPost, TrendMinute
from streamapp.contracts.raw_record import RawRecord
from streamapp.settings import (
    BrokerAccess,
    EventTimeSettings,
    HttpSettings,
    InputSettings,
    ModelSettings,
    Settings,
    TopicSettings,
    WorkerSettings,
)

M = TypeVar("M")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class TestCluster:
    """Topics under one prefix, and settings that name them."""

    __test__ = False

    def __init__(self, bootstrap: str, prefix: str, bundle: Path, **changes: Any) -> None:
        self.prefix = prefix
        self.settings = Settings(
            broker=changes.pop("broker", BrokerAccess(bootstrap=bootstrap)),
            topics=TopicSettings(prefix=prefix, partitions=changes.pop("partitions", 4), replication=1,
                                 min_insync_replicas=1),
            inputs=(
                InputSettings(topic=f"{prefix}news", channel="news"),
                InputSettings(topic=f"{prefix}chat", channel="chat"),
            ),
            worker=changes.pop("worker", WorkerSettings(
                group=f"{prefix}group", session_timeout_seconds=10.0, heartbeat_seconds=1.0)),
            model=ModelSettings(bundle=str(bundle)),
            event_time=changes.pop("event_time", EventTimeSettings(backfill_after_seconds=1e9)),
            http=HttpSettings(port=free_port()),
            **changes,
        )  # fmt: skip
        with open_admin(self.settings.broker) as admin:
            create_topics(admin, plan_topics(self.settings, dev=True))

    def name(self, topic: str) -> str:
        return self.prefix + topic

    @contextlib.contextmanager
    def producer(self) -> Iterator[KafkaProducer]:
        producer = open_producer(self.settings.broker)
        try:
            yield producer
            producer.flush()
        finally:
            producer.close()

    def publish(self, records: Iterable[dict[str, Any]], topic: str = "news") -> None:
        """JSON records to an input, acknowledged; `_partition` chooses the partition, `_raw` the bytes."""
        with self.producer() as producer:
            sent = []
            for record in records:
                partition = record.pop("_partition", None)
                raw = record.pop("_raw", ...)
                value = msgspec.json.encode(record) if raw is ... else raw
                key = str(record.get("id", "")).encode()
                sent.append(producer.send(self.name(topic), value=value, key=key, partition=partition))
            for future in sent:
                future.get(timeout=30)

    def read(self, topic: str) -> list[RawRecord]:
        return list(read_topic_to_end(self.settings.broker, self.name(topic)))

    def scored(self) -> list[ScoredPost]:
        return [decode(record.value, ScoredPost) for record in self.read("scored-posts")]

    def alerts(self) -> list[Alert]:
        return [decode(record.value, Alert) for record in self.read("alerts")]

    def label_requests(self) -> list[LabelRequest]:
        return [decode(record.value, LabelRequest) for record in self.read("label-requests")]

    def trends(self) -> list[TrendMinute]:
        return [decode(record.value, TrendMinute) for record in self.read("subject-trends")]

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The broker's own count of what came in, by partition."""
        from kafka import TopicPartition

        consumer = open_consumer(self.settings.broker)
        try:
            tps = [
                TopicPartition(self.name(topic), p)
                for p in sorted(consumer.partitions_for_topic(self.name(topic)))
            ]
            return {tp.partition: end for tp, end in consumer.end_offsets(tps).items()}
        finally:
            consumer.close()


def wait_until(condition: Callable[[], M], timeout_seconds: float, what: str = "condition") -> M:
    """The condition's first true value; an assertion that names it otherwise."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what} (last: {value!r})"
        time.sleep(0.25)
