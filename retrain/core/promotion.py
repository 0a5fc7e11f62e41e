"""Whether a candidate may serve: every reason against it, each with its name, its figure and its limit.

Pure. An empty list of reasons is the promotion; nothing else is.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from retrain.core.company_labels import COMPANY_HEAD
from retrain.core.evaluation import NameSwaps, SetEvaluation
from retrain.core.run_settings import GateSettings
from streamapp.contracts.manifest import TOKENIZER_FILE, Manifest, Precision

GOLDEN, AUDIT, POOLED = "golden", "audit", "golden and audit"


class Reason(Struct, frozen=True):
    """Why not: a code for programs and metrics, a sentence with figures for people."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Exported(Struct, frozen=True, kw_only=True):
    """What the export said of the candidate: None where it was not measured (a bundle from elsewhere).

    `newest_label_ms` is the newest label it learnt from, `champion_newest_label_ms` the same of the champion.
    """

    parity_with_torch: float | None = None
    int8_agreement: float | None = None
    newest_label_ms: int | None = None
    champion_newest_label_ms: int | None = None


class Measured(Struct, frozen=True, kw_only=True):
    """What judging found. `sets` are named GOLDEN, AUDIT and POOLED; sizes are those of the files that are served."""

    sets: tuple[SetEvaluation, ...]
    swaps: NameSwaps | None
    batch_difference: float
    batch_labels_equal: bool
    champion_latency_ms: float
    candidate_latency_ms: float
    champion_bytes: int
    candidate_bytes: int
    champion_precision: Precision = "fp32"
    candidate_precision: Precision = "fp32"
    company_head_is_new: bool = False


class Decision(Struct, frozen=True, kw_only=True):
    """`promote` and why, or the reasons why not. `judged_by` is the set whose paired test decided."""

    promote: bool
    reasons: tuple[str, ...]
    judged_by: str


def manifest_reasons(champion: Manifest, candidate: Manifest) -> list[Reason]:
    """What already the manifests rule out: an older or the same bundle, labels or tokens that mean something else."""
    found = []
    if candidate.digest == champion.digest or candidate.model_version == champion.model_version:
        found.append(Reason("same_version", f"it is {champion.model_version} already"))
    elif candidate.created_at <= champion.created_at:
        detail = f"made {candidate.created_at}, the champion {champion.created_at}"
        found.append(Reason("older_than_champion", detail))
    for head in ("sentiment", "topic", COMPANY_HEAD):
        old, new = getattr(champion.outputs, head), getattr(candidate.outputs, head)
        if old is None or new == old:
            continue
        missing = [label for label in old if label not in (new or ())]
        if missing:
            found.append(Reason("labels_missing", f"{head} lacks {', '.join(missing)}"))
        elif new[: len(old)] != old:
            detail = f"{head} has the champion's labels in another order: {', '.join(new)}"
            found.append(Reason("label_order", detail))
    if _other_tokenizer(champion, candidate):
        found.append(Reason("other_tokenizer", f"same encoder ({champion.encoder}), other {TOKENIZER_FILE}"))
    return found


def decide(measured: Measured, exported: Exported, gate: GateSettings) -> Decision:
    """Promote if better, or equal and fresher, and nothing that must not fall has fallen."""
    judge = _judging_set(measured.sets, gate)
    # Audit labels may judge alone, and still nothing may fall on the golden set.
    guarding = [tested for tested in measured.sets if tested is judge or _guards(tested, judge)]
    reasons = [
        *_quality_reasons(judge, exported, gate),
        *(reason for tested in guarding for reason in _recall_reasons(tested, gate)),
        *_calibration_reasons(judge, gate),
        *_export_reasons(exported, gate),
        *_serving_reasons(measured, gate),
        *(reason for tested in guarding for reason in _slice_reasons(tested, gate)),
        *_swap_reasons(measured.swaps, gate),
        *_company_reasons(measured, guarding, gate),
    ]
    name = judge.name if judge else "none"
    if reasons:
        return Decision(promote=False, reasons=tuple(map(str, reasons)), judged_by=name)
    return Decision(promote=True, reasons=(_praise(judge, gate),), judged_by=name)


