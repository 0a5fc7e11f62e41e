"""Spreads the texts of one call over the model's sessions, outside the event loop, and puts the answers in
order.

Must not know where texts come from or what becomes of the answers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from streamapp.contracts.encoding import TokenIds
from streamapp.core.verdict import HeadLabels
from streamapp.inference.onnx_model import Answers, OnnxModel, Prediction
from streamapp.settings import BatchSettings


class MicroBatcher:
    """One model with as many threads as it has sessions. Calls may overlap; each keeps its own order."""

    def __init__(self, model: OnnxModel, settings: BatchSettings) -> None:
        self.model = model
        self._token_budget = settings.token_budget
        self._executor = ThreadPoolExecutor(model.sessions, thread_name_prefix="inference")
        self._calls = 0
        self._closing = False

    @property
    def version(self) -> str:
        """The model version that travels with every verdict."""
        return self.model.version

    @property
    def labels(self) -> HeadLabels:
        """The labels of each head, in the order of the probabilities."""
        return HeadLabels(
            sentiment=self.model.manifest.outputs.sentiment, topic=self.model.manifest.outputs.topic
        )

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order. Raises NotFiniteError with indexes into `texts`."""
        if self._closing:
            raise RuntimeError(f"model {self.version} was closed")
        self._calls += 1
        try:
            return await self._answer(texts) if texts else []
        finally:
            self._calls -= 1
            self._end_if_unused()

    def close(self) -> None:
        """Takes no new call; those under way end, and the sessions go with the last of them. Never blocks."""
        self._closing = True
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._closing and self._calls == 0:
            self._executor.shutdown(wait=False)

    async def _answer(self, texts: Sequence[str]) -> list[Prediction]:
        work = _Work(self.model, texts, self._token_budget)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, work.begin, self._executor)
            await asyncio.gather(*(asyncio.wrap_future(helper) for helper in work.helpers))
        except BaseException:
            # Cancelled or failed: what nobody waits for any more must not hold the sessions.
            work.abandon()
            raise
        return work.answers.in_order()


class _Work:
    """One call: encoded by the thread that takes it up, then worked off by it and by whichever threads are free.

    The first thread goes on with the model because behind other calls it would have to queue a second time.
    """

    def __init__(self, model: OnnxModel, texts: Sequence[str], token_budget: int) -> None:
        self._model = model
        self._texts = texts
        self._token_budget = token_budget
        self._tokens: list[TokenIds] = []
        self._waiting: deque[list[int]] = deque()
        self._abandoned = False
        self.answers = Answers(len(texts))
        self.helpers: list[Future[None]] = []

    def begin(self, executor: ThreadPoolExecutor) -> None:
        """Encode, ask for help where there is work for more than one thread, and work."""
        self._tokens = self._model.encode(self._texts)
        plan = self._model.plan(self._tokens, self._token_budget)
        if self._abandoned:
            return
        self._waiting.extend(plan)
        self.helpers = [executor.submit(self._take) for _ in range(min(self._model.sessions, len(plan)) - 1)]
        self._take()

    def abandon(self) -> None:
        """Begin no further batch."""
        self._abandoned = True
        self._waiting.clear()

    def _take(self) -> None:
        while not self._abandoned:
            try:
                batch = self._waiting.popleft()
            except IndexError:
                return
            self.answers.run(self._model, self._tokens, batch)
