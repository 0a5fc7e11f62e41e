"""A whole run whose labels say where companies stand: the promoted bundle finds them, the next run goes on from it."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test a run")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test a run")

from retrain.core.run_request import RetrainRequest, RunOutcome
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.pipeline import run_retrain
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.manifest import COMPANY_LABELS
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from tests.tiny_network import tiny_champion, tiny_company_labels, tiny_golden, write_lines

TRAINING = TrainingSettings(
    learning_rate=3e-3,
    head_learning_rate=5e-3,
    epochs=14,
    patience_epochs=14,
    rehearsal_ratio=0.0,
    int8="never",
    threads=1,
    company_head_posts=300,
)
# Tiny graphs spend their time on anything but products, and the first champion guesses.
GATE = GateSettings(
    name_flip_limit=1.0,
    negative_recall_margin=0.5,
    recall_margin=0.5,
    latency_ratio_limit=20.0,
    size_ratio_limit=5.0,
    largest_ece=0.4,
)


def run(folder: Path, champion: Path, seed: int, start_ms: int, *, said: bool = True) -> RunOutcome:
    folder.mkdir()
    labels = tiny_company_labels(650, seed, said=said, start_ms=start_ms)
    judges = tiny_company_labels(60, seed + 1, drawn="audit", start_ms=start_ms + 5_000)
    request = RetrainRequest(
        champion_bundle=champion,
        labels=write_lines(folder / "labels.jsonl", [*labels, *judges]),
        golden=write_lines(folder / "golden.jsonl", tiny_golden()),
        work=folder / "work",
        training=TRAINING,
        gate=GATE,
    )
    return run_retrain(request, lambda _stage, _done, _detail: None)


def test_marked_companies_become_a_head_that_serves_and_is_kept(tmp_path: Path) -> None:
    first = run(tmp_path / "first", tiny_champion(tmp_path / "champion"), 1, 1_000)
    assert first.decision == "promote", first.reasons
    assert first.candidate is not None
    bundle = read_bundle(first.candidate)
    assert bundle.manifest.outputs.entities == COMPANY_LABELS
    name = "golden_and_audit_companies_f1"
    assert f"{name}_before" not in first.figures
    assert first.figures[f"{name}_after"] > 0.7
    said = OnnxModel.load(bundle, ModelSettings(sessions=1)).predict(["word1 acme siemens slump"])[0]
    assert said.entities is not None
    assert len(said.entities.words) == 4
    again = run(tmp_path / "second", first.candidate, 11, 100_000, said=False)
    assert again.candidate is not None
    assert read_bundle(again.candidate).manifest.outputs.entities == COMPANY_LABELS
    assert again.figures[f"{name}_before"] > 0.7
    assert again.figures[f"{name}_after"] > again.figures[f"{name}_before"] - 0.2


def test_without_places_of_companies_a_run_makes_no_head(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = msgspec.structs.replace(TRAINING, epochs=1)
    folder.mkdir()
    request = RetrainRequest(
        champion_bundle=tiny_champion(tmp_path / "champion"),
        labels=write_lines(folder / "labels.jsonl", tiny_company_labels(400, 1, said=False)),
        golden=write_lines(folder / "golden.jsonl", tiny_golden()),
        work=folder / "work",
        training=settings,
        gate=GATE,
    )
    outcome = run_retrain(request, lambda _stage, _done, _detail: None)
    assert outcome.candidate is not None
    assert read_bundle(outcome.candidate).manifest.outputs.entities is None
    assert not any("companies" in figure for figure in outcome.figures)
