"""Files of labels in every format: what is in them, and what is wrong with a line, never the whole file for one."""

import json
from typing import Any

import pytest

from streamapp.contracts.messages import CompanyMention, Label
from streamapp.core.label_file import LabelFileError, LabelFormat, read_label_file
from streamapp.core.label_rows import ImportRules, RefusedRow, read_row

RULES = ImportRules(author="file", labelled_at_ms=5, spellings={"bullish": "positive"})


def read(content: str | bytes | list[Any], format_: LabelFormat | None = None) -> tuple[str, list[Any]]:
    """The format, and each entry as a label or (place, reason)."""
    if isinstance(content, list):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    found, rows = read_label_file(raw, format_)
    read_rows = [row if isinstance(row, RefusedRow) else read_row(row, RULES) for row in rows]
    return found, [(row.where, row.reason) if isinstance(row, RefusedRow) else row for row in read_rows]


def said(label: Label) -> tuple[Any, ...]:
    return label.post_id, label.text, label.sentiment, label.topic, label.author, label.labelled_at_ms


def test_csv_by_column_names_with_defaults_for_what_is_missing() -> None:
    found, labels = read(
        "\ufeffid,text,sentiment,topic,companies,annotator,labelled_at,remark\n"
        'n-1,"Shares, again",Negative,Central banks,"aapl $msft",ana,2026-09-21T12:00:00Z,x\n'
        "n-2,,bullish,,none,,,\n"
    )
    assert found == "csv"
    assert [said(label) for label in labels] == [
        ("n-1", "Shares, again", "negative", "central_banks", "ana", 1_789_992_000_000),
        ("n-2", None, "positive", None, "file", 5),
    ]
    assert labels[0].companies == (CompanyMention(symbol="AAPL"), CompanyMention(symbol="MSFT"))
    assert labels[1].companies == ()
    assert {label.origin for label in labels} == {"import"}


def test_csv_lines_that_are_wrong_are_refused_with_their_line_and_the_rest_goes_on() -> None:
    content = (
        b"id,text,sentiment,labelled_at\n"
        b"n-1,fine,positive,\n"
        b"n-2,unknown class,splendid,\n"
        b"n-3,too,many,,cells\n"
        b'n-4,"two\nlines",neutral,\n'
        b"n-5,caf\xe9,neutral,\n"
        b"\n"
        b",,neutral,\n"
        b"n-7,time,neutral,last tuesday\n"
        b'n-8,"broken"quote,neutral,\n'
        b"n-9,fine,negative,\n"
    )
    _, rows = read(content)
    assert [row.post_id for row in rows if isinstance(row, Label)] == ["n-1", "n-4", "n-9"]
    refused = [row for row in rows if not isinstance(row, Label)]
    assert [(where, reason.split(";")[0][:30]) for where, reason in refused] == [
        ("line 3", "unknown sentiment 'splendid'"),
        ("line 4", "5 cells under 4 column names"),
        ("line 7", "not UTF-8"),
        ("line 9", "neither an id nor a text"),
        ("line 10", "labelled_at 'last tuesday' is "),
        ("line 11", "not CSV: ',' expected after '\""),
    ]


def test_csv_of_a_spreadsheet_may_use_semicolons() -> None:
    _, labels = read("text;sentiment\nShares fall;negative\n")
    assert [label.sentiment for label in labels] == ["negative"]


def test_a_csv_without_any_verdict_column_is_refused_as_a_whole() -> None:
    for content in ("id,text\nn-1,x\n", "", "hello"):
        with pytest.raises(LabelFileError):
            read(content)


def test_json_lines_take_our_own_messages_and_exports() -> None:
    label = {
        "type": "label", "post_id": "n-1", "text": "$NVDA falls", "channel": "chat", "sentiment": "negative",
        "companies": [{"symbol": "nvda", "span": [0, 5], "sentiment": "negative"}], "author": "ana",
        "labelled_at_ms": 1_790_000_000_000, "origin": "person", "drawn": "audit", "source": "forum",
    }  # fmt: skip
    found, labels = read(json.dumps(label) + '\n\n{"id": 7, "text": "x", "topic": "macro"}\n')
    assert found == "jsonl"
    assert labels[0].companies == (CompanyMention(symbol="NVDA", span=(0, 5), sentiment="negative"),)
    assert (labels[0].drawn, labels[0].source, labels[0].channel) == ("audit", "forum", "chat")
    assert said(labels[1]) == ("7", "x", None, "macro", "file", 5)


def test_json_lines_that_are_wrong_are_refused_with_their_line() -> None:
    _, rows = read(
        '{"id": "a", "text": "x", "sentiment": "neutral"}\n'
        "{broken\n[1]\n"
        '{"id": {"a": 1}, "text": "x", "sentiment": "neutral"}\n'
        '{"id": "b", "text": "x", "companies": 7}\n'
        '{"id": "c", "text": "x", "companies": [{"symbol": "AAPL", "span": [0.5, 1]}]}\n'
        '{"id": "d", "text": "x", "channel": "radio", "sentiment": "neutral"}\n'
    )
    assert [row[0] for row in rows if not isinstance(row, Label)] == [
        f"line {number}" for number in range(2, 8)
    ]


def test_a_plain_json_list_is_read_like_json_lines() -> None:
    found, rows = read([{"text": "x", "sentiment": "neutral"}, 5])
    assert (found, rows[0].sentiment, rows[1]) == ("jsonl", "neutral", ("entry 2", "not a JSON object"))


