"""One bundle ready to answer: texts in, calibrated probabilities out, in the same order.

Must not know Kafka, asyncio or what a verdict is used for.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streamapp.contracts.bundle import Bundle
from streamapp.contracts.encoding import TextEncoder, TokenIds
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE
from streamapp.inference.provider import CUDA, open_session
from streamapp.inference.token_budget import plan_batches
from streamapp.settings import ModelSettings

if TYPE_CHECKING:
    import onnxruntime

DEFAULT_TOKEN_BUDGET = 256

_WARM_UP_TEXTS = (
    "Shares rise",
    "The central bank kept its rate unchanged and said that inflation is likely to ease over the year.",
)


class Prediction(Struct, frozen=True):
    """Calibrated probabilities in the label order of the bundle; None for a head that it lacks."""

    sentiment: tuple[float, ...] | None
    topic: tuple[float, ...] | None


class NotFiniteError(ArithmeticError):
    """The model answered NaN or infinity for the texts at `indexes` of the call."""

    def __init__(self, indexes: Iterable[int]) -> None:
        self.indexes = tuple(sorted(indexes))
        super().__init__(f"the model's output is not finite for the texts at {list(self.indexes)[:20]}")


class BundleUnfitError(ValueError):
    """The graph does not do what the manifest says; the text names the input or output."""


class OnnxModel:
    """A bundle with one or more sessions. Every method may be called from several threads at once."""

    def __init__(
        self, bundle: Bundle, encoder: TextEncoder, sessions: "Sequence[_Session]", reason: str
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.version = bundle.manifest.model_version
        self.provider = sessions[0].provider
        self.provider_reason = reason
        self.sessions = len(sessions)
        self._encoder = encoder
        self._heads = [
            head for head in ("sentiment", "topic") if getattr(self.manifest.outputs, head) is not None
        ]
        self._free: SimpleQueue[_Session] = SimpleQueue()
        for session in sessions:
            self._free.put(session)

    @classmethod
    def load(cls, bundle: Bundle, settings: ModelSettings) -> "OnnxModel":
        """The bundle's graph in `settings.sessions` sessions (0: one a core on CPU, one on CUDA).

        Raises BundleUnfitError where graph and manifest disagree, RuntimeMissingError without ONNX Runtime.
        """
        max_tokens = min(bundle.manifest.max_tokens, settings.max_tokens)
        encoder = TextEncoder(bundle.path(TOKENIZER_FILE).read_bytes(), max_tokens)
        first, reason = _open(bundle, settings)
        wanted = settings.sessions or (1 if first.provider == CUDA else cores())
        sessions = [first, *(_open(bundle, settings)[0] for _ in range(wanted - 1))]
        return cls(bundle, encoder, sessions, reason)

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """The token ids of cleaned texts."""
        return self._encoder.encode(texts)

    def plan(self, tokens: Sequence[TokenIds], token_budget: int = DEFAULT_TOKEN_BUDGET) -> list[list[int]]:
        """Which of `tokens` go through the model together, by the bundle's batch policy."""
        alone = self.manifest.batch_policy == "alone"
        return plan_batches([len(ids) for ids in tokens], token_budget, alone=alone)

    def run(self, tokens: Sequence[TokenIds]) -> list[Prediction]:
        """One forward pass over one batch, waiting for a free session. Raises NotFiniteError."""
        ids, mask = _padded(tokens)
        with self._session() as session:
            logits = session.run(ids, mask, self._heads)
        bad = ~np.logical_and.reduce([np.isfinite(head).all(axis=1) for head in logits])
        if bad.any():
            raise NotFiniteError(np.flatnonzero(bad).tolist())
        by_head: dict[str, list[tuple[float, ...]]] = {}
        for head, values in zip(self._heads, logits, strict=True):
            calibrated = _softmax(values / self.manifest.temperatures.get(head, 1.0))
            by_head[head] = [tuple(row) for row in calibrated.tolist()]
        nothing = [None] * len(tokens)
        pairs = zip(by_head.get("sentiment", nothing), by_head.get("topic", nothing), strict=True)
        return [Prediction(sentiment, topic) for sentiment, topic in pairs]

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
                    session.run(*_padded(self.encode([text] * 4)), self._heads)
        finally:
            for session in held:
                self._free.put(session)

    @contextmanager
    def _session(self) -> "Iterator[_Session]":
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

    def run(self, model: OnnxModel, tokens: Sequence[TokenIds], batch: Sequence[int]) -> None:
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


class _Session:
    """An ONNX Runtime session with the names that our graphs use."""

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        self.provider = session.get_providers()[0]
        self._session = session
        self._inputs = {entry.name for entry in session.get_inputs()}
        self.outputs = {entry.name: entry.shape for entry in session.get_outputs()}

    def check(self, bundle: Bundle) -> None:
        where = f"bundle {bundle.folder}: {MODEL_FILE}"
        if self._inputs - {"token_type_ids"} != {"input_ids", "attention_mask"}:
            raise BundleUnfitError(
                f"{where}: inputs {sorted(self._inputs)}, expected input_ids and attention_mask"
            )
        for head in ("sentiment", "topic"):
            labels = getattr(bundle.manifest.outputs, head)
            shape = self.outputs.get(head)
            if labels is not None and (shape is None or len(shape) != 2 or shape[1] != len(labels)):
                raise BundleUnfitError(
                    f"{where}: output {head} is {shape}, the manifest has {len(labels)} labels"
                )

    def run(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64], heads: list[str]
    ) -> list[NDArray[np.float32]]:
        feed = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        if self.provider == CUDA:
            return self._run_bound(feed, heads)
        outputs: list[Any] = self._session.run(heads, feed)
        return outputs

    def _run_bound(self, feed: dict[str, NDArray[np.int64]], heads: list[str]) -> list[NDArray[np.float32]]:
        from onnxruntime import OrtValue  # noqa: PLC0415  # see provider.load_runtime

        binding = self._session.io_binding()
        for name, values in feed.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(values, "cuda", 0))
        for head in heads:
            binding.bind_output(head, "cpu")
        self._session.run_with_iobinding(binding)
        outputs: list[Any] = binding.copy_outputs_to_cpu()
        return [values.astype(np.float32, copy=False) for values in outputs]


def cores() -> int:
    """The cores that this process may use (affinity counts, hyper-threads too)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(bundle: Bundle, settings: ModelSettings) -> "tuple[_Session, str]":
    session, reason = open_session(bundle.path(MODEL_FILE), settings)
    opened = _Session(session)
    opened.check(bundle)
    return opened, reason


def _padded(tokens: Sequence[TokenIds]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # A text without a single token still needs one place, masked out.
    longest = max(1, *(len(ids) for ids in tokens))
    ids = np.zeros((len(tokens), longest), dtype=np.int64)
    mask = np.zeros((len(tokens), longest), dtype=np.int64)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares
