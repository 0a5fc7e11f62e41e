"""Labels from Kafka into the store: read, judged, stored, committed, in this order, batch by batch.

A bad label goes to `dead-letters` before the store moves on; a crash anywhere repeats a batch, and the store keeps
each label once. Broken infrastructure is tried again for a bounded time, then raised; nothing of it is lost.
"""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import stamina
from filelock import FileLock, Timeout
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError
from msgspec import Struct

from retrain import metrics
from retrain.core.announcement_audit import announcing_action, announcing_actor, announcing_detail
from retrain.core.label_intake import BadLabel, lacks_its_post, read_label
from retrain.core.labels import KnownPost, StoredRecord
from retrain.label_classes import LabelClasses
from retrain.label_store import Added, AuditRecord, LabelStore, LabelStoreError, NotedPost
from retrain.label_topics import LabelTopics
from retrain.settings import RetrainSettings
from streamapp.cluster.kafka_clients import open_producer
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.dead_letter import dead_letter_headers, dead_letter_key_and_value
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import DeadLetterReason, LabelRequest, ModelAnnounced
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import DEAD_LETTERS
from streamapp.release import RELEASE

ACK_TIMEOUT_SECONDS: Final = 60
LONGEST_PAUSE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Taken(Struct, frozen=True, kw_only=True):
    """What one batch brought: records read, what the store made of its labels, and bad ones by dead letter."""

    records: int
    added: Added
    bad: int


