"""A model that does not keep its promise goes back: within the batch where it fails, or between two batches.

Rolls back this worker, says why, and announces the rollback where core/admission.py lets it speak for everyone.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from kafka.errors import KafkaError

from streamapp.agents.announcement_log import AnnouncementLog
from streamapp.agents.model_reporter import ModelReporter
from streamapp.agents.serving import Serving
from streamapp.agents.shadow_run import QuietThread
from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.cluster.model_events import may_speak_for_all
from streamapp.contracts.bundle import BundleError
from streamapp.contracts.champion import Announcer, Champion, rollback, standing
from streamapp.contracts.messages import ModelEventKind, ScoredPost
from streamapp.core.admission import Refuse
from streamapp.core.intake import Rejected
from streamapp.core.probation import Probation, ProbationRules
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_loader import ModelLoader, UnfitModelError
from streamapp.inference.model_store import StoreError
from streamapp.inference.text_reader import ModelFailure
from streamapp.settings import Settings

log = logging.getLogger(__name__)

Exchange = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
MODEL_REASONS = ("fails_alone", "not_finite")


class TurningBack:
    """One a worker, for the model that serves and for candidates that are turned away."""

    def __init__(
        self,
        serving: Serving,
        announced: AnnouncementLog,
        loader: ModelLoader,
        reporter: ModelReporter,
        *,
        settings: Settings,
        worker: str,
        exchange: Exchange,
    ) -> None:
        self._serving = serving
        self._announced = announced
        self._loader = loader
        self._reporter = reporter
        self._settings = settings
        self._worker = worker
        self._exchange = exchange
        self._probation: Probation | None = None
        self._probation_ends_at = 0.0
        self._breaches: asyncio.Queue[tuple[Champion, Refuse]] = asyncio.Queue()
        self._failed: set[str] = set()
        self._one_rescue = asyncio.Lock()

    def watch(self, seconds_a_token_before: float | None) -> None:
        """The serving model has just begun: hold it to its limits, its pace to that of the model before."""
        swap = self._settings.swap
        rules = ProbationRules(
            least_posts=swap.probation_least_posts,
            most_error_share=swap.probation_most_error_share,
            most_slowdown=swap.probation_most_slowdown,
        )
        self._failed.discard(self._serving.champion.bundle_digest)
        self._probation = Probation(rules, seconds_a_token_before)
        self._probation_ends_at = time.monotonic() + swap.probation_seconds

    def note(self, results: Sequence[ScoredPost | Rejected]) -> None:
        """A batch was scored; a breach is dealt with by `run`."""
        if self._probation is None:
            return
        if time.monotonic() > self._probation_ends_at:
            self._probation = None
            return
        scored = [result for result in results if isinstance(result, ScoredPost)]
        if scored and scored[0].model_version != self._serving.model.version:
            return  # a batch that the model before began
        errors = sum(isinstance(result, Rejected) and result.reason in MODEL_REASONS for result in results)
        refuse = self._probation.observe(len(scored) + errors, errors, self._serving.model.pace)
        if refuse is not None:
            self._probation = None
            self._breaches.put_nowait((self._serving.champion, refuse))

    async def run(self) -> None:
        """Deal with breaches of the serving model until cancelled."""
        while True:
            champion, refuse = await self._breaches.get()
            await self._go_back(champion, refuse)

    async def rescue(self, failure: ModelFailure) -> None:
        """Within a batch that the model failed: put the model before in its place. Raises `failure` without one."""
        async with self._one_rescue:
            if self._serving.model.version != failure.version:
                return  # another batch did it
            champion = self._serving.champion
            found = await self._model_before(champion)
            if found is None:
                raise failure
            self._serving.put(*found)
            self._probation = None
            await self.turn_away(champion, Refuse(str(failure), failure.cause), "rolled_back")

    async def turn_away(self, champion: Champion, refuse: Refuse, event: ModelEventKind) -> None:
        """Say that `champion` does not serve here; roll it back for everyone where this worker may."""
        await self._reporter.say(champion, event, refuse.reason, refuse.cause)
        # One that was brought back is not turned away for the one that it should replace.
        newest = self._announced.head.sequence == champion.sequence and not champion.rolls_back
        if not newest or not await self._may_speak(champion, refuse):
            return
        by = Announcer(by=f"score/{self._worker}", reason=refuse.reason, at_ms=int(time.time() * 1000))
        await self._announced.announce(rollback(champion, self._serving.champion, by))

    async def _may_speak(self, champion: Champion, refuse: Refuse) -> bool:
        try:
            return await asyncio.to_thread(
                may_speak_for_all, self._settings, self._worker, refuse.cause, champion.sequence, joined=True
            )
        except (KafkaError, StalledReadError, OSError) as error:
            log.warning(
                "whether other workers turned the model away cannot be read: %s; a person decides", error
            )
            return False

    async def _go_back(self, champion: Champion, refuse: Refuse) -> None:
        found = await self._model_before(champion)
        if found is None:
            await self._reporter.say(
                champion, "failed", f"{refuse.reason}; no other model to go back to", refuse.cause
            )
            return
        went_back = False

        async def change() -> None:
            nonlocal went_back
            if self._serving.champion == champion:
                self._serving.put(*found)
                went_back = True

        await self._exchange(change)
        if went_back:
            await self.turn_away(champion, refuse, "rolled_back")
        else:
            found[1].close()  # another model took its place meanwhile

    async def _model_before(self, failed: Champion) -> tuple[Champion, MicroBatcher] | None:
        """The last champion that nobody rolled back and that did not fail here, loaded; None where there is none."""
        self._failed.add(failed.bundle_digest)
        for past in reversed(standing(self._announced.line)):
            if past.bundle_digest in self._failed:
                continue
            try:
                with QuietThread() as thread:
                    bundle = await thread.run(self._loader.bundle_of, past)
                    return past, await thread.run(self._loader.load, bundle)
            except (BundleError, StoreError, UnfitModelError) as error:
                log.error("model %s cannot be brought back: %s", past.model_version, error)
        return None
