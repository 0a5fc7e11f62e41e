"""Faust's aiokafka transport with seven changes, pinned to faust-streaming 0.15.3.

The producer is idempotent (no repeats or reordering by its own retries) and waits between failed looks for a leader.
The consumer keeps paused input topics paused over rebalances, hands the records of inputs over in the order of their
time (core/time_order.py), may do so without four tasks each, reads aborted transactions or not, as it is told, and
commits over any number of gaps at once.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from operator import methodcaller
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import SchedulingStrategyT

from streamapp.core.time_order import TimeOrder

METADATA_BACKOFF_SECONDS = 0.25
# At once, so that inputs do not keep other topics waiting.
MOST_RECORDS = 500
# How soon records that wait for others are looked at again.
HELD_SECONDS = 0.05
# So many records at most are on their way to the agent: more could run ahead of one that is about to be fetched.
MOST_ON_THE_WAY = 2_000
# The broker answers a fetch within half a second, with records or without.
TOLD_LATELY_SECONDS = 2.0
READ_COMMITTED = "read_committed"

Records = list[tuple[TP, Any]]

log = logging.getLogger(__name__)


class IdempotentProducer(driver.Producer):
    """The producer that neither repeats nor reorders what it retries."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        update = producer.client._metadata_update

        async def with_backoff(*args: Any) -> bool:
            updated: bool = await update(*args)
            if not updated:
                await asyncio.sleep(METADATA_BACKOFF_SECONDS)
            return updated

        # aiokafka's sender asks again at once for as long as a leader is unknown: a core and thousands of log lines a
        # second while a broker is away.
        producer.client._metadata_update = with_backoff
        return producer


class InOrder(SchedulingStrategyT):
    """Records as `InputConsumer` gives them: it has put them in order already."""

    def iterate(self, records: Any) -> Iterator[tuple[TP, Any]]:
        return iter(records)


class IsolatedConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread whose client reads what transactions have left as the app says."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust ties this to transactions of its own.
        consumer._isolation_level = self.app.isolation_level
        return consumer

    def state(self, tp: TP) -> Any | None:
        """What aiokafka keeps of an assigned partition."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return None
        return subscription.assignment.state_value(tp)

    def highwater(self, tp: TP) -> int | None:
        """Up to where an assigned partition may be read now: not beyond an open transaction, if that is waited for."""
        state = self.state(tp)
        if state is None:
            return None
        end: int | None = state.lso if self.app.isolation_level == READ_COMMITTED else state.highwater
        return end


class InputConsumer(driver.Consumer):
    """The consumer that leaves paused topics alone, reads inputs in the order of time, and skips a task switch a record
    where it safely can.
    """

    _thread: IsolatedConsumerThread
    # The agents' queues, as of the last fetch.
    _queues: Sequence[Any] = ()

    def _new_consumer_thread(self) -> IsolatedConsumerThread:
        return IsolatedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """In place of all that was fetched: what is to be handed over now, in that order."""
        order: TimeOrder[TP, Any] = self.app.time_order
        self._queues = [channel.queue for channel in self.app.topics]
        generation = self.app.consumer_generation_id
        inputs = {tp for tp in self.assignment() if self.app.is_ordered(tp.topic)}
        order.keep(inputs)
        wanted = (active_partitions or set()) - order.stocked
        fetched = await self._fetch(wanted, self._wait_seconds(timeout))
        if not self.flow_active or generation != self.app.consumer_generation_id:
            # A fetch that outlasts a rebalance takes its records after the partitions were sought anew. None of them,
            # and nothing else of this assignment, was handed over, so all go back to where they were committed.
            await self._seek_back()
            return []
        others: dict[TP, list[Any]] = {}
        for tp, records in fetched.items():
            if tp in inputs:
                order.add(tp, records)
            else:
                others[tp] = records
        now_ms = int(time.time() * 1000)
        most = min(MOST_RECORDS, MOST_ON_THE_WAY - self.app.on_the_way())
        taken = order.take(most, now_ms, self._behind(inputs), self.app.elsewhere_ms) if most > 0 else []
        self.app.took(taken)
        return _alternating(taken, [(tp, record) for tp, records in others.items() for record in records])

    async def _seek_back(self) -> None:
        """To what is committed. A rebalance that takes partitions meanwhile ends it: Faust seeks what comes after."""
        try:
            await self.perform_seek()
        except (IllegalStateError, AssertionError) as error:  # aiokafka asserts that there are any
            log.info("partitions were taken while their offsets were looked up: %s", error)

    def _wait_seconds(self, timeout: float) -> float:
        """Nothing where more can be handed over at once, a moment where what was fetched waits for others."""
        if not self.app.time_order.waiting:
            return timeout
        return 0.0 if self.app.took_any else min(timeout, HELD_SECONDS)

    async def _fetch(self, wanted: set[TP], timeout: float) -> Mapping[TP, list[Any]]:
        if wanted:
            fetched: Mapping[TP, list[Any]] = await super()._getmany(wanted, timeout)
            return fetched
        # aiokafka takes no partitions for all of them.
        await asyncio.sleep(timeout)
        return {}

    def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The end offsets of those partitions of which the broker told lately. One that it told together with records
        that waited here since is older than they are, and a partition that grew meanwhile would seem read to its end.
        """
        newest_ms = (time.time() - TOLD_LATELY_SECONDS) * 1000
        return {
            tp: int(state.highwater)
            for tp, state in self._states(tps).items()
            if state.highwater is not None and state.timestamp >= newest_ms
        }

    def _behind(self, tps: Collection[TP]) -> set[TP]:
        """Those of which the broker has, or may have, more than was fetched."""
        ends, states = self.ends(tps), self._states(tps)
        return {
            tp
            for tp in tps
            if tp not in ends or not states[tp].has_valid_position or states[tp].position < ends[tp]
        }

    def _states(self, tps: Iterable[TP]) -> dict[TP, Any]:
        """What aiokafka keeps of each assigned partition."""
        states = {tp: self._thread.state(tp) for tp in tps}
        return {tp: state for tp, state in states.items() if state is not None}

    async def perform_seek(self) -> None:
        self.app.time_order.clear()
        await super().perform_seek()

    async def seek(self, partition: TP, offset: int) -> None:
        self.app.time_order.drop(partition)
        await super().seek(partition, offset)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: what Faust takes for a gap unseen is one when it was looked into; see `pass_over`. (It counts the
        record behind a gap as part of it too, so that a commit went over one gap only, and none behind offset 0.)
        """

    def pass_over(self, tp: TP, begin: int, end: int) -> None:
        """No record is left from offset `begin` up to `end`: what is acknowledged behind them may be committed."""
        gaps, begin = self._gap[tp], max(begin, self._committed_offset[tp] or 0)
        if begin < end:
            overlapping = gaps.overlaps(begin, end)
            gaps.addi(begin, end)
            if overlapping:  # read anew since the last commit
                gaps.merge_overlaps()

    def commit_to_end(self, tp: TP, begin: int, end: int) -> None:
        """No record is from offset `begin` up to the `end` of the partition: commit it, if all before them was."""
        if self._committed_offset[tp] == begin:
            self.pass_over(tp, begin, end - 1)
            self._acked[tp].append(end - 1)
            self._acked_index[tp].add(end - 1)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.app.time_order.clear()
        await super().on_partitions_revoked(revoked)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        paused = self.app.paused_topics
        super().resume_partitions({tp for tp in tps if tp.topic not in paused})

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        # Faust's drain loop asks, for every record, for the first of two: "record handed over" or "flow suspended".
        # While flow is active and every queue has room the first cannot block, so no race has to be run.
        if len(coros) == 2 and timeout is None and self._may_hand_over(coros[1]):
            coros[1].close()
            return await coros[0]
        return await super().wait_first(*coros, timeout=timeout)

    def _may_hand_over(self, suspended: Any) -> bool:
        return (
            self.app.fast_consumer
            and getattr(suspended, "__qualname__", "") == "Event.wait"
            and self.flow_active
            and not self.suspend_flow.is_set()
            and not any(map(_is_full, self._queues))
        )


# Asked of every queue for every record.
_is_full = methodcaller("full")


def _alternating(left: Records, right: Records) -> Records:
    """One of each in turn, each in its own order."""
    return [item for pair in zip_longest(left, right) for item in pair if item is not None]


class InputTransport(driver.Transport):
    """The transport made of both."""

    Consumer = InputConsumer
    Producer = IdempotentProducer


class StreamApp(faust.App):
    """A Faust app on that transport.

    `elsewhere_ms`: the times that other workers' sources with a backlog have come to.
    """

    def __init__(
        self,
        *args: Any,
        fast_consumer: bool,
        ordered_topics: Collection[str],
        time_order: TimeOrder[TP, Any],
        isolation_level: str,
        **kwargs: Any,
    ) -> None:
        self.fast_consumer = fast_consumer
        self.isolation_level = isolation_level
        self.paused_topics: set[str] = set()
        self.time_order = time_order
        self.elsewhere_ms: tuple[int, ...] = ()
        self.took_any = False
        self._ordered_topics = frozenset(ordered_topics)
        super().__init__(*args, ConsumerScheduler=InOrder, **kwargs)

    def is_ordered(self, topic: str) -> bool:
        """Whether the records of `topic` are read in the order of their time now."""
        return topic in self._ordered_topics and topic not in self.paused_topics

    def on_the_way(self) -> int:
        """How many records of inputs were handed over that no agent has taken yet."""
        channels = [channel for channel in self.topics if self._ordered_topics.intersection(channel.topics)]
        return sum(channel.queue.qsize() for channel in channels)

    def took(self, records: Records) -> None:
        """These are handed over next."""
        self.took_any = bool(records)

    def pass_over(self, tp: TP, begin: int, end: int) -> None:
        """No record of `tp` is from offset `begin` up to `end`. The consumer comes with the first assignment."""
        self.consumer.pass_over(tp, begin, end)

    def _create_directories(self) -> None:
        """Nothing: Faust's folders are for tables and their stores, and there are none."""

    def _new_transport(self) -> InputTransport:
        return InputTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> InputTransport:
        return InputTransport(self.conf.broker_producer, self)

    def pause_topic(self, topic: str) -> None:
        """Fetch nothing more of `topic`, and forget what waits for the agent: it was not taken yet."""
        self.paused_topics.add(topic)
        consumer = self.consumer
        consumer.pause_partitions({tp for tp in consumer.assignment() if tp.topic == topic})
        for channel in self.topics:
            waiting = channel.queue._queue
            kept = [event for event in waiting if event.message.topic != topic]
            waiting.clear()
            waiting.extend(kept)

    async def resume_topic(self, topic: str, next_offsets: Mapping[TP, int]) -> None:
        """Read `topic` again, from the first record that the agent has not taken."""
        self.paused_topics.discard(topic)
        tps = {tp for tp in self.consumer.assignment() if tp.topic == topic}
        for tp in tps & next_offsets.keys():
            await self.consumer.seek(tp, next_offsets[tp])
        self.consumer.resume_partitions(tps)

    def rejoin_group(self) -> None:
        """Make the group rebalance, as when a member came; does nothing where one is under way."""
        thread = self.consumer._thread
        thread.thread_loop.call_soon_threadsafe(thread._ensure_consumer()._coordinator.request_rejoin)
