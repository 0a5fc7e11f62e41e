"""Measures a bundle on labelled texts, through the engine that serves it.

Must not know torch: what is measured is what users get.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from retrain.core.figures import HeadFigures, head_figures
from retrain.training.examples import Example, SourceSet, read_examples
from streamapp.inference.onnx_model import OnnxModel

Figures = dict[str, dict[str, HeadFigures]]

FORCED_CHOICE = "sentiment_forced_choice"


def measure(model: OnnxModel, examples: Sequence[Example]) -> Figures:
    """Figures by set and head. A set without neutral also gets a forced choice between negative and
    positive.
    """
    figures: Figures = {}
    for source in sorted({example.source for example in examples}):
        mine = [example for example in examples if example.source == source]
        predictions = model.predict([example.text for example in mine])
        figures[source] = {}
        for head in ("sentiment", "topic"):
            labels = getattr(model.manifest.outputs, head)
            rows = [place for place, example in enumerate(mine) if getattr(example, head) is not None]
            if not rows or labels is None:
                continue
            true = [getattr(mine[row], head) for row in rows]
            probabilities = np.array([getattr(predictions[row], head) for row in rows])
            figures[source][head] = head_figures(true, probabilities, labels)
            if head == "sentiment" and all(mine[row].polar_only for row in rows):
                chosen = probabilities[:, [labels.index("negative"), labels.index("positive")]]
                chosen = chosen / chosen.sum(axis=1, keepdims=True)
                figures[source][FORCED_CHOICE] = head_figures(true, chosen, ("negative", "positive"))
    return figures


def benchmark_examples(datasets: Path, sources: Sequence[SourceSet]) -> list[Example]:
    """Every labelled text of the sets that are only measured on, whatever their split."""
    examples = [example for source in sources for example in read_examples(datasets, source)]
    return [msgspec.structs.replace(example, split="test") for example in examples]


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """The few figures of a report that belong in the manifest, by set and head."""
    return {
        group: {
            source: {
                head: {
                    "accuracy": figures.accuracy,
                    "macro_f1": figures.macro_f1,
                    "ece": figures.ece,
                    "texts": figures.texts,
                }
                for head, figures in heads.items()
            }
            for source, heads in report[group].items()
        }
        for group in ("tests", "benchmarks")
    }
