"""`retrain bench adaptation` with a tiny model: every cell trained and judged, finished ones kept, curves drawn."""

import json
import os
import random
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test training")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test training")

from retrain.core.labels import TrainingLabel
from streamapp.contracts.manifest import TrainingSource
from tests.tiny_network import tiny_champion, tiny_labels

REPOSITORY = Path(__file__).parent.parent.parent
STARTER_VERSION = "starter-of-the-test"
SETTINGS = """
[training]
learning_rate = 3e-3
head_learning_rate = 5e-3
epochs = 6
"""


def own_words(post_id: str) -> list[str]:
    chance = random.Random(post_id)
    return ["".join(chance.choices(string.ascii_lowercase, k=7)) for _ in range(8)]


def set_lines(labels: list[TrainingLabel], split: str) -> list[dict[str, Any]]:
    """Lines of a set. Words of its own keep each text apart from the others, which share theirs, as a story."""
    return [
        {
            "id": label.post_id,
            "channel": label.channel,
            "text": " ".join([label.text, *own_words(label.post_id)]),
            "split": split,
            "sentiment": label.sentiment,
        }
        for label in labels
    ]


def write_set(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    data = tmp_path / "data"
    data.mkdir()
    write_set(data, "talk", set_lines(tiny_labels(700, 1, channel="chat"), "train"))
    old = set_lines(tiny_labels(200, 2), "train") + set_lines(tiny_labels(90, 3), "test")
    write_set(data, "wire", old)
    (tmp_path / "retrain.toml").write_text(SETTINGS, encoding="utf-8")
    champion = tiny_champion(tmp_path / "champion", version=STARTER_VERSION)
    options = ["--data", data, "--work", tmp_path / "work", "--channels", "talk", "--old", "wire"]
    options += ["--labels", "60,120", "--seeds", "5", "--starter", champion]
    options += ["--config", tmp_path / "retrain.toml", "--json", tmp_path / "found.json"]
    return [str(option) for option in options]


def bench(options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "retrain", "bench", "adaptation", *options],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
def test_labels_of_a_new_channel_teach_it_and_no_call_trains_what_another_one_does(
    asked: list[str], tmp_path: Path
) -> None:
    beside = [*asked[:-1], str(tmp_path / "beside.json")]
    with ThreadPoolExecutor(2) as calls:
        for ended in calls.map(bench, (asked, beside)):
            assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "found.json").read_bytes())
    # The seconds that each cell took are the same too: it was trained once.
    assert found["cells"] == json.loads((tmp_path / "beside.json").read_bytes())["cells"]
    assert [cell["cell"]["choice"] for cell in found["cells"]] == [
        "none",
        "queue",
        "queue",
        "chance",
        "chance",
    ]
    (channel,) = found["channels"]
    points = channel["curves"]["chance"]["talk"]
    assert points[0]["labels"] == 0
    assert points[-1]["labels"] == 120
    assert channel["gain"] > 15
    assert set(channel["losses"]) == {"wire"}
    assert (tmp_path / "work" / "adaptation.png").read_bytes().startswith(b"\x89PNG")
    by_queue = [cell for cell in found["cells"] if cell["cell"]["choice"] == "queue"]
    assert all(
        cell["drawn"].get("audit", 0) > 0 and cell["drawn"].get("uncertain", 0) > 0 for cell in by_queue
    )
    (round_file,) = (tmp_path / "work" / "rounds").iterdir()
    first_round = msgspec.msgpack.decode(round_file.read_bytes())
    assert len(first_round["labels"]) == by_queue[0]["labels"] < by_queue[1]["labels"]
    (asking_version,) = {post["model_version"] for post in first_round["pooled"]}
    assert asking_version != STARTER_VERSION
    assert all(cell["sides"]["judging"] == 0 for cell in found["cells"] if cell["labels"])

    cells = sorted((tmp_path / "work" / "cells").glob("*.json"))
    lost = next(path for path in cells if "chance-60" in path.name)
    before = {path: path.stat().st_mtime_ns for path in cells if path != lost}
    kept = msgspec.json.decode(lost.read_bytes())
    lost.unlink()
    assert bench(asked).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = msgspec.json.decode(lost.read_bytes())
    assert again["figures"] == kept["figures"]


def test_an_absent_set_is_named_before_anything_is_trained(asked: list[str], tmp_path: Path) -> None:
    asked[asked.index("talk")] = "talk,rumours"
    ended = bench(asked)
    assert ended.returncode == 2
    assert "rumours.jsonl: absent" in ended.stderr
    assert not (tmp_path / "work" / "cells").exists()


def test_a_starter_that_knows_the_channel_is_refused_in_one_line(asked: list[str], tmp_path: Path) -> None:
    seen = TrainingSource(name="talk", licence="MIT", texts=700)
    asked[asked.index("--starter") + 1] = str(tiny_champion(tmp_path / "seen", sources=(seen,)))
    ended = bench(asked)
    assert ended.returncode == 2
    assert "was trained on talk" in ended.stderr
    assert "Traceback" not in ended.stderr
