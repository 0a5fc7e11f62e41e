"""The one place where the serving model is read and exchanged.

Must not know how a model is fetched, checked or announced.
"""

from collections.abc import Sequence
from typing import Protocol

from streamapp.core.verdict import HeadLabels
from streamapp.inference.onnx_model import Prediction


class ServingModel(Protocol):
    """What a slot holds: anything that answers texts (inference/micro_batcher.py, or a test's own)."""

    @property
    def version(self) -> str:
        """The model version that travels with every verdict."""

    @property
    def labels(self) -> HeadLabels:
        """The labels of each head, in the order of the probabilities."""

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order. Raises NotFiniteError with indexes into `texts`."""

    def close(self) -> None:
        """Frees the model once the calls under way have ended."""


class ModelSlot:
    """Holds the current model. A batch reads `current` once and keeps that reference to its end."""

    def __init__(self, current: ServingModel) -> None:
        self._current = current

    @property
    def current(self) -> ServingModel:
        """The model that the next batch uses."""
        return self._current

    def swap(self, new: ServingModel) -> ServingModel:
        """Puts `new` in place and returns the old one, which the caller closes after its last batch."""
        old, self._current = self._current, new
        return old
