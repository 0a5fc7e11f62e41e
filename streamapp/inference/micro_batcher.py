"""Spreads the texts of one call over the model's sessions, outside the event loop, and puts the answers in
order.

Must not know where texts come from or what becomes of the answers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from streamapp.core.probation import Pace
from streamapp.core.verdict import HeadLabels
from streamapp.inference.onnx_model import Answers, OnnxModel, Prediction, Tokens
from streamapp.inference.provider import busy_clock
from streamapp.settings import BatchSettings


class MicroBatcher:
    """One model with as many threads as it has sessions, and one that encodes: in line with the sessions' jobs a call
    would wait twice for those before it. Calls may overlap; each keeps its own order.
    """

    def __init__(self, model: OnnxModel, settings: BatchSettings) -> None:
        self.model = model
        self._token_budget = settings.token_budget
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encoding")
        self._executor = ThreadPoolExecutor(model.sessions, thread_name_prefix="inference")
        self._calls = 0
        self._closing = False
        self._busy_clock = busy_clock(model.provider)
        self.pace = Pace()

    @property
    def version(self) -> str:
        """The model version that travels with every verdict."""
        return self.model.version

    @property
    def labels(self) -> HeadLabels:
        """The labels of each head, in the order of the probabilities."""
        outputs = self.model.manifest.outputs
        return HeadLabels(outputs.sentiment, outputs.topic, outputs.entities)

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
            self._encoder.shutdown(wait=False)
            self._executor.shutdown(wait=False)

    async def _answer(self, texts: Sequence[str]) -> list[Prediction]:
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._encoder, self.model.encode, texts)
        waiting = deque(self.model.plan(tokens, self._token_budget))
        answers = Answers(len(tokens))
        takers = min(self.model.sessions, len(waiting))
        jobs = [
            loop.run_in_executor(self._executor, self._take, tokens, waiting, answers) for _ in range(takers)
        ]
        try:
            busy_seconds = await asyncio.gather(*jobs)
        except BaseException:
            # Cancelled or failed: what nobody waits for any more must not hold the sessions.
            waiting.clear()
            raise
        self.pace = Pace(self.pace.seconds + sum(busy_seconds), self.pace.tokens + sum(map(len, tokens)))
        return answers.in_order()

    def _take(self, tokens: Sequence[Tokens], waiting: deque[list[int]], answers: Answers) -> float:
        """The seconds that this taker was busy."""
        began = self._busy_clock()
        while True:
            try:
                batch = waiting.popleft()
            except IndexError:
                return self._busy_clock() - began
            answers.run(self.model, tokens, batch)
