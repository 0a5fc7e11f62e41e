"""The one way out: messages to Kafka, every one acknowledged before `deliver` returns.

Faust's own `topic.send` costs six times as much a message and its `send_soon` is not awaited by a commit
(docs/architecture.md, Delivery), so this uses the idempotent aiokafka producer beneath it. The producer retries for
as long as it takes, without repeats and in order; the bound is ours.
"""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
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
                futures = [await self._send(message) for message in messages]
                for message, future in zip(messages, futures, strict=True):
                    await self._settle(message, future)
        except TimeoutError as error:
            seconds = self._delivery_timeout_seconds
            raise DeliveryFailed(
                f"Kafka did not take {len(messages)} messages within {seconds:.0f} s"
            ) from error

    async def _send(self, message: Outgoing) -> asyncio.Future[object]:
        try:
            future: asyncio.Future[object] = await self._producer().send(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                headers=list(message.headers),
            )
        except MessageSizeTooLargeError:
            if message.instead is None:
                raise
            return await self._send(message.instead)
        return future

    async def _settle(self, message: Outgoing, future: asyncio.Future[object]) -> None:
        # The broker's own limit shows only here, the producer's already at send.
        try:
            await future
        except MessageSizeTooLargeError:
            if message.instead is None:
                raise
            await (await self._send(message.instead))
