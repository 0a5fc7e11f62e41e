"""The announced champions as a running worker sees them: one consumer without a group, so that each sees every record.

Folds by contracts/champion.py; what is done about a new champion is decided elsewhere.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streamapp import metrics
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.contracts.champion import Champion, succeed
from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import ModelAnnounced

log = logging.getLogger(__name__)


class AnnouncementLog:
    """`line` is every champion so far, the present one last; at first what was read before the worker served."""

    def __init__(
        self, topic: str, line: tuple[Champion, ...], outbox: Outbox, consumer_options: Mapping[str, Any]
    ) -> None:
        self.line = line
        self._folded = line[:1]
        self._topic = topic
        self._outbox = outbox
        self._consumer_options = consumer_options
        self._grown = asyncio.Condition()
        metrics.MODEL_ANNOUNCED.set(self.head.sequence)

    @property
    def head(self) -> Champion:
        """The champion that everyone should serve."""
        return self.line[-1]

    async def follow(self) -> None:
        """Read the log from its beginning and on, until cancelled; what was folded before does not count again."""
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._consumer_options)
        await consumer.start()
        try:
            partition = TopicPartition(self._topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            async for record in consumer:
                await self._apply(record)
        finally:
            await consumer.stop()

    async def newer_than(self, sequence: int) -> Champion:
        """The head, once its sequence is greater."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.head.sequence > sequence)
            return self.head

    async def announce(self, record: ModelAnnounced) -> None:
        """Write a record; whether it counts shows in the log, for this worker as for every other."""
        await self._outbox.deliver(
            [Outgoing(topic=self._topic, key=record.model_name.encode(), value=encode(record), partition=0)]
        )

    async def _apply(self, record: Any) -> None:
        try:
            announced: ModelAnnounced = decode(record.value, ModelAnnounced)
        except DecodeError as error:
            log.error(
                "%s offset %d is no announcement and does not count: %s", self._topic, record.offset, error
            )
            return
        # From the first record on, as every reader does: what did not count once must not count later.
        heir = succeed(self._folded[-1], announced)
        if heir is self._folded[-1]:
            return
        self._folded = (*self._folded, heir)
        if heir.sequence <= self.head.sequence:
            return
        log.info(
            "champion %d is %s, announced by %s: %s",
            heir.sequence, heir.model_version, heir.announced_by, heir.reason,
        )  # fmt: skip
        metrics.MODEL_ANNOUNCED.set(heir.sequence)
        async with self._grown:
            self.line = self._folded
            self._grown.notify_all()
