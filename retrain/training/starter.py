"""Builds the starter model: `python -m retrain.training.starter --datasets ../shared/datasets --out FOLDER`.

The one place that reads top to bottom: examples, training, calibration, graph, figures, bundle.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch
from msgspec import Struct

from retrain.core.figures import fitted_temperature
from retrain.training.examples import Example, fingerprint, merged, read_examples, without_test_texts
from retrain.training.export import check_parity, export_graph, round_to_half, stored_as_half
from retrain.training.fine_tune import TrainingSettings, all_logits, fine_tune
from retrain.training.measure import benchmark_examples
from retrain.training.network import MultiHeadEncoder, load_weights, new_network
from retrain.training.quantise import QuantisationSettings, quantised
from retrain.training.ship import Shipment, check_agreement
from retrain.training.starter_sources import (
    ENCODER,
    ENCODER_LICENCE,
    MEASURED_ON,
    TRAINED_ON,
    base_encoder,
    starter_tokenizer,
)
from streamapp.contracts.bundle import Bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import Manifest, Outputs, TrainingSource
from streamapp.contracts.messages import SENTIMENTS

NAME = "starter"
SERVED_MAX_TOKENS = 128
_EVERY_FOR_PARITY = 16
_EVERY_FOR_CALIBRATION = 12


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


class StarterPlan(Struct, frozen=True, kw_only=True):
    """What to build. With `weights` nothing is trained: those of an earlier run are taken. `leave_out` names sets that
    the model must not see. `threads` 0: as many as torch likes.
    """

    version: str = "1.0.0"
    training: TrainingSettings = TrainingSettings()
    quantisation: QuantisationSettings = QuantisationSettings()
    weights: Path | None = None
    leave_out: tuple[str, ...] = ()
    threads: int = 0


class Trained(Struct, frozen=True, kw_only=True):
    """A network ready to ship: weights rounded, temperatures fitted."""

    network: MultiHeadEncoder
    tokenizer: bytes
    manifest: Manifest
    report: dict[str, Any]


def build_starter(
    datasets: Path, out: Path, work: Path, plan: StarterPlan, *, int8_out: Path | None = None
) -> list[Bundle]:
    """Trains (or takes the plan's weights), measures and writes the new folders `out` and, asked for,
    `int8_out`.

    The 8-bit variant is written only if it agrees with the float32 one on enough test texts.
    """
    corpus = read_corpus(datasets, plan.leave_out)
    trained = _trained(corpus, work, plan)
    plain = export_graph(trained.network)
    # A model that leaves sets out is for an experiment, which measures it itself.
    judged = [] if plan.leave_out else [*corpus.of("test"), *benchmark_examples(datasets, MEASURED_ON)]
    shipment = Shipment(manifest=trained.manifest, tokenizer=trained.tokenizer, report=trained.report)
    reference = shipment.draft(stored_as_half(plain), work)
    served_encoder = TextEncoder(trained.tokenizer, SERVED_MAX_TOKENS)
    texts = [example.text for example in corpus.of("test")]
    parity = check_parity(trained.network, served_encoder, reference, texts[::_EVERY_FOR_PARITY])
    bundles = [shipment.write(out, reference, judged, {"parity_with_torch": parity})]
    if int8_out is not None:
        typical = served_encoder.encode(
            [example.text for example in corpus.of("dev")[::_EVERY_FOR_CALIBRATION]]
        )
        changes = {"name": f"{NAME}-int8", "precision": "int8", "batch_policy": "alone"}
        small_shipment = msgspec.structs.replace(
            shipment, manifest=msgspec.structs.replace(trained.manifest, **changes)
        )
        small = small_shipment.draft(quantised(plain, typical, plan.quantisation), work)
        agrees = check_agreement(small, reference, texts)
        measured = {"agreement_with_fp32": agrees, "quantisation": plan.quantisation}
        bundles.append(small_shipment.write(int8_out, small, judged, measured))
    return bundles


def _trained(corpus: Corpus, work: Path, plan: StarterPlan) -> Trained:
    settings = plan.training
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(settings.seed)
    base = base_encoder()
    tokenizer = starter_tokenizer(base)
    encoder = TextEncoder(tokenizer, settings.max_tokens)
    network = new_network(base, corpus.labels, settings.pooling, settings.dropout)
    started = time.process_time()
    if plan.weights is None:
        history = fine_tune(network, encoder, corpus.examples, settings, work, _say)
        _keep_history(work, history, time.process_time() - started)
    else:
        load_weights(network, plan.weights)
    network = round_to_half(network.eval())
    temperatures = calibrate(network, encoder, corpus.of("dev"))
    return Trained(
        network=network,
        tokenizer=tokenizer,
        manifest=_manifest(plan.version, settings, corpus, temperatures),
        report=_report(corpus, settings, work),
    )


def read_corpus(datasets: Path, leave_out: Sequence[str] = ()) -> Corpus:
    """The sets of TRAINED_ON but those left out, cleaned, without test texts in train or dev, one example a text."""
    used = [source for source in TRAINED_ON if source.name not in leave_out]
    raw = [example for source in used for example in read_examples(datasets, source)]
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
    counts = Counter(example.source for example in corpus.of("train"))
    sources = tuple(
        TrainingSource(name=s.name, licence=s.licence, attribution=s.attribution, texts=counts[s.name])
        for s in TRAINED_ON
        if counts[s.name]
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


def _report(corpus: Corpus, settings: TrainingSettings, work: Path) -> dict[str, Any]:
    history = work / "history.json"
    return {
        "settings": settings,
        "texts": {split: len(corpus.of(split)) for split in ("train", "dev", "test")},
        "dropped_because_in_a_test": corpus.dropped_duplicates,
        "training": msgspec.json.decode(history.read_bytes()) if history.exists() else {},
        "versions": {"torch": str(torch.__version__), "onnx": onnx.__version__},
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
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="training settings as JSON, over the defaults")
    parser.add_argument("--int8-out", type=Path, help="folder to create for the 8-bit variant")
    return parser.parse_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    plan = StarterPlan(
        version=arguments.version,
        training=msgspec.json.decode(arguments.settings, type=TrainingSettings),
        weights=arguments.weights,
        threads=arguments.threads,
    )
    bundles = build_starter(
        arguments.datasets, arguments.out, arguments.work, plan, int8_out=arguments.int8_out
    )
    for bundle in bundles:
        _say(f"{bundle.manifest.model_version} in {bundle.folder}: {bundle.manifest.metrics}")


if __name__ == "__main__":
    main()
