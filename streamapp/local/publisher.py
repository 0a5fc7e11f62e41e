"""Publishes a stream to the input topics at its pace, open loop: a slow worker never slows the stream down.

Knows Kafka and the clock; when a record is due and what it holds was decided before (local/replay.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec import Struct

from streamapp.contracts.messages import Channel
from streamapp.local.replay import ReplayRecord, delay_seconds

ACK_TIMEOUT_SECONDS: Final = 60.0
# Acknowledgements outstanding at most: bounds the memory of a replay at full speed.
MAX_IN_FLIGHT: Final = 10_000


class Progress(Struct):
    """How far a replay has come. Written by the replay, read by whoever shows it."""

    published: int = 0
    due_ms: int | None = None
    behind_seconds: float = 0.0


class Pace(Struct, frozen=True):
    """`speed` times real time, from the record at `first_ms` on; 0: as fast as Kafka takes them."""

    first_ms: int
    speed: float


class ReplayStoppedError(RuntimeError):
    """The replay was told to stop before its end."""


def publish(
    records: Iterable[ReplayRecord],
    producer: KafkaProducer,
    topics: Mapping[Channel, str],
    pace: Pace,
    progress: Progress,
    stop: threading.Event | None = None,
) -> None:
    """Sends every record when it is due and returns when all are acknowledged.

    Raises Kafka's error for a record that was refused, and `ReplayStoppedError` once `stop` is set.
    """
    stop = stop or threading.Event()
    waiting: deque[Any] = deque()
    for topic in topics.values():
        producer.partitions_for(topic)  # or the first record would wait for that, and the pace with it
    began = time.monotonic()
    for record in records:
        due = began + delay_seconds(record.due_ms, pace.first_ms, pace.speed)
        wait = due - time.monotonic()
        if stop.wait(wait) if wait > 0 else stop.is_set():
            raise ReplayStoppedError(f"stopped after {progress.published} records")
        progress.behind_seconds = max(0.0, -wait) if pace.speed > 0 else 0.0
        waiting.append(
            producer.send(
                topics[record.channel], value=record.value, key=record.key, partition=record.partition
            )
        )
        progress.published += 1
        progress.due_ms = record.due_ms
        _take_acknowledged(waiting)
    for future in waiting:
        future.get(timeout=ACK_TIMEOUT_SECONDS)


def _take_acknowledged(waiting: deque[Any]) -> None:
    while waiting and (waiting[0].is_done or len(waiting) > MAX_IN_FLIGHT):
        waiting.popleft().get(timeout=ACK_TIMEOUT_SECONDS)


class ReplayThread:
    """A replay beside the caller's own work. `check` raises in the caller what the replay ran into."""

    def __init__(self, work: Callable[[Progress, threading.Event], None]) -> None:
        self.progress = Progress()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> ReplayThread:
        self._thread.start()
        return self

    def running(self) -> bool:
        return self._thread.is_alive()

    def check(self) -> None:
        """Raises the error that ended the replay, if one did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it, wherever it is, and wait for that."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=ACK_TIMEOUT_SECONDS)

    def _run(self) -> None:
        try:
            self._work(self.progress, self._stop)
        except (KafkaError, OSError, RuntimeError, AssertionError, ValueError) as error:
            self._error = error
