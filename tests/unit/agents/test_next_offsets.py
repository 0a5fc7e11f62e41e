"""Which offset comes next; what a gap is, is asked of a real Kafka in tests/faults."""

import pytest
from faust.types import TP

from streamapp.agents.gap_reader import GapReader, Stretch
from streamapp.agents.next_offsets import NextOffsets, OffsetsWentBack, RecordsPassedOver
from tests.fakes import FakeMessage


def nothing_passed_over(*_: object) -> None:
    raise AssertionError


def message(offset: int, partition: int = 0) -> FakeMessage:
    return FakeMessage(topic="news", partition=partition, offset=offset)


def assigned() -> NextOffsets:
    offsets = NextOffsets(GapReader({}), nothing_passed_over)
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


class KnownGaps(GapReader):
    """Says that the first record from any offset on is at `first`."""

    def __init__(self, first: int) -> None:
        super().__init__({})
        self.first = first

    async def first_record(self, tp: TP, expected: int, end: int) -> tuple[int, int]:
        return 0, min(end, max(expected, self.first))


async def test_a_gap_without_a_record_is_told_and_the_message_behind_it_taken() -> None:
    told: list[tuple[TP, int, int]] = []
    offsets = NextOffsets(KnownGaps(first=99), lambda *stretch: told.append(stretch))
    offsets.assign({TP("news", 0): 7})
    await offsets.skip_to(message(9))
    assert told == [(TP("news", 0), 7, 9)]
    assert offsets.of[TP("news", 0)] == 10


async def test_a_record_in_a_gap_ends_the_worker_and_no_gap_is_told() -> None:
    offsets = NextOffsets(KnownGaps(first=8), nothing_passed_over)
    offsets.assign({TP("news", 0): 7})
    with pytest.raises(RecordsPassedOver, match="offset 8 was not handed over, and 9 was"):
        await offsets.skip_to(message(9))
    assert offsets.of[TP("news", 0)] == 7


async def test_records_end_before_what_was_read_and_found_empty_until_the_partition_grows() -> None:
    tp, gaps = TP("news", 0), KnownGaps(first=99)
    offsets = NextOffsets(gaps, nothing_passed_over)
    offsets.assign({tp: 7})
    assert offsets.end_of_records(tp, 9) == 9
    await offsets.look_behind(tp, 9)
    assert [offsets.end_of_records(tp, end) for end in (9, 10)] == [7, 10]


async def test_a_record_behind_the_last_one_taken_keeps_the_end_where_it_is() -> None:
    tp = TP("news", 0)
    offsets = NextOffsets(KnownGaps(first=8), nothing_passed_over)
    offsets.assign({tp: 7})
    await offsets.look_behind(tp, 9)
    assert offsets.end_of_records(tp, 9) == 9


async def test_what_was_found_empty_counts_for_no_earlier_offset_and_no_other_assignment() -> None:
    tp = TP("news", 0)
    offsets = NextOffsets(KnownGaps(first=99), nothing_passed_over)
    offsets.assign({tp: 7})
    await offsets.look_behind(tp, 9)
    offsets.assign({tp: 5})
    assert offsets.end_of_records(tp, 9) == 9


@pytest.mark.parametrize(
    ("begin", "end", "empty"),
    [(3, 5, True), (3, 6, False), (6, 8, True), (2, 4, False), (8, 9, False), (0, 3, False), (7, 8, True)],
)
def test_a_stretch_answers_only_for_what_it_covers(begin: int, end: int, empty: bool) -> None:
    assert Stretch(begin=2, end=8, offsets=[2, 5]).is_empty(begin, end) is empty
