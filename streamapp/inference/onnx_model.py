"""One bundle ready to answer: texts in, calibrated probabilities out, in the same order.

Must not know Kafka, asyncio or what a verdict is used for.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from queue import SimpleQueue

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streamapp.contracts.bundle import Bundle
from streamapp.contracts.encoding import TextEncoder, TokenIds, WordPlace
from streamapp.contracts.manifest import TOKENIZER_FILE
from streamapp.core.company_spans import WordLabels
from streamapp.inference.graph_session import HEAD_DIMENSIONS, GraphSession, padded
from streamapp.inference.provider import CUDA
from streamapp.inference.token_budget import plan_batches
from streamapp.settings import ModelSettings

DEFAULT_TOKEN_BUDGET = 256

_WARM_UP_TEXTS = (
    "Shares rise",
    "The central bank kept its rate unchanged and said that inflation is likely to ease over the year.",
)


class Prediction(Struct, frozen=True):
    """Calibrated probabilities in the label order of the bundle; None for a head that it lacks."""

    sentiment: tuple[float, ...] | None
    topic: tuple[float, ...] | None
    entities: WordLabels | None = None

    def by_head(self) -> dict[str, tuple[float, ...]]:
        """All probabilities by head, those of words one after the other; without heads that gave none."""
        words = self.entities.probabilities if self.entities is not None else ()
        entities = tuple(chain.from_iterable(words)) or None
        heads = {"sentiment": self.sentiment, "topic": self.topic, "entities": entities}
        return {head: probabilities for head, probabilities in heads.items() if probabilities is not None}


class NotFiniteError(ArithmeticError):
    """The model answered NaN or infinity for the texts at `indexes` of the call."""

    def __init__(self, indexes: Iterable[int]) -> None:
        self.indexes = tuple(sorted(indexes))
        super().__init__(f"the model's output is not finite for the texts at {list(self.indexes)[:20]}")


class Tokens(Struct, frozen=True):
    """One text as the graph reads it; `words` only where the bundle finds companies."""

    ids: TokenIds
    words: tuple[WordPlace, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


class OnnxModel:
    """A bundle with one or more sessions. Every method may be called from several threads at once."""

    def __init__(
        self, bundle: Bundle, encoder: TextEncoder, sessions: Sequence[GraphSession], reason: str
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.version = bundle.manifest.model_version
        self.provider = sessions[0].provider
        self.provider_reason = reason
        self.sessions = len(sessions)
        self._encoder = encoder
        self._heads = [head for head in HEAD_DIMENSIONS if getattr(self.manifest.outputs, head) is not None]
        self._free: SimpleQueue[GraphSession] = SimpleQueue()
        for session in sessions:
            self._free.put(session)

    @classmethod
    def load(cls, bundle: Bundle, settings: ModelSettings) -> "OnnxModel":
        """The bundle's graph in `settings.sessions` sessions (0: one a core on CPU, one on CUDA).

        Raises BundleUnfitError where graph and manifest disagree, RuntimeMissingError without ONNX Runtime.
        """
        max_tokens = min(bundle.manifest.max_tokens, settings.max_tokens)
        encoder = TextEncoder(bundle.path(TOKENIZER_FILE).read_bytes(), max_tokens)
        first, reason = GraphSession.open(bundle, settings)
        wanted = settings.sessions or (1 if first.provider == CUDA else cores())
        sessions = [first, *(GraphSession.open(bundle, settings)[0] for _ in range(wanted - 1))]
        return cls(bundle, encoder, sessions, reason)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of cleaned texts."""
        if self.manifest.outputs.entities is None:
            return [Tokens(ids) for ids in self._encoder.encode(texts)]
        return [Tokens(ids, words) for ids, words in self._encoder.encode_words(texts)]

    def plan(self, tokens: Sequence[Tokens], token_budget: int = DEFAULT_TOKEN_BUDGET) -> list[list[int]]:
        """Which of `tokens` go through the model together, by the bundle's batch policy."""
        alone = self.manifest.batch_policy == "alone"
        return plan_batches([len(text) for text in tokens], token_budget, alone=alone)

    def run(self, tokens: Sequence[Tokens]) -> list[Prediction]:
        """One forward pass over one batch, waiting for a free session. Raises NotFiniteError."""
        ids, mask = padded([text.ids for text in tokens])
        with self._session() as session:
            logits = dict(zip(self._heads, session.run(ids, mask, self._heads), strict=True))
        bad = ~np.logical_and.reduce([_finite(values, mask) for values in logits.values()])
        if bad.any():
            raise NotFiniteError(np.flatnonzero(bad).tolist())
        by_head: dict[str, list[tuple[float, ...]]] = {}
        for head in ("sentiment", "topic"):
            if head in logits:
                by_head[head] = [tuple(row) for row in self._calibrated(head, logits[head]).tolist()]
        nothing = [None] * len(tokens)
        entities = self._entities(tokens, logits["entities"]) if "entities" in logits else nothing
        heads = (by_head.get("sentiment", nothing), by_head.get("topic", nothing), entities)
        return [Prediction(*parts) for parts in zip(*heads, strict=True)]

    def _entities(self, tokens: Sequence[Tokens], logits: NDArray[np.float32]) -> list[WordLabels]:
        found = []
        for row, text in enumerate(tokens):
            firsts = logits[row, [word.token for word in text.words]]
            rows = self._calibrated("entities", firsts).tolist() if text.words else []
            found.append(WordLabels(text.words, tuple(map(tuple, rows))))
        return found

    def _calibrated(self, head: str, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        return _softmax(logits / self.manifest.temperatures.get(head, 1.0))

    def predict(self, texts: Sequence[str], token_budget: int = DEFAULT_TOKEN_BUDGET) -> list[Prediction]:
        """One prediction a text, in order, in the calling thread. NotFiniteError has indexes into `texts`."""
        tokens = self.encode(texts)
        answers = Answers(len(tokens))
        for batch in self.plan(tokens, token_budget):
            answers.run(self, tokens, batch)
        return answers.in_order()

    def warm_up(self) -> None:
        """Runs every session on a short and a longer batch, so that the first post pays for no allocation."""
        held = [self._free.get() for _ in range(self.sessions)]
        try:
            for session in held:
                for text in _WARM_UP_TEXTS:
                    tokens = self.encode([text] * 4)
                    session.run(*padded([each.ids for each in tokens]), self._heads)
        finally:
            for session in held:
                self._free.put(session)

    @contextmanager
    def _session(self) -> Iterator[GraphSession]:
        session = self._free.get()
        try:
            yield session
        finally:
            self._free.put(session)


class Answers:
    """The predictions of one call while its batches come back in any order, from any thread."""

    def __init__(self, texts: int) -> None:
        self._predictions: list[Prediction | None] = [None] * texts
        self._not_finite: list[int] = []

    def run(self, model: OnnxModel, tokens: Sequence[Tokens], batch: Sequence[int]) -> None:
        """Runs one batch and keeps its answers under their indexes; a non-finite batch does not stop the
        others.
        """
        try:
            predictions = model.run([tokens[index] for index in batch])
        except NotFiniteError as error:
            self._not_finite.extend(batch[place] for place in error.indexes)
            return
        for index, prediction in zip(batch, predictions, strict=True):
            self._predictions[index] = prediction

    def in_order(self) -> list[Prediction]:
        """All predictions in the order of the texts. Raises NotFiniteError where any output was not
        finite.
        """
        if self._not_finite:
            raise NotFiniteError(self._not_finite)
        return [prediction for prediction in self._predictions if prediction is not None]


def cores() -> int:
    """The cores that this process may use (affinity counts, hyper-threads too)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finite(logits: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which texts have finite logits only; what a head says of padding is nothing."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=-1))
    return finite if finite.ndim == 1 else np.asarray((finite | (mask == 0)).all(axis=1))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares
