"""The whole way with nothing stood in for: labels through Kafka, `retrain once`, torch, gate, store, announcement."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test a run")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test a run")

from retrain.core.labels import TrainingLabel
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.settings import RunSettings
from streamapp.contracts.messages import Label
from streamapp.inference.model_store import ModelStore
from tests.harness.cluster import TestCluster
from tests.harness.retrain_process import RetrainHouse
from tests.tiny_network import tiny_champion, tiny_golden, tiny_labels, write_lines

pytestmark = [pytest.mark.broker, pytest.mark.slow]

TRAINING = TrainingSettings(
    learning_rate=3e-3, head_learning_rate=5e-3, epochs=10, patience_epochs=5, int8="never", threads=1
)
GATE = GateSettings(name_flip_limit=0.6, negative_recall_margin=0.5, recall_margin=0.5)


def as_label(label: TrainingLabel) -> Label:
    return Label(post_id=label.post_id, text=label.text, channel=label.channel, sentiment=label.sentiment,
                 topic=label.topic, author="ann", labelled_at_ms=1_790_000_000_000 + label.labelled_at_ms,
                 origin="person", drawn=label.drawn)  # fmt: skip


def test_labels_of_people_become_the_announced_champion(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    champion = tiny_champion(tmp_path / "champion")
    golden = write_lines(tmp_path / "golden.jsonl", tiny_golden())
    run = RunSettings(folder=str(tmp_path / "runs"), golden=str(golden), most_starts=1)
    house = RetrainHouse(cluster(), champion, tmp_path, run=run, training=TRAINING, gate=GATE)
    judges = tiny_labels(60, 2, drawn="audit", channel="chat", start_ms=5_000)
    house.publish_labels(as_label(label) for label in [*tiny_labels(400, 1), *judges])
    answer = tmp_path / "answer.json"
    assert house.once("--json", str(answer), mode="train") == 0, house.log()
    said = json.loads(answer.read_text())
    assert said["result"] == "promoted", said
    present = house.line()[-1]
    bundle = ModelStore(tmp_path / "another-machine").fetch(present)
    assert (present.sequence, bundle.manifest.model_version) == (1, said["model_version"])
    assert bundle.manifest.metrics["gate"]["promote"] is True
    assert "train" in house.log()
    assert present.reason.startswith("a person asked for it; better: ")
