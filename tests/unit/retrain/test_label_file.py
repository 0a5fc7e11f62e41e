"""Labels from a file: cleaned as served, the newest of a post, a bad line named."""

from pathlib import Path

import pytest

from retrain.label_file import LabelFileError, read_labels

LINE = (
    '{{"post_id": "{id}", "text": "{text}", "channel": "chat", "sentiment": "{sentiment}", "origin": "person", '
    '"labelled_at_ms": {at}}}\n'
)


def test_the_newest_label_of_a_post_counts_and_texts_are_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        LINE.format(id="a", text="up &amp; <b>away</b>", sentiment="positive", at=2)
        + LINE.format(id="a", text="up &amp; away", sentiment="negative", at=1)
        + LINE.format(id="b", text="<p></p>", sentiment="negative", at=1)
    )
    assert [(found.text, found.sentiment) for found in read_labels(path)] == [("up & away", "positive")]


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(LINE.format(id="a", text="x", sentiment="great", at=2))
    with pytest.raises(LabelFileError, match=r"labels.jsonl: line 1: .*great.*sentiment"):
        read_labels(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="No such file"):
        read_labels(tmp_path / "nowhere.jsonl")
