"""Which rules a record is read by, and what score takes over of a Faust message."""

import json

import pytest

from streamapp.agents.inputs import Inputs
from streamapp.contracts.dead_letter import dead_letter_headers, redriven_headers
from streamapp.contracts.messages import Post, SourceOffset
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputFields, InputRules, Rejected
from tests.fakes import FakeMessage

INPUTS = Inputs(
    {
        "wires": InputRules(channel="news", fields=InputFields(text=("body",))),
        "forum": InputRules(channel="chat"),
    },
    "t-redriven",
    {"wires": "W", "forum": "F", "t-redriven": "R"},
)


def test_a_message_becomes_a_plain_record_with_the_uuid_of_its_topic() -> None:
    message = FakeMessage(
        topic="wires", partition=2, offset=9, timestamp=1.2345, key=b"k", value=b"v", headers=(("a", b"b"),)
    )
    record = INPUTS.record_of(message)
    assert record == RawRecord(
        topic="wires",
        topic_uuid="W",
        partition=2,
        offset=9,
        timestamp_ms=1234,
        key=b"k",
        value=b"v",
        headers=(("a", b"b"),),
    )
    assert record.source_offset == SourceOffset("W", 2, 9)


@pytest.mark.parametrize("timestamp_ms", [1_790_000_000_001, 1_790_000_000_999, 0, 4_102_444_800_123])
def test_milliseconds_survive_fausts_seconds(timestamp_ms: int) -> None:
    message = FakeMessage(topic="wires", partition=0, offset=0, timestamp=timestamp_ms / 1000)
    assert INPUTS.record_of(message).timestamp_ms == timestamp_ms


def test_a_message_without_headers_has_none() -> None:
    assert INPUTS.record_of(FakeMessage(topic="wires", partition=0, offset=0)).headers == ()


def test_every_topic_is_read_by_its_own_rules() -> None:
    value = json.dumps({"text": "from text", "body": "from body"}).encode()
    posts = [
        INPUTS.take_in(INPUTS.record_of(FakeMessage(topic=topic, partition=0, offset=0, value=value)))
        for topic in ("wires", "forum")
    ]
    assert [(post.text, post.channel) for post in posts if isinstance(post, Post)] == [
        ("from body", "news"),
        ("from text", "chat"),
    ]


def redriven_record(origin_topic: str) -> RawRecord:
    failed = RawRecord(
        topic=origin_topic, topic_uuid="W", partition=1, offset=5, timestamp_ms=60_000, value=b"{}"
    )
    headers = redriven_headers(dead_letter_headers(failed, "news", "fails_alone", "", 1, "0"), 2)
    value = json.dumps({"body": "second chance"}).encode()
    return INPUTS.record_of(
        FakeMessage(topic="t-redriven", partition=0, offset=3, value=value, headers=tuple(headers))
    )


def test_a_redriven_record_is_read_by_the_rules_of_its_first_topic() -> None:
    record = redriven_record("wires")
    assert record.redriven
    post = INPUTS.take_in(record)
    assert isinstance(post, Post)
    assert (post.text, post.channel, post.event_time_ms) == ("second chance", "news", 60_000)
    assert post.id == "W:1:5"
    assert record.source_offset == SourceOffset("R", 0, 3)


def test_a_redriven_record_of_a_topic_that_is_no_input_any_more_is_rejected() -> None:
    rejected = INPUTS.take_in(redriven_record("gone"))
    assert isinstance(rejected, Rejected)
    assert "gone" in rejected.detail


def test_only_the_users_inputs_move_time_and_have_a_channel() -> None:
    assert [INPUTS.moves_time(topic) for topic in ("wires", "forum", "t-redriven")] == [True, True, False]
    assert INPUTS.channel_of(redriven_record("wires")) is None
    assert INPUTS.channel_of(INPUTS.record_of(FakeMessage(topic="forum", partition=0, offset=0))) == "chat"
    assert INPUTS.topics == ("wires", "forum", "t-redriven")
    assert INPUTS.uuid_of("forum") == "F"
