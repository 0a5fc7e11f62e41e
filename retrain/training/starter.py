"""Builds the starter model: `python -m retrain.training.starter --datasets ../shared/datasets --out FOLDER`.

The one place that reads top to bottom: examples, training, calibration, graph, figures, bundle.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch
from msgspec import Struct

from retrain.training.examples import Example, fingerprint, merged, read_examples, without_test_texts
from retrain.training.export import check_parity, export_graph, round_to_half, stored_as_half
from retrain.training.figures import fitted_temperature
from retrain.training.fine_tune import TrainingSettings, all_logits, fine_tune
from retrain.training.measure import benchmark_examples, measure, summary
from retrain.training.model_card import model_card
from retrain.training.network import MultiHeadEncoder, load_weights, new_network
from retrain.training.starter_sources import (
    ENCODER,
    ENCODER_LICENCE,
    MEASURED_ON,
    TRAINED_ON,
    base_encoder,
    starter_tokenizer,
)
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import (
    MODEL_FILE,
    REPORT_FILE,
    TOKENIZER_FILE,
    Manifest,
    Outputs,
    TrainingSource,
)
from streamapp.contracts.messages import SENTIMENTS
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings

NAME = "starter"
SERVED_MAX_TOKENS = 128
CARD_FILE = "README.md"
_PARITY_TEXTS = 400


class Corpus(Struct, frozen=True, kw_only=True):
    """All labelled examples, kept apart, and how many train and dev texts were dropped for being in a
    test.
    """

    examples: list[Example]
    dropped_duplicates: int
    labels: dict[str, tuple[str, ...]]

    def of(self, split: str) -> list[Example]:
        """The examples of one split."""
        return [example for example in self.examples if example.split == split]


def build_starter(
    datasets: Path,
    out: Path,
    version: str,
    settings: TrainingSettings,
    work: Path,
    *,
    weights: Path | None = None,
) -> Bundle:
    """Trains (or takes `weights`), measures and writes the starter bundle to the new folder `out`."""
    torch.manual_seed(settings.seed)
    base = base_encoder()
    tokenizer = starter_tokenizer(base)
    encoder = TextEncoder(tokenizer, settings.max_tokens)
    corpus = read_corpus(datasets)
    network = new_network(base, corpus.labels, settings.pooling, settings.dropout)
    started = time.process_time()
    if weights is None:
        history = fine_tune(network, encoder, corpus.examples, settings, work, _say)
        _keep_history(work, history, time.process_time() - started)
    else:
        load_weights(network, weights)
    network = round_to_half(network.eval())
    temperatures = calibrate(network, encoder, corpus.of("dev"))
    manifest = _manifest(version, settings, corpus, temperatures)
    graph = stored_as_half(export_graph(network)).SerializeToString()
    draft = write_bundle(work / "draft", manifest, {MODEL_FILE: graph, TOKENIZER_FILE: tokenizer})
    model = OnnxModel.load(draft, ModelSettings(max_tokens=SERVED_MAX_TOKENS))
    parity_texts = [example.text for example in corpus.of("test")[:_PARITY_TEXTS]]
    served_encoder = TextEncoder(tokenizer, SERVED_MAX_TOKENS)
    report = _report(corpus, settings, temperatures, work)
    report["parity"] = {
        "texts": len(parity_texts),
        "greatest_difference": check_parity(network, served_encoder, model, parity_texts),
    }
    report["tests"] = measure(model, corpus.of("test"))
    report["benchmarks"] = measure(model, benchmark_examples(datasets, MEASURED_ON))
    complete = msgspec.structs.replace(manifest, metrics=summary(report))
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph,
        TOKENIZER_FILE: tokenizer,
        REPORT_FILE: msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n",
        CARD_FILE: model_card(complete, report).encode(),
    }
    write_bundle(out, complete, files)
    return read_bundle(out)


def read_corpus(datasets: Path) -> Corpus:
    """The sets of TRAINED_ON, cleaned, without test texts in train or dev, one example a text."""
    raw = [example for source in TRAINED_ON for example in read_examples(datasets, source)]
    apart, dropped = without_test_texts(raw)
    examples = merged(apart)
    topics = tuple(sorted({example.topic for example in examples if example.topic}))
    return Corpus(
        examples=examples, dropped_duplicates=dropped, labels={"sentiment": SENTIMENTS, "topic": topics}
    )


def calibrate(network: MultiHeadEncoder, encoder: TextEncoder, dev: list[Example]) -> dict[str, float]:
    """One temperature a head, fitted on the dev texts that have its label (sets without neutral left out)."""
    temperatures = {}
    for head, names in network.labels.items():
        judged = [
            e for e in dev if getattr(e, head) is not None and not (head == "sentiment" and e.polar_only)
        ]
        logits = all_logits(network, encoder, [example.text for example in judged])[head].double().numpy()
        targets = torch.tensor([names.index(getattr(example, head)) for example in judged]).numpy()
        temperatures[head] = fitted_temperature(logits, targets)
    return temperatures


def _manifest(
    version: str, settings: TrainingSettings, corpus: Corpus, temperatures: dict[str, float]
) -> Manifest:
    counts = {source.name: 0 for source in TRAINED_ON}
    for example in corpus.of("train"):
        counts[example.source] += 1
    sources = tuple(
        TrainingSource(name=s.name, licence=s.licence, attribution=s.attribution, texts=counts[s.name])
        for s in TRAINED_ON
    )
    return Manifest(
        name=NAME,
        version=version,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        languages=("en",),
        max_tokens=SERVED_MAX_TOKENS,
        encoder=f"{ENCODER} ({ENCODER_LICENCE})",
        outputs=Outputs(sentiment=corpus.labels["sentiment"], topic=corpus.labels["topic"]),
        temperatures=temperatures,
        licence="Apache-2.0",
        sources=sources,
        training_fingerprint=_training_fingerprint(corpus, settings),
    )


def _training_fingerprint(corpus: Corpus, settings: TrainingSettings) -> str:
    used = fingerprint([*corpus.of("train"), *corpus.of("dev")])
    return f"sha256:{used} {msgspec.json.encode(settings, order='sorted').decode()}"


def _report(
    corpus: Corpus, settings: TrainingSettings, temperatures: dict[str, float], work: Path
) -> dict[str, Any]:
    history = work / "history.json"
    return {
        "settings": settings,
        "texts": {split: len(corpus.of(split)) for split in ("train", "dev", "test")},
        "dropped_because_in_a_test": corpus.dropped_duplicates,
        "temperatures": temperatures,
        "training": msgspec.json.decode(history.read_bytes()) if history.exists() else {},
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
    }


def _keep_history(work: Path, history: object, cpu_seconds: float) -> None:
    kept = {"epochs": history, "cpu_seconds": round(cpu_seconds), "threads": torch.get_num_threads()}
    (work / "history.json").write_bytes(msgspec.json.encode(kept))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--datasets", type=Path, required=True, help="folder with the labelled sets")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--weights", type=Path, help="take these weights instead of training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--settings", default="{}", help="training settings as JSON, over the defaults")
    return parser.parse_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    settings = msgspec.json.decode(arguments.settings, type=TrainingSettings)
    bundle = build_starter(
        arguments.datasets,
        arguments.out,
        arguments.version,
        settings,
        arguments.work,
        weights=arguments.weights,
    )
    _say(f"{bundle.manifest.model_version} in {bundle.folder}: {bundle.manifest.metrics}")


if __name__ == "__main__":
    main()
