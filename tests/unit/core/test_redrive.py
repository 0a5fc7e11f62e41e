"""Which dead letters may be sent again."""

from typing import Any

import pytest

from streamapp.contracts.dead_letter import dead_letter_headers, dead_letter_key_and_value, redriven_headers
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.redrive import (
    DeadLetter,
    DeadLetterFilter,
    matches,
    plan_redrive,
    read_dead_letter,
    read_ledger,
)


def raw(topic: str, offset: int, **changes: Any) -> RawRecord:
    fields: dict[str, Any] = {"topic_uuid": topic.upper(), "partition": 0, "timestamp_ms": 1, "value": b"x"}
    return RawRecord(topic=topic, offset=offset, **{**fields, **changes})


def letter(failed: RawRecord, at: int, reason: Any = "not_json") -> DeadLetter:
    headers = tuple(dead_letter_headers(failed, "news", reason, "", 1_000 + at, "1"))
    key, value = dead_letter_key_and_value(failed, reason)
    found = read_dead_letter(raw("dead-letters", at, key=key, value=value, headers=headers))
    assert isinstance(found, DeadLetter)
    return found


def sent_again(dead: DeadLetter, offset: int) -> RawRecord:
    headers = tuple(redriven_headers(dead.record.headers, 2_000))
    return raw("redriven", offset, value=dead.record.value, headers=headers, redriven=True)


def refusals(*letters: DeadLetter, ledger: list[RawRecord] | None = None) -> list[str | None]:
    return [step.refused for step in plan_redrive(letters, read_ledger(ledger or []))]


def test_an_origin_is_sent_once_whether_in_this_run_or_an_earlier_one() -> None:
    first, twin, other = letter(raw("wires", 5), 0), letter(raw("wires", 5), 1), letter(raw("wires", 6), 2)
    again = "its origin was sent again already"
    assert refusals(first, twin, other) == [None, again, None]
    assert refusals(first, twin, other, ledger=[sent_again(first, 0)]) == [again, again, None]


def test_a_redriven_record_that_failed_again_is_a_new_origin() -> None:
    first = letter(raw("wires", 5), 0)
    redriven = sent_again(first, 0)
    second = letter(redriven, 1)
    assert refusals(first, second, ledger=[redriven]) == ["its origin was sent again already", None]
    assert refusals(second, ledger=[redriven, sent_again(second, 1)]) == ["its origin was sent again already"]


def test_what_has_no_value_is_refused() -> None:
    large = letter(raw("wires", 1), 0, "too_large")
    null = letter(raw("wires", 2, value=None), 1, "null_value")
    assert refusals(large, null) == [
        "its value was too large to be kept",
        "it has no value that could be scored",
    ]


def test_a_refused_letter_does_not_use_up_its_origin() -> None:
    assert refusals(letter(raw("wires", 1), 0, "too_large"), letter(raw("wires", 1), 1)) == [
        "its value was too large to be kept",
        None,
    ]


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (DeadLetterFilter(), True),
        (DeadLetterFilter(names=frozenset({"0:7"})), True),
        (DeadLetterFilter(names=frozenset({"0:8"})), False),
        (DeadLetterFilter(reasons=frozenset({"bad_time"})), True),
        (DeadLetterFilter(reasons=frozenset({"not_json"})), False),
        (DeadLetterFilter(topics=frozenset({"wires"})), True),
        (DeadLetterFilter(topics=frozenset({"redriven"})), False),
        (DeadLetterFilter(keys=frozenset({b"k"})), True),
        (DeadLetterFilter(keys=frozenset({b"K"})), False),
        (DeadLetterFilter(since_ms=1_007), True),
        (DeadLetterFilter(since_ms=1_008), False),
        (DeadLetterFilter(until_ms=1_008), True),
        (DeadLetterFilter(until_ms=1_007), False),
        (DeadLetterFilter(reasons=frozenset({"bad_time"}), keys=frozenset({b"K"})), False),
    ],
)
def test_a_filter_takes_what_meets_all_its_parts(wanted: DeadLetterFilter, taken: bool) -> None:
    assert matches(letter(raw("wires", 5, key=b"k"), 7, "bad_time"), wanted) is taken


def test_records_of_others_are_no_dead_letters_and_no_ledger_entries() -> None:
    assert read_dead_letter(raw("dead-letters", 0)) == "header streamapp-reason is missing"
    half = raw("redriven", 0, headers=(("streamapp-redriven-at-ms", b"1"),))
    assert read_ledger([half, raw("redriven", 1)]) == frozenset()


def test_a_bad_label_is_never_sent_to_score() -> None:
    assert refusals(letter(raw("labels", 1), 0, "bad_label")) == [
        "it is a label, which nothing but a new label corrects"
    ]