def test_a_text_without_an_id_is_named_by_its_content() -> None:
    _, labels = read(
        [{"text": "The same", "sentiment": "neutral"}, {"text": " The  same ", "topic": "macro"}]
    )
    assert labels[0].post_id == labels[1].post_id
    assert labels[0].post_id.startswith("import:")


def test_texts_are_cleaned_and_spans_that_cleaning_moved_are_dropped() -> None:
    company = {"symbol": "NVDA", "span": [10, 15]}
    _, labels = read(
        [{"text": "<b>Chips</b>  $NVDA", "companies": [company]}, {"text": "$NVDA", "companies": [company]}]
    )
    assert (labels[0].text, labels[0].companies) == ("Chips $NVDA", (CompanyMention(symbol="NVDA"),))
    assert labels[1].companies == (CompanyMention(symbol="NVDA", span=(10, 15)),)


def task(number: int, choices: list[str], **changes: Any) -> dict[str, Any]:
    annotation = {
        "completed_by": {"id": 4, "email": "ana@desk.example"},
        "was_cancelled": False,
        "created_at": "2026-09-21T11:00:00Z",
        "updated_at": "2026-09-21T12:00:00Z",
        "result": [
            {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": choices}},
            {"from_name": "companies", "type": "labels", "value": {"start": 0, "end": 5, "labels": ["NVDA"]}},
            {"from_name": "remark", "type": "textarea", "value": {"text": ["interesting"]}},
        ],
        **changes,
    }
    data = {
        "text": "$NVDA falls",
        "post_id": f"n-{number}",
        "channel": "chat",
        "sentiment": "shown to people",
    }
    return {"id": number, "data": data, "annotations": [annotation]}


def test_label_studio_gives_one_label_an_annotation() -> None:
    cancelled, unanswered = (
        task(2, ["Neutral"], was_cancelled=True),
        {"id": 3, "data": {"text": "x"}, "annotations": []},
    )
    two = task(4, ["Neutral"])
    two["annotations"] *= 2
    found, labels = read([task(1, ["Negative"]), cancelled, unanswered, two, task(5, ["Dreadful"])])
    assert found == "label-studio"
    assert said(labels[0]) == ("n-1", "$NVDA falls", "negative", None, "ana@desk.example", 1_789_992_000_000)
    assert labels[0].companies == (CompanyMention(symbol="NVDA", span=(0, 5)),)
    assert [label.post_id for label in labels[1:3]] == ["n-4", "n-4"]
    assert labels[3][0] == "task 5"
    assert "dreadful" in labels[3][1]


def test_label_studio_in_its_short_form() -> None:
    short = {"id": 9, "text": "Shares fall", "tone": "x", "sentiment": "Negative", "annotator": 3, "annotation_id": 8,
             "created_at": "2026-09-21T11:00:00Z", "updated_at": "2026-09-21T12:00:00Z"}  # fmt: skip
    found, labels = read([short, "no task"])
    assert (found, labels[0].sentiment, labels[0].author) == ("label-studio", "negative", "label-studio:3")
    assert labels[0].post_id.startswith("import:")
    assert labels[1] == ("task 2", "not an object")


def test_argilla_nested_flattened_and_of_the_older_form() -> None:
    nested = {
        "id": "n-1", "fields": {"text": "Shares fall"}, "metadata": {"channel": "news"}, "status": "completed",
        "suggestions": {"sentiment": {"value": "positive"}},
        "responses": {"sentiment": [{"value": "negative", "user_id": "u1"}, {"value": "neutral", "user_id": "u2"}],
                      "topic": [{"value": "macro", "user_id": "u1"}]},
    }  # fmt: skip
    flat = {"id": "n-2", "text": "Shares rise", "sentiment.responses": ["positive", "neutral"],
            "sentiment.responses.users": ["u1", "u2"], "sentiment.responses.status": ["submitted", "draft"],
            "sentiment.suggestion": "negative"}  # fmt: skip
    older = {"fields": {"text": "x"}, "external_id": "n-3", "id": "9f",
             "responses": [{"user_id": "u3", "status": "submitted", "values": {"tone": {"value": "neutral"}}},
                           {"user_id": "u4", "status": "draft", "values": {"tone": {"value": "neutral"}}}]}  # fmt: skip
    found, labels = read([nested, flat, older, {"fields": {"text": "y"}, "responses": {}}, 7])
    assert found == "argilla"
    assert [said(label)[:5] for label in labels[:-1]] == [
        ("n-1", "Shares fall", "negative", "macro", "u1"),
        ("n-1", "Shares fall", "neutral", None, "u2"),
        ("n-2", "Shares rise", "positive", None, "u1"),
        ("n-3", "x", "neutral", None, "u3"),
    ]
    assert labels[-1] == ("record 5", "not an object")


def test_argilla_as_json_lines_is_recognised() -> None:
    record = {"id": "n-1", "fields": {"text": "x"}, "responses": {"sentiment": [{"value": "neutral"}]}}
    found, labels = read(json.dumps(record) + "\n" + json.dumps(record))
    assert (found, [label.author for label in labels]) == ("argilla", ["argilla", "argilla"])


def test_a_list_that_is_no_json_is_refused_as_a_whole() -> None:
    with pytest.raises(LabelFileError, match="not JSON"):
        read("[{]")
