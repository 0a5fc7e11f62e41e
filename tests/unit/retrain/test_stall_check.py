"""A consumer that stands still behind the end of a partition is found; one that is at the end, or moves, is not."""

from collections.abc import Sequence

import pytest
from kafka import TopicPartition

from retrain.stall_check import CHECK_SECONDS, StallCheck
from streamapp.cluster.kafka_clients import StalledReadError

PARTS = [TopicPartition("labels", number) for number in range(2)]


class Positions:
    """What a consumer says of itself, and a clock; no Kafka."""

    def __init__(self) -> None:
        self.at = dict.fromkeys(PARTS, 5)
        self.ends = dict.fromkeys(PARTS, 5)
        self.now = 0.0
        self.asked = 0

    def end_offsets(self, parts: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        self.asked += 1
        return {part: self.ends[part] for part in parts}

    def position(self, part: TopicPartition, timeout_ms: int) -> int:
        return self.at[part]


@pytest.fixture
def positions() -> Positions:
    return Positions()


@pytest.fixture
def stall(positions: Positions) -> StallCheck:
    return StallCheck(positions, clock=lambda: positions.now)


def test_the_broker_is_asked_seldom(positions: Positions, stall: StallCheck) -> None:
    for second in range(int(CHECK_SECONDS) * 3):
        positions.now = float(second)
        stall.check(PARTS)
    assert positions.asked == 2


def test_standing_still_behind_the_end_twice_is_a_stall(positions: Positions, stall: StallCheck) -> None:
    positions.ends[PARTS[1]] = 8
    positions.now = CHECK_SECONDS
    stall.check(PARTS)
    positions.now = 2 * CHECK_SECONDS
    with pytest.raises(StalledReadError, match="3 records of labels/1 wait"):
        stall.check(PARTS)


def test_whoever_moves_is_not_stalled_however_far_behind(positions: Positions, stall: StallCheck) -> None:
    positions.ends[PARTS[0]] = 1_000
    for look in range(1, 6):
        positions.now = look * CHECK_SECONDS
        positions.at[PARTS[0]] += 1
        stall.check(PARTS)
    assert positions.asked == 5
