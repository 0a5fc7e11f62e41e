"""The demo as a user runs it: it ends by itself with both alerts, and leaves nothing behind however it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamapp.cluster.kafka_clients import open_admin
from streamapp.local.sample import load_sample
from streamapp.settings import BrokerAccess

pytestmark = pytest.mark.broker

CLOSING_POSTS = 8
FOLDER = re.compile(r"--config (\S+)/settings\.json")
RUN_SECONDS = 240


class Demo:
    """One `streamapp demo` with its temporary folder inside the test's."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.output_file = folder / "output"
        self.json_file = folder / "result.json"
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "streamapp",
                    "demo",
                    "--plain",
                    "--json",
                    str(self.json_file),
                    *arguments,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(self.temporary)},
            )

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, timeout_seconds: float = 90) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def wait(self, timeout_seconds: float = RUN_SECONDS) -> int:
        return self.process.wait(timeout_seconds)

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.json_file.read_text())
        return found

    def left_behind(self) -> list[str]:
        """Processes that name this demo's temporary folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            command = " ".join(process.info["cmdline"] or [])
            if str(self.temporary) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(command[:200])
        return found

    def nothing_left_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.left_behind():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


def check_success(demo: Demo) -> None:
    assert demo.wait() == 0, demo.output
    result = demo.result()
    posts = result["posts"]
    assert posts["published"] == len(load_sample()) + CLOSING_POSTS == posts["scored"] + posts["dead"]
    assert {alert["subject"] for alert in result["alerts"]} == {"company:CLDB", "topic:energy_oil"}
    assert all(
        alert["observed_negative_stories"] > alert["expected_negative_stories"] for alert in result["alerts"]
    )
    assert all(alert["headlines"] for alert in result["alerts"])
    assert result["dead_letters"]["wrong_type"] == 5
    assert result["seconds"]["stream"] < 90
    assert demo.left_behind() == []
    assert list(demo.temporary.iterdir()) == []


def decided(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The alerts without the moment at which they were seen."""
    return [
        {name: value for name, value in alert.items() if name != "opened_after_seconds"}
        for alert in result["alerts"]
    ]


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_two_demos_at_once_both_end_with_exactly_their_two_alerts(tmp_path: Path) -> None:
    demos = [Demo(tmp_path / name, "--seconds", "50") for name in ("one", "two")]
    for demo in demos:
        check_success(demo)
        for words in (
            "OPENED",
            "negative stories, expected",
            "What to try next",
            "every post is accounted for",
        ):
            assert words in demo.output
    one, two = (decided(demo.result()) for demo in demos)
    assert one == two  # what alerts say is a function of the posts, not of batches, load or the wall clock


def test_on_an_existing_cluster_it_takes_its_topics_away_again(
    broker: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    demo = Demo(tmp_path, "--seconds", "20", "--broker", broker, "--bundle", str(tiny_bundle))
    check_success(demo)
    with open_admin(BrokerAccess(bootstrap=broker)) as admin:
        assert [topic for topic in admin.list_topics() if str(topic).startswith("demo-")] == []


def test_with_stay_the_commands_it_names_work_and_ctrl_c_is_a_good_end(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    demo = Demo(tmp_path, "--seconds", "20", "--stay", "--bundle", str(tiny_bundle))
    demo.wait_for("stay up", 120)
    commands = [line.split("   ")[0].split() for line in demo.output.splitlines() if line.startswith("  ")]
    named = [command for command in commands if "--config" in command]
    assert [command[command.index("--config") - 1] for command in named][:2] == ["alerts", "trends"]
    for command in named:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert demo.left_behind() == []
    assert list(demo.temporary.iterdir()) == []


def test_ctrl_c_half_way_leaves_no_process_and_no_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--seconds", "75", "--bundle", str(tiny_bundle))
    demo.wait_for(r"scored [1-9]")
    assert len(demo.left_behind()) >= 2  # the broker and the worker: else this test would see nothing
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait(30) == 128 + signal.SIGINT
    assert demo.left_behind() == []
    assert list(demo.temporary.iterdir()) == []


def test_a_closed_terminal_during_start_up_leaves_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--bundle", str(tiny_bundle))
    demo.wait_for("Starting Apache Kafka")
    demo.process.send_signal(signal.SIGHUP)
    assert demo.wait(30) == 128 + signal.SIGHUP
    assert demo.left_behind() == []
    assert list(demo.temporary.iterdir()) == []


def test_children_die_with_a_demo_that_was_killed(tiny_bundle: Path, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--seconds", "75", "--bundle", str(tiny_bundle))
    demo.wait_for("posts/s")
    demo.process.kill()
    demo.wait(10)
    assert demo.nothing_left_within(10), demo.left_behind()


def test_a_worker_that_cannot_start_fails_the_demo_and_keeps_its_log(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--bundle", str(tmp_path / "nowhere"))
    assert demo.wait(90) == 1
    assert "The demo failed: the worker ended with exit code" in demo.output
    kept = re.search(r"are kept in (\S+)", demo.output)
    assert kept is not None
    assert (Path(kept[1]) / "worker.log").read_text()
    assert demo.left_behind() == []
