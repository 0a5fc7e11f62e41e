"""Bytes to message and back, and the one error for what is no message."""

import pytest

from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import (
    CONTRACT_VERSION,
    InputState,
    ModelEvent,
    ServiceState,
    TopicIdentity,
)

IDENTITY = TopicIdentity(topic="news", topic_uuid="U")


def test_a_message_is_utf8_json_with_its_type_and_version() -> None:
    assert (
        encode(IDENTITY) == b'{"type":"topic-identity","contract_version":1,"topic":"news","topic_uuid":"U"}'
    )


def test_a_union_gives_the_member_that_the_type_names() -> None:
    paused = InputState(topic="chat", paused=True, reason="é\u2028", changed_at_ms=1)
    assert decode(encode(paused), ServiceState) == paused
    assert decode(encode(IDENTITY), ServiceState) == IDENTITY


def test_fields_of_a_later_release_are_ignored() -> None:
    raw = b'{"type":"topic-identity","topic":"news","topic_uuid":"U","later":[1]}'
    assert decode(raw, TopicIdentity) == IDENTITY


def test_a_missing_version_is_the_first() -> None:
    raw = b'{"type":"topic-identity","topic":"news","topic_uuid":"U"}'
    assert decode(raw, TopicIdentity).contract_version == CONTRACT_VERSION == 1


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "null value"),
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"type":"topic-identity","topic":"news"}', "missing required field `topic_uuid`"),
        (b'{"type":"topic-identity","topic":5,"topic_uuid":"U"}', r"at `\$\.topic`"),
        (b'{"type":"alert","topic":"news","topic_uuid":"U"}', "alert"),
        (b'{"topic":"news","topic_uuid":"U"}', "`type`"),
        (b'{"type":"topic-identity","topic":"\xff","topic_uuid":"U"}', "utf-8|UTF-8"),
        (b'{"type":"topic-identity","topic":"a","topic_uuid":"U"} x', "trailing"),
    ],
)
def test_what_is_no_message_is_refused_in_words(raw: bytes | None, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(raw, ServiceState)


def test_a_newer_contract_is_refused_with_both_versions() -> None:
    raw = b'{"type":"topic-identity","contract_version":2,"topic":"news","topic_uuid":"U"}'
    with pytest.raises(DecodeError, match="contract version 2 is newer than 1"):
        decode(raw, TopicIdentity)


def test_a_value_outside_its_closed_set_is_refused() -> None:
    raw = (
        b'{"type":"model-event","model_name":"m","model_version":"m-1","sequence":1,"worker":"w",'
        b'"event":"exploded","happened_at_ms":1}'
    )
    with pytest.raises(DecodeError, match="exploded"):
        decode(raw, ModelEvent)