def refused(reasons: Sequence[Reason]) -> Decision:
    """A refusal before anything was measured."""
    return Decision(promote=False, reasons=tuple(map(str, reasons)), judged_by="none")


def _other_tokenizer(champion: Manifest, candidate: Manifest) -> bool:
    old, new = champion.files.get(TOKENIZER_FILE), candidate.files.get(TOKENIZER_FILE)
    return champion.encoder == candidate.encoder and old is not None and new is not None and old != new


def _judging_set(sets: Sequence[SetEvaluation], gate: GateSettings) -> SetEvaluation | None:
    by_name = {tested.name: tested for tested in sets if tested.overall is not None}
    audit = by_name.get(AUDIT)
    if audit is not None and audit.posts >= gate.audit_judges_alone_from:
        return audit
    return by_name.get(POOLED) or by_name.get(GOLDEN) or audit


def _guards(tested: SetEvaluation, judge: SetEvaluation | None) -> bool:
    return judge is not None and judge.name == AUDIT and tested.name == GOLDEN


def _quality_reasons(judge: SetEvaluation | None, exported: Exported, gate: GateSettings) -> Iterator[Reason]:
    test = judge.overall if judge else None
    if judge is None or test is None:
        yield Reason(
            "nothing_judges", "neither a golden set nor audit labels with a label that both models know"
        )
        return
    if test.better_p <= gate.level:
        return
    figures = (
        f"macro-F1 {test.difference:+.4f} on {test.posts} posts ({judge.name}), 90 % interval "
        f"{test.interval[0]:+.4f} to {test.interval[1]:+.4f}, p {test.better_p:.3f} (level {gate.level})"
    )
    if test.worse_p <= gate.level or test.difference < -gate.equal_margin:
        yield Reason("worse", figures)
    elif not gate.equal_if_fresher:
        yield Reason("not_better", figures)
    elif not _fresher(exported):
        yield Reason("not_better_nor_fresher", f"{figures}; no label is newer than the champion's")


def _fresher(exported: Exported) -> bool:
    mine, other = exported.newest_label_ms, exported.champion_newest_label_ms
    return mine is not None and (other is None or mine > other)


def _recall_reasons(tested: SetEvaluation, gate: GateSettings) -> Iterator[Reason]:
    for head, found in tested.heads.items():
        for label, before in found.before.classes.items():
            negative = head == "sentiment" and label == "negative"
            margin = gate.negative_recall_margin if negative else gate.recall_margin
            after = found.after.classes[label].recall
            # One post is no evidence, whatever share of a small class it is.
            slack = margin + 1.0 / before.support
            if before.support >= gate.fewest_of_a_slice and before.recall - after > slack:
                yield Reason(
                    "recall_fell",
                    f"{head} {label} {before.recall:.3f} to {after:.3f} on {before.support} posts "
                    f"({tested.name}; margin {margin} and one post)",
                )
            elif head == "sentiment" and after == 0.0 and before.recall > slack:
                yield Reason("class_collapsed", f"{head} {label} is never found ({tested.name})")


def _calibration_reasons(judge: SetEvaluation | None, gate: GateSettings) -> Iterator[Reason]:
    for head, found in (judge.heads if judge else {}).items():
        limit = max(gate.largest_ece, found.before.ece + gate.ece_margin)
        if found.after.ece > limit:
            yield Reason(
                "not_calibrated", f"{head} expected calibration error {found.after.ece} (limit {limit:.3f})"
            )


def _export_reasons(exported: Exported, gate: GateSettings) -> Iterator[Reason]:
    parity, agreement = exported.parity_with_torch, exported.int8_agreement
    if parity is not None and not parity <= gate.parity_limit:
        yield Reason("parity", f"bundle and torch differ by {parity:.2e} (limit {gate.parity_limit:.0e})")
    if agreement is not None and not agreement >= gate.least_int8_agreement:
        yield Reason("int8_agreement", f"{agreement:.4f} of labels (limit {gate.least_int8_agreement})")


