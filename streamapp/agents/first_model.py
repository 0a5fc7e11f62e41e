"""The model that a worker begins with: the announced champion and never an older one, however long that takes.

Blocks, before the event loop exists: the log is read to its end first, and read again before every further try.
"""

import logging
import time
from typing import Final

from streamapp import metrics
from streamapp.agents.model_reporter import model_event
from streamapp.cluster.announcements import announce, read_champions
from streamapp.cluster.model_events import may_speak_for_all, write_model_event
from streamapp.contracts.bundle import BundleError
from streamapp.contracts.champion import Announcer, Champion, before, rollback
from streamapp.contracts.messages import ModelEventKind
from streamapp.contracts.topics import MODEL_ANNOUNCEMENTS
from streamapp.core.admission import Refuse
from streamapp.health import Vitals
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_loader import ModelLoader, UnfitModelError
from streamapp.inference.model_store import StoreError
from streamapp.settings import Settings

MOST_RETRY_SECONDS: Final = 60.0

log = logging.getLogger(__name__)

Line = tuple[Champion, ...]


class FirstModel:
    """One start of one worker."""

    def __init__(self, settings: Settings, loader: ModelLoader, vitals: Vitals, worker: str) -> None:
        self._settings = settings
        self._loader = loader
        self._vitals = vitals
        self._worker = worker
        self._topic = settings.topics.prefix + MODEL_ANNOUNCEMENTS.name
        self._said: set[tuple[int, str]] = set()

    def load(self) -> tuple[MicroBatcher, Line]:
        """The champion's model, and the line of champions up to it. Raises what the settings' own bundle raises."""
        wait_seconds = self._settings.swap.store_retry_seconds
        while True:
            line = self._line()
            try:
                return self._loader.load(self._loader.bundle_of(line[-1])), line
            except StoreError as error:
                refuse = Refuse(str(error), "store")
            except BundleError as error:
                refuse = Refuse(str(error), "bundle")
            except UnfitModelError as error:
                refuse = error.refuse
            if not line[-1].bundle_url and line[-1].same_bundle(self._loader.first):
                raise UnfitModelError(refuse)  # the bundle of the settings: nothing will come to mend it
            if self._turned_away(line, refuse):
                continue
            time.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, MOST_RETRY_SECONDS)

    def _line(self) -> Line:
        if not self._settings.model.follow_announcements:
            return (self._loader.first,)
        return read_champions(self._settings.broker, self._topic, self._loader.first)

    def _turned_away(self, line: Line, refuse: Refuse) -> bool:
        """Say why there is no model yet; True where another champion was announced in its place."""
        head = line[-1]
        event: ModelEventKind = "failed" if refuse.cause == "store" else "refused"
        self._vitals.block_ready("model", f"{head.model_version} (champion {head.sequence}): {refuse.reason}")
        log.error("model %s (champion %d): %s %s", head.model_version, head.sequence, event, refuse.reason)
        if (head.sequence, refuse.reason) in self._said:
            return False
        self._said.add((head.sequence, refuse.reason))
        metrics.MODEL_EVENTS.labels(event, refuse.cause).inc()
        write_model_event(self._settings, model_event(self._worker, head, event, refuse.reason, refuse.cause))
        past = before(line)
        if event != "refused" or past is None or head.rolls_back:
            return False
        if not may_speak_for_all(self._settings, self._worker, refuse.cause, head.sequence, joined=False):
            return False
        by = Announcer(by=f"score/{self._worker}", reason=refuse.reason, at_ms=int(time.time() * 1000))
        record = rollback(head, past, by)
        announce(self._settings.broker, self._topic, record, self._loader.first, despite_pin=True)
        return True
