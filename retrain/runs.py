"""A run's child process: started, watched for time and memory, stopped in two steps, found again after a crash of ours.

Knows processes and their limits, nothing of what the child computes. The child dies with us (Linux: by the kernel),
what it started in turn is found by a variable in its environment.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import psutil
from msgspec import Struct

from streamapp.local.owned_process import OwnedProcess

TRAINING_COMMAND: Final = (sys.executable, "-m", "retrain.run")
CHILD_LOG: Final = "child.log"
POLL_SECONDS: Final = 0.25
LOG_TAIL_LINES: Final = 12
# Whoever carries this variable with a run's id belongs to that run, grandchildren too.
MARK: Final = "BELONGS_TO_RETRAIN_RUN"
# Settings of ours may hold the broker's password, MLflow's variables a server's; the child asks neither.
NOT_INHERITED: Final = ("RETRAIN_", "STREAMAPP_", "MLFLOW_")
_MIB: Final = 1024 * 1024

ChildResult = Literal["done", "failed", "too_long", "too_large", "stopped"]


class RunLimits(Struct, frozen=True, kw_only=True):
    """What a child may take. Zero switches a limit off; `grace_seconds` lie between SIGTERM and SIGKILL."""

    max_seconds: float = 0.0
    max_memory_bytes: int = 0
    grace_seconds: float = 10.0


class ChildSample(Struct, frozen=True, kw_only=True):
    """A moment of the child: since its start, and the resident memory of it and all its descendants."""

    seconds: float
    memory_bytes: int


class ChildEnd(Struct, frozen=True, kw_only=True):
    """How a child ended. `exit_code` is negative where a signal ended it; `detail` is for people."""

    result: ChildResult
    exit_code: int
    seconds: float
    peak_memory_bytes: int
    detail: str = ""


class ChildRunner:
    """Runs `command REQUEST` in the run's folder; its output goes to child.log there.

    `command` is an argument so that a test can run a small process of its own that really sleeps, dies or grows.
    """

    def __init__(
        self,
        limits: RunLimits,
        command: Sequence[str] = TRAINING_COMMAND,
        environment: Mapping[str, str] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._limits = limits
        self._command = tuple(command)
        self._environment = _inherited(os.environ if environment is None else environment)
        self._poll_seconds = poll_seconds

    def run(
        self,
        run_id: str,
        request: Path,
        should_stop: Callable[[], bool],
        watch: Callable[[ChildSample], None] = lambda _: None,
    ) -> ChildEnd:
        """Blocks until the child has ended; it never outlives this call. `watch` is called at every look at it."""
        child = OwnedProcess(
            [*self._command, str(request)],
            request.parent / CHILD_LOG,
            request.parent,
            {**self._environment, MARK: run_id},
        )
        try:
            return self._follow(child, should_stop, watch)
        finally:
            child.kill()
            kill_leftovers(run_id)

    def _follow(
        self, child: OwnedProcess, should_stop: Callable[[], bool], watch: Callable[[ChildSample], None]
    ) -> ChildEnd:
        began, peak_bytes = time.monotonic(), 0
        broken: tuple[ChildResult, str] | None = None
        while (exit_code := child.exit_code) is None and broken is None:
            sample = ChildSample(seconds=time.monotonic() - began, memory_bytes=_memory_bytes(child.pid))
            peak_bytes = max(peak_bytes, sample.memory_bytes)
            watch(sample)
            broken = self._broken(sample, should_stop)
            if broken is None:
                time.sleep(self._poll_seconds)
        if exit_code is None:
            exit_code = child.stop(self._limits.grace_seconds)
        result, detail = broken or (("done", "") if exit_code == 0 else ("failed", _words(exit_code, child)))
        return ChildEnd(
            result=result,
            exit_code=exit_code,
            seconds=time.monotonic() - began,
            peak_memory_bytes=peak_bytes,
            detail=detail,
        )

    def _broken(self, sample: ChildSample, should_stop: Callable[[], bool]) -> tuple[ChildResult, str] | None:
        limits = self._limits
        if should_stop():
            return "stopped", "the service was asked to stop"
        if 0 < limits.max_seconds < sample.seconds:
            return "too_long", f"it ran for more than {limits.max_seconds:.0f} s"
        if 0 < limits.max_memory_bytes < sample.memory_bytes:
            took, most = sample.memory_bytes // _MIB, limits.max_memory_bytes // _MIB
            return "too_large", f"it took {took} MiB of memory, {most} MiB are allowed"
        return None


def kill_leftovers(run_id: str) -> int:
    """SIGKILL to every process that carries the run's mark: what a crash of ours or of the child left. How many."""
    found = 0
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == run_id:
                process.kill()
                found += 1
        except psutil.Error:  # it ended meanwhile, or is another user's and so no child of ours
            continue
    return found


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(NOT_INHERITED)}


def _memory_bytes(pid: int) -> int:
    try:
        child = psutil.Process(pid)
        family = [child, *child.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def _words(exit_code: int, child: OwnedProcess) -> str:
    how = f"signal {-exit_code} ended it" if exit_code < 0 else f"it ended with exit code {exit_code}"
    tail = child.log_tail(LOG_TAIL_LINES)
    return f"{how}; the end of {child.log}:\n{tail}" if tail else how
