"""Kafka for commands, start-up checks and tests: clients of kafka-python from the settings, a topic read to its end.

Knows nothing of what the records mean. Posts never pass here: the worker's own clients are aiokafka's.
"""

import base64
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from streamapp.cluster.access import kafka_python_options
from streamapp.contracts.raw_record import RawRecord
from streamapp.settings import BrokerAccess

Client = TypeVar("Client")

POLL_MS: Final = 500
STALLED_SECONDS: Final = 60.0


class StalledReadError(RuntimeError):
    """A topic could not be read to its end: the broker gave nothing for a minute."""


class NoContactError(KafkaTimeoutError):  # type: ignore[misc]  # kafka-python has no types
    """No broker answered a new client; the text says why and names the setting."""

    def __str__(self) -> str:
        return str(self.args[0])


def open_client(client: type[Client], access: BrokerAccess, **options: Any) -> Client:
    """A kafka-python client of any kind; the caller closes it. Raises NoContactError."""
    try:
        return client(**kafka_python_options(access), **options)
    except KafkaTimeoutError as error:
        from streamapp.cluster.first_contact import why_no_contact  # noqa: PLC0415  # brings the worker's clients

        raise NoContactError(why_no_contact(access)) from error


def open_admin(access: BrokerAccess) -> KafkaAdminClient:
    """An admin client; the caller closes it (it is a context manager). Raises NoContactError."""
    return open_client(KafkaAdminClient, access)


def open_producer(access: BrokerAccess, transactional_id: str | None = None) -> KafkaProducer:
    """A producer of raw bytes with acks from all in-sync replicas and idempotence; the caller closes it. Raises
    NoContactError.
    """
    return open_client(
        KafkaProducer,
        access,
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        allow_auto_create_topics=False,
    )


def open_consumer(access: BrokerAccess) -> KafkaConsumer:
    """A consumer of raw bytes without a group, which never commits; the caller closes it. Raises NoContactError."""
    return open_client(
        KafkaConsumer,
        access,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=access.isolation_level,
        allow_auto_create_topics=False,
    )


def topic_uuids(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, str]:
    """The UUIDs of those of `names` that exist, in Kafka's own form (22 characters of base64url)."""
    if not names:
        return {}
    described = admin.describe_topics(list(names))
    return {topic["name"]: kafka_uuid(topic["topic_id"]) for topic in described if topic["error_code"] == 0}


def kafka_uuid(topic_id: Any) -> str:
    """A topic id as Kafka's own tools print it."""
    return base64.urlsafe_b64encode(uuid.UUID(str(topic_id)).bytes).rstrip(b"=").decode()


def read_topic_to_end(access: BrokerAccess, topic: str) -> Iterator[RawRecord]:
    """Every record from the oldest kept to the end that each partition had at the start, in offset order a
    partition.

    A topic that does not exist gives none. Raises `StalledReadError` after a minute without progress, and the
    client's errors. Header values that are null come as empty bytes.
    """
    with open_admin(access) as admin:
        uuid = topic_uuids(admin, [topic]).get(topic)
    if uuid is None:
        return
    consumer = open_consumer(access)
    try:
        yield from _read(consumer, topic, uuid)
    finally:
        consumer.close()


def _read(consumer: KafkaConsumer, topic: str, uuid: str) -> Iterator[RawRecord]:
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    starts = consumer.beginning_offsets(partitions)
    waiting = {partition for partition in partitions if starts[partition] < ends[partition]}
    consumer.assign(sorted(waiting))
    for partition in waiting:
        consumer.seek(partition, starts[partition])
    progressed_at = time.monotonic()
    while waiting:
        batches = consumer.poll(timeout_ms=POLL_MS)
        for partition, records in batches.items():
            yield from (raw_record(record, uuid) for record in records if record.offset < ends[partition])
        # The position, not the last record: compaction and transaction markers leave offsets without a
        # record.
        done = {partition for partition in waiting if consumer.position(partition) >= ends[partition]}
        if batches or done:
            progressed_at = time.monotonic()
        elif time.monotonic() - progressed_at > STALLED_SECONDS:
            raise StalledReadError(f"nothing came from topic {topic} for {STALLED_SECONDS:.0f} s")
        if done:
            waiting -= done
            consumer.pause(*done)


def raw_record(record: Any, topic_uuid: str) -> RawRecord:
    """A record of kafka-python's as ours."""
    return RawRecord(
        topic=record.topic,
        topic_uuid=topic_uuid,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )
