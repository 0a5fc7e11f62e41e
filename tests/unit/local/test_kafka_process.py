"""Processes of their own, small Python programs in Kafka's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from streamapp.local.kafka_process import KafkaProcess, find, java_environment, spawn

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)", "marker-of-the-sleeper"]


def end(process: KafkaProcess) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(10)


def test_a_process_is_alive_until_it_was_killed(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "out", die_with_parent=False)

    assert process.is_alive()
    assert not process.wait(0)
    end(process)
    assert not process.is_alive()
    process.send_signal(signal.SIGTERM)  # to one that is gone: nothing happens


def test_its_output_is_appended_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before ")

    process = spawn([sys.executable, "-c", "print('after')"], tmp_path / "out", die_with_parent=False)

    assert process.wait(10)
    assert (tmp_path / "out").read_text() == "before after\n"


def test_a_process_is_found_by_id_and_argument_only_together(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "out", die_with_parent=False)
    try:
        found = find(process.pid, "marker-of-the-sleeper")
        assert found is not None
        assert found.is_alive()
        assert find(process.pid, "another-argument") is None
        assert find(os.getpid(), "marker-of-the-sleeper") is None
    finally:
        end(process)
    assert find(process.pid, "marker-of-the-sleeper") is None


def test_it_outlives_the_thread_that_started_it_even_when_bound_to_the_process(tmp_path: Path) -> None:
    started: list[KafkaProcess] = []
    thread = threading.Thread(target=lambda: started.append(spawn(SLEEPER, tmp_path / "out", True)))
    thread.start()
    thread.join()

    assert not started[0].wait(0.3)
    end(started[0])


def test_bound_to_its_parent_it_dies_when_the_parent_is_killed(tmp_path: Path) -> None:
    owner = f"""
import time
from pathlib import Path
from streamapp.local.kafka_process import spawn
print(spawn({SLEEPER!r}, Path({str(tmp_path / "out")!r}), die_with_parent=True).pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    _, alive = psutil.wait_procs([child], timeout=10)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


def test_a_command_that_cannot_start_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        spawn([str(tmp_path / "absent")], tmp_path / "out", die_with_parent=False)


def test_options_meant_for_other_javas_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=y")

    assert "JAVA_TOOL_OPTIONS" not in java_environment()
