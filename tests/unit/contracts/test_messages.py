"""What holds for every message: frozen, tagged by its topic's words, versioned, times in milliseconds."""

import inspect
from types import UnionType
from typing import Any, get_args

import msgspec
import pytest

from streamapp.contracts import messages
from streamapp.contracts.messages import CONTRACT_VERSION, SENTIMENTS, Sentiment, SourceOffset
from streamapp.contracts.topics import TOPICS

STRUCTS = [
    value
    for _, value in inspect.getmembers(messages, inspect.isclass)
    if value.__module__ == messages.__name__
]
MESSAGES = [
    member
    for topic in TOPICS
    if topic.message is not None
    for member in (get_args(topic.message) if isinstance(topic.message, UnionType) else (topic.message,))
]


@pytest.mark.parametrize("struct", STRUCTS)
def test_struct_is_frozen_and_documented(struct: Any) -> None:
    assert struct.__struct_config__.frozen
    assert inspect.getdoc(struct)


@pytest.mark.parametrize("message", MESSAGES)
def test_message_says_its_type_and_version(message: Any) -> None:
    assert message.__struct_config__.tag_field == "type"
    version = next(field for field in msgspec.structs.fields(message) if field.name == "contract_version")
    assert version.default == CONTRACT_VERSION


def test_types_are_unique() -> None:
    tags = [message.__struct_config__.tag for message in MESSAGES]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("struct", STRUCTS)
def test_times_have_their_unit_in_the_name(struct: Any) -> None:
    for field in msgspec.structs.fields(struct):
        if any(word in field.name.split("_") for word in ("time", "at", "start", "end", "seen")):
            assert field.name.endswith("_ms")


def test_sentiments_are_those_of_the_type() -> None:
    assert get_args(Sentiment) == SENTIMENTS


def test_source_offsets_are_ordered_within_their_partition() -> None:
    assert SourceOffset("a", 0, 9) < SourceOffset("a", 1, 0) < SourceOffset("b", 0, 0)
