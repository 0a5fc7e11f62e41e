"""Whatever a file of labels holds: entries or refusals come out, each with its place, and nothing breaks."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamapp.contracts.messages import Label
from streamapp.core.label_file import LabelFileError, LabelFormat, read_label_file
from streamapp.core.label_rows import ImportRules, LabelRow, RefusedRow, read_row
from streamapp.core.label_rules import LabelLimits, label_fault

RULES = ImportRules(author="file", labelled_at_ms=5)
LIMITS = LabelLimits(topics=frozenset({"macro"}))
FORMATS: list[LabelFormat | None] = [None, "csv", "jsonl", "label-studio", "argilla"]
NAMES = [
    "id", "post_id", "text", "channel", "sentiment", "label", "topic", "companies", "author", "labelled_at", "drawn",
    "data", "annotations", "annotation_id", "annotator", "completed_by", "result", "value", "choices", "labels",
    "from_name", "start", "end", "was_cancelled", "fields", "metadata", "responses", "values", "user_id", "status",
    "sentiment.responses", "sentiment.responses.users", "sentiment.responses.status", "symbol", "span",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["negative", "macro", "news", "AAPL", "submitted", "companies", "2026-09-21T12:00:00Z"])
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)
entries = st.lists(st.dictionaries(st.sampled_from(NAMES), trees, max_size=8) | trees, max_size=4)


def check(content: bytes, format_: LabelFormat | None) -> None:
    """Every entry becomes a label, usable or with a fault in words, or a refusal with its place and reason."""
    try:
        _, rows = read_label_file(content, format_)
        read = list(rows)
    except LabelFileError:
        return
    for row in read:
        assert row.where
        made = read_row(row, RULES) if isinstance(row, LabelRow) else row
        if isinstance(made, RefusedRow):
            assert made.reason
        else:
            assert isinstance(made, Label)
            fault = label_fault(made, LIMITS)
            assert fault is None or fault


@settings(max_examples=300, deadline=None)
@given(entries, st.sampled_from(FORMATS), st.booleans())
def test_any_json(made: list[Any], format_: LabelFormat | None, as_lines: bool) -> None:
    content = "\n".join(map(json.dumps, made)) if as_lines else json.dumps(made)
    check(content.encode(), format_)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(FORMATS))
def test_any_bytes(content: bytes, format_: LabelFormat | None) -> None:
    check(content, format_)
    check(b"id,text,sentiment,topic\n" + content, format_)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.sampled_from(["negative", "awful", ""])), max_size=5))
def test_any_text_in_json_lines(rows: list[tuple[str, str]]) -> None:
    lines = [
        json.dumps({"text": text, "sentiment": sentiment, "channel": "chat"}) for text, sentiment in rows
    ]
    _, read = read_label_file("\n".join(lines).encode(), "jsonl")
    made = [read_row(row, RULES) if isinstance(row, LabelRow) else row for row in read]
    assert len(made) == len(rows)
    check("\n".join(lines).encode(), "jsonl")
