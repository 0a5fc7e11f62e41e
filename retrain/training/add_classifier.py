"""Any Hugging Face sequence classifier as a bundle: `python -m retrain.training.add_classifier SOURCE OUT`.

SOURCE is a folder or hub id. `--map` says what its labels mean (`LABEL_0=negative`); several may mean the same.
Nothing is trained, and nothing from the source is executed: its weights are read, never its code.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import torch
from huggingface_hub import model_info
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import AutoModelForSequenceClassification

from retrain.training.export import check_parity, export_graph, round_to_half, stored_as_half
from retrain.training.network import ClassifierNetwork
from retrain.training.tokenizer import tokenizer_of
from retrain.training.weights import network_files
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import MODEL_FILE, REPORT_FILE, TOKENIZER_FILE, Manifest, Outputs
from streamapp.contracts.messages import SENTIMENTS
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings

_LONGEST = 512
_CHECKED_TEXTS = (
    "Shares fall after the company warns of a loss.",
    "The central bank keeps its key rate unchanged.",
    "Record profit: the company raises its guidance again!",
    "ok",
    "A much longer text, so that padding and positions are compared too. " * 4,
)


class ClassifierError(ValueError):
    """A classifier that cannot become a bundle as asked; the text names the label or option."""


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """How to name and describe the bundle. `labels` maps the classifier's labels to ours, lower-case compared."""

    name: str
    version: str = "1"
    head: str = "sentiment"
    labels: Mapping[str, str] = {}
    licence: str = "not stated"
    languages: tuple[str, ...] = ("en",)
    max_tokens: int = 128


def add_classifier(source: str, out: Path, addition: Addition) -> Bundle:
    """Writes the new bundle folder `out`. Raises ClassifierError, ParityError, BundleError, OSError."""
    tokenizer = tokenizer_of(source)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        source, attn_implementation="eager", dtype=torch.float32, trust_remote_code=False
    )
    names = [str(classifier.config.id2label[place]) for place in range(classifier.config.num_labels)]
    labels, groups = mapped_labels(names, addition)
    network = round_to_half(ClassifierNetwork(classifier, addition.head, labels, groups).eval())
    longest = min(addition.max_tokens, getattr(classifier.config, "max_position_embeddings", _LONGEST) - 2)
    manifest = Manifest(
        name=addition.name,
        version=addition.version,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        languages=addition.languages,
        max_tokens=longest,
        encoder=source if not Path(source).is_dir() else Path(source).resolve().name,
        outputs=Outputs(sentiment=labels) if addition.head == "sentiment" else Outputs(topic=labels),
        licence=addition.licence,
    )
    files: dict[str, bytes | Path] = {
        MODEL_FILE: stored_as_half(export_graph(network)).SerializeToString(),
        TOKENIZER_FILE: tokenizer,
        **network_files(network, readable_graph=False),
        REPORT_FILE: b"{}\n",
        "README.md": _card(manifest, names, labels, groups).encode(),
    }
    bundle = read_bundle(write_bundle(out, manifest, files).folder)
    served = OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=longest))
    check_parity(network, TextEncoder(tokenizer, longest), served, _CHECKED_TEXTS)
    return bundle


def mapped_labels(
    names: Sequence[str], addition: Addition
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Our labels in our order, and for each the places of the classifier's labels that mean it.

    Sentiments map by name where nothing else is said (`Positive`, `NEGATIVE`, `bullish`). Raises ClassifierError for
    a label without a meaning.
    """
    asked = {name.lower(): label for name, label in addition.labels.items()}
    unknown = asked.keys() - {name.lower() for name in names}
    if unknown:
        raise ClassifierError(f"--map names {sorted(unknown)}, the classifier has {list(names)}")
    known: dict[str, str] = {s: s for s in SENTIMENTS}
    known |= {"bullish": "positive", "bearish": "negative"}
    defaults = known if addition.head == "sentiment" else {name.lower(): name.lower() for name in names}
    meanings = [asked.get(name.lower(), defaults.get(name.lower())) for name in names]
    without = [name for name, meaning in zip(names, meanings, strict=True) if meaning is None]
    if without:
        raise ClassifierError(f"labels without a meaning: {without}; say --map '{without[0]}=negative'")
    found = {meaning for meaning in meanings if meaning is not None}
    if addition.head == "sentiment" and not found <= set(SENTIMENTS):
        raise ClassifierError(f"{sorted(found - set(SENTIMENTS))} are not among {list(SENTIMENTS)}")
    order = [s for s in SENTIMENTS if s in found] if addition.head == "sentiment" else sorted(found)
    groups = tuple(
        tuple(place for place, meaning in enumerate(meanings) if meaning == label) for label in order
    )
    return tuple(order), groups


def stated_licence(source: str) -> str:
    """The licence that the hub states for `source`; "not stated" for a folder or where it is silent or away."""
    if Path(source).is_dir():
        return "not stated"
    try:
        card = model_info(source).card_data
    except (HfHubHTTPError, HFValidationError, OSError):
        return "not stated"
    return str((card or {}).get("license") or "not stated")


def _card(
    manifest: Manifest, names: Sequence[str], labels: tuple[str, ...], groups: tuple[tuple[int, ...], ...]
) -> str:
    languages = "".join(f"- {language}\n" for language in manifest.languages)
    rows = "\n".join(
        f"| {label} | {', '.join(names[place] for place in group)} |"
        for label, group in zip(labels, groups, strict=True)
    )
    return (
        f"---\nlicense: other\nlanguage:\n{languages}pipeline_tag: text-classification\n---\n\n"
        f"# {manifest.model_version}\n\nMade from the sequence classifier {manifest.encoder} "
        f"(licence: {manifest.licence}), weights unchanged but for half precision.\n\n"
        f"| label | of the classifier |\n|---|---|\n{rows}\n"
    )


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="folder or hub id of the classifier")
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("--map", nargs="*", default=[], metavar="LABEL=OURS", help="what its labels mean")
    parser.add_argument("--name", help="name of the bundle (default: the last part of the source)")
    parser.add_argument("--version", default="1")
    parser.add_argument("--head", choices=("sentiment", "topic"), default="sentiment")
    parser.add_argument("--licence", help="default: what the hub states")
    parser.add_argument("--language", action="append", help="default: en")
    parser.add_argument("--max-tokens", type=int, default=128)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """The command: 0 and one JSON line about the bundle, or 1 and the reason on stderr."""
    arguments = _arguments(given)
    try:
        pairs = [pair.rpartition("=") for pair in arguments.map]
        if any(not name or not label for name, _, label in pairs):
            raise ClassifierError("--map wants LABEL=OURS")
        plain = Path(arguments.source).name.lower().replace(" ", "-")
        addition = Addition(
            name=arguments.name or plain,
            version=arguments.version,
            head=arguments.head,
            labels={name: label for name, _, label in pairs},
            licence=arguments.licence or stated_licence(arguments.source),
            languages=tuple(arguments.language or ("en",)),
            max_tokens=arguments.max_tokens,
        )
        bundle = add_classifier(arguments.source, arguments.out, addition)
    except (ValueError, AssertionError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    told = {
        "bundle": str(bundle.folder),
        "model_version": bundle.manifest.model_version,
        "digest": bundle.manifest.digest,
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
