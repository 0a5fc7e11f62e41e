"""Records of several partitions in the order of their time, and who waits for whom."""

from msgspec import Struct

from streamapp.core.time_order import NO_TIME_MS, OrderRules, TimeOrder

MINUTE_MS = 60_000
T = 1_700_000_000_000
NOW = T + 24 * 60 * MINUTE_MS
RULES = OrderRules(apart_ms=30 * MINUTE_MS, lead_ms=20 * MINUTE_MS, live_ms=5_000, patience_ms=5_000)
ALL = 1_000


class Record(Struct, frozen=True):
    timestamp: int
    name: str = ""


def order_of(**minutes: list[float]) -> TimeOrder[str, Record]:
    order: TimeOrder[str, Record] = TimeOrder(RULES)
    order.keep(minutes)
    for key, of_key in minutes.items():
        order.add(key, [at(minute) for minute in of_key])
    return order


def at(minute: float) -> Record:
    return Record(T + int(minute * MINUTE_MS))


def minutes(taken: list[tuple[str, Record]]) -> list[tuple[str, float]]:
    return [(key, (record.timestamp - T) / MINUTE_MS) for key, record in taken]


def take(
    order: TimeOrder[str, Record], *behind: str, most: int = ALL, now_ms: int = NOW
) -> list[tuple[str, float]]:
    return minutes(order.take(most, now_ms, behind))


def test_records_come_out_by_time_whatever_partition_holds_more_of_them() -> None:
    order = order_of(news=[0, 1, 2, 3, 4], chat=[0.5, 3.5])
    assert take(order) == [
        ("news", 0), ("chat", 0.5), ("news", 1), ("news", 2), ("news", 3), ("chat", 3.5), ("news", 4)
    ]  # fmt: skip
    assert order.waiting == {}


def test_at_most_as_many_as_asked_for_come_out_and_the_rest_stays() -> None:
    order = order_of(news=[0, 1], chat=[2])
    assert take(order, most=2) == [("news", 0), ("news", 1)]
    assert order.waiting == {"chat": 1}


def test_a_partition_that_runs_dry_with_a_backlog_left_is_waited_for() -> None:
    order = order_of(news=[0, 1], chat=[0.5, 8, 9])
    assert take(order, "news") == [("news", 0), ("chat", 0.5), ("news", 1)]
    assert take(order, "news") == []
    order.add("news", [at(7), at(10)])
    assert take(order, "news") == [("news", 7), ("chat", 8), ("chat", 9), ("news", 10)]


def test_a_partition_that_runs_dry_at_its_end_is_not_waited_for() -> None:
    order = order_of(news=[0, 1], chat=[0.5, 8])
    assert take(order) == [("news", 0), ("chat", 0.5), ("news", 1), ("chat", 8)]


def test_a_partition_that_gave_nothing_yet_is_waited_for_with_everything() -> None:
    order = order_of(news=[0, 1], chat=[])
    assert take(order, "chat") == []
    order.add("chat", [at(0.5)])
    assert take(order) == [("news", 0), ("chat", 0.5), ("news", 1)]


def test_patience_with_a_partition_that_gives_nothing_ends() -> None:
    order = order_of(news=[0, 1], chat=[])
    assert take(order, "chat") == []
    assert take(order, "chat", now_ms=NOW + RULES.patience_ms - 1) == []
    assert take(order, "chat", now_ms=NOW + RULES.patience_ms) == [("news", 0), ("news", 1)]


def test_patience_begins_anew_when_the_partition_gave_something() -> None:
    order = order_of(news=[0, 1], chat=[])
    take(order, "chat")
    order.add("chat", [at(0.5)])
    assert take(order, "chat", now_ms=NOW + 4_000) == [("news", 0), ("chat", 0.5)]
    assert take(order, "chat", now_ms=NOW + 8_000) == []


def test_partitions_too_far_apart_do_not_wait_for_each_other_and_share_what_is_taken() -> None:
    order = order_of(live=[300, 301, 302], late=[0, 1, 2])
    assert take(order, "late", most=4) == [("late", 0), ("late", 1), ("live", 300), ("live", 301)]


def test_a_quiet_hour_is_no_distance_between_partitions_that_came_as_far() -> None:
    order = order_of(news=[0, 100], chat=[1, 61])
    assert take(order, most=2) == [("news", 0), ("chat", 1)]
    assert take(order) == [("chat", 61), ("news", 100)]


def test_a_record_without_a_time_waits_for_nobody() -> None:
    order = order_of(news=[5], chat=[])
    order.add("chat", [Record(-1), at(1)])
    assert [record.timestamp for _, record in order.take(ALL, NOW, ())] == [
        -1,
        T + MINUTE_MS,
        T + 5 * MINUTE_MS,
    ]


def test_a_record_dated_ahead_of_the_present_keeps_nothing_back() -> None:
    order = order_of(news=[5], chat=[])
    order.add("chat", [Record(NOW + 365 * 86_400_000), at(1)])
    taken = [(key, record.timestamp) for key, record in order.take(ALL, NOW, ())]
    assert taken[0][0] == "chat"
    assert taken[1:] == [("chat", T + MINUTE_MS), ("news", T + 5 * MINUTE_MS)]


def test_a_few_records_of_a_producer_whose_clock_is_ahead_keep_nothing_back_that_follows_them() -> None:
    order = order_of(news=[5, 6], chat=[0, 700, 800, 1, 2])
    assert take(order) == [
        ("chat", 0), ("chat", 700), ("chat", 800), ("chat", 1), ("chat", 2), ("news", 5), ("news", 6)
    ]  # fmt: skip


def test_other_workers_sources_are_waited_for_beyond_the_lead() -> None:
    order = order_of(news=[0, 19, 20, 21])
    assert minutes(order.take(ALL, NOW, (), [T])) == [("news", 0), ("news", 19), ("news", 20)]
    assert minutes(order.take(ALL, NOW, (), [T + MINUTE_MS])) == [("news", 21)]


def test_other_workers_sources_that_are_too_far_behind_are_not_waited_for() -> None:
    order = order_of(news=[31, 60])
    assert minutes(order.take(ALL, NOW, (), [T])) == [("news", 31), ("news", 60)]


def test_a_source_of_another_worker_that_was_never_read_is_waited_for_with_everything() -> None:
    order = order_of(news=[0])
    assert order.take(ALL, NOW, (), [NO_TIME_MS, T]) == []
    assert minutes(order.take(ALL, T, (), [NO_TIME_MS, T])) == [("news", 0)]


def test_what_is_young_does_not_wait_for_other_workers() -> None:
    order = order_of(news=[0, 25], chat=[25])
    now_ms = T + 25 * MINUTE_MS + 1_000
    assert minutes(order.take(ALL, now_ms, (), [T])) == [("news", 0), ("news", 25), ("chat", 25)]


def test_what_waits_of_a_partition_that_is_read_anew_or_gone_is_dropped() -> None:
    order = order_of(news=[0], chat=[1], redriven=[2])
    order.drop("chat")
    order.keep(["news", "chat"])
    assert take(order) == [("news", 0)]
    order.add("chat", [at(3)])
    order.clear()
    assert order.waiting == {}
