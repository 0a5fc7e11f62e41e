"""Which model serves and how well it seems to do: follows the log of announcements and `scored-posts`.

One thread, a consumer without group. What it saw is one immutable value that others read (`seen`); must not decide
whether a run begins.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from kafka import KafkaConsumer, TopicPartition
from msgspec import Struct

from retrain import metrics
from retrain.core.quality import (
    HeadQuality,
    QualityAlarm,
    alarms,
    chosen_reference,
    gate_reference,
    population_stability_index,
)
from retrain.core.quality_window import HOUR_MS, FirstPosts, QualityWindow
from retrain.label_classes import LabelClasses
from retrain.patience import BROKEN, StoppedError, Troubles, patiently
from retrain.publish import PublishedModels
from retrain.run_book import RunBookError, write_kept
from retrain.settings import RetrainSettings
from retrain.stall_check import StallCheck
from streamapp.cluster.kafka_clients import open_consumer
from streamapp.contracts.bundle import BundleError
from streamapp.contracts.champion import Champion
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import ScoredPost
from streamapp.contracts.topics import SCORED_POSTS

POLL_MS: Final = 500
MOST_RECORDS: Final = 2_000
LOOK_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class Seen(Struct, frozen=True, kw_only=True):
    """The present champion and the limits that its estimated quality breaks."""

    champion: Champion
    alarms: tuple[QualityAlarm, ...] = ()


class ModelWatch:
    """`seen` is None until the log of announcements was read once; `classes` are told every other champion."""

    def __init__(
        self,
        settings: RetrainSettings,
        models: PublishedModels,
        troubles: Troubles,
        classes: LabelClasses | None = None,
    ) -> None:
        self._settings = settings
        self._classes = classes
        self._models = models
        self._troubles = troubles
        self._window = QualityWindow(settings.quality.window_hours)
        self._first = FirstPosts(settings.quality.reference_posts)
        self._given: tuple[HeadQuality, ...] = ()
        self.seen: Seen | None = None

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Until asked to stop; raises BrokenPartError when the broker stayed away for too long, else StoppedError."""
        patience = self._settings.run.patience_seconds
        patiently(self.look, patience, should_stop, self._troubles)
        while True:
            consumer = patiently(self._open, patience, should_stop, self._troubles)
            try:
                self._follow(consumer, should_stop)
            except BROKEN as error:  # what a client keeps of a lost broker is not relied on: another one
                log.warning("following %s anew: %s: %s", SCORED_POSTS.name, type(error).__name__, error)
            finally:
                if consumer is not None:
                    consumer.close()

    def judge(self, should_stop: Callable[[], bool]) -> Seen:
        """What is so after the whole window of scored posts was read once, for who does not stay to follow it."""
        patience = self._settings.run.patience_seconds
        patiently(self.look, patience, should_stop, self._troubles)
        patiently(lambda: self._read_window(should_stop), patience, should_stop, self._troubles)
        patiently(self.look, patience, should_stop, self._troubles)
        if self.seen is None:
            raise AssertionError("a look leaves what it saw")
        return self.seen

    def _read_window(self, should_stop: Callable[[], bool]) -> None:
        """From where the window begins to what was the end; anew from there where the broker went away meanwhile."""
        consumer = self._open()
        if consumer is None:
            return
        try:
            parts = sorted(consumer.assignment())
            ends, stall = consumer.end_offsets(parts), StallCheck(consumer)
            while any(consumer.position(part) < ends[part] for part in parts):
                if should_stop():
                    raise StoppedError
                self._take(consumer)
                stall.check(parts)
        finally:
            consumer.close()

    def _follow(self, consumer: KafkaConsumer | None, should_stop: Callable[[], bool]) -> None:
        """Raises StoppedError, and what the broker's absence raises."""
        patience = self._settings.run.patience_seconds
        stall = StallCheck(consumer)
        look_at = time.monotonic() + LOOK_SECONDS
        while not should_stop():
            if time.monotonic() >= look_at:
                patiently(self.look, patience, should_stop, self._troubles)
                look_at = time.monotonic() + LOOK_SECONDS
            if consumer is None:
                time.sleep(POLL_MS / 1000)
            else:
                self._take(consumer)
                stall.check(sorted(consumer.assignment()))
        raise StoppedError

    def look(self) -> None:
        """Reads the log of announcements and tells what is so."""
        line = self._models.line()
        champion = line[-1]
        if self.seen is None or self.seen.champion.bundle_digest != champion.bundle_digest:
            self._other_champion(champion)
        _tell_champion(line)
        self._window.forget(time.time_ns() // 1_000_000)
        present = self._window.present(champion.model_version)
        rules = self._settings.quality.rules()
        reference = chosen_reference(self._given, self._first.complete, rules.fewest_posts)
        broken = alarms(rules, reference, present)
        _tell_quality(reference, present, broken)
        self.seen = Seen(champion=champion, alarms=broken)

    def _open(self) -> KafkaConsumer | None:
        """A consumer that stands where the (empty) window begins; None where there is nothing to follow."""
        self._window = QualityWindow(self._settings.quality.window_hours)
        self._first = FirstPosts(self._settings.quality.reference_posts, self._first.complete)
        if not self._settings.quality.follow:
            return None
        topic = self._settings.topics.prefix + SCORED_POSTS.name
        consumer = open_consumer(self._settings.broker)
        parts = [
            TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        if not parts:
            log.warning("no topic %s: quality is not estimated (streamapp topics create)", topic)
            consumer.close()
            return None
        consumer.assign(parts)
        began_ms = time.time_ns() // 1_000_000 - self._settings.quality.window_hours * HOUR_MS
        ends = consumer.end_offsets(
            parts
        )  # before the question: what comes in between must not be passed over
        found = consumer.offsets_for_times(dict.fromkeys(parts, began_ms))
        for part in parts:
            consumer.seek(part, ends[part] if found.get(part) is None else found[part].offset)
        return consumer

    def _take(self, consumer: KafkaConsumer) -> None:
        for records in consumer.poll(timeout_ms=POLL_MS, max_records=MOST_RECORDS).values():
            for record in records:
                try:
                    scored = decode(record.value, ScoredPost)
                except DecodeError as error:
                    log.error("%s offset %d is no scored post: %s", record.topic, record.offset, error)
                    continue
                self._window.add(record.timestamp, scored)
                if self.seen is None or scored.model_version != self.seen.champion.model_version:
                    continue
                if self._first.add(scored):
                    self._keep_reference(self.seen.champion)

    def _other_champion(self, champion: Champion) -> None:
        """What quality is compared with changes with the champion."""
        try:
            manifest = self._models.bundle_of(champion).manifest
        except BundleError as error:
            log.error("the champion's bundle cannot be used: %s", error)
            self._given = ()
        else:
            self._given = gate_reference(manifest.metrics)
            if self._classes is not None:
                self._classes.follow(manifest)
            metrics.CHAMPION_MADE_SECONDS.set(_unix_seconds(manifest.created_at))
        self._first = FirstPosts(self._settings.quality.reference_posts, self._kept_reference(champion))

    def _reference_path(self, champion: Champion) -> Path:
        return Path(self._settings.run.folder) / f"first-posts-{champion.bundle_digest[:16]}.json"

    def _keep_reference(self, champion: Champion) -> None:
        try:
            write_kept(self._reference_path(champion), msgspec.json.encode(self._first.complete))
        except RunBookError as error:  # it is made again from later posts
            log.warning("the reference of estimated quality could not be kept: %s", error)

    def _kept_reference(self, champion: Champion) -> tuple[HeadQuality, ...]:
        path = self._reference_path(champion)
        try:
            return (
                msgspec.json.decode(path.read_bytes(), type=tuple[HeadQuality, ...]) if path.is_file() else ()
            )
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s is not readable, a new reference is made: %s", path, error)
            return ()


def _tell_champion(line: tuple[Champion, ...]) -> None:
    champion = line[-1]
    metrics.CHAMPION_SEQUENCE.set(champion.sequence)
    metrics.CHAMPION_PINNED.set(champion.pinned)
    metrics.ROLLED_BACK_SECONDS.set(rolled_back_at_ms(line) / 1000)


def rolled_back_at_ms(line: tuple[Champion, ...]) -> int:
    """When a bundle that had served before was last announced to take a newer one back; 0: never."""
    return max((champion.announced_at_ms for champion in line if champion.rolls_back), default=0)


def _tell_quality(
    reference: tuple[HeadQuality, ...], present: tuple[HeadQuality, ...], broken: tuple[QualityAlarm, ...]
) -> None:
    references = {(each.channel, each.head): each for each in reference}
    low = {(alarm.kind, alarm.channel, alarm.head) for alarm in broken}
    for now in present:
        part = (now.channel, now.head)
        metrics.ESTIMATE_POSTS.labels(*part).set(now.posts)
        metrics.ESTIMATED_ACCURACY.labels(*part).set(now.accuracy)
        for kind in ("accuracy", "drift"):
            metrics.QUALITY_LOW.labels(kind, *part).set((kind, *part) in low)
        before = references.get(part)
        if before is not None:
            metrics.REFERENCE_ACCURACY.labels(*part).set(before.accuracy)
            metrics.LABEL_DRIFT.labels(*part).set(population_stability_index(before.shares, now.shares))


def _unix_seconds(created_at: str) -> float:
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
