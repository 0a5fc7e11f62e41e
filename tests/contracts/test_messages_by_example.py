"""Every example of a message is read, and written again, without loss."""

from pathlib import Path
from types import UnionType
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.schemas import schemas
from streamapp.contracts.topics import TOPICS
from tests.contracts.example_files import example_paths, label, topic_of

MESSAGES: dict[str, Any] = {topic.name: topic.message for topic in TOPICS if topic.message is not None}
PATHS = example_paths(*MESSAGES)
SCHEMAS = schemas()


def members(message: Any) -> tuple[type, ...]:
    return get_args(message) if isinstance(message, UnionType) else (message,)


@pytest.mark.parametrize("path", PATHS, ids=label)
def test_example_is_decoded_and_encoded_again_to_an_equal_value(path: Path) -> None:
    message_type = MESSAGES[topic_of(path)]
    message = decode(path.read_bytes(), message_type)
    assert decode(encode(message), message_type) == message


@pytest.mark.parametrize("path", PATHS, ids=label)
def test_what_an_example_says_survives_a_round_trip(path: Path) -> None:
    before = msgspec.json.decode(path.read_bytes())
    after = msgspec.json.decode(encode(decode(path.read_bytes(), MESSAGES[topic_of(path)])))
    if path.stem == "field-that-this-release-does-not-know":
        del before["added_later"], before["post"]["author"]
    assert_within(before, after, path.stem)


def assert_within(before: Any, after: Any, where: str) -> None:
    """Every part of `before` stands in `after`, which may add fields at their default."""
    if isinstance(before, dict):
        for name, value in before.items():
            assert_within(value, after[name], f"{where}.{name}")
    elif isinstance(before, list):
        assert len(before) == len(after), where
        for index, value in enumerate(before):
            assert_within(value, after[index], f"{where}[{index}]")
    else:
        assert before == after, where


@pytest.mark.parametrize("path", PATHS, ids=label)
def test_example_fits_its_schema(path: Path) -> None:
    Draft202012Validator(SCHEMAS[topic_of(path)]).validate(msgspec.json.decode(path.read_bytes()))


@pytest.mark.parametrize("path", PATHS, ids=label)
def test_example_of_a_newer_contract_is_refused_by_its_version(path: Path) -> None:
    tree = {**msgspec.json.decode(path.read_bytes()), "contract_version": 99}
    with pytest.raises(DecodeError, match="contract version 99 is newer"):
        decode(msgspec.json.encode(tree), MESSAGES[topic_of(path)])


@pytest.mark.parametrize("topic", sorted(MESSAGES))
def test_every_kind_of_message_has_an_example(topic: str) -> None:
    kinds = {type(decode(path.read_bytes(), MESSAGES[topic])) for path in example_paths(topic)}
    assert kinds == set(members(MESSAGES[topic]))
