"""Merging partitions by time loses, repeats and reorders nothing, and keeps what is read together in event time."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from streamapp.core.time_order import OrderRules, TimeOrder

RULES = OrderRules(apart_ms=1_000, lead_ms=600, live_ms=50, patience_ms=300)
NOW = 1_000_000


class Record(Struct, frozen=True):
    timestamp: int
    place: int


@st.composite
def fetches(draw: st.DrawFn) -> dict[int, list[list[Record]]]:
    """Of up to five partitions, what each fetch brings; times rise, but for a few that do not."""
    cut: dict[int, list[list[Record]]] = {}
    for partition in range(draw(st.integers(1, 5))):
        steps = draw(st.lists(st.integers(-20, 400), max_size=30))
        records, time_ms = [], draw(st.integers(0, 500))
        for place, step in enumerate(steps):
            time_ms = max(0, time_ms + step)
            records.append(Record(time_ms, place))
        sizes = draw(st.lists(st.integers(1, 7), min_size=1))
        cut[partition] = []
        while records:
            size = sizes[len(cut[partition]) % len(sizes)]
            cut[partition].append(records[:size])
            records = records[size:]
    return cut


def drained(
    cut: dict[int, list[list[Record]]], most: int, elsewhere_ms: list[int]
) -> list[tuple[int, Record]]:
    order: TimeOrder[int, Record] = TimeOrder(RULES)
    order.keep(cut)
    left = {partition: list(batches) for partition, batches in cut.items()}
    out: list[tuple[int, Record]] = []
    now_ms = NOW
    while any(left.values()) or order.waiting:
        for partition, batches in left.items():
            if batches and partition not in order.waiting:
                order.add(partition, batches.pop(0))
        taken = order.take(
            most, now_ms, {partition for partition, batches in left.items() if batches}, elsewhere_ms
        )
        assert len(taken) <= most + len(cut)
        assert taken or elsewhere_ms, "nothing moves"
        if not taken:
            elsewhere_ms = [time_ms + RULES.lead_ms for time_ms in elsewhere_ms]
        out += taken
        now_ms += 1
    return out


@given(fetches(), st.integers(1, 40), st.lists(st.integers(0, 3_000), max_size=2))
def test_every_record_comes_out_once_and_in_the_order_of_its_partition(
    cut: dict[int, list[list[Record]]], most: int, elsewhere_ms: list[int]
) -> None:
    out = drained(cut, most, elsewhere_ms)
    for partition, batches in cut.items():
        assert [record for of, record in out if of == partition] == [
            record for batch in batches for record in batch
        ]


@given(fetches(), st.integers(1, 40))
def test_no_partition_runs_ahead_of_another_that_it_came_along_with(
    cut: dict[int, list[list[Record]]], most: int
) -> None:
    rising = {partition: list(_rising(batches)) for partition, batches in cut.items()}
    firsts = [batches[0][0].timestamp for batches in rising.values() if batches]
    if firsts and max(firsts) - min(firsts) > RULES.apart_ms:
        return
    times = [record.timestamp for _, record in drained(rising, most, [])]
    assert times == sorted(times)


def _rising(batches: list[list[Record]]) -> list[list[Record]]:
    times = iter(sorted(record.timestamp for batch in batches for record in batch))
    return [[Record(next(times), record.place) for record in batch] for batch in batches]
