"""One run without a service: takes in labels, begins the run or takes up the one that was cut short, and ends.

Beside a service that runs it leaves the labels to that one. Must not know the command line.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from retrain.core.trigger import RunFacts, Trigger, begins_by_alarm, due
from retrain.label_following import catch_up
from retrain.label_store import LabelStore
from retrain.model_watch import ModelWatch, Seen
from retrain.patience import StoppedError, patiently
from retrain.run_book import SERVICE_LOCK, BusyError, RunRecord
from retrain.run_facts import facts_of, now_ms
from retrain.service import ServiceParts, one_run

log = logging.getLogger(__name__)


def run_once(parts: ServiceParts, should_stop: Callable[[], bool], *, if_due: bool) -> RunRecord | None:
    """The ended run; None where `if_due` and nothing was. Raises BusyError, StoppedError, BrokenPartError."""
    try:
        with parts.book.locked(SERVICE_LOCK):
            _follow_champion(parts, should_stop)
            catch_up(parts.settings, parts.classes, parts.show, should_stop)
    except BusyError:
        pass  # a service keeps the labels up to now
    ended = one_run(parts, _trigger(parts, should_stop, by_hand=not if_due), should_stop)
    if parts.tracks is not None:
        try:
            parts.tracks.settle(lambda: parts.models.line()[-1], should_stop)
        except StoppedError:
            log.info("stopped while MLflow was told: the next call goes on with it")
    return ended


def _follow_champion(parts: ServiceParts, should_stop: Callable[[], bool]) -> None:
    """Labels may name the champion's classes; of one that cannot be read those before it hold."""
    watch = ModelWatch(parts.settings, parts.models, parts.show, parts.classes)
    patiently(watch.look, parts.settings.run.patience_seconds, should_stop, parts.show)


def _trigger(parts: ServiceParts, should_stop: Callable[[], bool], *, by_hand: bool) -> Trigger | None:
    patience, rules = parts.settings.run.patience_seconds, parts.settings.schedule.rules()
    champion = patiently(parts.models.line, patience, should_stop, parts.show)[-1]

    def facts(seen: Seen) -> RunFacts:
        store_settings = parts.settings.store
        with LabelStore(Path(store_settings.path), store_settings.unlabelled_days) as store:
            ended = [run for run in parts.book.runs() if run.stage == "ended"]
            return facts_of(ended, parts.book.since(now_ms()), store, seen, by_hand=by_hand)

    seen = Seen(champion=champion)
    known = patiently(lambda: facts(seen), patience, should_stop, parts.show)
    trigger = due(now_ms(), rules, known)
    if (
        trigger is not None
        or not begins_by_alarm(now_ms(), rules, known)
        or not parts.settings.quality.follow
    ):
        return trigger
    # Hours of scored posts are read only where an alarm of theirs would begin a run.
    seen = ModelWatch(parts.settings, parts.models, parts.show).judge(should_stop)
    return due(now_ms(), rules, patiently(lambda: facts(seen), patience, should_stop, parts.show))
