"""The model card of a candidate in Hugging Face form: the decision, figures before and after, data, limits."""

from collections.abc import Iterator, Sequence

from huggingface_hub import EvalResult, ModelCardData

from retrain.core.company_labels import SpanEvaluation
from retrain.core.evaluation import HeadEvaluation, SetEvaluation
from retrain.judge import Judgement
from streamapp.contracts.manifest import Manifest
from streamapp.core.foreign_text import printable

_LIMITS = """## Limits

- It gives an opinion on a text, not advice on a security.
- It learnt from the labels of one installation: figures hold for posts like those that judged it.
- Sarcasm, and figures that need arithmetic (a loss smaller than feared), are read poorly."""


def model_card(
    manifest: Manifest, judgement: Judgement, sides: dict[str, int], pictures: Sequence[str]
) -> str:
    """The card as Markdown; `sides` are posts by side of the split, `pictures` file names within the bundle."""
    measured = judgement.measured
    sets = measured.sets if measured else ()
    sections = [
        f"---\n{_front_matter(manifest, sets).to_yaml()}\n---",
        _introduction(manifest),
        _decision(judgement),
        *(_overview(tested) for tested in sets),
        *(_classes(tested.name, head, found) for tested in sets for head, found in tested.heads.items()),
        *(_companies(tested.name, tested.companies) for tested in sets if tested.companies),
        *(f"![Confusion before and after]({name})" for name in pictures),
        *([_guards(judgement)] if measured else []),
        _data(manifest, sides),
        _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(manifest: Manifest, sets: Sequence[SetEvaluation]) -> ModelCardData:
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type="own",
            dataset_name=f"{tested.name}: {head}",
            metric_type=metric,
            metric_value=value,
        )
        for tested in sets
        for head, found in tested.heads.items()
        for metric, value in (("f1", found.after.macro_f1), ("accuracy", found.after.accuracy))
    ]
    results += [
        EvalResult(
            task_type="token-classification",
            dataset_type="own",
            dataset_name=f"{tested.name}: companies",
            metric_type="f1",
            metric_value=tested.companies.after.f1,
        )
        for tested in sets
        if tested.companies is not None and tested.companies.after is not None
    ]
    return ModelCardData(
        language=list(manifest.languages),
        license=manifest.licence.lower(),
        library_name="onnx",
        pipeline_tag="text-classification",
        tags=["finance", "sentiment"],
        model_name=manifest.model_version if results else None,
        eval_results=results or None,
    )


def _introduction(manifest: Manifest) -> str:
    outputs = manifest.outputs
    heads = [
        *([f"sentiment ({', '.join(outputs.sentiment)})"] if outputs.sentiment else []),
        *([f"one of {len(outputs.topic)} topics"] if outputs.topic else []),
        *(["where companies are named"] if outputs.entities else []),
    ]
    return (
        f"# {manifest.model_version}\n\n"
        f"Says {' and '.join(heads)} of short financial news and chat.\n"
        f"Encoder: {printable(manifest.encoder)}. Precision {manifest.precision}, batch policy "
        f"{manifest.batch_policy}, at most {manifest.max_tokens} tokens a text.\n"
        f"Trained on from {manifest.metrics.get('trained_from')}. Temperatures: {manifest.temperatures}."
    )


def _decision(judgement: Judgement) -> str:
    word = "Promoted" if judgement.decision.promote else "Refused"
    reasons = "\n".join(f"- {printable(reason)}" for reason in judgement.decision.reasons)
    return f"## {word}\n\nJudged by: {judgement.decision.judged_by}.\n\n{reasons}"


