"""A run's candidate: trained weights, its graph, an 8-bit variant where one is wanted and agrees, as draft bundles.

Must not know how it is judged. Drafts lie in the run's work folder; what is there already is not made again.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from msgspec import Struct

from retrain.core.company_labels import COMPANY_HEAD, heads_of
from retrain.core.dataset import Split
from retrain.core.labels import TrainingLabel
from retrain.core.run_request import RetrainRequest, decode_run, encode_run
from retrain.core.run_settings import TrainingSettings
from retrain.training.calibrate import temperatures
from retrain.training.export import export_graph, parity_with_torch, round_to_half, stored_as_half
from retrain.training.fit import fit, fitted, is_fitted, write_plan
from retrain.training.network import MultiHeadEncoder, TextNetwork, new_network, with_company_head
from retrain.training.quantise import QuantisationSettings, quantised
from retrain.training.tokenizer import tokenizer_of
from retrain.training.training_set import training_set
from retrain.training.weights import averaged, graph_is_readable, network_files, network_of
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest, TrainingSource
from streamapp.inference.onnx_model import OnnxModel, Prediction
from streamapp.settings import ModelSettings

Progress = Callable[[str, float, str], None]

EXPORT_FILE = "export.json"
_OWN_LABELS = "labels"
_FIT_FOLDER, _DRAFTS = "fit", "drafts"
# Smoothing strengths in the order in which they are tried, until one agrees well enough.
_SMOOTHING = (0.8, 0.7, 0.6, 0.9)
_MOST_PARITY_TEXTS, _MOST_TYPICAL_TEXTS, _MOST_AGREEMENT_TEXTS = 64, 200, 1_500


class Candidate(Struct, frozen=True, kw_only=True):
    """The draft bundle to judge and what its export measured; `int8_agreement` also of a variant that fell short."""

    draft: Path
    parity: float
    is_int8: bool = False
    int8_agreement: float | None = None


def train(
    request: RetrainRequest, champion: Bundle, split: Split, progress: Callable[[float, str], None]
) -> TextNetwork:
    """The trained network, averaged with the champion and rounded to what ships. Goes on where an earlier attempt was
    killed.
    """
    folder = request.work / _FIT_FOLDER
    if not is_fitted(folder):
        settings = request.training
        network, tokenizer = _start(champion, settings, companies=split.companies)
        served = _serving(champion)
        progress(0.0, f"{len(split.train)} new posts, {len(split.rehearsal)} old ones")
        taught = training_set(
            [*split.train, *split.rehearsal], split.dev, served, settings, companies=split.companies
        )
        write_plan(folder, network, tokenizer, taught, msgspec.structs.replace(settings, seed=request.seed))
        if settings.launcher:
            command = [*settings.launcher, "-m", "retrain.training.fit", str(folder)]
            subprocess.run(command, check=True, stdout=sys.stderr)
        else:
            fit(folder, progress)
    network = fitted(folder)
    if request.training.champion_share and not request.training.encoder:
        network = averaged(network, network_of(champion), request.training.champion_share)
    return round_to_half(network)


def make_candidate(
    request: RetrainRequest,
    champion: Bundle,
    split: Split,
    network: TextNetwork,
    created_at: str,
    progress: Progress,
) -> Candidate:
    """The candidate as a draft bundle: in 8 bits where wanted and in agreement, else float32."""
    known = request.work / EXPORT_FILE
    if known.exists():
        return decode_run(known.read_bytes(), Candidate)
    progress("export", 0.0, "float32 graph")
    tokenizer = (request.work / _FIT_FOLDER / TOKENIZER_FILE).read_bytes()
    encoder = TextEncoder(tokenizer, champion.manifest.max_tokens)
    manifest = _manifest(request, champion, split, created_at)
    outputs = msgspec.structs.replace(manifest.outputs, entities=network.labels.get(COMPANY_HEAD))
    manifest = msgspec.structs.replace(
        manifest,
        outputs=outputs,
        temperatures=temperatures(network, encoder, split.dev, champion.manifest.temperatures),
    )
    plain = export_graph(network)
    drafts = request.work / _DRAFTS
    reference = _draft(drafts / "fp32", manifest, stored_as_half(plain), tokenizer, network)
    texts = _texts(split)
    parity = parity_with_torch(network, encoder, _serving(reference), texts[:_MOST_PARITY_TEXTS])
    candidate = Candidate(draft=reference.folder, parity=parity)
    if _wants_int8(request.training, champion):
        progress("quantise", 0.0, "8-bit variant")
        candidate = _in_8_bits(request, candidate, plain, tokenizer, network, texts)
    write_whole(known, encode_run(candidate))
    return candidate


def _in_8_bits(
    request: RetrainRequest,
    candidate: Candidate,
    plain: onnx.ModelProto,
    tokenizer: bytes,
    network: TextNetwork,
    texts: Sequence[str],
) -> Candidate:
    reference = read_bundle(candidate.draft)
    served = _serving(reference)
    typical = [tokens.ids for tokens in served.encode(texts[:_MOST_TYPICAL_TEXTS])]
    manifest = msgspec.structs.replace(reference.manifest, precision="int8", batch_policy="alone")
    best = 0.0
    for smoothing in _SMOOTHING:
        graph = quantised(plain, typical, QuantisationSettings(smoothing=smoothing))
        folder = candidate.draft.with_name(f"int8-{smoothing}")
        small = _draft(folder, manifest, graph, tokenizer, network)
        agreement = least_agreement(_serving(small), served, texts[:_MOST_AGREEMENT_TEXTS])
        best = max(best, agreement)
        if agreement >= request.gate.least_int8_agreement:
            return msgspec.structs.replace(
                candidate, draft=small.folder, is_int8=True, int8_agreement=agreement
            )
    return msgspec.structs.replace(candidate, int8_agreement=best)


def least_agreement(one: OnnxModel, other: OnnxModel, texts: Sequence[str]) -> float:
    """The share of `texts` with the same label from both (of words, where companies are found), of the head that agrees
    least.
    """
    mine, theirs = one.predict(texts), other.predict(texts)
    shares = []
    if one.manifest.outputs.entities is not None:
        words = [(_called(left), _called(right)) for left, right in zip(mine, theirs, strict=True)]
        both = [pair for left, right in words for pair in zip(left, right, strict=True)]
        shares.append(float(np.mean([left == right for left, right in both])) if both else 1.0)
    for head in ("sentiment", "topic"):
        if getattr(one.manifest.outputs, head) is not None:
            same = [
                np.argmax(getattr(left, head)) == np.argmax(getattr(right, head))
                for left, right in zip(mine, theirs, strict=True)
            ]
            shares.append(float(np.mean(same)))
    return round(min(shares), 4)


def _called(prediction: Prediction) -> list[int]:
    """The likeliest label of each word."""
    rows = prediction.entities.probabilities if prediction.entities is not None else ()
    return [int(np.argmax(row)) for row in rows]


def _start(champion: Bundle, settings: TrainingSettings, *, companies: bool) -> tuple[TextNetwork, bytes]:
    """The network that training starts from, and its tokenizer; with `companies` it has their head, fresh where the
    champion has none.
    """
    if settings.encoder:
        labels = heads_of(champion.manifest.outputs)
        network: TextNetwork = new_network(settings.encoder, labels)
        tokenizer = tokenizer_of(settings.encoder)
    else:
        network, tokenizer = network_of(champion), champion.path(TOKENIZER_FILE).read_bytes()
    if companies and isinstance(network, MultiHeadEncoder) and not network.finds_companies:
        network = with_company_head(network, settings.seed)
    return network, tokenizer


def _draft(
    folder: Path, manifest: Manifest, graph: onnx.ModelProto, tokenizer: bytes, network: TextNetwork
) -> Bundle:
    if folder.exists():
        return read_bundle(folder)
    readable = graph_is_readable(network, graph)
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph.SerializeToString(),
        TOKENIZER_FILE: tokenizer,
        **network_files(network, readable_graph=readable),
    }
    return write_bundle(folder, manifest, files)


def _manifest(request: RetrainRequest, champion: Bundle, split: Split, created_at: str) -> Manifest:
    old, settings = champion.manifest, request.training
    stamp = "".join(letter for letter in created_at[:19] if letter.isdigit())
    learnt = TrainingSource(name=_OWN_LABELS, licence="of this installation", texts=len(split.train))
    before = [source for source in old.sources if source.name != _OWN_LABELS]
    judged_since = min((post.labelled_at_ms for post in split.judging), default=None)
    metrics = {
        "trained_from": old.model_version,
        "newest_label_ms": max((post.labelled_at_ms for post in split.peoples), default=0),
        "judged_since_ms": judged_since or old.metrics.get("judged_since_ms", 0),
    }
    return Manifest(
        name=old.name,
        version=f"{stamp[:8]}-{stamp[8:]}-{split.prints['train'][:8]}",
        created_at=created_at,
        languages=old.languages,
        max_tokens=min(old.max_tokens, settings.max_tokens) if settings.encoder else old.max_tokens,
        encoder=_encoder_name(settings.encoder) or old.encoder,
        outputs=msgspec.structs.replace(old.outputs, entities=None, embedding=None),
        licence=old.licence,
        sources=(*before, learnt),
        training_fingerprint=_fingerprint(request, split),
        metrics=metrics,
    )


def _encoder_name(source: str) -> str:
    """A hub id as it is, of a folder its last part: where it lies on this machine is nobody's business."""
    return Path(source).resolve().name if source and Path(source).is_dir() else source


def _fingerprint(request: RetrainRequest, split: Split) -> str:
    sides = " ".join(f"{side}:{found}" for side, found in sorted(split.prints.items()))
    settings = msgspec.json.encode(request.training, order="sorted").decode()
    return f"sha256 {sides} seed:{request.seed} {settings}"


def _serving(bundle: Bundle) -> OnnxModel:
    return OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=bundle.manifest.max_tokens))


def _wants_int8(settings: TrainingSettings, champion: Bundle) -> bool:
    if settings.int8 == "like champion":
        return champion.manifest.precision == "int8"
    return settings.int8 == "always"


def _texts(split: Split) -> list[str]:
    """Typical texts, those that were not trained on first, since on those a variant differs most."""
    sides: tuple[tuple[TrainingLabel, ...], ...] = (split.judging, split.dev, split.rehearsal, split.train)
    return list(dict.fromkeys(post.text for side in sides for post in side))
