"""What the learning demo says at its end: the gate's own words and figures, and whether it went as it must."""

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from streamapp.local.demo_learning_figures import LearningBooks, VersionFigures
from streamapp.local.demo_learning_report import (
    RetrainResult,
    class_table,
    differences,
    gate_lines,
    keep_report,
    read_gate_report,
)

BOOKS = LearningBooks(published=3, scored=2, dead=1, unversioned=0, by_two_versions=0, repeated_records=0)
PROMOTED = RetrainResult(result="promoted", model_version="m-2")
REPORT = {
    "decision": {"promote": False, "reasons": ["worse: macro-F1 -0.1"], "judged_by": "golden"},
    "measured": {
        "champion_precision": "int8",
        "candidate_precision": "fp32",
        "champion_latency_ms": 1.5,
        "candidate_latency_ms": 2.5,
        "sets": [
            {
                "name": "golden",
                "posts": 2,
                "heads": {
                    "sentiment": {
                        side: {
                            "texts": 2,
                            "accuracy": 0.5,
                            "macro_f1": figure,
                            "ece": 0.1,
                            "classes": {
                                "negative": {"precision": figure, "recall": 1.0, "f1": 0.7, "support": 2}
                            },
                        }
                        for side, figure in (("before", 0.25), ("after", 0.75))
                    }
                },
                "slices": [],
            }
        ],
    },
    "training": {"epochs": 3},
}


def versions(*names: str) -> tuple[VersionFigures, ...]:
    return tuple(
        VersionFigures(version=name, verdicts=1, sentiments={}, as_meant=0, chat_verdicts=0, chat_as_meant=0)
        for name in names
    )


def test_a_promoted_model_that_scored_and_books_that_balance_are_as_it_must_be() -> None:
    assert differences(PROMOTED, BOOKS, versions("m-1", "m-2"), 100.0) == []


@pytest.mark.parametrize(
    ("result", "books", "names", "cpu_seconds", "words"),
    [
        (RetrainResult(result="refused", detail="worse: x"), BOOKS, ("m-1",), 1.0, "refused: worse: x"),
        (PROMOTED, BOOKS, ("m-1",), 1.0, "no verdict carries m-2"),
        (PROMOTED, msgspec.structs.replace(BOOKS, published=4), ("m-1", "m-2"), 1.0, "do not balance"),
        (PROMOTED, msgspec.structs.replace(BOOKS, unversioned=1), ("m-1", "m-2"), 1.0, "without a model"),
        (PROMOTED, BOOKS, ("m-1", "m-2"), 301.0, "301 CPU seconds"),
    ],
)
def test_what_is_not_as_it_must_be_is_said(
    result: RetrainResult, books: LearningBooks, names: tuple[str, ...], cpu_seconds: float, words: str
) -> None:
    found = differences(result, books, versions(*names), cpu_seconds)
    assert len(found) == 1
    assert words in found[0]


def test_the_gates_decision_and_every_class_before_and_after_are_shown(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(REPORT))
    report = read_gate_report(tmp_path)
    assert report is not None
    assert report.measured is not None
    said = "\n".join(line.plain for line in gate_lines(report))
    assert "Refused, judged by: golden" in said
    assert "worse: macro-F1 -0.1" in said
    assert "macro-F1 0.250 before, 0.750 after" in said
    assert "serves in fp32, 2.50 ms a post on one core; before in int8, 1.50 ms" in said
    console = Console(width=120)
    with console.capture() as captured:
        console.print(class_table(report.measured.sets[0], "sentiment"))
    assert captured.get().split()[-8:] == [
        "negative",
        "0.250",
        "0.750",
        "1.000",
        "1.000",
        "0.700",
        "0.700",
        "2",
    ]


def test_a_folder_without_a_report_has_none_and_a_broken_report_is_named(tmp_path: Path) -> None:
    assert read_gate_report(tmp_path) is None
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match=r"report\.json"):
        read_gate_report(tmp_path)


def test_report_card_and_pictures_outlive_the_demos_folder(tmp_path: Path) -> None:
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    for name in ("report.json", "README.md", "confusion-golden-topic.png", "model.onnx"):
        (candidate / name).write_text(name)
    kept = keep_report(candidate, tmp_path / "kept")
    assert [path.name for path in kept] == ["report.json", "README.md", "confusion-golden-topic.png"]
    assert all(path.read_text() == path.name for path in kept)
