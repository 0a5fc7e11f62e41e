"""The example files: `examples/<topic>/v<version>/<edge-case>.json`, read as values.

Three forms: a message as JSON; a raw input beside an `.expected.json` that says what intake makes of it; a whole
record (key, headers, value) of the topics whose meaning is in the headers.
"""

import base64
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from streamapp.contracts.dead_letter import parse_redriven
from streamapp.contracts.messages import DeadLetterReason, Post
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputFields

EXAMPLES = Path(__file__).parent / "examples"
EXPECTED = ".expected.json"

RECORD_TOPICS = ("dead-letters", "redriven")
INPUT_TOPICS = ("news", "chat")
# Trend state is read and written by watch alone, as MessagePack: the tests of core/subject_state.py keep its form.
PRIVATE_TOPICS = ("subject-state",)

RECORD_MS = 1_790_000_000_000
UUID = "kZ3yQn0hT1mJ7w2bXc9LrA"


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """What intake makes of a raw input: the post, or the reason why there is none."""

    post: Post | None = None
    rejected: DeadLetterReason | None = None
    fields: InputFields = InputFields()
    max_record_bytes: int = 1_000_000
    max_text_chars: int = 20_000


class ExampleRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One record; `value_base64` where the bytes are no text."""

    key: str | None
    headers: tuple[tuple[str, str], ...]
    value: str | None = None
    value_base64: str | None = None

    def raw_record(self, topic: Literal["dead-letters", "redriven"]) -> RawRecord:
        """The record as if it were read from `topic`."""
        value = None if self.value is None else self.value.encode()
        return RawRecord(
            topic=topic,
            topic_uuid="Rk2yQn0hT1mJ7w2bXc9LrA",
            partition=1,
            offset=4,
            timestamp_ms=RECORD_MS,
            key=None if self.key is None else self.key.encode(),
            value=value if self.value_base64 is None else base64.b64decode(self.value_base64),
            headers=tuple((name, text.encode()) for name, text in self.headers),
            redriven=topic == "redriven",
        )


def example_paths(*topics: str) -> list[Path]:
    """The examples of these topics; expectations are not examples."""
    found = [path for topic in topics for path in sorted((EXAMPLES / topic).glob("v*/*.json"))]
    return [path for path in found if not path.name.endswith(EXPECTED)]


def topic_of(path: Path) -> str:
    """The topic that an example belongs to."""
    return path.parent.parent.name


def label(path: Path) -> str:
    """How a test names an example."""
    return f"{topic_of(path)}/{path.stem}"


def read_expected(path: Path) -> Expected:
    """What should become of the raw input at `path`."""
    return msgspec.json.decode(path.with_suffix("").with_suffix(EXPECTED).read_bytes(), type=Expected)


def read_record(path: Path) -> ExampleRecord:
    """The whole record at `path`."""
    return msgspec.json.decode(path.read_bytes(), type=ExampleRecord)


def first_topic(record: RawRecord) -> str:
    """The user's topic that a redriven record first came from."""
    origin = parse_redriven(record.headers)
    assert origin is not None
    return origin.topic
