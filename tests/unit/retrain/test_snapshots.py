"""Erased posts leave the folders of runs, those of a run under way when it has ended."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrain.core.labels import TrainingLabel
from retrain.core.trigger import Trigger
from retrain.run_book import RunBook, RunBookError, RunRecord
from retrain.snapshots import SnapshotsErased, erase_from_snapshots, erase_waiting


def run_with(book: RunBook, *post_ids: str, **changes: Any) -> RunRecord:
    run = book.new_run(Trigger(kind="hand", reason="x"), 1_790_000_000_000)
    folder = book.folder_of(run)
    labels = [
        TrainingLabel(post_id=post_id, text=f"text of {post_id}", channel="news", source=None, sentiment="neutral",
                      topic=None, companies=None, origin="person", drawn="none", labelled_at_ms=1)
        for post_id in post_ids
    ]  # fmt: skip
    (folder / "labels.jsonl").write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in labels))
    (folder / "child.log").write_text("a line that quotes text of p1")
    (folder / "work" / "fit").mkdir(parents=True)
    (folder / "work" / "fit" / "fit.json").write_text("text of p1")
    (folder / "work" / "report.json").write_text("{}")
    run = msgspec.structs.replace(run, **{"stage": "ended", "result": "refused", **changes})
    book.save(run)
    return run


def holding(book: RunBook, words: str) -> list[str]:
    return sorted(
        path.name
        for path in book.folder.rglob("*")
        if path.is_file() and words in path.read_text(errors="replace")
    )


def test_an_erased_post_leaves_nothing_of_its_text_and_the_rest_stays(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "runs")
    failed = {"result": "failed", "detail": "the child failed\ntext of p1"}
    with_it, without = run_with(book, "p1", "p2", **failed), run_with(book, "p2", "p3")
    assert erase_from_snapshots(book.folder, {"p1"}) == SnapshotsErased(snapshot_lines=1, runs=1)
    first, second = book.folder_of(with_it), book.folder_of(without)
    assert b"text of p1" not in b"".join(path.read_bytes() for path in first.rglob("*") if path.is_file())
    assert (first / "labels.jsonl").read_text().count("text of p2") == 1
    assert (first / "work" / "report.json").exists()
    assert {run.detail for run in book.runs()} == {"the child failed", ""}
    assert (second / "work" / "fit" / "fit.json").exists(), "a run that never saw the post is left as it is"


def test_a_run_under_way_is_left_alone_and_erased_once_it_has_ended(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "runs")
    run = run_with(book, "p1", "p2", stage="training", result=None)
    before = (book.folder_of(run) / "labels.jsonl").read_bytes()
    for post in ("p1", "p2"):
        assert erase_from_snapshots(book.folder, {post}).waiting == (run.run_id,)
    erase_waiting(book)
    assert (book.folder_of(run) / "labels.jsonl").read_bytes() == before
    book.save(msgspec.structs.replace(run, stage="ended", result="promoted"))
    erase_waiting(book)
    assert holding(book, "text of p") == []
    assert not (book.folder_of(run) / "erase-when-ended.json").exists()


def test_where_no_run_ever_was_nothing_is_made(tmp_path: Path) -> None:
    assert erase_from_snapshots(tmp_path / "runs", {"p1"}) == SnapshotsErased()
    assert not (tmp_path / "runs").exists()


def test_a_damaged_snapshot_is_named_and_not_passed_over(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "runs")
    run = run_with(book, "p1")
    (book.folder_of(run) / "labels.jsonl").write_text("{\n")
    with pytest.raises(RunBookError, match=r"labels\.jsonl"):
        erase_from_snapshots(book.folder, {"p1"})
