"""Figures of nannyml that estimated quality is compared with: `python -m tests.nannyml_figures` prints them.

nannyml brings gigabytes of other libraries and is no dependency. Where it is installed (0.13.1 with statsmodels,
pandas<3, numpy<2.3) this prints what NANNYML holds; the posts follow from arithmetic alone, so they are the same there.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamapp.contracts.messages import SENTIMENTS

POSTS = 4_000
# Exponents of the three raw weights: the reference is surer than what comes later, and has another mix of labels.
REFERENCE, LATER = (2.0, 1.0, 3.0), (1.0, 1.2, 1.1)
NANNYML = {"accuracy": 0.5275379024287519, "jensen_shannon": 0.21476951082589987}

Floats = NDArray[np.float64]


def posts(exponents: tuple[float, ...], offset: float) -> tuple[Floats, NDArray[np.int64]]:
    """Calibrated probabilities of `POSTS` posts, and true labels that fall as often as these say."""
    steps = np.arange(1, POSTS + 1)[:, None] * np.sqrt(np.array([2.0, 3.0, 5.0])) + offset
    weights = (steps % 1.0) ** np.array(exponents) + 0.02
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    chance = ((np.arange(1, POSTS + 1) * np.sqrt(7.0) + offset) % 1.0)[:, None]
    return probabilities, (probabilities.cumsum(axis=1) > chance).argmax(axis=1)


def main() -> None:
    import nannyml
    import pandas

    def frame(exponents: tuple[float, ...], offset: float) -> Any:
        probabilities, truth = posts(exponents, offset)
        columns = {f"p_{label}": probabilities[:, place] for place, label in enumerate(SENTIMENTS)}
        called = [SENTIMENTS[place] for place in probabilities.argmax(axis=1)]
        return pandas.DataFrame(
            {**columns, "called": called, "truth": [SENTIMENTS[place] for place in truth]}
        )

    reference, later = frame(REFERENCE, 0.1), frame(LATER, 0.3)
    cbpe = nannyml.CBPE(
        y_pred_proba={label: f"p_{label}" for label in SENTIMENTS}, y_pred="called", y_true="truth",
        problem_type="classification_multiclass", metrics=["accuracy"], chunk_size=POSTS,
    )  # fmt: skip
    drift = nannyml.UnivariateDriftCalculator(
        column_names=["called"], treat_as_categorical=["called"], categorical_methods=["jensen_shannon"],
        chunk_size=POSTS,
    )  # fmt: skip
    estimated = cbpe.fit(reference).estimate(later).filter(period="analysis").to_df()
    drifted = drift.fit(reference).calculate(later).filter(period="analysis").to_df()
    figures = {
        "accuracy": float(estimated["accuracy", "value"].iloc[0]),
        "jensen_shannon": float(drifted["called", "jensen_shannon", "value"].iloc[0]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
