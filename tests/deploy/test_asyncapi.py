"""docs/asyncapi.json is what the code makes, hangs together, and says what the examples of messages hold."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from streamapp.contracts.asyncapi import asyncapi, asyncapi_text, message_types
from streamapp.contracts.topics import TOPICS
from streamapp.core.intake import InputFields
from tests.contracts.example_files import example_paths, label, read_expected, read_record, topic_of
from tests.deploy.files import REPOSITORY

FILE = REPOSITORY / "docs" / "asyncapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
MESSAGES = {topic.name: message_types(topic) for topic in TOPICS if topic.message is not None}
INPUTS = ("news", "chat")
RECORDS = ("dead-letters", "redriven")


def resolved(reference: str) -> Any:
    """What a `#/...` of the document points to; KeyError where it points to nothing."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(tree: Any) -> list[str]:
    if isinstance(tree, list):
        return [found for each in tree for found in references(each)]
    if not isinstance(tree, dict):
        return []
    here = [tree["$ref"]] if isinstance(tree.get("$ref"), str) else []
    return here + [found for each in tree.values() for found in references(each)]


def message(topic: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resolved(DOCUMENT["channels"][topic]["messages"][name]["$ref"])
    return found


def payload_validator(topic: str, name: str) -> jsonschema.Draft7Validator:
    """Draft 7: the dialect of AsyncAPI 3.0."""
    return jsonschema.Draft7Validator(
        {"components": DOCUMENT["components"], **message(topic, name)["payload"]}
    )


def fed_as_documented(path: Path) -> bool:
    """Whether intake makes a post of it by the default mapping."""
    expected = read_expected(path)
    return expected.post is not None and expected.fields == InputFields()


def test_the_written_document_is_that_of_the_code() -> None:
    assert FILE.read_text(encoding="utf-8") == asyncapi_text(), (
        "run: python -m streamapp.contracts.asyncapi docs/asyncapi.json"
    )


def test_every_topic_is_a_channel_under_its_own_name() -> None:
    assert {name: channel["address"] for name, channel in DOCUMENT["channels"].items()} == {
        topic.name: topic.name for topic in TOPICS
    }


def test_every_reference_points_to_something() -> None:
    found = references(DOCUMENT)
    assert len(found) > 50
    for reference in found:
        assert resolved(reference), reference


def test_every_schema_and_message_is_used() -> None:
    used = set(references(DOCUMENT))
    for kind in ("messages", "schemas"):
        assert {
            name for name in DOCUMENT["components"][kind] if f"#/components/{kind}/{name}" not in used
        } == set()


def test_every_topic_is_sent_or_received_by_this_service() -> None:
    operations = DOCUMENT["operations"].values()
    assert {each["channel"]["$ref"].removeprefix("#/channels/") for each in operations} == {
        t.name for t in TOPICS
    }
    assert {each["action"] for each in operations} == {"send", "receive"}
    assert "send-news" not in DOCUMENT["operations"]
    assert "send-alerts" in DOCUMENT["operations"]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_channel_says_how_kafka_keeps_it(topic: Any) -> None:
    kafka = DOCUMENT["channels"][topic.name]["bindings"]["kafka"]
    config = dict(topic.config)
    said = kafka["topicConfiguration"]
    assert said["cleanup.policy"] == [config.get("cleanup.policy", "delete")]
    assert said.get("retention.ms") == (int(config["retention.ms"]) if "retention.ms" in config else None)
    assert kafka.get("partitions") == (1 if topic.partitions == "one" else None)


def test_schemas_are_written_in_the_dialect_of_asyncapi_3() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft7Validator.check_schema(schema)
        text = json.dumps(schema)
        assert [
            word for word in ("prefixItems", "$defs", '"discriminator"', '"$schema"') if word in text
        ] == [], name


@pytest.mark.parametrize("path", example_paths(*MESSAGES), ids=label)
def test_an_example_fits_exactly_the_message_of_its_type(path: Path) -> None:
    topic = topic_of(path)
    value = msgspec.json.decode(path.read_bytes())
    fitting = [
        struct.__name__
        for struct in MESSAGES[topic]
        if payload_validator(topic, struct.__name__).is_valid(value)
    ]
    assert fitting == [type(msgspec.json.decode(path.read_bytes(), type=_union(topic))).__name__]


def _union(topic: str) -> Any:
    return next(each.message for each in TOPICS if each.name == topic)


@pytest.mark.parametrize("topic", sorted(MESSAGES))
def test_an_example_without_a_required_field_does_not_fit(topic: str) -> None:
    value = msgspec.json.decode(example_paths(topic)[0].read_bytes())
    (name,) = (
        each.__name__ for each in MESSAGES[topic] if payload_validator(topic, each.__name__).is_valid(value)
    )
    payload = resolved(message(topic, name)["payload"]["$ref"])
    for field in payload["required"]:
        without = {key: part for key, part in value.items() if key != field}
        assert not payload_validator(topic, name).is_valid(without), field


def test_a_post_as_fed_has_the_fields_that_the_default_mapping_reads() -> None:
    fields = InputFields()
    assert set(DOCUMENT["components"]["schemas"]["PostAsFed"]["properties"]) == {
        fields.id, *fields.text, fields.time, fields.source, fields.symbols
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", [path for path in example_paths(*INPUTS) if fed_as_documented(path)], ids=label
)
def test_an_input_that_intake_makes_a_post_of_fits_the_schema_of_what_is_fed(path: Path) -> None:
    # The standard library's reader: it takes half a surrogate pair, as intake does.
    value = json.loads(path.read_bytes())
    assert list(payload_validator(topic_of(path), "PostAsFed").iter_errors(value)) == []


@pytest.mark.parametrize("path", example_paths(*RECORDS), ids=label)
def test_headers_of_an_example_record_are_named(path: Path) -> None:
    (name,) = DOCUMENT["channels"][topic_of(path)]["messages"]
    named = set(message(topic_of(path), name)["headers"]["properties"])
    ours = {header for header, _ in read_record(path).headers if header.startswith("streamapp-")}
    assert ours <= named


def test_the_document_is_made_anew_each_time() -> None:
    first = asyncapi()
    first["channels"]["alerts"]["address"] = "spoilt"
    assert asyncapi()["channels"]["alerts"]["address"] == "alerts"
