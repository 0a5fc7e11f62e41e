"""Texts to readings: the duplicate cache, one model call a batch, and the search for a text that fails alone.

A text that makes the model raise is a value (`UnreadableText`), not an exception. A model that then fails on an
ordinary text too, or gives non-finite numbers in more than one batch, is at fault itself: `ModelFailure`.
"""

from collections import Counter
from collections.abc import Sequence

from cachetools import LRUCache
from msgspec import Struct

from streamapp.contracts.messages import DeadLetterReason, ModelEventCause
from streamapp.core.company_spans import Span, company_spans
from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.verdict import HeadLabels, ScoredText, TextReading, sentiment_verdict, topic_verdict
from streamapp.inference.language import LanguageDetector
from streamapp.inference.model_slot import ModelSlot, ServingModel
from streamapp.inference.onnx_model import NotFiniteError, Prediction

# Asked after a text failed alone: whether it was the text or the model.
ORDINARY_TEXT = "The company publishes its annual report."


class ModelFailure(RuntimeError):
    """The model `version`, not a text, is at fault: let another model try, or stop without ack."""

    def __init__(self, version: str, cause: ModelEventCause, reason: str) -> None:
        self.version = version
        self.cause = cause
        super().__init__(reason)


class UnreadableText(Struct, frozen=True):
    """One text that the model cannot read, alone and again."""

    reason: DeadLetterReason
    detail: str


class TextReader:
    """Reads texts with the current model. One instance a process; used by one event loop. `language` may be exchanged
    with the model.
    """

    def __init__(self, slot: ModelSlot, language: LanguageDetector, cache_texts: int) -> None:
        self._slot = slot
        self.language = language
        self._cache: LRUCache[tuple[str, str], TextReading] = LRUCache(cache_texts)
        self._batches_not_finite: Counter[str] = Counter()

    async def read(self, texts: Sequence[str]) -> list[ScoredText | UnreadableText]:
        """One result a text, in order, all of one model version. Raises `ModelFailure`."""
        model = self._slot.current
        version = model.version
        cache = self._cache
        known = {text: cache[version, text] for text in texts if (version, text) in cache}
        fresh = list(dict.fromkeys(text for text in texts if text not in known))
        read = dict(zip(fresh, await self._read_fresh(model, fresh), strict=True)) if fresh else {}
        await self._judge_model(model, read)
        results: list[ScoredText | UnreadableText] = []
        seen: set[str] = set()
        for text in texts:
            reading = known.get(text) or read[text]
            if isinstance(reading, TextReading):
                duplicate = text in known or text in seen
                results.append(ScoredText(reading=reading, model_version=version, duplicate_text=duplicate))
                cache[version, text] = reading
                seen.add(text)
            else:
                results.append(reading)
        return results

    async def _read_fresh(self, model: ServingModel, texts: list[str]) -> list[TextReading | UnreadableText]:
        try:
            predictions = await model.predict(texts)
        except Exception as error:  # noqa: BLE001  # whatever a text provokes is a value here; see _judge_model
            if len(texts) == 1:
                return [_unreadable(error)]
            middle = len(texts) // 2
            return [
                *await self._read_fresh(model, texts[:middle]),
                *await self._read_fresh(model, texts[middle:]),
            ]
        return [
            self._reading(text, prediction, model.labels)
            for text, prediction in zip(texts, predictions, strict=True)
        ]

    def _reading(self, text: str, prediction: Prediction, labels: HeadLabels) -> TextReading:
        sentiment = topic = None
        if prediction.sentiment is not None and labels.sentiment is not None:
            sentiment = sentiment_verdict(prediction.sentiment, labels.sentiment)
        if prediction.topic is not None and labels.topic is not None:
            topic = topic_verdict(prediction.topic, labels.topic)
        companies: tuple[Span, ...] = ()
        if prediction.entities is not None and labels.entities is not None:
            companies = company_spans(text, prediction.entities, labels.entities)
        return TextReading(
            sentiment=sentiment,
            topic=topic,
            story_fingerprint=format_fingerprint(fingerprint(text)),
            other_language=self.language.is_other_language(text),
            company_spans=companies,
        )

    async def _judge_model(self, model: ServingModel, read: dict[str, TextReading | UnreadableText]) -> None:
        unreadable = [reading for reading in read.values() if isinstance(reading, UnreadableText)]
        if not unreadable:
            return
        try:
            await model.predict([ORDINARY_TEXT])
        except Exception as error:
            raise ModelFailure(
                model.version, "errors", f"the model fails on an ordinary text too: {unreadable[0].detail}"
            ) from error
        if any(reading.reason == "not_finite" for reading in unreadable):
            self._batches_not_finite[model.version] += 1
            if self._batches_not_finite[model.version] > 1:
                raise ModelFailure(
                    model.version, "not_finite", "the model gave non-finite numbers in more than one batch"
                )


def _unreadable(error: Exception) -> UnreadableText:
    reason: DeadLetterReason = "not_finite" if isinstance(error, NotFiniteError) else "fails_alone"
    return UnreadableText(reason, f"{type(error).__name__}: {error}"[:500])
