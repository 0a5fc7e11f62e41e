"""The announced champion takes over: fetched, verified, loaded and tried beside the serving model, then exchanged.

On any failure the serving model goes on and everyone is told why. How a model goes back: agents/turning_back.py.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from msgspec import Struct

from streamapp import metrics
from streamapp.agents.announcement_log import AnnouncementLog
from streamapp.agents.model_reporter import ModelReporter
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.agents.seen_posts import SeenPosts
from streamapp.agents.serving import Serving
from streamapp.agents.shadow_run import QuietThread, ShadowRun, shadow_rules
from streamapp.agents.turning_back import Exchange, TurningBack
from streamapp.contracts.bundle import Bundle, BundleError
from streamapp.contracts.champion import Champion
from streamapp.contracts.codec import encode
from streamapp.contracts.evidence import gate_pairs
from streamapp.contracts.messages import ScoredPost, SwapPair, SwapPairs
from streamapp.core.admission import Refuse, Shadow, refusal_of, shadow_refusal
from streamapp.core.intake import Rejected
from streamapp.inference.freed_memory import give_back
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_loader import ModelLoader, UnfitModelError
from streamapp.inference.model_store import StoreError
from streamapp.inference.text_reader import ModelFailure
from streamapp.settings import SwapSettings

log = logging.getLogger(__name__)

MOST_RETRY_SECONDS = 60.0


class Candidate(Struct, frozen=True, kw_only=True):
    """A champion that is ready to serve. `shadow` None: it served before and comes back; else what it and the model
    version `compared_with` said of the same posts.
    """

    champion: Champion
    model: MicroBatcher
    compared_with: str
    shadow: Shadow | None
    gate: tuple[SwapPair, ...]


class SwapWay(Struct, frozen=True, kw_only=True):
    """How a swap reaches the rest of the worker. `commit` commits what was acknowledged."""

    exchange: Exchange
    commit: Callable[[], Awaitable[object]]
    outbox: Outbox
    activity_topic: str
    activity_partitions: int
    worker: str


class Swapper:
    """One a worker. Looks after the model for score (`ModelCare`) and follows the announcements (`run`)."""

    def __init__(
        self,
        serving: Serving,
        announced: AnnouncementLog,
        loader: ModelLoader,
        reporter: ModelReporter,
        *,
        turning: TurningBack,
        way: SwapWay,
        settings: SwapSettings,
    ) -> None:
        self._serving = serving
        self._announced = announced
        self._loader = loader
        self._reporter = reporter
        self._turning = turning
        self._way = way
        self._settings = settings
        self._seen = SeenPosts(settings.shadow_recent_posts)

    def note(self, results: Sequence[ScoredPost | Rejected]) -> None:
        """A batch was scored."""
        self._seen.note(results)
        self._turning.note(results)

    async def rescue(self, failure: ModelFailure) -> None:
        """Put another model in the place of the one that failed, or raise `failure`."""
        await self._turning.rescue(failure)

    async def run(self) -> None:
        """Follow the log and serve what it says, until cancelled. An error ends the worker."""
        if self._serving.champion.sequence > 0:
            self._turning.watch(None)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announced.follow())
            group.create_task(self._turning.run())
            group.create_task(self._serve_heads())

    async def _serve_heads(self) -> None:
        sequence = self._serving.champion.sequence
        while True:
            head = await self._announced.newer_than(sequence)
            sequence = head.sequence
            if head.same_bundle(self._serving.champion):
                self._serving.renumber(head)
                await self._reporter.say(head, "serving", "it serves already")
                continue
            candidate = await self._unless_newer(head)
            if candidate is not None:
                await self._serve(candidate)

    async def _unless_newer(self, head: Champion) -> Candidate | None:
        """The candidate, or None where it was turned away or something newer was announced meanwhile."""
        preparing = asyncio.create_task(self._prepare(head))
        newer = asyncio.create_task(self._announced.newer_than(head.sequence))
        try:
            await asyncio.wait({preparing, newer}, return_when=asyncio.FIRST_COMPLETED)
            return preparing.result() if preparing.done() else None
        finally:
            for task in (preparing, newer):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _prepare(self, head: Champion) -> Candidate | None:
        try:
            with QuietThread() as thread:
                return await self._tried(head, thread)
        except BundleError as error:
            refuse = Refuse(str(error), "bundle")
        except UnfitModelError as error:
            refuse = error.refuse
        await self._turning.turn_away(head, refuse, "refused")
        return None

    async def _tried(self, head: Champion, thread: QuietThread) -> Candidate:
        """Raises BundleError and UnfitModelError where it may not serve."""
        bundle = await self._fetched(head, thread)
        present = self._serving.model.model
        refuse = None if head.rolls_back else refusal_of(bundle.manifest, present.manifest)
        if refuse is not None:
            raise UnfitModelError(refuse)
        model = await thread.run(self._loader.load, bundle)
        try:
            gate = gate_pairs(bundle, present.manifest.digest)
            shadow = None if head.rolls_back else await self._shadow(head, model, thread)
            return Candidate(
                champion=head, model=model, compared_with=present.version, shadow=shadow, gate=gate
            )
        except BaseException:
            model.close()
            raise

    async def _fetched(self, head: Champion, thread: QuietThread) -> Bundle:
        """Tries for as long as it takes: the champion stands, whatever the store does. Says so once a reason."""
        wait_seconds = self._settings.store_retry_seconds
        said = ""
        while True:
            try:
                bundle = await thread.run(self._loader.bundle_of, head)
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    await self._reporter.say(head, "failed", said, "store")
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, MOST_RETRY_SECONDS)
            else:
                await self._reporter.say(head, "fetched")
                return bundle

    async def _shadow(self, head: Champion, model: MicroBatcher, thread: QuietThread) -> Shadow:
        await self._reporter.say(head, "shadowing")
        run = ShadowRun(model.model, self._serving.model.model, self._seen, self._settings, thread)
        shadow = await run.run()
        self._reporter.measured(shadow)
        refuse = shadow_refusal(shadow, shadow_rules(self._settings))
        if refuse is not None:
            raise UnfitModelError(refuse)
        return shadow

    async def _serve(self, candidate: Candidate) -> None:
        old = self._serving.model
        began = time.monotonic()

        async def change() -> None:
            await self._way.commit()
            await self._tell_watch(candidate)
            self._serving.put(candidate.champion, candidate.model)

        try:
            await self._way.exchange(change)
        except BaseException:
            candidate.model.close()
            raise
        metrics.SWAP_SECONDS.observe(time.monotonic() - began)
        self._turning.watch(old.pace.seconds_a_token())
        kept = {self._serving.champion.bundle_digest, old.model.manifest.digest}
        del old
        await asyncio.to_thread(self._clean_up, kept)
        await self._reporter.say(candidate.champion, "serving", _seen_words(candidate.shadow))

    def _clean_up(self, kept: Collection[str]) -> None:
        self._loader.store.tidy(kept)
        give_back()

    async def _tell_watch(self, candidate: Candidate) -> None:
        """Before the first activity of the new version, like a tick to every partition. Of one that comes back watch
        knows the pairs from when it went.
        """
        if candidate.shadow is None:
            return
        pairs = SwapPairs(
            worker=self._way.worker,
            old_model_version=candidate.compared_with,
            new_model_version=candidate.model.version,
            pairs=candidate.shadow.swap_pairs(),
            gate=candidate.gate,
        )
        value = encode(pairs)
        await self._way.outbox.deliver(
            [
                Outgoing(topic=self._way.activity_topic, key=b"swap-pairs", value=value, partition=partition)
                for partition in range(self._way.activity_partitions)
            ]
        )


def _seen_words(shadow: Shadow | None) -> str:
    if shadow is None:
        return "it came back without a shadow run"
    slowdown = "" if shadow.slowdown is None else f", {shadow.slowdown:.2f} times as long a post"
    return f"shadow run: {shadow.posts} posts, {shadow.disagreement:.1%} with another sentiment{slowdown}"
