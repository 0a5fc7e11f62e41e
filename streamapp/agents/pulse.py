"""The worker's heartbeat: sends due ticks, measures the loop's lateness, lag and progress."""

import asyncio
import time
from collections.abc import Mapping

from streamapp import metrics
from streamapp.agents.current_series import CurrentSeries
from streamapp.agents.guard import Guard
from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.partition_ends import PartitionEnds
from streamapp.agents.ticker import Ticker
from streamapp.agents.time_alignment import TimeAlignment
from streamapp.health import Vitals

PULSE_SECONDS = 0.5


class Pulse:
    """Runs from the first assignment until the app stops; an error in it ends the worker."""

    def __init__(
        self,
        app: StreamApp,
        ends: PartitionEnds,
        ticker: Ticker,
        alignment: TimeAlignment,
        guard: Guard,
        vitals: Vitals,
    ) -> None:
        self._app = app
        self._ends = ends
        self._ticker = ticker
        self._alignment = alignment
        self._guard = guard
        self._vitals = vitals
        self._committed: dict[str, int] = {}
        self._lag = CurrentSeries(metrics.CONSUMER_LAG_POSTS)
        self._waiting = CurrentSeries(metrics.WAITING_RECORDS)
        self._held = CurrentSeries(metrics.HELD_RECORDS)
        self._progress = CurrentSeries(metrics.PROGRESS_SECONDS)
        self._progressed_at: dict[str, float] = {}

    async def run(self) -> None:
        """Beat until cancelled."""
        self._vitals.ready("worker")
        self._guard.start()
        while not self._app.should_stop:
            due = time.monotonic() + PULSE_SECONDS
            await asyncio.sleep(PULSE_SECONDS)
            metrics.LOOP_LAG_SECONDS.set(max(0.0, time.monotonic() - due))
            self._guard.tick()
            metrics.LOOP_TICK_SECONDS.set(time.time())
            self._alignment.look()
            self._measure()

    async def tell(self) -> None:
        """Send due ticks until cancelled. Apart from the beat: a send waits for as long as Kafka is away."""
        while not self._app.should_stop:
            await asyncio.sleep(PULSE_SECONDS)
            if not self._app.rebalancing:
                await self._ticker.send_due()

    def _progressing(
        self, waiting: Mapping[str, int], committed: Mapping[str, int], held: set[str]
    ) -> set[str]:
        """An input whose records wait for those of a slower one makes progress as long as any input does."""
        done = {topic for topic, lag in waiting.items() if lag == 0}
        moved = {topic for topic in waiting if committed[topic] != self._committed.get(topic)}
        inputs_move = any(self._app.is_ordered(topic) for topic in moved)
        return done | moved | (held & waiting.keys() if inputs_move else set())

    def _measure(self) -> None:
        """Lag by partition; an agent made progress when its commits moved or nothing waits."""
        consumer = self._app.consumer
        lags: dict[tuple[str, ...], float] = {}
        waiting: dict[str, int] = {}
        committed: dict[str, int] = {}
        for tp in consumer.assignment():
            end = self._ends.last_told(tp)
            done = consumer._committed_offset[tp]
            if end is None or done is None:
                continue
            lag = max(0, end - done)
            lags[tp.topic, str(tp.partition)] = lag
            if tp.topic not in self._app.paused_topics:
                waiting[tp.topic] = waiting.get(tp.topic, 0) + lag
                committed[tp.topic] = committed.get(tp.topic, 0) + done
        held: dict[str, int] = {}
        for tp, records in self._app.time_order.waiting.items():
            held[tp.topic] = held.get(tp.topic, 0) + records
        self._held.replace({(topic,): records for topic, records in held.items()})
        for topic in self._progressing(waiting, committed, set(held)):
            self._vitals.progress(topic)
            self._progressed_at[topic] = time.time()
        self._committed = committed
        self._vitals.waiting_records = waiting
        self._lag.replace(lags)
        self._waiting.replace({(topic,): lag for topic, lag in waiting.items()})
        self._progress.replace({(topic,): self._progressed_at[topic] for topic in waiting})
