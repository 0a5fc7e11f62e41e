"""The topics and messages as an AsyncAPI 3.0 document, for consumers in other languages: docs/asyncapi.json.

`python -m streamapp.contracts.asyncapi docs/asyncapi.json` writes it; a test keeps it equal to contracts/topics.py and
contracts/messages.py. Schemas are in the dialect of AsyncAPI 3.0 (JSON Schema draft 7), so that its tools read them.
"""

import sys
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args

import msgspec

from streamapp.contracts import dead_letter as letter
from streamapp.contracts.topics import CHAT, DEAD_LETTERS, NEWS, REDRIVEN, SUBJECT_STATE, TOPICS, Topic
from streamapp.contracts.topics_page import kept_in_words

JSON_TYPE: Final = "application/json"
# The parts that make up this service; everybody else is a user of it.
OWN: Final = frozenset({"score", "watch", "retrain", "redrive", "bridge", "desk", "cli", "import"})
KAFKA_BINDING: Final = "0.5.0"

_INFO: Final = {
    "title": "streamapp",
    # The version of the contract, not of the release: a release that changes no message changes nothing here.
    "version": "1.0.0",
    "description": (
        "Financial opinion on Kafka: posts come in, verdicts, trends and alerts go out. "
        "A prefix (the setting `topics.prefix`) stands before each of our addresses, not before `news` and `chat`. "
        "Delivery is at least once: what has the same identity (source offset; subject, minute and revision; alert id "
        "and revision) is the same message. Readers must bear fields that they do not know. Headers of an input "
        "(`traceparent` and others) travel to every message that it caused."
    ),
    "license": {"name": "Apache-2.0"},
}
# What the settings' default field mapping reads; the user's own JSON comes in by another mapping.
_POST_AS_FED: Final = {
    "type": "object",
    "description": "A post as a feed sends it, in our own format; another one is read by mapping (settings `inputs`).",
    "required": ["text"],
    "properties": {
        "id": {"type": ["string", "integer"], "description": "Missing: made from topic, partition and offset."},
        "text": {"type": "string", "minLength": 1, "description": "HTML is read as text."},
        "published_at": {
            "type": ["string", "number"],
            "description": "RFC 3339, or seconds or milliseconds since 1970. Missing: the record's own timestamp.",
        },
        "source": {"type": "string", "description": "The feed's name."},
        "symbols": {
            "description": "Tickers.",
            "oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}],
        },
    },
}  # fmt: skip
_ORIGIN_HEADERS: Final = ("topic", "topic-uuid", "partition", "offset", "timestamp-ms", "channel")


def asyncapi() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": JSON_TYPE,
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(operation for topic in TOPICS for operation in _operations(topic)),
        "components": {
            "messages": {name: message for topic in TOPICS for name, message in _messages(topic).items()},
            "schemas": {"PostAsFed": _POST_AS_FED, **_schemas()},
        },
    }


def asyncapi_text() -> str:
    """The document as the file holds it."""
    return msgspec.json.format(msgspec.json.encode(asyncapi()), indent=2).decode() + "\n"


def message_types(topic: Topic) -> tuple[type, ...]:
    """The structs that a topic carries; none where it carries bytes."""
    if topic.message is None:
        return ()
    return get_args(topic.message) if isinstance(topic.message, UnionType) else (topic.message,)


def _channel(topic: Topic) -> dict[str, Any]:
    writers, readers = ", ".join(topic.writers), ", ".join(topic.readers)
    return {
        "address": topic.name,
        "description": f"{topic.summary} Written by {writers}; read by {readers}. Kept: {kept_in_words(topic)}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic)},
        "bindings": {"kafka": _kafka(topic)},
    }


def _kafka(topic: Topic) -> dict[str, Any]:
    config = dict(topic.config)
    kept: dict[str, Any] = {"cleanup.policy": [config.get("cleanup.policy", "delete")]}
    if "retention.ms" in config:
        kept["retention.ms"] = int(config["retention.ms"])
    sizes = {"partitions": 1} if topic.partitions == "one" else {}
    return {**sizes, "topicConfiguration": kept, "bindingVersion": KAFKA_BINDING}


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    """What this service does with the topic: send what one of its parts writes, receive what one reads."""
    actions = [("send", topic.writers), ("receive", topic.readers)]
    return [
        (f"{action}-{topic.name}", _operation(action, topic, [party for party in parties if party in OWN]))
        for action, parties in actions
        if OWN.intersection(parties)
    ]


def _operation(action: str, topic: Topic, parties: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"By {', '.join(parties)}.",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in _messages(topic)],
    }


def _messages(topic: Topic) -> dict[str, dict[str, Any]]:
    if topic.message is not None:
        return {struct.__name__: _message(struct, topic) for struct in message_types(topic)}
    if topic in (NEWS, CHAT):
        payload = {"payload": {"$ref": "#/components/schemas/PostAsFed"}}
        return {"PostAsFed": {"contentType": JSON_TYPE, "title": "A post as a feed sends it", **payload}}
    if topic == SUBJECT_STATE:
        return {
            "SubjectState": _bytes(
                topic, "application/msgpack", "Private: its form may change with a release."
            )
        }
    headers = {DEAD_LETTERS: _dead_letter_headers(), REDRIVEN: _redriven_headers()}[topic]
    name = "".join(part.capitalize() for part in topic.name.removesuffix("s").split("-"))
    return {name: {**_bytes(topic, "application/octet-stream", "The original bytes."), "headers": headers}}


def _message(struct: type, topic: Topic) -> dict[str, Any]:
    headers = {"headers": _backfill_header()} if topic.name == "alerts" else {}
    return {
        "contentType": JSON_TYPE,
        "title": struct.__name__,
        "summary": topic.summary,
        "bindings": _key(topic),
        **headers,
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
    }


def _bytes(topic: Topic, content_type: str, summary: str) -> dict[str, Any]:
    return {"contentType": content_type, "title": topic.name, "summary": summary, "bindings": _key(topic)}


def _key(topic: Topic) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": KAFKA_BINDING}}


def _backfill_header() -> dict[str, Any]:
    what = "Present where the alert is about the past and should page nobody."
    return {"type": "object", "properties": {"backfill": {"type": "string", "description": what}}}


def _redriven_headers() -> dict[str, Any]:
    return _headers(letter.REDRIVEN_AT_MS, letter.REASON, *_origins())


def _dead_letter_headers() -> dict[str, Any]:
    said = (letter.REASON, letter.DETAIL, letter.FAILED_AT_MS, letter.RELEASE, letter.VALUE_BYTES)
    return _headers(*said, *_origins())


def _origins() -> list[str]:
    return [prefix + part for prefix in (letter.ORIGIN, letter.FIRST_ORIGIN) for part in _ORIGIN_HEADERS]


def _headers(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}}


def _schemas() -> dict[str, Any]:
    structs = [struct for topic in TOPICS for struct in message_types(topic)]
    _, made = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {name: _draft_7(schema) for name, schema in sorted(made.items())}


def _draft_7(schema: Any) -> Any:
    """The schema with tuples said as draft 7 says them; the rest of what msgspec writes is common to both."""
    if isinstance(schema, list):
        return [_draft_7(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _draft_7(value) for name, value in schema.items()}
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
        made["additionalItems"] = False
    return made


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncapi_text(), encoding="utf-8")
