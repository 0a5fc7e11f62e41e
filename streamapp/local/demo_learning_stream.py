"""The sample's posts as a stream of the present: dated when they are sent, as fast as the demo's phase asks for.

Knows the clock, neither Kafka nor what a phase is about.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from streamapp.local.publisher import ReplayStoppedError
from streamapp.local.replay import ReplayRecord
from streamapp.local.sample import SampleRecord, value_of

LOOK_SECONDS: Final = 0.05


class Tempo:
    """How far the stream may go and how fast; set by the demo, obeyed by the thread that publishes."""

    def __init__(self) -> None:
        self._now = (0, 1.0)

    def go(self, until: int, rate: float) -> None:
        """Up to record `until` (not it), `rate` records a second."""
        self._now = (until, rate)

    @property
    def until(self) -> int:
        return self._now[0]

    @property
    def pause_seconds(self) -> float:
        return 1.0 / self._now[1]


def paced(day: Sequence[SampleRecord], tempo: Tempo, stop: threading.Event) -> Iterator[ReplayRecord]:
    """Each record once `tempo` lets it. Raises ReplayStoppedError once `stop` is set."""
    sent_at = 0.0
    for number, record in enumerate(day):
        while number >= tempo.until or time.monotonic() < sent_at + tempo.pause_seconds:
            if stop.wait(LOOK_SECONDS if number >= tempo.until else min(LOOK_SECONDS, tempo.pause_seconds)):
                raise ReplayStoppedError(f"stopped after {number} records")
        sent_at = time.monotonic()
        now = datetime.now(UTC)
        name = getattr(record, "id", None) or f"sample-{record.offset_seconds}"
        yield ReplayRecord(
            due_ms=number,
            channel=record.channel,
            key=name.encode(),
            value=value_of(record, now - timedelta(seconds=record.offset_seconds)),
        )
