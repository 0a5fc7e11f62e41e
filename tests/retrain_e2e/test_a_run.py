"""A whole run in its own process: labels in, a judged bundle and an outcome out; killed on the way, it goes on."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test a run")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test a run")

from retrain.core.quality import gate_reference
from retrain.core.run_request import OUTCOME_FILE, RetrainRequest, RunOutcome, encode_run
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.run import read_outcome
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.manifest import REPORT_FILE
from tests.tiny_network import tiny_champion, tiny_golden, tiny_labels, write_lines

REPOSITORY = Path(__file__).parent.parent.parent
TRAINING = TrainingSettings(
    learning_rate=3e-3,
    head_learning_rate=5e-3,
    epochs=10,
    patience_epochs=5,
    rehearsal_ratio=0.1,
    int8="never",
    threads=1,
)
# The champion guesses, so it may be right on one class by luck; tiny graphs spend their time on anything but products.
GATE = GateSettings(
    name_flip_limit=0.6,
    negative_recall_margin=0.5,
    recall_margin=0.5,
    latency_ratio_limit=8.0,
    size_ratio_limit=3.0,
)


def request(folder: Path, *, shuffled: bool = False, **changes: object) -> RetrainRequest:
    labels = tiny_labels(400, 1)
    if shuffled:
        sentiments = [label.sentiment for label in labels]
        random.Random(5).shuffle(sentiments)
        labels = [
            msgspec.structs.replace(label, sentiment=other)
            for label, other in zip(labels, sentiments, strict=True)
        ]
    judges = tiny_labels(60, 2, drawn="audit", channel="chat", start_ms=5_000)
    asked = RetrainRequest(
        champion_bundle=tiny_champion(folder / "champion"),
        labels=write_lines(folder / "labels.jsonl", [*labels, *judges]),
        golden=write_lines(folder / "golden.jsonl", tiny_golden()),
        work=folder / "work",
        training=TRAINING,
        gate=GATE,
    )
    return msgspec.structs.replace(asked, **changes)


def start(asked: RetrainRequest) -> subprocess.Popen[str]:
    path = asked.labels.with_name("request.json")
    path.write_bytes(encode_run(asked))
    return subprocess.Popen(
        [sys.executable, "-m", "retrain.run", str(path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(asked: RetrainRequest) -> RunOutcome:
    process = start(asked)
    out, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    stages = list(dict.fromkeys(json.loads(line)["stage"] for line in out.splitlines()))
    assert stages[:3] == ["start", "snapshot", "split"]
    found = read_outcome(asked.work)
    assert found is not None
    return found


def test_labels_become_a_promoted_bundle_that_carries_its_report_card_and_pictures(tmp_path: Path) -> None:
    found = outcome(request(tmp_path))
    assert found.decision == "promote", found.reasons
    assert found.reasons[0].startswith("better: ")
    assert found.candidate is not None
    bundle = read_bundle(found.candidate)
    assert {REPORT_FILE, "README.md", "network.json", "confusion-golden-sentiment.png"} <= set(
        bundle.manifest.files
    )
    assert bundle.manifest.metrics["gate"]["promote"] is True
    assert bundle.manifest.metrics["gate"]["moved"].keys() == {"news", "chat"}
    reference = gate_reference(
        bundle.manifest.metrics
    )  # of the posts that were drawn uniformly, all of them chat
    assert {(each.channel, each.head, each.posts) for each in reference} == {
        ("chat", "sentiment", 60),
        ("chat", "topic", 60),
    }
    assert (
        found.figures["golden_sentiment_macro_f1_after"]
        > found.figures["golden_sentiment_macro_f1_before"] + 0.2
    )
    assert "word3" not in bundle.path(REPORT_FILE).read_text()


def test_shuffled_labels_are_refused_and_the_next_run_goes_on_from_a_retrained_bundle(tmp_path: Path) -> None:
    good = outcome(request(tmp_path / "first", training=msgspec.structs.replace(TRAINING, int8="always")))
    assert good.decision == "promote", good.reasons
    assert good.candidate is not None
    assert read_bundle(good.candidate).manifest.precision == "int8"
    bad = outcome(request(tmp_path / "second", shuffled=True, champion_bundle=good.candidate))
    assert bad.decision == "refuse"
    assert bad.reasons[0].startswith("worse: ")


def test_a_run_that_was_killed_while_it_trained_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    asked = request(tmp_path)
    process = start(asked)
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if said["stage"] == "train" and said["fraction"] > 0.4:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert not (asked.work / OUTCOME_FILE).exists()
    again = start(asked)
    out, errors = again.communicate(timeout=280)
    assert again.returncode == 0, errors
    steps = [json.loads(line) for line in out.splitlines() if '"step ' in line]
    assert steps[0]["fraction"] > 0.2
    assert read_outcome(asked.work) is not None


def test_a_launcher_trains_in_processes_of_its_own(tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    settings = msgspec.structs.replace(TRAINING, launcher=launcher, epochs=2)
    asked = request(tmp_path, training=settings)
    assert outcome(asked).candidate is not None
    log = json.loads((asked.work / "fit" / "fit-log.json").read_bytes())
    steps = max(entry.get("step", 0) for entry in log["log"])
    assert steps <= 2 * (340 // (2 * TRAINING.batch_posts) + 2)


def test_a_work_folder_of_another_request_is_not_gone_on_with(tmp_path: Path) -> None:
    asked = request(tmp_path, labels=write_lines(tmp_path / "few.jsonl", tiny_labels(6, 1)))
    few = outcome(asked)
    assert few.decision == "refuse"
    assert few.reasons[0].startswith("too_few_labels: ")
    assert few.candidate is None
    (asked.work / OUTCOME_FILE).unlink()
    process = start(msgspec.structs.replace(asked, seed=8))
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 1
    assert "holds another run" in errors
