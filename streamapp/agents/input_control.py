"""Pauses an input topic that gives too many dead letters, and follows what people say of it in `service-state`.

A paused input stays paused over restarts until `streamapp topics resume NAME`. It holds no watermark back and is no
reason to restart the worker.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from streamapp import metrics
from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.next_offsets import NextOffsets
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.agents.ticker import Ticker
from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import InputState, ScoredPost, ServiceState
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.core.pausing import DeadLetterRun, PauseRules
from streamapp.health import Vitals

log = logging.getLogger(__name__)


class InputControl:
    """One a worker; reads `service-state` without a group, so that every worker sees every message."""

    def __init__(
        self,
        app: StreamApp,
        outbox: Outbox,
        ticker: Ticker,
        vitals: Vitals,
        *,
        next_offsets: NextOffsets,
        plan: "ControlPlan",
        consumer_options: Mapping[str, Any],
    ) -> None:
        self._app = app
        self._outbox = outbox
        self._ticker = ticker
        self._vitals = vitals
        self._next_offsets = next_offsets
        self._state_topic = plan.state_topic
        self._inputs = frozenset(plan.inputs)
        self._rules = plan.rules
        self._consumer_options = consumer_options
        self._runs: dict[str, DeadLetterRun] = {}
        self._following = False
        for topic in self._inputs:
            metrics.INPUT_PAUSED.labels(topic).set(0)

    async def start(self) -> None:
        """Read `service-state` to its end, then follow it; does nothing the second time."""
        if self._following:
            return
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._consumer_options)
        await consumer.start()
        partition = TopicPartition(self._state_topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    await self._apply(record)
        self._following = True
        self._app.add_future(self._follow(consumer))

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async for record in consumer:
                await self._apply(record)
        finally:
            await consumer.stop()

    async def _apply(self, record: Any) -> None:
        if not (record.key or b"").startswith(b"input/") or record.value is None:
            return
        try:
            state: ServiceState = decode(record.value, ServiceState)
        except DecodeError as error:
            log.error("service-state offset %d is not readable and was skipped: %s", record.offset, error)
            return
        if isinstance(state, InputState) and state.topic in self._inputs:
            if state.paused:
                self._pause(state.topic, state.reason)
            else:
                await self._resume(state.topic)

    def assigned(self) -> None:
        """The worker was given partitions."""
        self._tell_ticker()

    async def may_take(self, message: Any) -> bool:
        """Whether the agent is to hold this message, to acknowledge it or have it replayed. Not one of a paused topic
        that follows messages which the pause dropped: all of them are read again when the topic goes on.

        Raises what `NextOffsets.skip_to` raises.
        """
        if self._next_offsets.is_next(message):
            return True
        if message.topic in self._app.paused_topics and message.offset > self._next_offsets.of[message.tp]:
            return False
        await self._next_offsets.skip_to(message)
        return True

    async def observe(self, records: Iterable[RawRecord], results: Iterable[ScoredPost | Rejected]) -> None:
        """Count fates; pause the inputs that have too many dead letters, in `service-state` first."""
        for record, result in zip(records, results, strict=True):
            run = self._runs.get(record.topic)
            if run is None:
                run = self._runs[record.topic] = DeadLetterRun(self._rules)
            reason = run.observe(isinstance(result, Rejected))
            if reason and record.topic not in self._app.paused_topics:
                await self._announce_pause(record.topic, reason)

    async def _announce_pause(self, topic: str, reason: str) -> None:
        state = InputState(topic=topic, paused=True, reason=reason, changed_at_ms=int(time.time() * 1000))
        await self._outbox.deliver(
            [Outgoing(topic=self._state_topic, key=f"input/{topic}".encode(), value=encode(state))]
        )
        self._pause(topic, reason)

    def _pause(self, topic: str, reason: str) -> None:
        if topic in self._app.paused_topics:
            return
        log.critical("input %s is paused: %s. To go on: streamapp topics resume %s", topic, reason, topic)
        self._app.pause_topic(topic)
        self._changed(topic, True)

    async def _resume(self, topic: str) -> None:
        self._runs.pop(topic, None)
        if topic not in self._app.paused_topics:
            return
        log.info("input %s goes on", topic)
        await self._app.resume_topic(topic, self._next_offsets.of)
        self._changed(topic, False)

    def _changed(self, topic: str, paused: bool) -> None:
        metrics.INPUT_PAUSED.labels(topic).set(paused)
        self._vitals.details["paused_inputs"] = sorted(self._app.paused_topics)
        self._tell_ticker()

    def _tell_ticker(self) -> None:
        self._ticker.pause(tp for tp in self._next_offsets.of if tp.topic in self._app.paused_topics)


class ControlPlan(Struct, frozen=True, kw_only=True):
    """What is watched, when it is paused, and in which topic that is said."""

    state_topic: str
    inputs: Sequence[str]
    rules: PauseRules
