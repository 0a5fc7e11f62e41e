"""A candidate reads what the serving model reads, beside it: on the posts kept in memory, then on live traffic.

Runs in a thread of low priority, in short pieces with pauses, so that it takes at most its share of the worker's time.
Must not decide: core/admission.py judges what was seen.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from streamapp.agents.seen_posts import SeenPost, SeenPosts
from streamapp.core.admission import PairKey, Shadow, ShadowRules, shadow_refusal
from streamapp.core.verdict import sentiment_verdict, topic_verdict
from streamapp.inference.onnx_model import OnnxModel, Prediction, cores
from streamapp.inference.provider import busy_clock
from streamapp.settings import SwapSettings

T = TypeVar("T")

PIECE_POSTS: Final = 8
# Every so many pieces both models are timed on the same texts, one after the other in the same thread.
TIMED_EVERY: Final = 3
LOW_PRIORITY: Final = 10


class QuietThread:
    """One thread whose work yields to everything else; closed by leaving it. What runs in it cannot be interrupted."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="candidate", initializer=_lower_priority)

    def __enter__(self) -> "QuietThread":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


class ShadowRun:
    """One comparison of `candidate` with `serving`."""

    def __init__(
        self,
        candidate: OnnxModel,
        serving: OnnxModel,
        seen: SeenPosts,
        settings: SwapSettings,
        thread: QuietThread,
    ) -> None:
        self._candidate = candidate
        self._serving = serving
        self._seen = seen
        self._settings = settings
        self._thread = thread
        self._share = min(1.0, settings.shadow_share * cores())
        self._busy_clock = busy_clock(candidate.provider)
        self._pieces = 0
        self.result = Shadow()

    async def run(self) -> Shadow:
        """Compare until enough was seen; sooner where the posts kept in memory speak against the candidate."""
        kept = self._seen.recent(self._serving.version)
        kept = kept[max(0, len(kept) - self._settings.shadow_recent_posts) :]
        for start in range(0, len(kept), PIECE_POSTS):
            await self._compare(kept[start : start + PIECE_POSTS])
        if shadow_refusal(self.result, shadow_rules(self._settings)) is None:
            await self._run_live()
        return self.result

    async def _run_live(self) -> None:
        left = self._settings.shadow_posts
        self._seen.listen()
        try:
            async with asyncio.timeout(self._settings.shadow_seconds):
                while left > 0:
                    posts = await self._seen.next_live(min(left, PIECE_POSTS))
                    left -= len(posts)
                    await self._compare(
                        [post for post in posts if post.model_version == self._serving.version]
                    )
        except TimeoutError:
            pass  # time is the other of the two ends that a shadow run may have
        finally:
            self._seen.hang_up()

    async def _compare(self, posts: Sequence[SeenPost]) -> None:
        if not posts:
            return
        timed = self._pieces % TIMED_EVERY == 0
        self._pieces += 1
        piece = await self._thread.run(self._read, posts, timed)
        self._count(posts, piece)
        await asyncio.sleep(piece.seconds * (1 / self._share - 1))

    def _read(self, posts: Sequence[SeenPost], timed: bool) -> "_Piece":
        """In the thread; changes nothing, because nobody may be waiting for it any more."""
        began = self._busy_clock()
        texts = [post.text for post in posts]
        try:
            predictions: Sequence[Prediction | None] = self._candidate.predict(texts)
        except Exception:  # noqa: BLE001  # whatever a text provokes is a failure of the candidate, counted
            return _Piece([self._read_alone(text) for text in texts], self._busy_clock() - began)
        candidate_done = self._busy_clock()
        if not timed:
            return _Piece(predictions, candidate_done - began)
        self._serving.predict(texts)
        done = self._busy_clock()
        return _Piece(predictions, done - began, (done - candidate_done, candidate_done - began))

    def _count(self, posts: Sequence[SeenPost], piece: "_Piece") -> None:
        shadow, labels = self.result, self._candidate.manifest.outputs
        if piece.timed_seconds is not None:
            shadow.old_seconds += piece.timed_seconds[0]
            shadow.new_seconds += piece.timed_seconds[1]
        for post, prediction in zip(posts, piece.predictions, strict=True):
            if prediction is None:
                shadow.failures += 1
            elif prediction.sentiment is not None and labels.sentiment is not None:
                new = sentiment_verdict(prediction.sentiment, labels.sentiment).label
                topic = None
                if prediction.topic is not None and labels.topic is not None:
                    topic = topic_verdict(prediction.topic, labels.topic).label
                shadow.pairs[PairKey(post.channel, post.topic, post.sentiment, new, topic)] += 1

    def _read_alone(self, text: str) -> Prediction | None:
        try:
            return self._candidate.predict([text])[0]
        except Exception:  # noqa: BLE001  # see _read
            return None


def shadow_rules(settings: SwapSettings) -> ShadowRules:
    """The limits of a shadow run as core wants them."""
    return ShadowRules(
        least_posts=settings.least_posts,
        most_disagreement=settings.most_disagreement,
        most_label_shift=settings.most_label_shift,
        most_slowdown=settings.most_slowdown,
    )


class _Piece(NamedTuple):
    """What the candidate said (None: it failed), how long all of it took, and of a timed one old and new seconds."""

    predictions: Sequence[Prediction | None]
    seconds: float
    timed_seconds: tuple[float, float] | None = None


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
