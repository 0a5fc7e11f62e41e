"""Marked companies of a public set survive cleaning, and a small part of an encoder learns to find unseen ones."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test training")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test training")

from retrain.core.company_labels import labelled_spans
from retrain.core.run_settings import TrainingSettings
from retrain.training.marked_texts import read_marked
from retrain.training.measure_companies import Plan, measure_companies


def written(folder: Path, *records: tuple[str, str, list[Any] | None]) -> Path:
    path = folder / "set.jsonl"
    rows = [
        {"id": f"r{number}", "channel": "chat", "split": split, "text": text}
        | ({} if entities is None else {"entities": entities})
        for number, (split, text, entities) in enumerate(records)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_marks_move_with_the_text_that_is_cleaned(tmp_path: Path) -> None:
    raw = "<b>Acme</b>  &amp; Globex, then Acme"
    marks = [[raw.index(name), raw.index(name) + len(name), "ORG"] for name in ("Acme", "Globex")]
    path = written(tmp_path, ("train", raw, [*marks, [len(raw) - 4, len(raw), "ORG"]]))
    [label] = read_marked(path)["train"]
    assert [label.text[start:end] for start, end in labelled_spans(label) or ()] == ["Acme", "Globex", "Acme"]
    assert label.sentiment is None
    assert label.topic is None


def test_other_kinds_are_none_unmarked_records_are_no_labels_and_lost_marks_lose_the_text(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        ("train", "Paris meets Acme", [[0, 5, "LOC"], [12, 16, "ORG"]]),
        ("train", "nothing said", None),
        ("train", "none there", []),
        ("train", "A&amp;B rises", [[1, 4, "ORG"]]),
    )
    assert [labelled_spans(label) for label in read_marked(path)["train"]] == [((12, 16),), ()]


def test_a_text_is_in_one_split_and_sooner_in_that_which_judges(tmp_path: Path) -> None:
    path = written(
        tmp_path, ("train", "Acme", []), ("test", "Acme", []), ("dev", "Acme  ", []), ("train", "new", [])
    )
    sides = read_marked(path)
    assert {split: [label.text for label in labels] for split, labels in sides.items()} == {
        "test": ["Acme"],
        "dev": [],
        "train": ["new"],
    }


@pytest.mark.shared
def test_one_layer_learns_from_real_tweets_to_find_companies_in_unseen_ones(
    shared_datasets: Path, tmp_path: Path
) -> None:
    settings = TrainingSettings(
        learning_rate=1e-3, head_learning_rate=5e-3, epochs=3, imitation_weight=0.0, threads=1
    )
    plan = Plan(marked=shared_datasets / "broad_twitter_ner.jsonl", training=settings, posts=1_500, layers=1)
    figures = measure_companies(plan, tmp_path)
    assert figures["fp32"].labelled == 399
    assert figures["fp32"].f1 > 0.18
    assert figures["int8"].f1 > 0.18
    assert figures["int8_agreement"] >= 0.985
    assert figures["parity_with_torch"] < 1e-4
