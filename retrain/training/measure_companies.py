"""How well companies are found after training on marked texts: `python -m retrain.training.measure_companies SET`.

Goes on from the shipped reference model, as a run would, and measures the exported bundles through the code that
serves, float32 and 8 bits, on the set's test split. Nothing of it ships.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from retrain.candidate import least_agreement
from retrain.core.company_labels import (
    COMPANY_HEAD,
    SpanFigures,
    counts_of_spans,
    heads_of,
    labelled_spans,
    span_figures,
)
from retrain.core.labels import TrainingLabel
from retrain.core.run_settings import TrainingSettings
from retrain.training.calibrate import temperatures
from retrain.training.export import export_graph, parity_with_torch, round_to_half, stored_as_half
from retrain.training.fit import fit, fitted, write_plan
from retrain.training.marked_texts import read_marked
from retrain.training.network import MultiHeadEncoder, with_company_head
from retrain.training.quantise import QuantisationSettings, quantised
from retrain.training.training_set import training_set
from retrain.training.weights import network_of
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE
from streamapp.core.company_spans import WordLabels, company_spans
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from streamapp.starter import REFERENCE_MODEL

_PARITY_TEXTS, _TYPICAL_TEXTS = 64, 200


class Plan(Struct, frozen=True, kw_only=True):
    """What to train. `posts` 0: all; `layers` 0: all of the encoder's, else its first ones, which is quick and poor."""

    marked: Path
    training: TrainingSettings
    posts: int = 0
    layers: int = 0


def measure_companies(plan: Plan, work: Path) -> dict[str, Any]:
    """The figures: strict ones of companies on the test split, and how far the other heads moved from the start."""
    began = time.process_time()
    start = serving(read_bundle(REFERENCE_MODEL))
    sides = read_marked(plan.marked)
    train = sides["train"][: plan.posts or None]
    network = _shortened(network_of(start.bundle), plan.layers)
    taught = training_set(train, sides["dev"], start, plan.training, companies=True)
    tokenizer = start.bundle.path(TOKENIZER_FILE).read_bytes()
    write_plan(work, with_company_head(network, plan.training.seed), tokenizer, taught, plan.training)
    fit(work, lambda done, detail: _say(f"{done:.2f} {detail}"))
    made = round_to_half(fitted(work))
    assert isinstance(made, MultiHeadEncoder)
    encoder = TextEncoder(tokenizer, start.manifest.max_tokens)
    plain = _bundle(work / "fp32", start.bundle, made, temperatures(made, encoder, sides["dev"], {}))
    small = _in_8_bits(work / "int8", plain, made, encoder, sides["dev"])
    texts = [label.text for label in sides["test"]]
    before, after = start.predict(texts), plain.predict(texts)
    return {
        "train_posts": len(train),
        "test_posts": len(texts),
        "fp32": found_by(plain, sides["test"]),
        "int8": found_by(small, sides["test"]),
        "int8_agreement": least_agreement(small, plain, texts),
        "parity_with_torch": parity_with_torch(made, encoder, plain, texts[:_PARITY_TEXTS]),
        "labels_as_at_the_start": {
            head: round(float(np.mean([
                np.argmax(getattr(one, head)) == np.argmax(getattr(other, head))
                for one, other in zip(before, after, strict=True)
            ])), 4)
            for head in heads_of(start.manifest.outputs)
        },
        "cpu_seconds": round(time.process_time() - began),
    }  # fmt: skip


def found_by(model: OnnxModel, judged: Sequence[TrainingLabel]) -> SpanFigures:
    """Strict figures of the served bundle."""
    labels = model.manifest.outputs.entities or ()
    counts = []
    for label, said in zip(judged, model.predict([each.text for each in judged]), strict=True):
        found = company_spans(label.text, said.entities or WordLabels(), labels)
        counts.append(counts_of_spans(labelled_spans(label) or (), found))
    return span_figures(counts)


def serving(bundle: Bundle) -> OnnxModel:
    """The bundle as one thread serves it."""
    return OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=bundle.manifest.max_tokens))


def _shortened(network: object, layers: int) -> MultiHeadEncoder:
    assert isinstance(network, MultiHeadEncoder)
    if layers:
        body = network.encoder
        body.encoder.layer = body.encoder.layer[:layers]
        body.config.num_hidden_layers = layers
    return network


def _bundle(folder: Path, start: Bundle, network: MultiHeadEncoder, heat: dict[str, float]) -> OnnxModel:
    outputs = msgspec.structs.replace(start.manifest.outputs, entities=network.labels[COMPANY_HEAD])
    manifest = msgspec.structs.replace(
        start.manifest, version="companies", outputs=outputs, temperatures=heat, files={}
    )
    files: dict[str, bytes | Path] = {
        MODEL_FILE: stored_as_half(export_graph(network)).SerializeToString(),
        TOKENIZER_FILE: start.path(TOKENIZER_FILE),
    }
    return serving(write_bundle(folder, manifest, files))


def _in_8_bits(
    folder: Path,
    plain: OnnxModel,
    network: MultiHeadEncoder,
    encoder: TextEncoder,
    typical: Sequence[TrainingLabel],
) -> OnnxModel:
    tokens = encoder.encode([label.text for label in typical[:_TYPICAL_TEXTS]])
    graph = quantised(export_graph(network), tokens, QuantisationSettings())
    manifest = msgspec.structs.replace(plain.manifest, precision="int8", batch_policy="alone", files={})
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph.SerializeToString(),
        TOKENIZER_FILE: plain.bundle.path(TOKENIZER_FILE),
    }
    return serving(write_bundle(folder, manifest, files))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(given: Sequence[str] | None = None) -> None:
    """The command: progress on stderr, figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("marked", type=Path, metavar="SET", help="a JSONL with `entities`")
    parser.add_argument("--posts", type=int, default=0, help="train on the first so many (default: all)")
    parser.add_argument(
        "--layers", type=int, default=0, help="of the encoder, the first so many (default: all)"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--method", choices=("full", "lora", "head"), default="full")
    parser.add_argument("--class-weights", choices=("sqrt", "none"), default="sqrt")
    parser.add_argument("--learning-rate", type=float, default=TrainingSettings().learning_rate)
    parser.add_argument("--head-learning-rate", type=float, default=TrainingSettings().head_learning_rate)
    asked = parser.parse_args(given)
    settings = TrainingSettings(
        epochs=asked.epochs,
        method=asked.method,
        company_class_weights=asked.class_weights,
        learning_rate=asked.learning_rate,
        head_learning_rate=asked.head_learning_rate,
    )
    plan = Plan(marked=asked.marked, training=settings, posts=asked.posts, layers=asked.layers)
    with tempfile.TemporaryDirectory() as work:
        figures = measure_companies(plan, Path(work))
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(figures), indent=1).decode() + "\n")


if __name__ == "__main__":
    main()
