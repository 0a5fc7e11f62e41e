"""What the headers of dead letters and redriven records keep."""

from typing import Any

import pytest

from streamapp.contracts.dead_letter import (
    DeadLetterError,
    dead_letter_headers,
    dead_letter_key_and_value,
    own_origin,
    parse_dead_letter,
    parse_redriven,
    parse_redriven_letter,
    redriven_headers,
)
from streamapp.contracts.raw_record import RawRecord

INPUT = RawRecord(
    topic="wires",
    topic_uuid="W",
    partition=3,
    offset=41,
    timestamp_ms=1_000,
    key=b"k",
    value=b"broken",
    headers=(("traceparent", b"00-1"), ("traceparent", b"00-2")),
)


def letter_of(record: RawRecord, reason: Any = "not_json") -> list[tuple[str, bytes]]:
    return dead_letter_headers(record, "news", reason, "at byte 3", 5_000, "1.2.3")


def redriven_from(headers: list[tuple[str, bytes]]) -> RawRecord:
    again = tuple(redriven_headers(headers, 9_000))
    return RawRecord(
        topic="redriven",
        topic_uuid="R",
        partition=0,
        offset=7,
        timestamp_ms=9_000,
        value=b"broken",
        headers=again,
        redriven=True,
    )


def test_a_dead_letter_says_where_when_and_why_and_keeps_the_input_headers() -> None:
    headers = letter_of(INPUT)
    assert headers[:2] == list(INPUT.headers)
    about = parse_dead_letter(headers)
    assert about.origin == about.first == own_origin(INPUT, "news")
    assert (about.reason, about.detail, about.failed_at_ms, about.release) == (
        "not_json",
        "at byte 3",
        5_000,
        "1.2.3",
    )
    assert about.value_bytes == 6
    assert not about.metadata_only


def test_a_redriven_record_names_its_first_origin_and_the_letter_that_it_used_up() -> None:
    record = redriven_from(letter_of(INPUT))
    assert parse_redriven(record.headers) == own_origin(INPUT, "news")
    assert parse_redriven_letter(record.headers) == own_origin(INPUT, "news")
    assert record.headers[:2] == INPUT.headers


def test_a_dead_letter_of_a_redriven_record_names_both_origins() -> None:
    record = redriven_from(letter_of(INPUT))
    about = parse_dead_letter(dead_letter_headers(record, None, "fails_alone", "", 10_000, "1"))
    assert about.origin == own_origin(record, "news")
    assert about.first == own_origin(INPUT, "news")
    again = redriven_from(dead_letter_headers(record, None, "fails_alone", "", 10_000, "1"))
    assert parse_redriven(again.headers) == own_origin(INPUT, "news")
    assert parse_redriven_letter(again.headers) == own_origin(record, "news")


def test_our_headers_never_pile_up() -> None:
    first = letter_of(INPUT)
    second = dead_letter_headers(redriven_from(first), "news", "not_json", "", 1, "1")
    names = [name for name, _ in second if name.startswith("streamapp-")]
    assert len(names) == len(set(names))
    assert len(second) == len(first)


@pytest.mark.parametrize("headers", [tuple(letter_of(INPUT)), redriven_from(letter_of(INPUT)).headers])
def test_forged_headers_of_an_input_are_neither_kept_nor_believed(
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    forged = RawRecord(topic="wires", topic_uuid="W", partition=0, offset=1, timestamp_ms=5, headers=headers)
    assert parse_dead_letter(letter_of(forged)).first == own_origin(forged, "news")


def test_half_of_the_headers_on_our_own_topic_never_raises_where_a_dead_letter_is_made() -> None:
    record = redriven_from(letter_of(INPUT))
    half = RawRecord(
        topic="redriven",
        topic_uuid="R",
        partition=0,
        offset=7,
        timestamp_ms=1,
        headers=record.headers[-1:],
        redriven=True,
    )
    assert parse_dead_letter(letter_of(half)).first == own_origin(half, "news")


def test_too_large_keeps_metadata_only() -> None:
    large = RawRecord(
        topic="wires",
        topic_uuid="W",
        partition=0,
        offset=1,
        timestamp_ms=5,
        key=b"k" * 2_000,
        value=b"v" * 5_000_000,
        headers=(("x", b"h" * 20_000),),
    )
    headers = letter_of(large, "too_large")
    assert dead_letter_key_and_value(large, "too_large") == (None, None)
    assert dead_letter_key_and_value(large, "not_json") == (large.key, large.value)
    assert all(name.startswith("streamapp-") for name, _ in headers)
    assert parse_dead_letter(headers).value_bytes == 5_000_000
    assert parse_dead_letter(headers).metadata_only


def test_a_null_value_is_told_from_an_empty_one() -> None:
    null = RawRecord(topic="t", topic_uuid="T", partition=0, offset=0, timestamp_ms=0)
    empty = RawRecord(topic="t", topic_uuid="T", partition=0, offset=0, timestamp_ms=0, value=b"")
    assert parse_dead_letter(letter_of(null)).value_bytes is None
    assert parse_dead_letter(letter_of(empty)).value_bytes == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("streamapp-reason", b"no such reason"),
        ("streamapp-origin-offset", b"seven"),
        ("streamapp-origin-channel", b"radio"),
        ("streamapp-first-origin-topic", b"\xff"),
        ("streamapp-detail", None),
    ],
)
def test_headers_that_are_not_a_dead_letters_raise_with_the_name(name: str, value: bytes | None) -> None:
    headers = [(found, value if found == name else kept) for found, kept in letter_of(INPUT)]
    with pytest.raises(DeadLetterError, match=name):
        parse_dead_letter(headers)


def test_detail_is_bounded_and_always_encodable() -> None:
    headers = dead_letter_headers(INPUT, None, "not_json", "\ud800" + "x" * 9_000, 0, "1")
    assert len(parse_dead_letter(headers).detail) == 300