class LabelStream:
    """The one reader of labels for a store. A context manager; not for several threads."""

    def __init__(self, settings: RetrainSettings, store: LabelStore, classes: LabelClasses) -> None:
        """Raises LabelStoreError where another process reads labels into the same store, and the client's errors."""
        self._settings = settings
        self._store = store
        self._classes = classes
        self._lock = _locked(store)
        try:
            self._topics = LabelTopics(settings)
            self._producer: KafkaProducer = open_producer(settings.broker)
        except BaseException:
            self._lock.release()
            raise
        self._placed = False
        self._count()

    def take(self, timeout_seconds: float) -> Taken:
        """One batch: waits for it up to the time, stores it and commits exactly that.

        A failing broker or store is tried again for `labels.patience_seconds`, then its error (KafkaError or
        LabelStoreError) is raised; `take` may be called again after it. Raises LabelTopicsError at once.
        """
        caller = stamina.RetryingCaller(
            attempts=None,
            timeout=max(self._settings.labels.patience_seconds, 0.001),
            wait_max=LONGEST_PAUSE_SECONDS,
        )
        return caller((KafkaError, LabelStoreError), self._take, timeout_seconds)

    def close(self) -> None:
        """Lets go of the broker and the store's lock. What was taken is stored and committed already."""
        try:
            self._producer.close(timeout=ACK_TIMEOUT_SECONDS)
            self._topics.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, timeout_seconds: float) -> Taken:
        if not self._placed or self._topics.due_to_look():
            self._topics.place(self._store.positions())
        self._placed = False  # until all of this batch is stored, the reader stands too far ahead
        records = self._topics.poll(timeout_seconds)
        taken = self._keep(records)
        self._placed = True
        return taken

    def _keep(self, records: list[RawRecord]) -> Taken:
        posts = _posts(record for record in records if record.topic == self._topics.requests)
        labels = [record for record in records if record.topic == self._topics.labels]
        known = self._known(labels, posts)
        if not _all_known(labels, known):
            # A request is older than the label that answers it, so it is in the topic now.
            late = self._topics.poll_requests_to_end(
                self._settings.labels.patience_seconds or ACK_TIMEOUT_SECONDS
            )
            records += late
            posts += _posts(late)
            known |= {noted.post_id: noted.post for noted in posts}
        good, bad = self._judge(labels, known)
        self._send_dead_letters(bad)
        positions = _next_offsets(records)
        announced = [record for record in records if record.topic == self._topics.announcements]
        added = self._store.add(good, posts, positions, _audit(announced))
        self._topics.commit(positions)
        if records:
            self._count(added, len(bad))
        return Taken(records=len(records), added=added, bad=len(bad))

    def _known(self, labels: Sequence[RawRecord], posts: Sequence[NotedPost]) -> dict[str, KnownPost]:
        """Posts that labels without a text or channel may mean: of the store, of this batch's requests."""
        wanted = [post_id for record in labels if (post_id := lacks_its_post(record)) is not None]
        return self._store.known_posts(wanted) | {noted.post_id: noted.post for noted in posts}

    def _judge(
        self, labels: Sequence[RawRecord], known: dict[str, KnownPost]
    ) -> tuple[list[StoredRecord], list[BadLabel]]:
        good: list[StoredRecord] = []
        bad: list[BadLabel] = []
        limits = self._classes.limits
        for record in labels:
            read = read_label(record, limits, known)
            if isinstance(read, StoredRecord):
                good.append(read)
                label = read.label
                if label.text is not None and label.channel is not None:
                    known.setdefault(label.post_id, KnownPost(text=label.text, channel=label.channel))
            elif read.label is not None and self._store.was_erased(read.label):
                metrics.LABELS_REFUSED.labels("erased").inc()  # a dead letter would keep what must be gone
            else:
                bad.append(read)
        return good, bad

    def _send_dead_letters(self, bad: Sequence[BadLabel]) -> None:
        sends = [(each, self._send_dead_letter(each.record, "bad_label", each.reason)) for each in bad]
        for each, sent in sends:
            try:
                sent.get(timeout=ACK_TIMEOUT_SECONDS)
            except MessageSizeTooLargeError:
                detail = f"does not fit whole; bad_label: {each.reason}"
                self._send_dead_letter(each.record, "too_large", detail).get(timeout=ACK_TIMEOUT_SECONDS)
            log.warning(
                "label %s/%d:%d is bad: %s",
                each.record.topic,
                each.record.partition,
                each.record.offset,
                each.reason,
            )

    def _send_dead_letter(self, record: RawRecord, reason: DeadLetterReason, detail: str) -> Any:
        headers = dead_letter_headers(record, None, reason, detail, time.time_ns() // 1_000_000, RELEASE)
        key, value = dead_letter_key_and_value(record, reason)
        topic = self._settings.topics.prefix + DEAD_LETTERS.name
        return self._producer.send(topic, key=key, value=value, headers=headers)

    def _count(self, added: Added | None = None, bad: int = 0) -> None:
        if added is not None:
            for origin, labels in added.stored.items():
                metrics.LABELS_STORED.labels(origin).inc(labels)
            metrics.LABELS_REPEATED.inc(added.repeated)
            metrics.LABELS_REFUSED.labels("erased").inc(added.erased)
            metrics.LABELS_REFUSED.labels("bad_label").inc(bad)
            if not added.stored:
                return
        for origin, labels in self._store.count_by_origin().items():
            metrics.LABELS.labels(origin).set(labels)


def _locked(store: LabelStore) -> FileLock:
    lock = FileLock(f"{store.path}.reader")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise LabelStoreError(f"label store {store.path}: another process reads labels into it") from None
    except OSError as error:
        raise LabelStoreError(f"label store {store.path}: {error}") from error
    return lock


def _posts(requests: Any) -> list[NotedPost]:
    posts = []
    for record in requests:
        try:
            request = decode(record.value, LabelRequest)
        except DecodeError as error:
            log.warning(
                "%s/%d:%d is no label request: %s", record.topic, record.partition, record.offset, error
            )
            continue
        post = KnownPost(
            text=clean_text(request.text), channel=request.channel, source=request.source, drawn=request.drawn
        )
        posts.append(NotedPost(post_id=request.post_id, post=post))
    return posts


def _all_known(labels: Sequence[RawRecord], known: dict[str, KnownPost]) -> bool:
    return all(post_id is None or post_id in known for post_id in map(lacks_its_post, labels))


def _audit(announced: Sequence[RawRecord]) -> list[AuditRecord]:
    """Who announced which model and why: promotions, rollbacks and pins are announcements."""
    audit = []
    for record in announced:
        try:
            model = decode(record.value, ModelAnnounced)
        except DecodeError as error:
            log.warning(
                "%s/%d:%d is no announcement: %s", record.topic, record.partition, record.offset, error
            )
            continue
        source = msgspec.structs.astuple(record.source_offset)
        audit.append(
            AuditRecord(
                at_ms=model.announced_at_ms,
                actor=announcing_actor(model.announced_by),
                action=announcing_action(model),
                detail=announcing_detail(model),
                source=source,
            )
        )
    return audit


def _next_offsets(records: Sequence[RawRecord]) -> dict[tuple[str, int], int]:
    following: dict[tuple[str, int], int] = {}
    for record in records:
        key = (record.topic_uuid, record.partition)
        following[key] = max(following.get(key, 0), record.offset + 1)
    return following
