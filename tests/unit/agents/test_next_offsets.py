"""Which offset comes next; what a gap is, is asked of a real Kafka in tests/faults."""

import pytest
from faust.types import TP

from streamapp.agents.next_offsets import NextOffsets, OffsetsWentBack
from tests.fakes import FakeMessage


def message(offset: int, partition: int = 0) -> FakeMessage:
    return FakeMessage(topic="news", partition=partition, offset=offset)


def assigned() -> NextOffsets:
    offsets = NextOffsets({})
    offsets.assign({TP("news", 0): 7, TP("news", 1): 0})
    return offsets


def test_each_message_makes_the_one_behind_it_the_next() -> None:
    offsets = assigned()
    assert [offsets.is_next(message(offset)) for offset in (7, 8, 8, 9)] == [True, True, False, True]
    assert offsets.of == {TP("news", 0): 10, TP("news", 1): 0}


def test_partitions_are_counted_apart() -> None:
    offsets = assigned()
    assert offsets.is_next(message(0, partition=1))
    assert not offsets.is_next(message(6))
    assert offsets.is_next(message(7))


def test_a_message_that_is_not_the_next_changes_nothing() -> None:
    offsets = assigned()
    assert not offsets.is_next(message(12))
    assert offsets.of[TP("news", 0)] == 7


def test_an_assignment_forgets_the_one_before_it() -> None:
    offsets = assigned()
    offsets.assign({TP("news", 2): 3})
    assert offsets.of == {TP("news", 2): 3}


async def test_an_offset_that_was_taken_before_ends_the_worker() -> None:
    offsets = assigned()
    with pytest.raises(OffsetsWentBack, match="news partition 0 went back from offset 7 to 3"):
        await offsets.skip_to(message(3))
    assert offsets.of[TP("news", 0)] == 7
