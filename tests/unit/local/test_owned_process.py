"""A child ends when it is told to, when it must, and when its parent is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from streamapp.local.owned_process import OwnedProcess

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def start(code: str, folder: Path) -> OwnedProcess:
    return OwnedProcess([sys.executable, "-c", code], folder / "log", folder, os.environ)


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 10
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_keeps_what_the_child_prints_and_its_exit_code(tmp_path: Path) -> None:
    child = start("print('hello'); raise SystemExit(3)", tmp_path)
    deadline = time.monotonic() + 10
    while child.exit_code is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.exit_code == 3
    assert child.log_tail() == "hello"


def test_sigterm_ends_it_and_a_deaf_one_is_killed(tmp_path: Path) -> None:
    child = start(SLEEP, tmp_path)
    wait_for("up", child.log)
    assert child.stop(10) == -signal.SIGTERM
    (tmp_path / "log").unlink()
    deaf = start(DEAF, tmp_path)
    wait_for("up", deaf.log)
    assert deaf.stop(0.2) == -signal.SIGKILL
    assert deaf.stop(0.2) == -signal.SIGKILL


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere no shim stands between, and starting it raises"
)
def test_a_program_that_does_not_exist_is_an_error_in_the_log(tmp_path: Path) -> None:
    child = OwnedProcess(["/nowhere/program"], tmp_path / "log", tmp_path, os.environ)
    deadline = time.monotonic() + 10
    while child.exit_code is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.exit_code not in (None, 0)
    assert "/nowhere/program" in child.log_tail() or "No such file" in child.log_tail()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from streamapp.local.owned_process import OwnedProcess;"
        f"child = OwnedProcess([sys.executable, '-c', {SLEEP!r}], Path('log'), Path('.'), os.environ);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_for("up", tmp_path / "log")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