def _overview(tested: SetEvaluation) -> str:
    lines = [
        f"## {tested.name.capitalize()}: {tested.posts} posts",
        "",
        "| head | posts | accuracy | macro-F1 | ECE | McNemar p | difference (90 %) |",
        "|---|---|---|---|---|---|---|",
    ]
    for head, found in tested.heads.items():
        before, after, test = found.before, found.after, found.test
        lines.append(
            f"| {head} | {after.texts} | {before.accuracy:.3f} to {after.accuracy:.3f} "
            f"| {before.macro_f1:.3f} to {after.macro_f1:.3f} | {before.ece:.3f} to {after.ece:.3f} "
            f"| {test.mcnemar_p:.3f} "
            f"| {test.difference:+.3f} ({test.interval[0]:+.3f} to {test.interval[1]:+.3f}) |"
        )
    return "\n".join(lines)


def _classes(name: str, head: str, found: HeadEvaluation) -> str:
    lines = [
        f"### {name}: {head}",
        "",
        "| label | precision | recall | F1 | support |",
        "|---|---|---|---|---|",
    ]
    for label, after in found.after.classes.items():
        before = found.before.classes[label]
        lines.append(
            f"| {label} | {before.precision:.3f} to {after.precision:.3f} | {before.recall:.3f} to {after.recall:.3f} "
            f"| {before.f1:.3f} to {after.f1:.3f} | {after.support} |"
        )
    return "\n".join(lines)


def _companies(name: str, found: SpanEvaluation) -> str:
    lines = [
        f"### {name}: companies",
        "",
        f"Found with both ends right, on {found.posts} posts whose companies people marked.",
        "",
        "| | precision | recall | F1 | labelled | found |",
        "|---|---|---|---|---|---|",
    ]
    for who, figures in (("champion", found.before), ("candidate", found.after)):
        if figures is None:
            lines.append(f"| {who} | does not look for them | | | | |")
        else:
            lines.append(
                f"| {who} | {figures.precision:.3f} | {figures.recall:.3f} | {figures.f1:.3f} | {figures.labelled} "
                f"| {figures.found} |"
            )
    if found.difference is not None and found.interval is not None:
        low, high = found.interval
        lines += ["", f"Difference of F1 {found.difference:+.3f} (90 %: {low:+.3f} to {high:+.3f})."]
    return "\n".join(lines)


def _guards(judgement: Judgement) -> str:
    return "\n".join(
        ["## Guards", "", "| what | champion | candidate |", "|---|---|---|", *_guard_rows(judgement)]
    )


def _guard_rows(judgement: Judgement) -> Iterator[str]:
    measured, exported = judgement.measured, judgement.exported
    if measured is None:
        return
    yield f"| ms a post, one core | {measured.champion_latency_ms:.2f} | {measured.candidate_latency_ms:.2f} |"
    yield f"| bytes served | {measured.champion_bytes} | {measured.candidate_bytes} |"
    yield f"| moves with batch neighbours | | {measured.batch_difference:.1e} |"
    yield f"| differs from torch | | {_or_dash(exported.parity_with_torch)} |"
    yield f"| 8-bit labels as float32 | | {_or_dash(exported.int8_agreement)} |"
    if measured.swaps is not None:
        swaps = measured.swaps
        yield f"| changed by another company's name | {swaps.before:.3f} | {swaps.after:.3f} |"
    for part in measured.sets[-1].slices:
        yield f"| accuracy, {_cell(part.name)} ({part.posts}) | {part.before:.3f} | {part.after:.3f} |"


def _cell(text: str) -> str:
    """A stranger's text within a table."""
    return printable(text).replace("|", "\\|")


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _data(manifest: Manifest, sides: dict[str, int]) -> str:
    lines = [
        "## Trained on",
        "",
        ", ".join(f"{side}: {posts} posts" for side, posts in sides.items()) + ".",
        "",
        "| set | texts | licence | by |",
        "|---|---|---|---|",
    ]
    for source in manifest.sources:
        said = " | ".join(_cell(text) for text in (source.licence, source.attribution))
        lines.append(f"| {_cell(source.name)} | {source.texts} | {said} |")
    return "\n".join(lines)
