"""The `retrain` command with a stand-in child and deaths built in: `retrain_with_faults.py MODE FAULT ARGUMENTS...`.

Faults are wrapped around the service's own seams from outside; the service has no switch for them. FAULT is `none` or
  save:STAGE:before|after     SIGKILL around the moment when a run's record says that it has come to STAGE
  publish:N                   SIGKILL after the N-th file of the candidate reached the model store
  announce:before|after       SIGKILL around the moment when Kafka acknowledges the announcement
  look:N                      SIGKILL at the N-th look at the running child
  full:store:N, full:disk:N   the first N writes to the model store, or of a run's record, find no room (a file may have
                              16 bytes, by the kernel's own limit)
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from retrain.cli import serving
from retrain.cli.main import main
from retrain.run_book import RunBook, RunRecord
from retrain.runs import ChildRunner, RunLimits
from streamapp.cluster import announcements

STAND_IN = Path(__file__).with_name("stand_in_training.py")


def die(fault: str) -> None:
    print(f"fault: {fault}", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def around(
    call: Callable[..., Any], fault: str, before: Callable[..., bool], after: Callable[..., bool]
) -> Any:
    """`call`, with a death before or after it where the condition says so of its arguments."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if before(*arguments):
            die(fault)
        answer = call(*arguments, **options)
        if after(*arguments):
            die(fault)
        return answer

    return wrapped


def never(*_: Any) -> bool:
    return False


def build_in(fault: str) -> None:
    kind, _, rest = fault.partition(":")
    where, _, moment = rest.rpartition(":")
    if kind == "save":

        def at_stage(_: RunBook, run: RunRecord) -> bool:
            return run.stage == where

        RunBook.save = around(  # type: ignore[method-assign]
            RunBook.save,
            fault,
            at_stage if moment == "before" else never,
            at_stage if moment == "after" else never,
        )
    elif kind == "publish":
        LocalFileSystem.put_file = around(LocalFileSystem.put_file, fault, never, counted(int(rest)))
    elif kind == "full" and where == "store":
        LocalFileSystem.put_file = without_room(LocalFileSystem.put_file, int(moment))
    elif kind == "full":
        RunBook.save = without_room(RunBook.save, int(moment))  # type: ignore[method-assign]
    elif kind == "announce":
        always = counted(1)
        announcements._write = around(
            announcements._write,
            fault,
            always if rest == "before" else never,
            always if rest == "after" else never,
        )


def without_room(call: Callable[..., Any], times: int) -> Any:
    """`call`, whose first `times` calls may write no more than a few bytes: the system refuses, as a full disk does."""
    left = [times]

    def wrapped(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return call(*arguments, **options)
        most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        try:
            return call(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))

    return wrapped


def counted(nth: int) -> Callable[..., bool]:
    left = [nth]

    def passed(*_: Any) -> bool:
        left[0] -= 1
        return left[0] == 0

    return passed


def stand_in(mode: str, fault: str) -> Callable[[RunLimits], ChildRunner]:
    looks = counted(int(fault.removeprefix("look:"))) if fault.startswith("look:") else never

    class Runner(ChildRunner):
        def run(self, run_id: str, request: Path, should_stop: Any, watch: Any = lambda _: None) -> Any:
            def look(sample: Any) -> None:
                watch(sample)
                if looks():
                    die(fault)

            return super().run(run_id, request, should_stop, look)

    return lambda limits: Runner(limits, (sys.executable, str(STAND_IN), mode), poll_seconds=0.05)


if __name__ == "__main__":
    mode, fault, *arguments = sys.argv[1:]
    build_in(fault)
    setattr(serving, "ChildRunner", stand_in(mode, fault))  # noqa: B010  # what the command makes its child with
    sys.argv = ["retrain", *arguments]
    main()
