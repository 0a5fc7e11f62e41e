"""The learning demo as a user runs it: labels, a retrain that is promoted, a swap seen live, nothing lost or left."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to run the learning demo")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to run the learning demo")

from streamapp.local.sample import load_sample
from streamapp.starter import STARTER_MODEL

pytestmark = [pytest.mark.broker, pytest.mark.slow]

REPOSITORY = Path(__file__).parent.parent.parent
RUN_SECONDS = 1_200


def left_behind(folder: Path) -> list[str]:
    """Processes that name the demo's temporary folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(folder) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command[:200])
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The demo, its temporary folder inside the test's, its output a pipe."""
    temporary = folder / "tmp"
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "streamapp", "demo-learning", "--plain", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_labels_become_a_model_that_the_worker_takes_over_while_posts_flow(tmp_path: Path) -> None:
    temporary, kept, result_file = tmp_path / "tmp", tmp_path / "kept", tmp_path / "result.json"
    demo = start(tmp_path, "--json", str(result_file), "--report", str(kept))
    output, _ = demo.communicate(timeout=RUN_SECONDS)
    assert demo.returncode == 0, output
    result = json.loads(result_file.read_text())
    posts = result["posts"]
    assert posts["published"] == len(load_sample()) == posts["scored"] + posts["dead"]
    assert posts["unversioned"] == 0
    manifest = json.loads((STARTER_MODEL / "manifest.json").read_text())
    first, second = (version["version"] for version in result["versions"])
    assert first == f"{manifest['name']}-{manifest['version']}"
    assert second == result["retrain"]["model_version"] != first
    assert all(version["verdicts"] >= 50 for version in result["versions"])
    assert result["gate"]["decision"]["promote"] is True
    assert result["retrain_cpu_seconds"] < 300
    pictures = list(kept.rglob("confusion-*.png"))
    assert pictures
    assert (pictures[0].parent / "README.md").read_text().startswith("---")
    for words in ("Labels arrive", "training", "announced: ", "shadowing", "serving", "Promoted", "negative"):
        assert words in output
    assert left_behind(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.timeout(RUN_SECONDS)
def test_ctrl_c_while_it_trains_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    demo = start(tmp_path)
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if re.search(r"run \S+: train ", line):  # each stage is told once; figures only every ten seconds
            break
    running = left_behind(tmp_path / "tmp")
    assert any("retrain.run" in command for command in running), (running, "".join(said[-40:]))
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGINT, output
    assert left_behind(tmp_path / "tmp") == []
    assert list((tmp_path / "tmp").iterdir()) == []
