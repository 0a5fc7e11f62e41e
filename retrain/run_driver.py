"""One run from its trigger to its end: snapshot, training (and judging) in a child, publishing, announcing.

Every stage is written down before it begins and may be repeated, so a run goes on after kill -9 where it was. Must not
know what asked for the run, nor how a model is trained or judged.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from retrain.core.run_request import OUTCOME_FILE, RunOutcome, encode_run
from retrain.label_store import LabelStore
from retrain.patience import StoppedError, Troubles, patiently
from retrain.publish import PublishedModels
from retrain.run_book import Result, RunBook, RunBookError, RunRecord, Stage, write_kept
from retrain.run_files import (
    LABELS_FILE,
    REQUEST_FILE,
    WORK_FOLDER,
    OutcomeError,
    Progress,
    read_outcome,
    read_progress,
    request_of,
)
from retrain.runs import ChildRunner, ChildSample, kill_leftovers
from retrain.settings import RetrainSettings
from streamapp.cluster.announcements import ChampionPinnedError
from streamapp.contracts.bundle import BundleError, read_bundle
from streamapp.contracts.champion import Announcer, Champion, announcement

# The label store's audit log takes it from the announcement; `service:` says that it is no person.
ANNOUNCED_BY: Final = "service:retrain"

log = logging.getLogger(__name__)


class RunReport(Troubles, Protocol):
    """Who shows a run: a terminal, a log, metrics."""

    def stage(self, run: RunRecord) -> None:
        """The run has come to another stage, or has ended."""

    def look(self, run: RunRecord, sample: ChildSample, progress: Progress | None) -> None:
        """The child works; several times a second."""


class RunDriver:
    """Drives one run at a time; the caller holds the run lock. `models` and `child` are arguments for the tests' sake:
    theirs are real too, and die at a chosen moment.
    """

    def __init__(
        self,
        settings: RetrainSettings,
        book: RunBook,
        models: PublishedModels,
        child: ChildRunner,
        report: RunReport,
        should_stop: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._book = book
        self._models = models
        self._child = child
        self._report = report
        self._should_stop = should_stop

    def finish(self, run: RunRecord) -> RunRecord:
        """The ended run. Raises StoppedError and BrokenPartError; the run stays open then, and is taken up again."""
        steps: dict[Stage, Callable[[RunRecord], RunRecord]] = {
            "snapshot": self._snapshot,
            "training": self._train,
            "publishing": self._publish,
            "announcing": self._announce,
        }
        while run.stage != "ended":
            self._report.stage(run)
            step, present = steps[run.stage], run
            run = patiently(
                lambda: step(present),  # noqa: B023  # called before the next turn
                self._settings.run.patience_seconds,
                self._should_stop,
                self._report,
            )
        self._report.stage(run)
        return run

    def _snapshot(self, run: RunRecord) -> RunRecord:
        """Which champion is to be beaten, and with which labels: fixed for the whole run."""
        champion = self._models.line()[-1]
        try:
            bundle = self._models.bundle_of(champion)
        except BundleError as error:
            return self._end(run, "failed", f"the champion's bundle cannot be used: {error}")
        folder = self._book.folder_of(run)
        with LabelStore(Path(self._settings.store.path), self._settings.store.unlabelled_days) as store:
            labels = store.current()
        lines = b"".join(msgspec.json.encode(label) + b"\n" for label in labels)
        request = request_of(self._settings, folder, bundle.folder)
        write_kept(folder / LABELS_FILE, lines)
        write_kept(folder / REQUEST_FILE, encode_run(request))
        return self._next(run, "training", champion=champion, labels=len(labels))

    def _train(self, run: RunRecord) -> RunRecord:
        """The child trains and judges; it goes on from its last checkpoint where it was cut short."""
        folder = self._book.folder_of(run)
        kill_leftovers(run.run_id)  # of a service that was killed
        try:
            outcome = read_outcome(folder)
        except OutcomeError as error:
            return self._end(run, "failed", str(error))
        if outcome is not None:
            return self._judged(run, outcome)
        if run.starts >= self._settings.run.most_starts:
            return self._end(run, "failed", f"the child was started {run.starts} times in vain: {run.detail}")
        run = self._changed(run, starts=run.starts + 1)
        end = self._child.run(
            run.run_id,
            folder / REQUEST_FILE,
            self._should_stop,
            lambda sample: self._report.look(run, sample, read_progress(folder)),
        )
        if end.result == "stopped":
            self._changed(run, starts=run.starts - 1)
            raise StoppedError
        if end.result in ("too_long", "too_large"):
            return self._end(run, "failed", end.detail)
        left_outcome = (folder / WORK_FOLDER / OUTCOME_FILE).is_file()
        detail = end.detail or ("" if left_outcome else "it ended well and left no outcome")
        if not detail:
            return self._train(run)
        log.error("run %s: start %d of the child failed: %s", run.run_id, run.starts, detail)
        return self._changed(run, detail=detail)

    def _judged(self, run: RunRecord, outcome: RunOutcome) -> RunRecord:
        if outcome.decision != "promote":
            run = msgspec.structs.replace(run, reasons=outcome.reasons)
            return self._end(run, "refused", "; ".join(outcome.reasons))
        if outcome.candidate is None:
            return self._end(run, "failed", "the outcome says promote and names no candidate")
        candidate = str((self._book.folder_of(run) / WORK_FOLDER / outcome.candidate).absolute())
        return self._next(run, "publishing", reasons=outcome.reasons, candidate=candidate, detail="")

    def _publish(self, run: RunRecord) -> RunRecord:
        """The candidate to the store, unless another champion came meanwhile: the gate did not judge against that."""
        present = self._models.line()[-1]
        if not present.same_bundle(_champion(run)):
            return self._overtaken(run, present)
        folder = Path(run.candidate)
        try:
            manifest = read_bundle(folder).manifest
            url = self._models.publish(folder)
        except BundleError as error:
            return self._end(run, "failed", f"the candidate cannot be used: {error}")
        heir = Champion(
            sequence=present.sequence + 1,
            model_name=manifest.name,
            model_version=manifest.model_version,
            bundle_digest=manifest.digest,
            bundle_url=url,
        )
        why = "; ".join((run.trigger.reason, *run.reasons))
        record = announcement(
            present, heir, Announcer(by=ANNOUNCED_BY, reason=why, at_ms=_now_ms()), pinned=False
        )
        return self._next(run, "announcing", published_url=url, announcement=record)

    def _announce(self, run: RunRecord) -> RunRecord:
        record = run.announcement
        if record is None:
            raise RunBookError(f"{self._book.folder_of(run)}: the record of the announcement is missing")
        try:
            announced = self._models.announce(record)
        except ChampionPinnedError as error:
            return self._end(run, "pinned", f"{error}; the candidate waits at {run.published_url}")
        if not announced.won:
            return self._overtaken(run, announced.champion)
        return self._end(run, "promoted", f"{record.model_version} is announced, sequence {record.sequence}")

    def _overtaken(self, run: RunRecord, present: Champion) -> RunRecord:
        words = (
            f"{present.model_version} (by {present.announced_by or 'the settings'}, sequence {present.sequence}) took "
            "the champion's place meanwhile; the next trigger judges against it"
        )
        return self._end(run, "overtaken", words)

    def _end(self, run: RunRecord, result: Result, detail: str) -> RunRecord:
        return self._next(run, "ended", result=result, detail=detail, ended_at_ms=_now_ms())

    def _next(self, run: RunRecord, stage: Stage, **changes: object) -> RunRecord:
        return self._changed(run, stage=stage, stage_at_ms=_now_ms(), **changes)

    def _changed(self, run: RunRecord, **changes: object) -> RunRecord:
        changed = msgspec.structs.replace(run, **changes)
        self._book.save(changed)
        return changed


def _champion(run: RunRecord) -> Champion:
    if run.champion is None:
        raise RunBookError(f"run {run.run_id}: its champion is missing in the record")
    return run.champion


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
