"""Candidate and champion compared as bundles through the code that serves: answers, batches, time, sizes.

Measures and hands over; what follows from it is decided in core/promotion.py. Must not know torch.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from msgspec import Struct

from retrain.core.evaluation import (
    HEADS,
    Answers,
    JudgedPost,
    NameSwaps,
    SetEvaluation,
    evaluate,
    gate_pairs,
    moved_by_channel,
    name_swaps,
)
from retrain.core.promotion import (
    AUDIT,
    GOLDEN,
    POOLED,
    Decision,
    Exported,
    Measured,
    Reason,
    decide,
    manifest_reasons,
    refused,
)
from retrain.core.quality import HeadQuality, quality_of_answers
from retrain.core.run_settings import GateSettings
from retrain.judging_posts import JudgingPosts, read_golden, texts_of, with_name
from streamapp.contracts.bundle import Bundle, BundleError, read_bundle
from streamapp.contracts.evidence import GatePairs, ParitySample, ParityText
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Precision
from streamapp.core.company_spans import Span, WordLabels, company_spans
from streamapp.inference.graph_session import BundleUnfitError
from streamapp.inference.onnx_model import NotFiniteError, OnnxModel, Prediction
from streamapp.inference.provider import RuntimeMissingError
from streamapp.settings import ModelSettings

SWAPPED_NAMES = ("Apple", "Siemens", "Toyota", "Petrobras", "Infosys")
_TIMED_POSTS, _TIMED_ROUNDS = 48, 7
_BATCH_CHECK_POSTS = 64
# Of the golden set that ships, since a bundle carries no text of an installation.
_PARITY_EVERY = 8
# Processors and CUDA sum in other orders, and roundings to 8 bits multiply that.
_PARITY_TOLERANCE: dict[Precision, float] = {"fp32": 0.005, "fp16": 0.01, "int8": 0.05}


class Judgement(Struct, frozen=True, kw_only=True):
    """The decision and all that it rests on; `measured` is None where the candidate could not even answer.

    `moved`: channel, old sentiment, new sentiment to judged posts. `quality_reference`: what the candidate says of the
    posts that were drawn uniformly from the stream, to compare later ones with. `pairs` and `parity` are what workers
    read before they serve it (contracts/evidence.py).
    """

    decision: Decision
    exported: Exported
    measured: Measured | None = None
    moved: dict[str, dict[str, dict[str, int]]] = {}
    quality_reference: tuple[HeadQuality, ...] = ()
    pairs: GatePairs | None = None
    parity: ParitySample | None = None


class _Measurement(Struct, frozen=True, kw_only=True):
    """All that answers of both models give."""

    measured: Measured
    moved: dict[str, dict[str, dict[str, int]]]
    quality_reference: tuple[HeadQuality, ...]
    pairs: GatePairs
    parity: ParitySample


class _Refusal(Exception):
    """The candidate is out before everything was measured."""

    def __init__(self, *reasons: Reason) -> None:
        super().__init__("; ".join(map(str, reasons)))
        self.reasons = reasons


def judge(
    candidate: Path, champion: Path, posts: JudgingPosts, exported: Exported, gate: GateSettings
) -> Judgement:
    """The judgement of the bundle in the folder `candidate` against the one in `champion`.

    Whatever is wrong with the candidate is a refusal with its reason; a champion that cannot be read or answers with
    non-finite numbers raises (BundleError, NotFiniteError), because nothing can be compared with it.
    """
    old = _load(read_bundle(champion))
    try:
        new = _candidate(candidate, old)
        found = _measure(old, new, posts, gate)
    except _Refusal as refusal:
        return Judgement(decision=refused(refusal.reasons), exported=exported)
    return Judgement(
        decision=decide(found.measured, exported, gate),
        exported=exported,
        measured=found.measured,
        moved=found.moved,
        quality_reference=found.quality_reference,
        pairs=found.pairs,
        parity=found.parity,
    )


def answers(model: OnnxModel, texts: Sequence[str]) -> Answers:
    """The model's probabilities for `texts` as the worker would get them. Raises NotFiniteError."""
    predictions = model.predict(texts)
    labels: dict[str, tuple[str, ...]] = {
        head: known for head in HEADS if (known := getattr(model.manifest.outputs, head)) is not None
    }
    return Answers(
        labels=labels,
        probabilities={head: np.array([getattr(one, head) for one in predictions]) for head in labels},
        spans=_spans(model, texts, predictions),
    )


def _spans(
    model: OnnxModel, texts: Sequence[str], predictions: Sequence[Prediction]
) -> tuple[tuple[Span, ...], ...] | None:
    labels = model.manifest.outputs.entities
    if labels is None:
        return None
    said = (prediction.entities or WordLabels() for prediction in predictions)
    return tuple(company_spans(text, words, labels) for text, words in zip(texts, said, strict=True))


def _candidate(folder: Path, champion: OnnxModel) -> OnnxModel:
    try:
        bundle = read_bundle(folder)
    except BundleError as error:
        _refuse("bundle", str(error), error)
    reasons = manifest_reasons(champion.manifest, bundle.manifest)
    if reasons:
        raise _Refusal(*reasons)
    try:
        return _load(bundle)
    except BundleUnfitError as error:
        _refuse("graph", str(error), error)
    except RuntimeMissingError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a bundle provokes in tokenizer or runtime speaks against it
        _refuse("does_not_load", f"{type(error).__name__}: {error}"[:500], error)


def _refuse(code: str, detail: str, cause: Exception) -> NoReturn:
    raise _Refusal(Reason(code, detail)) from cause


