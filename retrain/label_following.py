"""Labels into the store for as long as the service runs, or once to the present end of the topic.

The stream itself is label_stream.py; here it is opened, asked again while the broker is away, and stopped quickly.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec
from kafka import TopicPartition
from kafka.errors import KafkaError

from retrain.label_classes import LabelClasses
from retrain.label_store import LabelStore
from retrain.label_stream import LabelStream
from retrain.patience import BROKEN, StoppedError, Troubles, patiently
from retrain.settings import RetrainSettings
from streamapp.cluster.kafka_clients import StalledReadError, open_admin, open_consumer, topic_uuids
from streamapp.contracts.topics import LABELS

TAKE_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 60.0

log = logging.getLogger(__name__)

Ends = dict[tuple[str, int], int]


def follow_labels(
    settings: RetrainSettings, classes: LabelClasses, troubles: Troubles, should_stop: Callable[[], bool]
) -> None:
    """Until asked to stop (StoppedError). Raises BrokenPartError, KeyFileError, LabelTopicsError."""
    _read(settings, classes, troubles, should_stop, lambda _: False)


def catch_up(
    settings: RetrainSettings, classes: LabelClasses, troubles: Troubles, should_stop: Callable[[], bool]
) -> None:
    """Stores every label that is in the topic now."""
    ends = patiently(lambda: _ends(settings), settings.labels.patience_seconds, should_stop, troubles)
    deadline = time.monotonic() + settings.labels.patience_seconds + SETTLE_SECONDS

    def caught_up(store: LabelStore) -> bool:
        positions = store.positions()
        if all(positions.get(part, 0) >= end for part, end in ends.items()):
            return True
        if time.monotonic() > deadline:
            raise StalledReadError(f"{settings.topics.prefix}{LABELS.name} could not be read to its end")
        return False

    _read(settings, classes, troubles, should_stop, caught_up)


def _read(
    settings: RetrainSettings,
    classes: LabelClasses,
    troubles: Troubles,
    should_stop: Callable[[], bool],
    enough: Callable[[LabelStore], bool],
) -> None:
    # The stream's own patience cannot be cut short: asking again is done here, where a stop is seen within seconds.
    patience = settings.labels.patience_seconds
    brisk = msgspec.structs.replace(
        settings, labels=msgspec.structs.replace(settings.labels, patience_seconds=0.0)
    )
    path, days = Path(settings.store.path), settings.store.unlabelled_days
    with (
        patiently(lambda: LabelStore(path, days), patience, should_stop, troubles) as store,
        _Reader(lambda: LabelStream(brisk, store, classes)) as reader,
    ):
        while not enough(store):
            if should_stop():
                raise StoppedError
            patiently(reader.take, patience, should_stop, troubles)


class _Reader:
    """A stream that is opened anew after every failure: what a client keeps of a lost broker is not relied on."""

    def __init__(self, open_stream: Callable[[], LabelStream]) -> None:
        self._open_stream = open_stream
        self._stream: LabelStream | None = None

    def take(self) -> None:
        """One batch stored and committed; raises what opening and taking raise."""
        if self._stream is None:
            self._stream = self._open_stream()
        try:
            self._stream.take(TAKE_SECONDS)
        except BROKEN:
            self._close()
            raise

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            stream.close()
        except KafkaError as error:  # all that was taken is stored and committed
            log.warning("the label stream did not close well: %s: %s", type(error).__name__, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _ends(settings: RetrainSettings) -> Ends:
    """The end of every partition of `labels` that holds something, by topic UUID."""
    topic = settings.topics.prefix + LABELS.name
    with open_admin(settings.broker) as admin:
        uuid = topic_uuids(admin, [topic]).get(topic)
    if uuid is None:
        return {}  # the stream says by name that it is missing
    consumer = open_consumer(settings.broker)
    try:
        parts = [
            TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        return {(uuid, part.partition): ends[part] for part in parts if begins[part] < ends[part]}
    finally:
        consumer.close()
