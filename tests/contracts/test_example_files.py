"""The set of examples is whole: every topic has some, every file is used and named after what it keeps."""

import re
from pathlib import Path

import pytest

from streamapp.contracts.messages import CONTRACT_VERSION
from streamapp.contracts.topics import TOPICS
from tests.contracts.example_files import (
    EXAMPLES,
    EXPECTED,
    INPUT_TOPICS,
    PRIVATE_TOPICS,
    RECORD_TOPICS,
    example_paths,
    read_expected,
)

MESSAGE_TOPICS = tuple(topic.name for topic in TOPICS if topic.message is not None)
SHOWN_TOPICS = (*MESSAGE_TOPICS, *INPUT_TOPICS, *RECORD_TOPICS)
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())


def test_every_topic_is_a_message_a_record_an_input_or_private() -> None:
    assert sorted((*SHOWN_TOPICS, *PRIVATE_TOPICS)) == sorted(topic.name for topic in TOPICS)


def test_a_private_topic_is_read_only_by_its_writer() -> None:
    private = [topic for topic in TOPICS if topic.name in PRIVATE_TOPICS]
    assert all(topic.readers == topic.writers for topic in private)


@pytest.mark.parametrize("topic", SHOWN_TOPICS)
def test_topic_has_several_examples_of_the_current_contract(topic: str) -> None:
    current = [path for path in example_paths(topic) if path.parent.name == f"v{CONTRACT_VERSION}"]
    assert len(current) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_file_is_used_and_named_after_its_edge_case(path: Path) -> None:
    used = example_paths(*SHOWN_TOPICS)
    if path.name.endswith(EXPECTED):
        assert path.parent / (path.name.removesuffix(EXPECTED) + ".json") in used
    else:
        assert path in used
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(\.expected)?\.json", path.name)


@pytest.mark.parametrize("path", example_paths(*INPUT_TOPICS), ids=lambda path: path.stem)
def test_expectation_of_a_raw_input_is_a_post_or_a_reason(path: Path) -> None:
    expected = read_expected(path)
    assert (expected.post is None) != (expected.rejected is None)
