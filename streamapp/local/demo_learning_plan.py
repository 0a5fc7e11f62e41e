"""The learning demo's numbers, settings and labels: which posts people have read, how fast the day goes on. Pure.

Settings are those of any user; what differs from the defaults is printed. Labels are what the authors of the sample
meant; the posts of the day's second part are nowhere in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Channel, DrawnBy
from streamapp.local.demo_plan import DemoFiles
from streamapp.local.sample import CHANNELS, SamplePost, SampleRecord
from streamapp.settings import (
    BrokerAccess,
    HttpSettings,
    InputSettings,
    IntakeSettings,
    ModelSettings,
    Settings,
    SwapSettings,
    TopicSettings,
    WorkerSettings,
)

PARTITIONS: Final = 4
AUTHOR: Final = "demo"
AUDIT_EVERY: Final = 5
EPOCHS: Final = 3
THREADS: Final = 2
# Below the default, so that the news of the first part is enough: else training fills up with written
# posts, those of the day's second part among them.
REHEARSAL_RATIO: Final = 0.9
MAX_HOURS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0


class LearningPlan(Struct, frozen=True, kw_only=True):
    """What is fixed before anything starts.

    People have labelled the chat of the first `read_records` of the day. While training goes on the stream trickles up
    to `trickle_until`; the records from `keep_from` on wait for the new model. Rates in records a second.
    """

    prefix: str
    read_records: int
    trickle_until: int
    keep_from: int
    morning_rate: float = 20.0
    trickle_rate: float = 0.75
    swap_rate: float = 8.0
    evening_rate: float = 20.0
    shadow_posts: int = 100
    shadow_seconds: float = 10.0

    def input_topic(self, channel: Channel) -> str:
        return f"{self.prefix}{channel}"


class LearningFiles(Struct, frozen=True):
    """Where things lie in the demo's folder, beside those that every demo has."""

    folder: Path

    @property
    def labels(self) -> Path:
        return self.folder / "labels.jsonl"

    @property
    def old_posts(self) -> Path:
        return self.folder / "old-posts.jsonl"

    @property
    def retrain_config(self) -> Path:
        return self.folder / "retrain.json"

    @property
    def retrain_log(self) -> Path:
        return self.folder / "retrain.log"

    @property
    def import_log(self) -> Path:
        return self.folder / "import.log"

    @property
    def result(self) -> Path:
        return self.folder / "retrain-result.json"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def models(self) -> Path:
        return self.folder / "models"


class LabelLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file of labels, under the names that `streamapp labels import` knows."""

    text: str
    channel: Channel
    source: str
    sentiment: str
    topic: str
    author: str = ""
    drawn: DrawnBy = "none"
    id: str | None = None


class OldPost(Struct, frozen=True, kw_only=True):
    """One line of the rehearsal file, in the form of the retrain service's labels: nobody labelled it."""

    post_id: str
    text: str
    channel: Channel
    source: str
    origin: str = "import"
    labelled_at_ms: int = 0


def plan_learning(records: int, prefix: str) -> LearningPlan:
    """The plan for a day of so many records."""
    return LearningPlan(
        prefix=prefix,
        read_records=records * 60 // 100,
        trickle_until=records * 72 // 100,
        keep_from=records * 86 // 100,
    )


def worker_settings(plan: LearningPlan, files: DemoFiles, bootstrap: str) -> Settings:
    """The settings file of the demo's worker."""
    return Settings(
        broker=BrokerAccess(bootstrap=bootstrap),
        topics=TopicSettings(prefix=plan.prefix, partitions=PARTITIONS, replication=1, min_insync_replicas=1),
        inputs=tuple(InputSettings(topic=plan.input_topic(channel), channel=channel) for channel in CHANNELS),
        worker=WorkerSettings(group=f"{plan.prefix}workers"),
        model=ModelSettings(
            store=str(LearningFiles(files.folder).models), cache=str(files.folder / "fetched")
        ),
        swap=SwapSettings(
            shadow_recent_posts=plan.shadow_posts,
            shadow_posts=plan.shadow_posts,
            shadow_seconds=plan.shadow_seconds,
        ),
        intake=IntakeSettings(symbols_file=str(files.symbols)),
        http=HttpSettings(port=0),
    )


def retrain_settings(plan: LearningPlan, files: LearningFiles, worker: Settings) -> dict[str, Any]:
    """The settings file of `retrain once`: the worker's broker and topics; what is not here is as it ships."""
    return {
        "broker": msgspec.to_builtins(worker.broker),
        "topics": msgspec.to_builtins(worker.topics),
        "store": {"path": str(files.folder / "labels.sqlite")},
        "labels": {"group": f"{plan.prefix}retrain", "patience_seconds": PATIENCE_SECONDS},
        "model_store": {"url": str(files.models)},
        "quality": {"follow": False},
        "tracking": {"uri": ""},
        "run": {
            "folder": str(files.runs),
            "rehearsal": str(files.old_posts),
            "max_hours": MAX_HOURS,
            "patience_seconds": PATIENCE_SECONDS,
        },
        "training": {"epochs": EPOCHS, "threads": THREADS, "rehearsal_ratio": REHEARSAL_RATIO},
    }


def settings_lines(plan: LearningPlan) -> list[str]:
    """What differs from a user's settings, and why."""
    return [
        f"swap.shadow_recent_posts = {plan.shadow_posts}, swap.shadow_posts = {plan.shadow_posts},"
        f" swap.shadow_seconds = {plan.shadow_seconds:.0f} (defaults 500, 500, 60): a short shadow run.",
        f"training.epochs = {EPOCHS}, training.threads = {THREADS}, training.rehearsal_ratio = {REHEARSAL_RATIO}"
        " (defaults 4, all cores, 1). The gate is as it ships, with the golden set that ships.",
        "tracking.uri is empty (default local): nothing is told to MLflow.",
    ]


def label_lines(day: Sequence[SampleRecord], plan: LearningPlan) -> list[LabelLine]:
    """What people say of the chat posts that they have read. Every fifth, by a hash of its text, is an audit: drawn
    whatever the model said of it, so it judges and trains nobody.
    """
    return [
        LabelLine(
            id=post.id,
            text=post.text,
            channel=post.channel,
            source=post.source,
            sentiment=post.intended.sentiment,
            topic=post.intended.topic,
            author=AUTHOR,
            drawn="audit" if _number_of(post) % AUDIT_EVERY == 0 else "none",
        )
        for post in _posts(day[: plan.read_records], "chat")
    ]


def old_posts(day: Sequence[SampleRecord], plan: LearningPlan) -> list[OldPost]:
    """News that the model knows how to read: replayed with its own opinions, so that learning chat unlearns no news."""
    return [
        OldPost(post_id=f"old-{number}", text=clean_text(post.text), channel=post.channel, source=post.source)
        for number, post in enumerate(_posts(day[: plan.read_records], "news"))
    ]


def json_lines(values: Sequence[Struct]) -> bytes:
    """A JSONL file of them."""
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)


def _posts(records: Sequence[SampleRecord], channel: Channel) -> list[SamplePost]:
    return [record for record in records if isinstance(record, SamplePost) and record.channel == channel]


def _number_of(post: SamplePost) -> int:
    return int.from_bytes(hashlib.sha256(post.text.encode()).digest()[:4])
