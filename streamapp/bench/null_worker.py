"""The real worker with a model that costs nothing, for `streamapp bench transport`: what is left is transport.

Run as `python -m streamapp.bench.null_worker REACH --config FILE`. REACH says how much of the way a post goes:
`drain` consumed and acknowledged, `decode` also decoded, encoded and sent, `whole` the whole intake and trends too.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from streamapp import metrics
from streamapp.agents.inbox import Inbox
from streamapp.agents.inputs import Inputs
from streamapp.agents.outbox import Outbox
from streamapp.agents.score import ModelCare, ScoreAgent, ScoredBatch, Scorer
from streamapp.agents.ticker import Ticker
from streamapp.app import Worker
from streamapp.contracts.messages import SENTIMENTS, Post, ScoredPost, Verdict
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.core.verdict import HeadLabels
from streamapp.inference.language import LanguageDetector
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.onnx_model import Prediction
from streamapp.inference.text_reader import TextReader
from streamapp.settings import Settings, load_settings

REACHES: Final = ("drain", "decode", "whole")
TOPICS: Final = ("earnings", "macro", "markets")


class NullModel:
    """Gives every text the same answer at once."""

    version = "null-0"
    labels = HeadLabels(sentiment=SENTIMENTS, topic=TOPICS)
    _answer = Prediction((0.2, 0.5, 0.3), (0.5, 0.3, 0.2))

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return [self._answer] * len(texts)

    def close(self) -> None:
        """Nothing to free."""


class _Payload(Struct, frozen=True):
    id: str
    text: str
    source: str | None = None
    symbols: tuple[str, ...] = ()


class DecodingScorer(Scorer):
    """Intake reduced to decoding: no cleaning, language, fingerprint or companies, so no activity either."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self._decode = msgspec.json.Decoder(_Payload).decode

    async def score(self, records: tuple[RawRecord, ...]) -> ScoredBatch:
        results: list[ScoredPost | Rejected] = []
        for record in records:
            payload = self._decode(record.value or b"")
            post = Post(
                id=payload.id,
                channel="news",
                text=payload.text,
                event_time_ms=record.timestamp_ms,
                source=payload.source,
                symbols=payload.symbols,
            )
            results.append(
                ScoredPost(
                    post=post,
                    verdict=Verdict(),
                    model_version=NullModel.version,
                    source_offset=record.source_offset,
                    story_fingerprint="0000000000000000",
                )
            )
        return ScoredBatch(records, tuple(results))


class DrainAgent:
    """Consumes and acknowledges, nothing else: what Faust itself costs."""

    def __init__(self, max_posts: int) -> None:
        self._max_posts = max_posts

    async def consume(self, stream: Any) -> None:
        manual = stream.noack()
        inbox: Inbox[Any] = Inbox(self._max_posts * 2)
        stream.add_future(self._acknowledge(inbox, manual))
        async for event in manual.events():
            await inbox.put(event)

    async def _acknowledge(self, inbox: Inbox[Any], manual: Any) -> None:
        while True:
            events = await inbox.take(self._max_posts)
            with metrics.STAGE_SECONDS.labels("ack").time():
                for event in events:
                    await manual.ack(event)
            metrics.POSTS_IN.labels("news").inc(len(events))


class NullWorker(Worker):
    """A worker whose model costs nothing and whose posts go as far as `reach`."""

    def __init__(self, settings: Settings, reach: str) -> None:
        self._reach = reach
        super().__init__(settings)

    def _load_model(self) -> None:
        """Nothing to load."""

    def _look_after_model(self, *_: object) -> tuple[TextReader, None]:
        intake = self.settings.intake
        language = LanguageDetector(("en",), intake.language_probability, intake.language_min_letters)
        slot = ModelSlot(NullModel())
        return TextReader(slot, language, self.settings.batching.duplicate_cache_posts), None

    def _scorer(self, inputs: Inputs, reader: TextReader, care: ModelCare | None) -> Scorer:
        return super()._scorer(inputs, reader, care) if self._reach == "whole" else DecodingScorer(inputs)

    def _score_agent(self, scorer: Scorer, outbox: Outbox, ticker: Ticker, control: Any) -> ScoreAgent:
        if self._reach == "drain":
            return cast("ScoreAgent", DrainAgent(self.settings.batching.max_posts))
        return super()._score_agent(scorer, outbox, ticker, control)


def main(reach: str, config: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    asyncio.set_event_loop(asyncio.new_event_loop())
    NullWorker(load_settings(config), reach).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[3]))
