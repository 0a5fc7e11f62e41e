"""The learning demo as a user runs it: labels, a retrain that is promoted, a swap seen live, nothing lost or left."""

import json
import os
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


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_labels_become_a_model_that_the_worker_takes_over_while_posts_flow(tmp_path: Path) -> None:
    temporary, kept, result_file = tmp_path / "tmp", tmp_path / "kept", tmp_path / "result.json"
    temporary.mkdir()
    command = [sys.executable, "-m", "streamapp", "demo-learning", "--plain"]
    done = subprocess.run(
        [*command, "--json", str(result_file), "--report", str(kept)],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
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
        assert words in done.stdout
    assert left_behind(temporary) == []
    assert list(temporary.iterdir()) == []
