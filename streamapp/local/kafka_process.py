"""One Kafka process: how it is spawned, signalled, waited for and recognised again by another program.

It knows operating-system processes and nothing of Kafka's protocol or settings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import psutil

BOUND_TO_PARENT = Path(__file__).with_name("bound_to_parent.py")
POLL_SECONDS = 0.02
BECOMING_SECONDS = 1.0


class KafkaProcess:
    """A running process, our child or not. Signals never reach another process that later got the same id."""

    def __init__(self, process: psutil.Process, reaped: threading.Event | None = None) -> None:
        """`reaped` is set when our own child was waited for; None for the child of another program."""
        self._process = process
        self._reaped = reaped
        self.pid = process.pid

    def is_alive(self) -> bool:
        if (
            self._reaped is not None
        ):  # a zombie whose other threads still end can hold its ports: not reaped yet
            return not self._reaped.is_set()
        try:
            return bool(self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def send_signal(self, number: int) -> None:
        """Deliver a signal; a process that is already gone is left alone."""
        try:
            self._process.send_signal(number)
        except psutil.NoSuchProcess:
            return

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it ended within the time."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    @property
    def resident_bytes(self) -> int:
        """Memory it occupies now."""
        return int(self._process.memory_info().rss)


def java_environment() -> dict[str, str]:
    """Ours, with file names in UTF-8 whatever the locale, and without options meant for other Javas."""
    foreign = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
    return {**{name: value for name, value in os.environ.items() if name not in foreign}, "LC_ALL": "C.UTF-8"}


def spawn(command: Sequence[str], output: Path, die_with_parent: bool) -> KafkaProcess:
    """Start `command` in a session of its own, with its output appended to `output`.

    With `die_with_parent` the kernel kills it when this process ends in any way (Linux only; elsewhere it
    stays up).
    """
    bound = die_with_parent and sys.platform == "linux"
    shim = [sys.executable, "-I", "-S", str(BOUND_TO_PARENT), str(os.getpid())] if bound else []
    started: Future[psutil.Process] = Future()
    reaped = threading.Event()
    # To the kernel the *thread* that spawned is the parent: so one that lives as long as the child.
    owner = threading.Thread(
        target=_own, args=([*shim, *command], output, started, reaped), name="kafka-owner", daemon=True
    )
    owner.start()
    return KafkaProcess(started.result(), reaped)


def _own(
    command: Sequence[str], output: Path, started: Future[psutil.Process], reaped: threading.Event
) -> None:
    try:
        with output.open("ab") as sink:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.set_result(psutil.Process(child.pid))
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
        started.set_exception(error)
        return
    child.wait()
    reaped.set()


def find(pid: int, argument: str) -> KafkaProcess | None:
    """The process with this id if `argument` is on its command line, else None (gone, or an id used anew)."""
    try:
        process = psutil.Process(pid)
        found = KafkaProcess(process)
        return found if argument in _command_line(process) and found.is_alive() else None
    except psutil.NoSuchProcess:
        return None


def _command_line(process: psutil.Process) -> list[str]:
    """Its arguments; what is just becoming another program has none for a moment, a thread of the kernel never."""
    deadline = time.monotonic() + BECOMING_SECONDS
    while not (arguments := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return arguments
