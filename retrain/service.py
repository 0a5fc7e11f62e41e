"""The retrain service: follows labels and the serving model, begins a run when one is due, takes up what was cut short.

Owned threads (labels, models, tracking, the run) around one loop that only looks and decides; what fails in them is
raised here. Must not know how a run proceeds or where labels come from.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final

from msgspec import Struct

from retrain import metrics
from retrain.core.trigger import Trigger, due
from retrain.label_classes import LabelClasses
from retrain.label_store import LabelStore, LabelStoreError
from retrain.model_watch import ModelWatch
from retrain.patience import BrokenPartError, StoppedError, part_of, patiently
from retrain.publish import PublishedModels
from retrain.run_book import RUN_LOCK, SERVICE_LOCK, BusyError, RunBook, RunBookError, RunRecord
from retrain.run_driver import RunDriver
from retrain.run_facts import facts_of, note_wanted, now_ms, tell
from retrain.run_show import RunShow
from retrain.runs import ChildRunner
from retrain.settings import RetrainSettings
from retrain.snapshots import erase_waiting
from retrain.track_keeping import TrackKeeper
from streamapp.contracts.champion import Champion
from streamapp.health import Vitals

TICK_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 2.0
RESTART_SECONDS: Final = 15.0
Follow = Callable[[Callable[[], bool]], None]

log = logging.getLogger(__name__)


class ServiceParts(Struct, frozen=True, kw_only=True):
    """What the service is made of. `follow_labels` stores labels until asked to stop, and raises when it cannot; which
    classes they may name stands in `classes`.
    """

    settings: RetrainSettings
    book: RunBook
    models: PublishedModels
    child: ChildRunner
    show: RunShow
    vitals: Vitals
    follow_labels: Follow
    classes: LabelClasses
    tracks: TrackKeeper | None = None


class _Follower:
    """A thread that should never end, and its owner: begun again while a run is under way, else its failure is ours."""

    def __init__(self, name: str, follow: Follow) -> None:
        self.name = name
        self._follow = follow
        self._future: Future[None] | None = None
        self._failed_at: float | None = None

    def check(self, pool: ThreadPoolExecutor, should_stop: Callable[[], bool], *, patient: bool) -> None:
        """Begins it where it is not going; raises what ended it unless `patient`."""
        if self._future is not None and self._future.done():
            error = self._future.exception()
            if not patient:
                raise error or RuntimeError(f"{self.name} ended by itself")
            if self._failed_at is None:
                self._failed_at = time.monotonic()
                log.error("%s failed, the run goes on meanwhile: %s", self.name, error)
            if time.monotonic() - self._failed_at < RESTART_SECONDS:
                return
            self._future = None
        if self._future is None:
            self._failed_at = None
            self._future = pool.submit(self._follow, should_stop)


class RetrainService:
    """One process a folder of runs; a second one is refused by the lock."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        self._closing = Event()
        self._watch = ModelWatch(parts.settings, parts.models, parts.show, parts.classes)
        self._labels = _Follower("labels", parts.follow_labels)
        self._followers = [_Follower("models", self._watch.run)]
        if parts.tracks is not None:
            self._followers.append(_Follower("tracking", partial(parts.tracks.follow, self._champion)))
        self._run: Future[RunRecord | None] | None = None
        self._failing_since: float | None = None
        self._store: LabelStore | None = None

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Serve until asked to stop. Raises BusyError, BrokenPartError, and the errors of labels and broker."""
        self._watch_stop = lambda: should_stop() or self._closing.is_set()
        with self._parts.book.locked(SERVICE_LOCK), ThreadPoolExecutor(4, "retrain") as pool:
            try:
                self._loop(pool, should_stop)
            finally:
                self._closing.set()
                self._parts.show.close()
                if self._store is not None:
                    self._store.close()

    def _loop(self, pool: ThreadPoolExecutor, should_stop: Callable[[], bool]) -> None:
        vitals, look_at = self._parts.vitals, 0.0
        while not should_stop():
            vitals.tick()
            self._check_run()
            for follower in self._followers:
                follower.check(pool, self._watch_stop, patient=self._run is not None)
            if (
                self._watch.seen is not None
            ):  # else a label that names a class of the champion's alone would be refused
                self._labels.check(pool, self._watch_stop, patient=self._run is not None)
            if time.monotonic() >= look_at and self._watch.seen is not None:
                vitals.ready("worker")
                self._look(pool)
                look_at = time.monotonic() + LOOK_SECONDS
            metrics.READY.set(not vitals.not_ready)
            time.sleep(TICK_SECONDS)

    def _check_run(self) -> None:
        """Raises what ended the run badly: it is open still, and is taken up at the next start."""
        if self._run is None or not self._run.done():
            return
        future, self._run = self._run, None
        try:
            future.result()
        except StoppedError:
            pass
        except BusyError as error:
            log.info("waiting: another run is under way (%s)", error)

    def _look(self, pool: ThreadPoolExecutor) -> None:
        """Tells what is so and begins a run where one is due or open; a store that fails is asked again later."""
        parts = self._parts
        try:
            if self._store is None:
                self._store = LabelStore(
                    Path(parts.settings.store.path), parts.settings.store.unlabelled_days
                )
            trigger = self._decide(self._store)
            open_run = parts.book.open_run()
        except (LabelStoreError, RunBookError) as error:
            self._failing(error)
            return
        if self._failing_since is not None:
            self._failing_since = None
            for part in ("label store", "disk"):
                parts.show.trouble(part, None)
        if self._run is None and (open_run is not None or trigger is not None):
            self._run = pool.submit(self._one_run, trigger)

    def _decide(self, store: LabelStore) -> Trigger | None:
        book, rules, now = self._parts.book, self._parts.settings.schedule.rules(), now_ms()
        runs, since = book.runs(), book.since(now)
        facts = facts_of(runs, since, store, self._watch.seen)
        note_wanted(book, since, rules, facts, now)
        tell(book, runs, facts)
        last = runs[-1] if runs else None
        self._parts.vitals.details["run"] = last and {
            "id": last.run_id,
            "stage": last.stage,
            "result": last.result,
        }
        return due(now, rules, facts)

    def _failing(self, error: Exception) -> None:
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._parts.show.trouble(part_of(error), str(error))
        if now - self._failing_since > self._parts.settings.run.patience_seconds and self._run is None:
            raise BrokenPartError(part_of(error), str(error)) from error

    def _champion(self) -> Champion | None:
        return self._watch.seen.champion if self._watch.seen is not None else None

    def _one_run(self, trigger: Trigger | None) -> RunRecord | None:
        return one_run(self._parts, trigger, self._watch_stop)


def one_run(
    parts: ServiceParts, trigger: Trigger | None, should_stop: Callable[[], bool]
) -> RunRecord | None:
    """The open run taken up, else a new one for `trigger`, to its end; None where there is neither.

    Raises BusyError where another process has a run under way, StoppedError, BrokenPartError.
    """
    with parts.book.locked(RUN_LOCK):

        def begin() -> RunRecord | None:
            erase_waiting(parts.book)
            open_run = parts.book.open_run()
            return open_run or (parts.book.new_run(trigger, now_ms()) if trigger else None)

        patience = parts.settings.run.patience_seconds
        run = patiently(begin, patience, should_stop, parts.show)
        if run is None:
            return None
        driver = RunDriver(parts.settings, parts.book, parts.models, parts.child, parts.show, should_stop)
        ended = driver.finish(run)
        if parts.tracks is not None:
            parts.tracks.set_aside(ended)
        try:
            erase_waiting(parts.book)
        except RunBookError as error:
            log.error("what was erased is still in a run's folder, until the next run or erasure: %s", error)
        parts.book.tidy(parts.settings.run.keep)
        if ended.champion is not None:
            parts.models.tidy(ended.champion)
        return ended
