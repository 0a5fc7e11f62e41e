"""Training texts: cleaned, merged, and never a text that a test asks about."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "datasketch", reason="datasketch is absent: install the extra [retrain] to test training data"
)

from retrain.training.examples import (  # only where the extra is installed
    Example,
    SourceSet,
    Split,
    fingerprint,
    merged,
    read_examples,
    without_test_texts,
)

SOURCE = SourceSet("made_up", "MIT", "us")
LONG = "Harbour authority reports a fall in container traffic for the third month running, blaming strikes"


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    filled = [
        {"id": f"r{number}", "channel": "news", "split": "train", **row} for number, row in enumerate(rows)
    ]
    (folder / "made_up.jsonl").write_text("\n".join(map(json.dumps, filled)) + "\n")
    return folder


def example(text: str, split: Split = "train", sentiment: str | None = "negative", **labels: Any) -> Example:
    return Example(text, "made_up", split, sentiment, **labels)


def test_texts_are_cleaned_as_in_serving_and_useless_records_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"text": "AT&amp;T <b>falls</b>", "sentiment": "negative"},
        {"text": "no label at all"},
        {"text": " \u200b ", "sentiment": "neutral"},
        {"text": "Only a topic", "topic": "macro"},
    ]
    found = read_examples(write(tmp_path, rows), SOURCE)
    assert [(e.text, e.sentiment, e.topic) for e in found] == [
        ("AT&T falls", "negative", None),
        ("Only a topic", None, "macro"),
    ]


def test_a_set_without_dev_gives_the_same_part_of_train_every_time_and_never_of_test(tmp_path: Path) -> None:
    rows = [
        {"text": f"text {n}", "topic": "macro", "split": "test" if n % 2 else "train"} for n in range(2000)
    ]
    first, second = (read_examples(write(tmp_path, rows), SOURCE) for _ in range(2))
    assert first == second
    assert sum(e.split == "test" for e in first) == 1000
    assert 40 < sum(e.split == "dev" for e in first) < 100


def test_a_set_with_its_own_dev_keeps_its_train_whole(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "topic": "macro"} for n in range(500)] + [
        {"text": "d", "topic": "macro", "split": "dev"}
    ]
    assert sum(e.split == "dev" for e in read_examples(write(tmp_path, rows), SOURCE)) == 1


def test_a_limit_a_label_holds_for_train_alone(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": f"t {n}", "sentiment": "positive"} for n in range(30)]
    rows += [{"text": f"u {n}", "sentiment": "positive", "split": "test"} for n in range(30)]
    rows += [{"text": "v", "sentiment": "negative", "split": "dev"}]
    source = SourceSet("made_up", "MIT", "us", most_train_a_label=7)
    splits = [e.split for e in read_examples(write(tmp_path, rows), source)]
    assert (splits.count("train"), splits.count("test")) == (7, 30)


@pytest.mark.parametrize(
    "repeat",
    [
        LONG,
        LONG.upper() + " https://t.co/abc",
        "RT @wire: " + LONG,
        LONG.replace("strikes", "a strike"),
        LONG + " - Wire A",
    ],
)
def test_a_near_copy_of_a_test_text_is_not_trained_on(repeat: str) -> None:
    other = example("Chip maker doubles its dividend after a strong year in cars")
    kept, dropped = without_test_texts([example(LONG, "test"), example(repeat), other])
    assert dropped == 1
    assert sorted(e.split for e in kept) == ["test", "train"]


def test_train_is_kept_apart_from_dev_too_and_tests_are_never_dropped() -> None:
    kept, dropped = without_test_texts([example(LONG, "test"), example(LONG, "test"), example("a b c d e", "dev"),
                                        example("A b, c d e!")])  # fmt: skip
    assert dropped == 1
    assert [e.split for e in kept] == ["test", "test", "dev"]


def test_labels_of_two_sets_join_and_a_contradiction_is_no_label() -> None:
    joined = merged([example("Oil falls 3%"), example("oil falls 4%", sentiment=None, topic="energy_oil")])
    assert [(e.sentiment, e.topic) for e in joined] == [("negative", "energy_oil")]
    assert merged([example("Oil falls"), example("oil falls", sentiment="positive")]) == []


def test_the_fingerprint_knows_every_label_and_no_order() -> None:
    one, two = example("a"), example("b")
    assert fingerprint([one, two]) == fingerprint([two, one])
    assert fingerprint([one]) != fingerprint([example("a", sentiment="neutral")])
