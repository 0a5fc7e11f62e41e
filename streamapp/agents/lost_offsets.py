"""Records that Kafka deleted before they were read: counted and logged, never passed over in silence."""

import logging

from faust.types import TP

from streamapp import metrics

log = logging.getLogger(__name__)


class OffsetsWentBack(RuntimeError):
    """The next record of a partition is older than one already taken: the topic is another one, or was cut."""


def count_lost(tp: TP, expected: int, begin: int) -> None:
    """`expected` was to be read next and `begin` is the oldest offset that is left; nothing if that is not later."""
    if expected >= begin:
        return
    metrics.OFFSETS_LOST.labels(tp.topic, str(tp.partition)).inc(begin - expected)
    log.critical(
        "%d records of %s partition %d were deleted before they were read (offsets %d to %d): raise the topic's "
        "retention.ms or add workers",
        begin - expected, tp.topic, tp.partition, expected, begin - 1,
    )  # fmt: skip
