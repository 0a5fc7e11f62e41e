"""A record that cannot be used leaves whole, or as metadata where it does not fit."""

import time
from typing import Any

import pytest

from streamapp.agents.dead_letters import dead_letter
from streamapp.agents.outbox import Outbox
from streamapp.contracts.dead_letter import own_origin, parse_dead_letter
from streamapp.contracts.messages import DeadLetterReason
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.release import RELEASE
from tests.fakes import FakeProducer

RECORD = RawRecord(
    topic="news",
    topic_uuid="U",
    partition=1,
    offset=7,
    timestamp_ms=5,
    key=b"k",
    value=b"not json",
    headers=(("traceparent", b"00"),),
)


def rejected(reason: DeadLetterReason = "not_json") -> Rejected:
    return Rejected(reason, "a detail")


def test_a_dead_letter_keeps_key_value_and_headers() -> None:
    letter = dead_letter("dead-letters", RECORD, "news", rejected())
    assert (letter.topic, letter.key, letter.value, letter.partition) == (
        "dead-letters",
        b"k",
        b"not json",
        None,
    )
    assert letter.headers[0] == ("traceparent", b"00")


def test_a_dead_letter_says_where_when_and_why() -> None:
    before_ms = int(time.time() * 1000)
    about = parse_dead_letter(dead_letter("dead-letters", RECORD, "news", rejected()).headers)
    assert about.origin == own_origin(RECORD, "news")
    assert (about.reason, about.detail, about.release) == ("not_json", "a detail", RELEASE)
    assert before_ms <= about.failed_at_ms <= int(time.time() * 1000)


def test_a_record_over_the_limit_leaves_without_its_value() -> None:
    letter = dead_letter("dead-letters", RECORD, "news", rejected("too_large"))
    assert (letter.value, letter.instead) == (None, None)
    assert parse_dead_letter(letter.headers).value_bytes == len(RECORD.value or b"")


@pytest.mark.parametrize("limits", [{"limit_bytes": 4}, {"broker_limit_bytes": 4}])
async def test_a_record_that_fits_its_topic_but_not_ours_leaves_as_metadata(limits: Any) -> None:
    producer = FakeProducer(**limits)
    outbox = Outbox(lambda: producer, 5.0, lambda: None)
    await outbox.deliver([dead_letter("dead-letters", RECORD, "news", rejected())])
    letter = producer.messages[-1]
    about = parse_dead_letter(letter.headers)
    assert (letter.value, about.reason, about.metadata_only) == (None, "too_large", True)
    assert about.detail == "does not fit dead-letters whole; not_json: a detail"
    assert about.origin == own_origin(RECORD, "news")


def test_a_null_value_is_no_reason_for_a_replacement() -> None:
    record = RawRecord(topic="news", topic_uuid="U", partition=0, offset=0, timestamp_ms=5)
    letter = dead_letter("dead-letters", record, "news", rejected("null_value"))
    assert (letter.value, letter.instead) == (None, None)
    assert parse_dead_letter(letter.headers).value_bytes is None