def _load(bundle: Bundle) -> OnnxModel:
    model = OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=bundle.manifest.max_tokens))
    model.warm_up()
    return model


def _measure(
    champion: OnnxModel, candidate: OnnxModel, posts: JudgingPosts, gate: GateSettings
) -> _Measurement:
    everything = [*posts.golden, *posts.audit]
    texts = texts_of(everything)
    before = answers(champion, texts)
    try:
        after = answers(candidate, texts)
        difference, equal = _batch_difference(candidate, texts[:_BATCH_CHECK_POSTS])
        swaps = _name_swaps(champion, candidate, posts.golden)
        parity = _parity(candidate)
    except NotFiniteError as error:
        _refuse("not_finite", str(error), error)
    old_ms, new_ms = _latencies_ms(champion, candidate, texts[:_TIMED_POSTS])
    measured = Measured(
        sets=_set_evaluations(posts, before, after, gate),
        swaps=swaps,
        batch_difference=difference,
        batch_labels_equal=equal,
        champion_latency_ms=old_ms,
        candidate_latency_ms=new_ms,
        champion_bytes=_served_bytes(champion.bundle),
        candidate_bytes=_served_bytes(candidate.bundle),
        champion_precision=champion.manifest.precision,
        candidate_precision=candidate.manifest.precision,
        company_head_is_new=before.spans is None and after.spans is not None,
    )
    drawn = _part(after, slice(len(posts.golden), None))
    reference = quality_of_answers([post.channel for post in posts.audit], drawn.labels, drawn.probabilities)
    pairs = GatePairs(against=champion.manifest.digest, pairs=gate_pairs(everything, before, after))
    return _Measurement(
        measured=measured,
        moved=moved_by_channel(everything, before, after),
        quality_reference=reference,
        pairs=pairs,
        parity=parity,
    )


def _parity(candidate: OnnxModel) -> ParitySample:
    """What the candidate says here of written texts: every machine that is to serve it must say the same."""
    texts = [post.text for post in read_golden(None)[::_PARITY_EVERY]]
    return ParitySample(
        tolerance=_PARITY_TOLERANCE[candidate.manifest.precision],
        texts=tuple(
            ParityText(
                text=text,
                probabilities={
                    head: tuple(round(each, 6) for each in probabilities)
                    for head, probabilities in said.by_head().items()
                },
            )
            for text, said in zip(texts, candidate.predict(texts), strict=True)
        ),
    )


def _set_evaluations(
    posts: JudgingPosts, before: Answers, after: Answers, gate: GateSettings
) -> tuple[SetEvaluation, ...]:
    golden = len(posts.golden)
    everything = [*posts.golden, *posts.audit]
    parts = {GOLDEN: slice(0, golden), AUDIT: slice(golden, None), POOLED: slice(None)}
    if not posts.audit:
        parts = {GOLDEN: slice(None)}
    elif not posts.golden:
        parts = {AUDIT: slice(None)}
    return tuple(
        evaluate(
            name,
            everything[part],
            _part(before, part),
            _part(after, part),
            gate.bootstrap_rounds,
            gate.seed,
        )
        for name, part in parts.items()
    )


def _part(whole: Answers, part: slice) -> Answers:
    probabilities = {head: rows[part] for head, rows in whole.probabilities.items()}
    return Answers(whole.labels, probabilities, whole.spans[part] if whole.spans is not None else None)


def _batch_difference(model: OnnxModel, texts: Sequence[str]) -> tuple[float, bool]:
    """How far a probability moves with batch neighbours under the bundle's own policy, and whether labels stay."""
    alone = [model.predict([text])[0] for text in texts]
    together = model.predict(texts)
    greatest, equal = 0.0, True
    for one, other in zip(alone, together, strict=True):
        mine, others = one.by_head(), other.by_head()
        for head, probabilities in mine.items():
            columns = len(getattr(model.manifest.outputs, head))
            pair = [np.array(each).reshape(-1, columns) for each in (probabilities, others[head])]
            greatest = max(greatest, float(np.abs(pair[0] - pair[1]).max()))
            equal = equal and bool((pair[0].argmax(axis=1) == pair[1].argmax(axis=1)).all())
    return greatest, equal


def _name_swaps(champion: OnnxModel, candidate: OnnxModel, golden: Sequence[JudgedPost]) -> NameSwaps | None:
    named = [post for post in golden if post.company]
    if (
        not named
        or champion.manifest.outputs.sentiment is None
        or candidate.manifest.outputs.sentiment is None
    ):
        return None
    variants = [[post.text, *(with_name(post, name) for name in SWAPPED_NAMES)] for post in named]
    flat = [text for texts in variants for text in texts]
    width = 1 + len(SWAPPED_NAMES)

    def called(model: OnnxModel) -> list[list[str]]:
        labels = answers(model, flat).called("sentiment")
        return [labels[start : start + width] for start in range(0, len(labels), width)]

    return name_swaps(called(champion), called(candidate))


def _latencies_ms(champion: OnnxModel, candidate: OnnxModel, texts: Sequence[str]) -> tuple[float, float]:
    """Milliseconds of processor time a post (one core): the best of several rounds taken in turn, so that what else
    the machine does counts for neither.
    """
    best = [float("inf"), float("inf")]
    for _ in range(_TIMED_ROUNDS):
        for place, model in enumerate((champion, candidate)):
            started = time.process_time()
            model.predict(texts)
            best[place] = min(best[place], (time.process_time() - started) * 1000.0 / len(texts))
    return best[0], best[1]


def _served_bytes(bundle: Bundle) -> int:
    files = bundle.manifest.files
    return files[MODEL_FILE].size_bytes + files[TOKENIZER_FILE].size_bytes
