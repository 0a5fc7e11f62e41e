"""The demo's numbers and settings: how fast the day passes, what lateness fits that, which topics and files. Pure.

The settings are those of any user; only what the speed asks for differs from the defaults, and is printed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from streamapp.contracts.messages import Channel
from streamapp.local.demo_scene import DAY_START_MS
from streamapp.local.replay import (
    ReplayRecord,
    closing_offset_seconds,
    lateness_for,
    shift_to_end_at,
)
from streamapp.local.sample import CHANNELS, DAY_SECONDS, SampleRecord, closing_posts, value_of
from streamapp.settings import (
    BrokerAccess,
    EventTimeSettings,
    HttpSettings,
    InputSettings,
    IntakeSettings,
    ModelSettings,
    Settings,
    TopicSettings,
    WorkerSettings,
)

PARTITIONS: Final = 4
HOUR_SECONDS: Final = 3_600
MINUTE_MS: Final = 60_000
# Posts of the day's last minute that are still on their way must not find their minute closed by the closing posts.
CLOSING_PAUSE_SECONDS: Final = 2.0
SUBJECTS_TO_ALERT: Final = frozenset({"company:CLDB", "topic:energy_oil"})


class DemoPlan(Struct, frozen=True, kw_only=True):
    """What is fixed before anything starts. Times in event seconds, `stream_seconds` in real ones."""

    stream_seconds: float
    speed: float
    lateness_seconds: float
    backfill_after_seconds: float
    prefix: str

    @property
    def closing_seconds(self) -> float:
        """The offset of the closing posts from the day's begin."""
        return closing_offset_seconds(DAY_SECONDS, self.lateness_seconds)

    def input_topic(self, channel: Channel) -> str:
        return f"{self.prefix}{channel}"


def plan_demo(stream_seconds: float, prefix: str) -> DemoPlan:
    """The plan for a day told in that many real seconds."""
    speed = DAY_SECONDS / stream_seconds
    lateness = lateness_for(speed, EventTimeSettings().lateness_seconds)
    longest = closing_offset_seconds(DAY_SECONDS, lateness) + stream_seconds
    hours = -(-longest // HOUR_SECONDS) + 1
    return DemoPlan(
        stream_seconds=stream_seconds,
        speed=speed,
        lateness_seconds=lateness,
        backfill_after_seconds=hours * HOUR_SECONDS,
        prefix=prefix,
    )


class DemoFiles(Struct, frozen=True):
    """Where things lie in the demo's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "settings.json"

    @property
    def symbols(self) -> Path:
        return self.folder / "symbols.toml"

    @property
    def worker_log(self) -> Path:
        return self.folder / "worker.log"

    @property
    def clients_log(self) -> Path:
        return self.folder / "clients.log"

    @property
    def broker(self) -> Path:
        return self.folder / "broker"


def demo_settings(
    plan: DemoPlan, files: DemoFiles, bootstrap: str, http_port: int, bundle: Path | None
) -> Settings:
    """The settings file of the demo's worker."""
    return Settings(
        broker=BrokerAccess(bootstrap=bootstrap),
        topics=TopicSettings(prefix=plan.prefix, partitions=PARTITIONS, replication=1, min_insync_replicas=1),
        inputs=tuple(InputSettings(topic=plan.input_topic(channel), channel=channel) for channel in CHANNELS),
        worker=WorkerSettings(group=f"{plan.prefix}workers"),
        model=ModelSettings(bundle="" if bundle is None else str(bundle)),
        event_time=EventTimeSettings(
            lateness_seconds=plan.lateness_seconds, backfill_after_seconds=plan.backfill_after_seconds
        ),
        intake=IntakeSettings(symbols_file=str(files.symbols)),
        http=HttpSettings(port=http_port),
    )


def shift_ms(plan: DemoPlan, now_ms: int) -> int:
    """What to add to the day's own times so that its last post, a closing one, falls on the last full minute
    before `now_ms`: whole minutes, so that every run cuts the day into the same ones.
    """
    shift = shift_to_end_at(DAY_START_MS + int(plan.closing_seconds * 1000), now_ms)
    return shift - shift % MINUTE_MS


def demo_records(plan: DemoPlan, day: list[SampleRecord], shift: int) -> list[ReplayRecord]:
    """The day's records, then a neutral post on every input partition, all dated `shift` ms later."""
    day_start = sample_day_start(shift)
    records = [
        ReplayRecord(
            due_ms=int(record.offset_seconds * 1000),
            channel=record.channel,
            key=_key(record),
            value=value_of(record, day_start),
        )
        for record in day
    ]
    end_ms = int(DAY_SECONDS * 1000 + CLOSING_PAUSE_SECONDS * plan.speed * 1000)
    counted: dict[Channel, int] = dict.fromkeys(CHANNELS, 0)
    for post in closing_posts(PARTITIONS, plan.closing_seconds):
        records.append(
            ReplayRecord(
                due_ms=end_ms,
                channel=post.channel,
                key=_key(post),
                value=value_of(post, day_start),
                partition=counted[post.channel] % PARTITIONS,
            )
        )
        counted[post.channel] += 1
    return records


def sample_day_start(shift: int) -> datetime:
    """When the shifted day begins."""
    return datetime.fromtimestamp((DAY_START_MS + shift) / 1000, UTC)


def _key(record: SampleRecord) -> bytes:
    name = getattr(record, "id", None)
    return (name or f"sample-{record.offset_seconds}").encode()
