"""The one way out: messages to Kafka, every one acknowledged before `deliver` returns.

Faust's own `topic.send` costs six times as much a message and its `send_soon` is not awaited by a commit
(docs/architecture.md, Delivery), so this uses the idempotent aiokafka producer beneath it. The producer retries for
as long as it takes, without repeats and in order; the bound is ours.
"""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import Struct

# Larger ones go by themselves, so that only they meet the producer's limit of a request.
SMALL_BYTES = 16_384

Headers = tuple[tuple[str, bytes], ...]


class DeliveryFailed(RuntimeError):
    """Kafka did not take a message within the bound: stop without ack."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """One message. `partition` None lets the key decide. `instead` is sent where this one is too large."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    instead: "Outgoing | None" = None


class Outbox:
    """Sends through one idempotent producer; `producer` gives it once it has started.

    `check` is called before anything is sent and may end the process (agents/guard.py).
    """

    def __init__(
        self,
        producer: Callable[[], AIOKafkaProducer],
        delivery_timeout_seconds: float,
        check: Callable[[], None],
    ) -> None:
        self._producer = producer
        self._delivery_timeout_seconds = delivery_timeout_seconds
        self._check = check

    async def deliver(self, messages: Sequence[Outgoing]) -> None:
        """Send all in order and wait until the broker has every one; `DeliveryFailed` past the bound."""
        self._check()
        try:
            async with asyncio.timeout(self._delivery_timeout_seconds):
                await self._deliver(messages)
        except TimeoutError as error:
            seconds = self._delivery_timeout_seconds
            raise DeliveryFailed(
                f"Kafka did not take {len(messages)} messages within {seconds:.0f} s"
            ) from error

    async def _deliver(self, messages: Sequence[Outgoing]) -> None:
        delivery = _Delivery(self._producer())
        for message in messages:
            await delivery.add(message)
        await delivery.finish()


class _Delivery:
    """One delivery through one producer: small messages in batches of ours, a partition each.

    The producer's `send` costs several times as much a message as an `append`: two coroutines, a future, and two lists
    of all partitions for the key.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._partitions: dict[str, int] = {}
        self._open: dict[tuple[str, int], BatchBuilder] = {}
        self._batches: list[asyncio.Future[object]] = []
        self._singles: list[tuple[Outgoing, asyncio.Future[object]]] = []

    async def add(self, message: Outgoing) -> None:
        """Behind all that was added before it for the same partition."""
        partition = self._partition_of(message)
        if partition is None:
            await self._add_single(message, message.partition)
            return
        place = (message.topic, partition)
        if message.instead is None and len(message.value or b"") <= SMALL_BYTES:
            await self._append(message, place)
        else:
            await self._close(place)
            await self._add_single(message, partition)

    async def finish(self) -> None:
        """Send what is left, and wait until the broker has everything."""
        for place in list(self._open):
            await self._close(place)
        await asyncio.gather(*self._batches)
        for message, single in self._singles:
            # The broker's own limit shows only here, the producer's already at send.
            try:
                await single
            except MessageSizeTooLargeError:
                if message.instead is None:
                    raise
                await (await self._send(message.instead, self._partition_of(message.instead)))

    async def _append(self, message: Outgoing, place: tuple[str, int]) -> None:
        batch = self._open.get(place)
        if batch is not None and _appended(message, batch):
            return
        await self._close(place)  # it is full
        batch = self._open[place] = self._producer.create_batch()
        if not _appended(message, batch):
            raise RuntimeError(f"an empty batch does not take {len(message.value or b'')} bytes")

    async def _close(self, place: tuple[str, int]) -> None:
        batch = self._open.pop(place, None)
        if batch is not None:
            batch.close()
            topic, partition = place
            self._batches.append(await self._producer.send_batch(batch, topic, partition=partition))

    async def _add_single(self, message: Outgoing, partition: int | None) -> None:
        try:
            self._singles.append((message, await self._send(message, partition)))
        except MessageSizeTooLargeError:
            if message.instead is None:
                raise
            await self.add(message.instead)

    async def _send(self, message: Outgoing, partition: int | None) -> asyncio.Future[object]:
        future: asyncio.Future[object] = await self._producer.send(
            message.topic,
            value=message.value,
            key=message.key,
            partition=partition,
            headers=list(message.headers),
        )
        return future

    def _partition_of(self, message: Outgoing) -> int | None:
        """As Kafka's own clients choose; None leaves it to the producer, which asks for the partitions first."""
        count = self._partitions.get(message.topic)
        if count is None:
            known = self._producer.client.cluster.partitions_for_topic(message.topic)
            if not known:
                return None
            count = self._partitions[message.topic] = len(known)
        if message.partition is not None or message.key is None:
            return message.partition
        return int((murmur2(message.key) & 0x7FFFFFFF) % count)


def _appended(message: Outgoing, batch: BatchBuilder) -> bool:
    appended = batch.append(
        timestamp=None, key=message.key, value=message.value, headers=list(message.headers)
    )
    return appended is not None
