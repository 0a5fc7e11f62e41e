"""Where reading starts: where the store stands, and from the oldest record where that is not there any more."""

import pytest
from kafka import TopicPartition

from retrain import metrics
from retrain.label_topics import _start


def lost(topic: str) -> float:
    return (
        metrics.REGISTRY.get_sample_value("streamapp_retrain_label_offsets_lost_total", {"topic": topic})
        or 0.0
    )


@pytest.mark.parametrize(
    ("stored", "expected", "counted"),
    [
        (None, 10, 0),  # never read: from the oldest
        (15, 15, 0),
        (20, 20, 0),  # read to the end
        (4, 10, 6),  # deleted before they were read
        (
            25,
            10,
            0,
        ),  # the cluster lost its newest: again from the oldest, for what is known is not stored twice
    ],
)
def test_reading_starts_where_the_store_stands(stored: int | None, expected: int, counted: int) -> None:
    topic = f"labels-{stored}"
    assert _start(TopicPartition(topic, 0), stored, start=10, end=20) == expected
    assert lost(topic) == counted
