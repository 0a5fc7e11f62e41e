"""Kafka from a benchmark's side: a topic filled as fast as the broker takes it, offsets and records read back.

aiokafka with whole batches, because the load must cost far less than what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streamapp.bench.load import LoadPost
from streamapp.cluster.access import aiokafka_options
from streamapp.settings import Settings

T = TypeVar("T")

BATCH_POSTS: Final = 500


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in an event loop on a thread of its own and returns what it returns.

    Signals reach the main thread, which waits here: no client library can catch the exception they become.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="traffic", daemon=True).start()
    return done.result()


def open_sender(settings: Settings) -> AIOKafkaProducer:
    """A producer for load; the caller starts and stops it, inside the event loop."""
    return AIOKafkaProducer(max_batch_size=262_144, **aiokafka_options(settings.broker))


def open_receiver(settings: Settings) -> AIOKafkaConsumer:
    """A consumer without a group; the caller starts and stops it, inside the event loop."""
    return AIOKafkaConsumer(
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        **aiokafka_options(settings.broker),
    )


def partitions_of(topic: str, partitions: int) -> list[TopicPartition]:
    """Every partition of `topic`."""
    return [TopicPartition(topic, partition) for partition in range(partitions)]


async def fill(
    settings: Settings, topic: str, posts: Iterable[LoadPost], partitions: int, first_partition: int = 0
) -> int:
    """Sends all posts, in batches to each of `partitions` partitions in turn, and waits for every one; how many."""
    producer = open_sender(settings)
    await producer.start()
    sent = 0
    try:
        waiting: list[asyncio.Future[Any]] = []
        source = iter(posts)
        for turn in itertools.count():
            chunk = list(itertools.islice(source, BATCH_POSTS))
            if not chunk:
                break
            waiting += await send_chunk(producer, topic, first_partition + turn % partitions, chunk)
            sent += len(chunk)
            if len(waiting) > 32:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return sent


async def send_chunk(
    producer: AIOKafkaProducer, topic: str, partition: int, posts: Iterable[LoadPost]
) -> list[asyncio.Future[Any]]:
    """Hands whole batches to the producer; the futures are their acknowledgements."""
    waiting = []
    batch = producer.create_batch()
    for post in posts:
        if batch.append(key=post.key, value=post.value, timestamp=None) is None:
            batch.close()
            waiting.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(key=post.key, value=post.value, timestamp=None) is None:
                raise ValueError(f"a record of {len(post.value)} bytes does not fit a batch")
    if batch.record_count():
        batch.close()
        waiting.append(await producer.send_batch(batch, topic, partition=partition))
    return waiting


async def end_offset(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> int:
    """How many records a topic was ever given."""
    ends = await consumer.end_offsets(partitions_of(topic, partitions))
    return int(sum(ends.values()))
