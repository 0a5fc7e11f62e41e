"""A run's report, and the bundle that is published: the judged draft with its report, card, pictures and figures.

The served files are those that were judged, byte for byte. Must not decide anything.
"""

from pathlib import Path
from typing import Any

import msgspec

from retrain.core.dataset import Split, counts_of
from retrain.core.run_request import RetrainRequest
from retrain.drawings import confusion_png
from retrain.judge import Judgement
from retrain.model_card import model_card
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.evidence import GATE_PAIRS_FILE, PARITY_FILE
from streamapp.contracts.manifest import REPORT_FILE

CARD_FILE = "README.md"
_SIDES = ("train", "dev", "judging", "rehearsal")


def figures_of(judgement: Judgement) -> dict[str, Any]:
    """The few numbers that people and metrics follow from run to run, under flat names."""
    measured, exported = judgement.measured, judgement.exported
    figures: dict[str, Any] = {
        "judged_by": judgement.decision.judged_by,
        "parity_with_torch": exported.parity_with_torch,
        "int8_agreement": exported.int8_agreement,
    }
    if measured is None:
        return figures
    for tested in measured.sets:
        for head, found in tested.heads.items():
            prefix = f"{tested.name.replace(' ', '_')}_{head}"
            figures[f"{prefix}_macro_f1_before"] = found.before.macro_f1
            figures[f"{prefix}_macro_f1_after"] = found.after.macro_f1
            figures[f"{prefix}_ece_after"] = found.after.ece
        for when in ("before", "after") if tested.companies else ():
            spans = getattr(tested.companies, when)
            if spans is not None:
                figures[f"{tested.name.replace(' ', '_')}_companies_f1_{when}"] = spans.f1
    figures["latency_ms_before"] = round(measured.champion_latency_ms, 3)
    figures["latency_ms_after"] = round(measured.candidate_latency_ms, 3)
    return figures


def report_of(judgement: Judgement, split: Split, request: RetrainRequest) -> bytes:
    """Everything that was measured and decided, as JSON for programs and diffs. No text of a post is in it."""
    report = {
        "decision": judgement.decision,
        "exported": judgement.exported,
        "measured": judgement.measured,
        "moved": judgement.moved,
        "posts": {side: counts_of(getattr(split, side)) for side in _SIDES},
        "left_out": split.left_out,
        "fingerprints": split.prints,
        "training": request.training,
        "gate": request.gate,
        "seed": request.seed,
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def write_report(work: Path, judgement: Judgement, split: Split, request: RetrainRequest) -> Path:
    """The report beside the outcome."""
    path = work / REPORT_FILE
    write_whole(path, report_of(judgement, split, request))
    return path


def write_candidate_bundle(
    folder: Path, draft: Path, judgement: Judgement, split: Split, request: RetrainRequest
) -> Path:
    """The complete bundle in the new folder `folder`; one that an interrupted run left there is verified and kept.

    `manifest.metrics.gate` has the decision, the figures, and per channel how judged posts moved from the champion's
    sentiments to the candidate's (the prior for putting both versions' counts on one scale); `quality_reference` is
    what estimated quality in service is compared with (core/quality.py). `parity.json` and `gate_pairs.json` are for
    workers (contracts/evidence.py).
    """
    if folder.exists():
        return read_bundle(folder).folder
    bundle = read_bundle(draft)
    sides = {side: len(getattr(split, side)) for side in _SIDES}
    pictures = {
        f"confusion-{tested.name.replace(' ', '-')}-{head}.png": confusion_png(f"{tested.name} {head}", found)
        for tested in (judgement.measured.sets if judgement.measured else ())
        for head, found in tested.heads.items()
    }
    gate = {
        "promote": judgement.decision.promote,
        "reasons": judgement.decision.reasons,
        "figures": figures_of(judgement),
        "confusion": _sentiment_confusion(judgement),
        "moved": judgement.moved,
        "quality_reference": msgspec.to_builtins(judgement.quality_reference),
    }
    metrics = {**bundle.manifest.metrics, "gate": gate}
    manifest = msgspec.structs.replace(bundle.manifest, metrics=metrics, files={})
    files: dict[str, bytes | Path] = {
        **{name: bundle.path(name) for name in bundle.manifest.files},
        **pictures,
        REPORT_FILE: report_of(judgement, split, request),
        CARD_FILE: model_card(manifest, judgement, sides, sorted(pictures)).encode(),
        **_evidence(judgement),
    }
    write_bundle(folder, manifest, files)
    return read_bundle(folder).folder


def _evidence(judgement: Judgement) -> dict[str, bytes]:
    """What workers read before they serve it; none of a candidate that could not answer."""
    found = {PARITY_FILE: judgement.parity, GATE_PAIRS_FILE: judgement.pairs}
    return {name: msgspec.json.encode(each) + b"\n" for name, each in found.items() if each is not None}


def _sentiment_confusion(judgement: Judgement) -> dict[str, Any]:
    """The candidate's sentiment confusion on the widest set: rows as labelled, columns as called, in `labels` order."""
    if judgement.measured is None:
        return {}
    found = judgement.measured.sets[-1].heads.get("sentiment")
    return {"labels": found.after.labels, "matrix": found.after.confusion} if found else {}
