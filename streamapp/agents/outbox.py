"""The one way out: messages to Kafka, every one acknowledged before `deliver` returns.

Faust's own `topic.send` costs six times as much a message and its `send_soon` is not awaited by a commit
(docs/architecture.md, Delivery), so this uses the idempotent aiokafka producer beneath it. The producer retries for
as long as it takes, without repeats and in order; the bound is ours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from msgspec import Struct

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
        sending = _Sending(self._producer())
        futures = []
        # No coroutine of our own for each message: they would be a tenth of what sending costs.
        for message in messages:
            try:
                futures.append(await sending.begin(message))
            except MessageSizeTooLargeError:
                if message.instead is None:
                    raise
                futures.append(await sending.begin(message.instead))
        for message, future in zip(messages, futures, strict=True):
            # The broker's own limit shows only here, the producer's already above.
            try:
                await future
            except MessageSizeTooLargeError:
                if message.instead is None:
                    raise
                await (await sending.begin(message.instead))


class _Sending:
    """One delivery through one producer."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._partitions: dict[str, int] = {}

    def begin(self, message: Outgoing) -> Awaitable[asyncio.Future[object]]:
        """What puts the message into the producer's next batch; its future ends when the broker has it."""
        sent: Awaitable[asyncio.Future[object]] = self._producer.send(
            message.topic,
            value=message.value,
            key=message.key,
            partition=self._partition_of(message),
            headers=list(message.headers),
        )
        return sent

    def _partition_of(self, message: Outgoing) -> int | None:
        """As Kafka's own clients choose. The producer would list all partitions twice for every message."""
        if message.partition is not None or message.key is None:
            return message.partition
        count = self._partitions.get(message.topic)
        if count is None:
            known = self._producer.client.cluster.partitions_for_topic(message.topic)
            if not known:
                return None  # the producer asks for them first
            count = self._partitions[message.topic] = len(known)
        return int((murmur2(message.key) & 0x7FFFFFFF) % count)
