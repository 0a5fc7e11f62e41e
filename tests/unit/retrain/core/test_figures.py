"""Figures of merit on cases small enough to count by hand."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [retrain] to test figures")

from retrain.core.figures import (  # only where the extra is installed
    expected_calibration_error,
    fitted_temperature,
    head_figures,
    macro_f1,
)

LABELS = ("negative", "neutral", "positive")


def sure(*labels: str) -> np.ndarray:
    return np.array([[1.0 if name == label else 0.0 for name in LABELS] for label in labels])


def test_figures_by_class_over_all_and_the_confusion() -> None:
    true = ["negative", "negative", "neutral", "positive"]
    found = head_figures(true, sure("negative", "neutral", "neutral", "negative"), LABELS)
    assert (found.texts, found.accuracy) == (4, 0.5)
    assert found.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    negative = found.classes["negative"]
    assert (negative.precision, negative.recall, negative.f1, negative.support) == (0.5, 0.5, 0.5, 2)
    assert found.macro_f1 == pytest.approx((0.5 + 2 / 3 + 0.0) / 3, abs=1e-4)


def test_labels_that_no_text_has_do_not_count_in_macro_f1() -> None:
    assert macro_f1(["negative", "positive"], ["negative", "positive"]) == 1.0
    assert set(head_figures(["negative"], sure("negative"), LABELS).classes) == {"negative"}


def test_an_honest_model_has_no_calibration_error_and_a_boaster_has_its_excess() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert expected_calibration_error(np.full(10, 0.8), right) == pytest.approx(0.0)
    assert expected_calibration_error(np.full(10, 0.99), right) == pytest.approx(0.19)
    assert expected_calibration_error(np.full(10, 1.0), right) == pytest.approx(0.2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_that_spread_the_logits(temperature: float) -> None:
    generator = np.random.default_rng(1)
    honest = generator.normal(size=(20_000, 3)) * 2
    odds = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = np.array([generator.choice(3, p=row) for row in odds])
    assert fitted_temperature(honest * temperature, targets) == pytest.approx(temperature, rel=0.05)
