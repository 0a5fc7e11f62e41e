"""A run's child, tried with small real processes: they end, fail, sleep, grow, ignore SIGTERM and leave children."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from retrain.runs import MARK, ChildEnd, ChildRunner, ChildSample, RunLimits, kill_leftovers

GROWS = "kept = []\nwhile True: kept.append(bytearray(8_000_000))"
HANGS = "import time\nwhile True: time.sleep(0.05)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('up', 'w').close()\n" + HANGS
PARENT = (
    "import subprocess, sys, os\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
    "open('pid', 'w').write(str(child.pid))\n"
)


def run(folder: Path, program: str, stop_when: str = "", **limits: float) -> ChildEnd:
    request = folder / "request.json"
    request.write_text("{}")
    runner = ChildRunner(RunLimits(**limits), (sys.executable, "-c", program), poll_seconds=0.02)  # type: ignore[arg-type]
    return runner.run("r1", request, lambda: bool(stop_when) and (folder / stop_when).exists())


def test_a_child_gets_the_request_and_its_run_but_no_secret_of_ours(tmp_path: Path) -> None:
    program = f"import os, sys; print(sys.argv[1], os.environ[{MARK!r}], sorted(os.environ))"
    request = tmp_path / "request.json"
    environment = {"PATH": "/bin", "RETRAIN_BROKER__SASL_PASSWORD": "hunter2", "STREAMAPP_X": "y"}
    runner = ChildRunner(RunLimits(), (sys.executable, "-c", program), environment)
    assert runner.run("r7", request, lambda: False).result == "done"
    said = (tmp_path / "child.log").read_text()
    assert said.startswith(f"{request} r7")
    assert "RETRAIN_BROKER" not in said
    assert "STREAMAPP_X" not in said


def test_a_child_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    end = run(tmp_path, "import sys; print('out of GPUs'); sys.exit(9)")
    assert (end.result, end.exit_code) == ("failed", 9)
    assert "exit code 9" in end.detail
    assert "out of GPUs" in end.detail


def test_a_child_that_a_signal_ended_is_told_by_the_signal(tmp_path: Path) -> None:
    end = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (end.result, end.exit_code) == ("failed", -9)
    assert "signal 9 ended it" in end.detail


def test_a_child_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    end = run(tmp_path, HANGS, max_seconds=0.3, grace_seconds=5)
    assert end.result == "too_long"
    assert end.exit_code == -15


def test_a_child_that_takes_too_much_memory_is_stopped_before_it_takes_much_more(tmp_path: Path) -> None:
    end = run(tmp_path, GROWS, max_memory_bytes=200_000_000, grace_seconds=1)
    assert end.result == "too_large"
    assert "190 MiB are allowed" in end.detail
    assert end.peak_memory_bytes >= 200_000_000


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    began = time.monotonic()
    end = run(tmp_path, DEAF, stop_when="up", grace_seconds=0.3)
    assert (end.result, end.exit_code) == ("stopped", -9)
    assert time.monotonic() - began < 10


def test_a_child_is_asked_to_stop_when_we_are(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "def save(*_): open('saved', 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\nopen('up', 'w').close()\n" + HANGS
    )
    assert run(tmp_path, program, stop_when="up").result == "stopped"
    assert (tmp_path / "saved").exists()


def test_what_a_child_started_and_left_is_ended_with_it(tmp_path: Path) -> None:
    assert run(tmp_path, PARENT).result == "done"
    pid = int((tmp_path / "pid").read_text())
    gone, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
    assert alive == []
    assert gone is not None


def test_memory_counts_what_the_child_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'kept = bytearray(150_000_000); import time; time.sleep(1)'])"
    )
    assert run(tmp_path, program).peak_memory_bytes > 150_000_000


def test_only_what_carries_the_mark_of_the_run_is_killed() -> None:
    marked, other = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={MARK: run_id})
        for run_id in ("run-a", "run-b")
    )
    try:
        while not psutil.Process(marked.pid).environ().get(MARK):
            assert marked.poll() is None
        assert kill_leftovers("run-a") == 1
        assert marked.wait(10) == -9
        assert other.poll() is None
    finally:
        other.kill()
        marked.kill()
        other.wait()


def test_every_look_at_the_child_is_told(tmp_path: Path) -> None:
    seen: list[ChildSample] = []
    request = tmp_path / "request.json"
    runner = ChildRunner(
        RunLimits(), (sys.executable, "-c", "import time; time.sleep(0.3)"), poll_seconds=0.02
    )
    assert runner.run("r1", request, lambda: False, seen.append).result == "done"
    assert len(seen) > 2
    assert max(sample.memory_bytes for sample in seen) > 1_000_000


def test_a_command_that_does_not_exist_fails_and_hides_nothing(tmp_path: Path) -> None:
    runner = ChildRunner(RunLimits(), ("/no/such/program",))
    end = runner.run("r1", tmp_path / "request.json", lambda: False)
    assert end.result == "failed"
    assert "No such file" in end.detail
