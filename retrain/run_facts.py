"""What the trigger is decided from: the history of runs, the label store and the model that serves, as values.

Reads and tells metrics; must not begin anything.
"""

import time
from collections.abc import Sequence

from retrain import metrics
from retrain.core.trigger import RunFacts, Trigger, TriggerRules, wanted
from retrain.label_store import LabelStore
from retrain.model_watch import Seen
from retrain.run_book import RunBook, RunRecord, Since


def facts_of(
    runs: Sequence[RunRecord], since: Since, store: LabelStore, seen: Seen | None, *, by_hand: bool = False
) -> RunFacts:
    """The facts of this moment; `runs` oldest first."""
    ended = [run for run in runs if run.stage == "ended"]
    decided = next((run for run in reversed(ended) if run.decided), None)
    decided_at_ms = decided.began_at_ms if decided else None
    return RunFacts(
        asked_by_hand=by_hand,
        running=len(ended) < len(runs),
        pinned=seen is not None and seen.champion.pinned,
        new_labels=store.training_label_count_since(decided_at_ms or 0),
        watched_since_ms=since.watched_since_ms,
        decided_at_ms=decided_at_ms,
        ended_at_ms=ended[-1].ended_at_ms if ended else None,
        failures_in_a_row=in_a_row(ended, "failed", until=("promoted", "refused", "pinned")),
        alarms=seen.alarms if seen is not None else (),
    )


def in_a_row(ended: Sequence[RunRecord], result: str, until: Sequence[str]) -> int:
    """How many runs ended so since the last one that ended in one of `until`."""
    count = 0
    for run in reversed(ended):
        if run.result in until:
            break
        count += run.result == result
    return count


def note_wanted(
    book: RunBook, since: Since, rules: TriggerRules, facts: RunFacts, now_ms: int
) -> Trigger | None:
    """What asks for a run; since when it does is kept over restarts, so that a run can be called overdue."""
    asks = wanted(now_ms, rules, facts)
    if facts.running and since.wanted_since_ms is not None:
        return asks  # its labels are under way and not yet used up
    if (asks is not None) != (since.wanted_since_ms is not None):
        wanted_since_ms = now_ms if asks is not None else None
        book.save_since(Since(watched_since_ms=since.watched_since_ms, wanted_since_ms=wanted_since_ms))
    return asks


def tell(book: RunBook, runs: Sequence[RunRecord], facts: RunFacts) -> None:
    """The facts as metrics."""
    ended = [run for run in runs if run.stage == "ended"]
    metrics.FAILURES_IN_A_ROW.set(facts.failures_in_a_row)
    metrics.REFUSALS_IN_A_ROW.set(in_a_row(ended, "refused", until=("promoted",)))
    metrics.NEW_LABELS.set(facts.new_labels)
    metrics.DECIDED_SECONDS.set((facts.decided_at_ms or 0) / 1000)
    metrics.WANTED_SINCE_SECONDS.set((book.since(now_ms()).wanted_since_ms or 0) / 1000)


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000
