"""The model card of a bundle: what it is for, its figures, its data and their licences, in Markdown."""

from typing import Any

from retrain.core.figures import HeadFigures
from streamapp.contracts.manifest import Manifest

_FIGURES = """## Figures

Test splits of the sets it was trained on; no test text, nor a near copy of one, was trained on."""
_PRECISION = {
    "fp32": "Weights are stored in half precision and widened at load; it computes in float32.",
    "fp16": "It computes in half precision.",
    "int8": "Products are in 8 bits (smoothed, per channel); one text a forward pass, see batch_policy.",
}
_LIMITS = """## Limits

- English only. Sarcasm, and figures that need arithmetic (a loss smaller than feared), are read poorly.
- Chat was learnt from posters' own bullish and bearish tags, which know no neutral: neutral chat is the
  weakest point.
- `sentiment_forced_choice` lets only negative and positive compete, as the tags of that set do.
- It gives an opinion on a text, not advice on a security."""


def model_card(manifest: Manifest, report: dict[str, Any]) -> str:
    """The card as Markdown. `report` holds `tests` and `benchmarks` as figures by set and head."""
    sections = [
        _front_matter(manifest),
        _introduction(manifest),
        _FIGURES,
        _overview(report["tests"]),
        "Sets that were only measured on, whole:",
        _overview(report["benchmarks"]),
        *(_classes(source, head, figures) for source, head, figures in _rows(report["tests"])),
        _data(manifest),
        _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(manifest: Manifest) -> str:
    languages = "".join(f"- {language}\n" for language in manifest.languages)
    return f"---\nlicense: apache-2.0\nlanguage:\n{languages}pipeline_tag: text-classification\n---"


def _introduction(manifest: Manifest) -> str:
    outputs = manifest.outputs
    return (
        f"# {manifest.model_version}\n\n"
        f"Sentiment ({', '.join(outputs.sentiment or ())}) and one of {len(outputs.topic or ())} topics\n"
        "of short English financial news and chat, by one pass of a small encoder with two heads:\n"
        f"{manifest.encoder}, fine-tuned. {_PRECISION[manifest.precision]}\n"
        f"At most {manifest.max_tokens} tokens a text; the tokenizer's normaliser drops links. Probabilities are\n"
        f"calibrated by one temperature a head: {manifest.temperatures}."
    )


def _overview(figures: dict[str, dict[str, HeadFigures]]) -> str:
    lines = ["| set | head | texts | accuracy | macro-F1 | ECE |", "|---|---|---|---|---|---|"]
    for source, head, found in _rows(figures):
        figures_of_head = f"{found.texts} | {found.accuracy:.3f} | {found.macro_f1:.3f} | {found.ece:.3f}"
        lines.append(f"| {source} | {head} | {figures_of_head} |")
    return "\n".join(lines)


def _classes(source: str, head: str, figures: HeadFigures) -> str:
    lines = [
        f"### {source}: {head}",
        "",
        "| label | precision | recall | F1 | support |",
        "|---|---|---|---|---|",
    ]
    for label, found in figures.classes.items():
        figures_of_label = f"{found.precision:.3f} | {found.recall:.3f} | {found.f1:.3f} | {found.support}"
        lines.append(f"| {label} | {figures_of_label} |")
    return "\n".join(lines)


def _data(manifest: Manifest) -> str:
    lines = ["## Trained on", "", "| set | texts | licence | by |", "|---|---|---|---|"]
    for source in manifest.sources:
        lines.append(f"| {source.name} | {source.texts} | {source.licence} | {source.attribution} |")
    return "\n".join(lines)


def _rows(figures: dict[str, dict[str, HeadFigures]]) -> list[tuple[str, str, HeadFigures]]:
    return [(source, head, found) for source, heads in figures.items() for head, found in heads.items()]
