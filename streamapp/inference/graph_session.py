"""An ONNX Runtime session of a bundle's graph, with the names that our graphs use: padded tokens in, logits out.

Must not know texts, calibration or labels beyond how many there are.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamapp.contracts.bundle import Bundle
from streamapp.contracts.encoding import TokenIds
from streamapp.contracts.manifest import MODEL_FILE
from streamapp.inference.provider import CUDA, open_session
from streamapp.settings import ModelSettings

if TYPE_CHECKING:
    import onnxruntime

# The heads that a graph may have, with the dimensions of their logits: one row a text, or one a token of it.
HEAD_DIMENSIONS = {"sentiment": 2, "topic": 2, "entities": 3}


class BundleUnfitError(ValueError):
    """The graph does not do what the manifest says; the text names the input or output."""


class GraphSession:
    """One session; used by one thread at a time."""

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        self.provider = session.get_providers()[0]
        self._session = session
        self._inputs = {entry.name for entry in session.get_inputs()}
        self.outputs = {entry.name: entry.shape for entry in session.get_outputs()}

    @classmethod
    def open(cls, bundle: Bundle, settings: ModelSettings) -> "tuple[GraphSession, str]":
        """The session and why it runs where it runs. Raises BundleUnfitError, RuntimeMissingError."""
        session, reason = open_session(bundle.path(MODEL_FILE), settings)
        opened = cls(session)
        opened._check(bundle)
        return opened, reason

    def _check(self, bundle: Bundle) -> None:
        where = f"bundle {bundle.folder}: {MODEL_FILE}"
        if self._inputs - {"token_type_ids"} != {"input_ids", "attention_mask"}:
            raise BundleUnfitError(
                f"{where}: inputs {sorted(self._inputs)}, expected input_ids and attention_mask"
            )
        for head, dimensions in HEAD_DIMENSIONS.items():
            labels = getattr(bundle.manifest.outputs, head)
            shape = self.outputs.get(head)
            if labels is not None and (shape is None or len(shape) != dimensions or shape[-1] != len(labels)):
                raise BundleUnfitError(
                    f"{where}: output {head} is {shape}, the manifest has {len(labels)} labels"
                )

    def run(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64], heads: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """The logits of `heads`. Raises BundleUnfitError where a head of tokens has not one row for each of them."""
        feed = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        outputs: list[Any] = (
            self._run_bound(feed, heads) if self.provider == CUDA else self._session.run(list(heads), feed)
        )
        for head, values in zip(heads, outputs, strict=True):
            if HEAD_DIMENSIONS[head] == 3 and values.shape[:2] != ids.shape:
                raise BundleUnfitError(
                    f"{MODEL_FILE}: output {head} is {values.shape} for tokens {ids.shape}"
                )
        return outputs

    def _run_bound(
        self, feed: dict[str, NDArray[np.int64]], heads: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        from onnxruntime import OrtValue  # noqa: PLC0415  # see provider.load_runtime

        binding = self._session.io_binding()
        for name, values in feed.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(values, "cuda", 0))
        for head in heads:
            binding.bind_output(head, "cpu")
        self._session.run_with_iobinding(binding)
        outputs: list[Any] = binding.copy_outputs_to_cpu()
        return [values.astype(np.float32, copy=False) for values in outputs]


def padded(tokens: Sequence[TokenIds]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, one row a text, padded with zeros to the longest."""
    # A text without a single token still needs one place, masked out.
    longest = max(1, *(len(ids) for ids in tokens))
    ids = np.zeros((len(tokens), longest), dtype=np.int64)
    mask = np.zeros((len(tokens), longest), dtype=np.int64)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask
