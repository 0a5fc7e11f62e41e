"""Figures of merit: per class, over all, the confusion, and how honest the probabilities are.

Pure numbers; must not know networks or files.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import classification_report, confusion_matrix, f1_score

_ECE_BINS = 15


class ClassFigures(Struct, frozen=True):
    """One label against all others; `support` is how many texts have it."""

    precision: float
    recall: float
    f1: float
    support: int


class HeadFigures(Struct, frozen=True, kw_only=True):
    """One head on one test set. `confusion[i][j]`: texts labelled i that the model called j, in `labels`
    order.
    """

    texts: int
    accuracy: float
    macro_f1: float
    ece: float
    labels: tuple[str, ...]
    classes: dict[str, ClassFigures]
    confusion: tuple[tuple[int, ...], ...]


def macro_f1(true: Sequence[str], found: Sequence[str]) -> float:
    """Mean F1 over the labels that occur in `true`."""
    return float(f1_score(true, found, labels=sorted(set(true)), average="macro", zero_division=0.0))


def head_figures(
    true: Sequence[str], probabilities: NDArray[np.float64], labels: tuple[str, ...]
) -> HeadFigures:
    """All figures of one head; `probabilities` has one row a text, columns in `labels` order."""
    found = [labels[index] for index in probabilities.argmax(axis=1)]
    present = [label for label in labels if label in set(true)]
    report = classification_report(true, found, labels=present, output_dict=True, zero_division=0.0)
    classes = {
        label: ClassFigures(
            precision=round(report[label]["precision"], 4),
            recall=round(report[label]["recall"], 4),
            f1=round(report[label]["f1-score"], 4),
            support=int(report[label]["support"]),
        )
        for label in present
    }
    matrix = confusion_matrix(true, found, labels=list(labels))
    right = np.array([one == other for one, other in zip(true, found, strict=True)])
    return HeadFigures(
        texts=len(true),
        accuracy=round(float(right.mean()), 4),
        macro_f1=round(macro_f1(true, found), 4),
        ece=round(expected_calibration_error(probabilities.max(axis=1), right), 4),
        labels=labels,
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
    )


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean |confidence - accuracy| over 15 equal-width bins, weighted by their texts (Guo et al. 2017)."""
    bins = np.minimum((confidence * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = [
        abs(confidence[bins == number].mean() - right[bins == number].mean()) * (bins == number).mean()
        for number in np.unique(bins)
    ]
    return float(sum(gaps))


def fitted_temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The temperature that gives `targets` the highest likelihood under softmax(logits / t) (Guo et al.
    2017).
    """

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        log_likelihood = scaled[np.arange(len(targets)), targets] - np.log(np.exp(scaled).sum(axis=1))
        return float(-log_likelihood.mean())

    found = minimize_scalar(negative_log_likelihood, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)
