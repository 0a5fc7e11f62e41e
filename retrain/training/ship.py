"""From a graph to a bundle with its figures, its report and its card.

Must not know how the graph was made.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from msgspec import Struct

from retrain.training.examples import Example
from retrain.training.measure import measure, summary
from retrain.training.model_card import model_card
from retrain.training.starter_sources import TRAINED_ON
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.manifest import MODEL_FILE, REPORT_FILE, TOKENIZER_FILE, Manifest
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings

LEAST_AGREEMENT = 0.985
CARD_FILE = "README.md"


class AgreementError(ValueError):
    """A variant decides too many texts otherwise than its reference."""


class Shipment(Struct, frozen=True, kw_only=True):
    """What a graph needs to become a bundle."""

    manifest: Manifest
    tokenizer: bytes
    report: dict[str, Any]

    def draft(self, graph: onnx.ModelProto, work: Path) -> OnnxModel:
        """The graph as a model that answers, in a bundle of its own under `work`."""
        folder = Path(tempfile.mkdtemp(prefix="draft-", dir=work)) / self.manifest.name
        files: dict[str, bytes | Path] = {
            MODEL_FILE: graph.SerializeToString(),
            TOKENIZER_FILE: self.tokenizer,
        }
        bundle = write_bundle(folder, self.manifest, files)
        return OnnxModel.load(bundle, ModelSettings(max_tokens=self.manifest.max_tokens, sessions=1))

    def write(
        self, out: Path, model: OnnxModel, judged: Sequence[Example], measured: dict[str, Any]
    ) -> Bundle:
        """Measures `model` on `judged` and writes the complete bundle to the new folder `out`."""
        trained_on = {source.name for source in TRAINED_ON}
        report = {
            **self.report,
            **measured,
            "tests": measure(model, [example for example in judged if example.source in trained_on]),
            "benchmarks": measure(model, [example for example in judged if example.source not in trained_on]),
        }
        manifest = msgspec.structs.replace(self.manifest, metrics={**summary(report), **measured})
        files: dict[str, bytes | Path] = {
            MODEL_FILE: model.bundle.path(MODEL_FILE),
            TOKENIZER_FILE: self.tokenizer,
            REPORT_FILE: msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n",
            CARD_FILE: model_card(manifest, report).encode(),
        }
        write_bundle(out, manifest, files)
        return read_bundle(out)


def check_agreement(model: OnnxModel, reference: OnnxModel, texts: Sequence[str]) -> dict[str, float]:
    """The share of `texts` to which both give the same label, by head. Raises AgreementError below 98.5 %."""
    mine, other = model.predict(texts), reference.predict(texts)
    shares = {}
    for head in ("sentiment", "topic"):
        pairs = [(getattr(one, head), getattr(two, head)) for one, two in zip(mine, other, strict=True)]
        shares[head] = round(float(np.mean([np.argmax(one) == np.argmax(two) for one, two in pairs])), 4)
    if min(shares.values()) < LEAST_AGREEMENT:
        raise AgreementError(f"agreement with the reference {shares}, wanted {LEAST_AGREEMENT}")
    return shares
