"""When a recorded stream is told again: how its posts are dated, and at which second each is due. Pure.

Must not know Kafka, files or the clock: `now` is an argument. The record's own timestamp is never chosen here;
it is the present, because Kafka deletes old records and refuses future ones (design section 3).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from streamapp.contracts.messages import Channel

MINUTE_SECONDS: Final = 60
# In an accelerated replay a delay of the machine weighs `speed` times as much in event time: so many real seconds
# the lateness must still cover (design section 3).
LATENESS_REAL_SECONDS: Final = 10


class ReplayRecord(Struct, frozen=True, kw_only=True):
    """One record to publish. `due_ms` orders and paces it (stream time); `partition` None: by its key."""

    due_ms: int
    channel: Channel
    key: bytes
    value: bytes | None
    partition: int | None = None


def shift_to_end_at(last_ms: int, now_ms: int) -> int:
    """Milliseconds to add to every event time so that the last post falls on `now_ms`."""
    return now_ms - last_ms


def delay_seconds(due_ms: int, first_ms: int, speed: float) -> float:
    """Real seconds after the start at which a record is due; 0 for `speed` 0, which means as fast as it goes."""
    return (due_ms - first_ms) / 1000 / speed if speed > 0 else 0.0


def lateness_for(speed: float, default_seconds: float) -> float:
    """Lateness in event time that fits the speed: the default, or ten real seconds, in whole minutes."""
    needed = speed * LATENESS_REAL_SECONDS
    if needed <= default_seconds:
        return default_seconds
    minutes = -(-needed // MINUTE_SECONDS)
    return float(minutes * MINUTE_SECONDS)


def closing_offset_seconds(length_seconds: float, lateness_seconds: float) -> float:
    """When, after the stream's begin, its closing posts must be dated for its last minute to close."""
    return length_seconds + lateness_seconds + MINUTE_SECONDS


def rfc3339(time_ms: int) -> str:
    """Epoch milliseconds as our own format writes a time."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
