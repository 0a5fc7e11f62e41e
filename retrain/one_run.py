"""One run without a service: takes in labels, begins the run or takes up the one that was cut short, and ends.

Beside a service that runs it leaves the labels to that one. Must not know the command line.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from retrain.core.trigger import Trigger, due
from retrain.label_following import catch_up
from retrain.label_store import LabelStore
from retrain.model_watch import Seen
from retrain.patience import StoppedError, patiently
from retrain.run_book import SERVICE_LOCK, BusyError, RunRecord
from retrain.run_facts import facts_of, now_ms
from retrain.service import ServiceParts, one_run

log = logging.getLogger(__name__)


def run_once(parts: ServiceParts, should_stop: Callable[[], bool], *, if_due: bool) -> RunRecord | None:
    """The ended run; None where `if_due` and nothing was. Raises BusyError, StoppedError, BrokenPartError."""
    try:
        with parts.book.locked(SERVICE_LOCK):
            catch_up(parts.settings, parts.show, should_stop)
    except BusyError:
        pass  # a service keeps the labels up to now
    ended = one_run(parts, _trigger(parts, should_stop, by_hand=not if_due), should_stop)
    if parts.tracks is not None:
        try:
            parts.tracks.settle(lambda: parts.models.line()[-1], should_stop)
        except StoppedError:
            log.info("stopped while MLflow was told: the next call goes on with it")
    return ended


def _trigger(parts: ServiceParts, should_stop: Callable[[], bool], *, by_hand: bool) -> Trigger | None:
    patience = parts.settings.run.patience_seconds
    champion = patiently(parts.models.line, patience, should_stop, parts.show)[-1]

    def decide() -> Trigger | None:
        store_settings = parts.settings.store
        with LabelStore(Path(store_settings.path), store_settings.unlabelled_days) as store:
            now = now_ms()
            ended = [run for run in parts.book.runs() if run.stage == "ended"]
            facts = facts_of(ended, parts.book.since(now), store, Seen(champion=champion), by_hand=by_hand)
            return due(now, parts.settings.schedule.rules(), facts)

    return patiently(decide, patience, should_stop, parts.show)
