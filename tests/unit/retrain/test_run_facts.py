"""What the history of runs says: which labels are used up, how often in a row, since when a run is wanted."""

from pathlib import Path

import msgspec
import pytest

from retrain.core.trigger import Trigger, TriggerRules
from retrain.label_store import LabelStore
from retrain.run_book import Result, RunBook, RunRecord
from retrain.run_facts import facts_of, in_a_row, note_wanted

HAND = Trigger(kind="hand", reason="a person asked for it")
BEGIN_MS = 1_790_000_000_000


def ended(book: RunBook, result: Result, second: int) -> RunRecord:
    run = book.new_run(HAND, BEGIN_MS + second * 1000)
    run = msgspec.structs.replace(run, stage="ended", result=result, ended_at_ms=run.began_at_ms + 500)
    book.save(run)
    return run


@pytest.fixture
def book(tmp_path: Path) -> RunBook:
    return RunBook(tmp_path / "runs")


def test_only_a_run_whose_answer_stood_uses_its_labels_up(book: RunBook, tmp_path: Path) -> None:
    for second, result in enumerate(("refused", "overtaken", "failed", "failed")):
        ended(book, result, second)  # type: ignore[arg-type]
    with LabelStore(tmp_path / "labels.sqlite") as store:
        facts = facts_of(book.runs(), book.since(BEGIN_MS), store, None)
    assert facts.decided_at_ms == BEGIN_MS
    assert facts.ended_at_ms == BEGIN_MS + 3500
    assert facts.failures_in_a_row == 2
    assert not facts.running


def test_an_open_run_is_under_way(book: RunBook, tmp_path: Path) -> None:
    ended(book, "promoted", 0)
    book.new_run(HAND, BEGIN_MS + 60_000)
    with LabelStore(tmp_path / "labels.sqlite") as store:
        assert facts_of(book.runs(), book.since(BEGIN_MS), store, None).running


def test_results_in_a_row_are_counted_from_the_last_that_ends_the_row(book: RunBook) -> None:
    for second, result in enumerate(("refused", "promoted", "refused", "failed", "refused")):
        ended(book, result, second)  # type: ignore[arg-type]
    assert in_a_row(book.runs(), "refused", until=("promoted",)) == 2
    assert in_a_row(book.runs(), "failed", until=("promoted", "refused")) == 0


def test_since_when_a_run_is_wanted_survives_a_restart_and_ends_with_the_wish(book: RunBook) -> None:
    from retrain.core.trigger import RunFacts

    rules = TriggerRules(new_labels=3)
    note_wanted(book, book.since(1), rules, RunFacts(new_labels=3), 100)
    note_wanted(RunBook(book.folder), book.since(2), rules, RunFacts(new_labels=4), 200)
    assert book.since(9).wanted_since_ms == 100
    note_wanted(book, book.since(9), rules, RunFacts(new_labels=0, running=True), 300)
    assert book.since(9).wanted_since_ms == 100
    note_wanted(book, book.since(9), rules, RunFacts(new_labels=0), 400)
    assert book.since(9).wanted_since_ms is None
