"""What a frame of the demo shows besides its figures, and the clock of the simulated day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from streamapp.local.alert_card import NameOf
from streamapp.local.sample import DAY_SECONDS, DAY_START

DAY_START_MS: Final = int(DAY_START.timestamp() * 1000)
DAY_MS: Final = DAY_SECONDS * 1000


class Scene(Struct, frozen=True, kw_only=True):
    """One moment. `shift_ms` is what the replay added to the day's times, `clock_ms` how far the day has come."""

    title: str
    speed: float
    shift_ms: int
    clock_ms: int
    now_ms: int
    lag: int
    phase: str
    name_of: NameOf

    def day_time(self, shifted_ms: int) -> str:
        """A post's time on the clock of the simulated day, HH:MM."""
        return f"{datetime.fromtimestamp((shifted_ms - self.shift_ms) / 1000, UTC):%H:%M}"

    @property
    def clock(self) -> str:
        """The time of the simulated day, HH:MM."""
        return self.day_time(DAY_START_MS + self.shift_ms + max(0, min(DAY_MS, self.clock_ms)))
