"""What happens between a rebalance and the first record: starts pinned, lost offsets counted, trend state read.

Runs in Faust's `on_rebalance_complete`, which is awaited before partitions resume (its `on_partitions_assigned` is
not). An error here ends the worker.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from streamapp import metrics
from streamapp.agents.input_age import newest_record_seconds
from streamapp.agents.input_control import InputControl
from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.next_offsets import NextOffsets, count_lost
from streamapp.agents.ticker import Ticker
from streamapp.agents.time_alignment import TimeAlignment
from streamapp.agents.trend_store import TrendStore
from streamapp.health import Vitals

log = logging.getLogger(__name__)


class Assignment:
    """Prepares a worker for the partitions that it was just given."""

    def __init__(
        self,
        app: StreamApp,
        store: TrendStore,
        ticker: Ticker,
        control: InputControl,
        alignment: TimeAlignment,
        *,
        next_offsets: NextOffsets,
        vitals: Vitals,
        plan: "AssignmentPlan",
    ) -> None:
        self._app = app
        self._store = store
        self._ticker = ticker
        self._control = control
        self._alignment = alignment
        self._next_offsets = next_offsets
        self._vitals = vitals
        self._plan = plan
        self._inputs_seen: set[str] = set()

    def revoked(self, *_: object, **__: object) -> None:
        """The worker gave its partitions back and waits, with the whole group, for others."""
        self._vitals.block_ready("partitions", "rebalancing")

    async def prepare(self) -> None:
        """Everything, within the plan's time.

        Raises RuntimeError where something below gave up by CancelledError: Faust takes that for its own shutdown
        and would wait for partitions that nobody resumes.
        """
        self._vitals.block_ready("partitions", "rebalancing")
        try:
            await self._prepare()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("preparing the partitions was given up from within") from error

    async def _prepare(self) -> None:
        rebalance = self._app.rebalancing_count
        assigned = set(self._app.consumer.assignment())
        async with asyncio.timeout(self._plan.timeout_seconds):
            await self._control.start()
            await self._start_quiet_clocks(assigned)
            positions = await self._positions(assigned)
            activity = {tp.partition for tp in assigned if tp.topic == self._plan.activity_topic}
            self._vitals.block_ready("partitions", "trend state is being read")
            await self._store.read(activity)
        self._ticker.assign({(tp.topic, tp.partition): at for tp, at in positions.items()})
        self._next_offsets.assign(positions)
        self._control.assigned()
        self._alignment.assign(assigned)
        log.info("ready for %d partitions, %d of them with trend state", len(assigned), len(activity))
        if self._app.rebalancing_count == rebalance:  # else the next one began meanwhile
            self._vitals.ready("partitions")

    async def _start_quiet_clocks(self, assigned: set[TP]) -> None:
        """An input that brings no record to this worker is as quiet as its topic is."""
        topics = ({tp.topic for tp in assigned} & self._plan.start_at.keys()) - self._inputs_seen
        if topics:
            tps = [TopicPartition(*tp) for tp in assigned if tp.topic in topics]
            newest = await newest_record_seconds(tps, self._plan.consumer_options)
            for topic, seconds in newest.items():
                metrics.LAST_RECORD_SECONDS.labels(topic).set(seconds)
            self._inputs_seen |= topics

    async def _positions(self, assigned: set[TP]) -> dict[TP, int]:
        """Where each partition will be read from; partitions without a committed offset get theirs here."""
        if not assigned:
            return {}
        consumer = AIOKafkaConsumer(
            group_id=self._app.conf.id, enable_auto_commit=False, **self._plan.consumer_options
        )
        await consumer.start()
        try:
            tps = [TopicPartition(tp.topic, tp.partition) for tp in assigned]
            begins = await consumer.beginning_offsets(tps)
            positions: dict[TP, int] = {}
            unpinned: dict[TP, int] = {}
            for tp in tps:
                committed = await consumer.committed(tp)
                key = TP(tp.topic, tp.partition)
                if committed is None:
                    unpinned[key] = positions[key] = await self._start_of(consumer, tp)
                else:
                    count_lost(key, committed, begins[tp])
                    self._app.pass_over(key, committed, begins[tp])
                    positions[key] = max(committed, begins[tp])
        finally:
            await consumer.stop()
        if unpinned:
            # Committed before the first record, so that a crash before the first commit restarts here and not at
            # wherever `latest` would be by then.
            await self._app.consumer._commit(unpinned)
        return positions

    async def _start_of(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
        start_at = self._plan.start_at.get(tp.topic, "earliest")
        if start_at == "earliest":
            return int((await consumer.beginning_offsets([tp]))[tp])
        if start_at == "latest":
            return int((await consumer.end_offsets([tp]))[tp])
        moment_ms = int(datetime.fromisoformat(start_at).timestamp() * 1000)
        found = (await consumer.offsets_for_times({tp: moment_ms}))[tp]
        return int(found.offset) if found else int((await consumer.end_offsets([tp]))[tp])


class AssignmentPlan:
    """Names, start positions and the bound of `Assignment`."""

    def __init__(
        self,
        activity_topic: str,
        start_at: Mapping[str, str],
        consumer_options: Mapping[str, Any],
        timeout_seconds: float,
    ) -> None:
        self.activity_topic = activity_topic
        self.start_at = start_at
        self.consumer_options = consumer_options
        self.timeout_seconds = timeout_seconds
