"""Tells the consumer how far other workers' sources, and its own before it read them, have come in record time.

Of what this worker hears in `subject-activity`. One without any partition of it hears nothing and waits for nobody.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any

from faust.types import TP

from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.ticker import TICK_KEY
from streamapp.agents.trend_store import TrendStore
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import SubjectActivity, Tick
from streamapp.core.sources_elsewhere import SourcePartition, SourcesElsewhere

# Between the clocks of two workers.
CLOCK_SKEW_SECONDS = 2.0


class TimeAlignment:
    """One a worker. `sources`: every partition of the inputs that move event time, with its identity."""

    def __init__(self, app: StreamApp, store: TrendStore, sources: Mapping[TP, SourcePartition]) -> None:
        self._app = app
        self._store = store
        self._sources = sources
        self._elsewhere = SourcesElsewhere()
        self._assigned_at_seconds = 0.0

    def assign(self, assigned: Collection[TP]) -> None:
        """These partitions are read from here on, from where others left them."""
        self._assigned_at_seconds = time.time()
        known_ms: dict[SourcePartition, int] = {}
        watches = self._store.partitions.values()
        for clock in (clock for watch in watches for clock in watch.clocks if clock.record_ms is not None):
            key = (clock.topic_uuid, clock.partition)
            known_ms[key] = max(known_ms.get(key, 0), clock.record_ms or 0)
        own = {tp: source for tp, source in self._sources.items() if tp in assigned}
        self._app.time_order.assume({tp: known_ms[key] for tp, key in own.items() if key in known_ms})
        others = set(self._sources.values()) - set(own.values()) if watches else ()
        self._elsewhere.assign(others, known_ms, self._now_ms())
        self.look()

    def hear(self, message: Any) -> None:
        """A message of `subject-activity`; only ticks that were sent since the assignment are news."""
        if message.key != TICK_KEY or message.timestamp < self._assigned_at_seconds - CLOCK_SKEW_SECONDS:
            return
        try:
            tick = decode(message.value, SubjectActivity)
        except DecodeError:
            return  # watch keeps it aside
        if isinstance(tick, Tick):
            self._elsewhere.hear(tick, self._now_ms())
            self.look()

    def look(self) -> None:
        """How far the others are, now."""
        self._app.elsewhere_ms = self._elsewhere.times_ms(self._now_ms())

    def _now_ms(self) -> int:
        return int(time.time() * 1000)
