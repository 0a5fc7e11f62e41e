"""Confusion matrices as PNG, one picture a head: before on the left, after on the right."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrain.core.evaluation import HeadEvaluation
from retrain.core.figures import HeadFigures

_INCHES_A_LABEL, _LEAST_INCHES = 0.32, 3.4
_MOST_NUMBERED_LABELS = 30


def confusion_png(title: str, found: HeadEvaluation) -> bytes:
    """Rows are what people said, columns what the model called; colours are shares of a row."""
    labels = max(len(found.before.labels), len(found.after.labels))
    side = max(_LEAST_INCHES, _INCHES_A_LABEL * labels + 2.0)
    figure = Figure(figsize=(2 * side, side), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, f"{title}: champion", found.before)
    _draw(right, f"{title}: candidate", found.after)
    written = io.BytesIO()
    # Without the library's version and the time in it, equal matrices give equal files.
    figure.savefig(written, format="png", dpi=100, metadata={"Software": None})
    return written.getvalue()


def _draw(axes: Axes, title: str, figures: HeadFigures) -> None:
    counts = np.array(figures.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    places = range(len(figures.labels))
    axes.set_title(f"{title}\nmacro-F1 {figures.macro_f1:.3f}, {figures.texts} posts", fontsize=9)
    axes.set_xticks(places, figures.labels, rotation=90, fontsize=7)
    axes.set_yticks(places, figures.labels, fontsize=7)
    axes.set_xlabel("called", fontsize=8)
    axes.set_ylabel("labelled", fontsize=8)
    if len(figures.labels) > _MOST_NUMBERED_LABELS:
        return
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=6)