def _serving_reasons(measured: Measured, gate: GateSettings) -> Iterator[Reason]:
    if not measured.batch_labels_equal or measured.batch_difference > gate.batch_difference_limit:
        yield Reason(
            "depends_on_batch",
            f"probabilities move by {measured.batch_difference:.1e} with batch neighbours "
            f"(limit {gate.batch_difference_limit:.0e})",
        )
    widened = measured.champion_precision == "int8" != measured.candidate_precision
    slowest = gate.float_latency_ratio_limit if widened else gate.latency_ratio_limit
    largest = gate.float_size_ratio_limit if widened else gate.size_ratio_limit
    champion_ms, candidate_ms = measured.champion_latency_ms, measured.candidate_latency_ms
    if candidate_ms > max(slowest * champion_ms, champion_ms + gate.latency_slack_ms):
        yield Reason(
            "slow",
            f"{candidate_ms:.2f} ms of processor time a post, champion {champion_ms:.2f} "
            f"(limit {slowest} times and {gate.latency_slack_ms} ms)",
        )
    growth = measured.candidate_bytes / measured.champion_bytes
    if growth > largest:
        yield Reason(
            "large",
            f"{measured.candidate_bytes} bytes, champion {measured.champion_bytes} "
            f"({growth:.2f} times, limit {largest})",
        )


def _slice_reasons(tested: SetEvaluation, gate: GateSettings) -> Iterator[Reason]:
    for part in tested.slices:
        slack = gate.slice_margin + 1.0 / part.posts
        if part.posts >= gate.fewest_of_a_slice and part.before - part.after > slack:
            yield Reason(
                "slice_fell",
                f"accuracy on {part.name} {part.before:.3f} to {part.after:.3f} on {part.posts} posts "
                f"({tested.name}; margin {gate.slice_margin} and one post)",
            )


def _swap_reasons(swaps: NameSwaps | None, gate: GateSettings) -> Iterator[Reason]:
    if swaps is None or swaps.exchanges < gate.fewest_of_a_slice:
        return
    limit = max(gate.name_flip_limit, swaps.before + gate.name_flip_margin)
    if swaps.after > limit:
        yield Reason(
            "name_bias",
            f"another company's name changes {swaps.after:.3f} of sentiments, champion {swaps.before:.3f} "
            f"(limit {limit:.3f})",
        )


def _company_reasons(
    measured: Measured, guarding: Sequence[SetEvaluation], gate: GateSettings
) -> Iterator[Reason]:
    """Against a head for companies that finds fewer than the champion's, or that is new and not good enough."""
    for tested in guarding:
        found = tested.companies
        if found is None or found.before is None or found.after is None:
            continue
        # One company is no evidence, whatever share of the few it is.
        slack = gate.span_f1_margin + 1.0 / max(1, found.after.labelled)
        if found.after.labelled >= gate.fewest_of_a_slice and found.before.f1 - found.after.f1 > slack:
            yield Reason(
                "companies_fell",
                f"F1 {found.before.f1:.3f} to {found.after.f1:.3f} on {found.after.labelled} companies "
                f"({tested.name}; margin {gate.span_f1_margin} and one company)",
            )
    if measured.company_head_is_new:
        best = [tested.companies for tested in guarding if tested.companies and tested.companies.after]
        widest = max(
            (each.after for each in best if each.after), key=lambda each: each.labelled, default=None
        )
        if widest is None or widest.labelled < gate.fewest_of_a_slice:
            judged = widest.labelled if widest else 0
            yield Reason(
                "companies_not_judged",
                f"the head for companies is new and {judged} labelled companies judge it, at least "
                f"{gate.fewest_of_a_slice} are needed",
            )
        elif widest.f1 < gate.least_span_f1:
            yield Reason(
                "companies_poor",
                f"F1 {widest.f1:.3f} on {widest.labelled} companies, a new head needs {gate.least_span_f1}",
            )


def _praise(judge: SetEvaluation | None, gate: GateSettings) -> str:
    test = judge.overall if judge else None
    if judge is None or test is None:  # decide() refuses without a judging set
        raise ValueError("nothing judged")
    better = test.better_p <= gate.level
    return (
        f"{'better' if better else 'equal_and_fresher'}: macro-F1 {test.difference:+.4f} on {test.posts} posts "
        f"({judge.name}), bootstrap p {test.better_p:.4f}, McNemar p {test.mcnemar_p:.4f}"
    )
