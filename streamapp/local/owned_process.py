"""A child process that cannot outlive us: in a session of its own, output kept in a file, killed by the kernel when
we end in any way (Linux; elsewhere it is stopped on every way out that Python sees).

It knows operating-system processes, nothing of what the child does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

BOUND_TO_PARENT: Final = Path(__file__).with_name("bound_to_parent.py")
KILL_TIMEOUT_SECONDS: Final = 10


class OwnedProcess:
    """A running child. `log` keeps everything it prints."""

    def __init__(
        self, command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str]
    ) -> None:
        """Starts `command` (absolute path first) in `folder`."""
        self.log = log
        started: Future[subprocess.Popen[bytes]] = Future()
        bound = sys.platform == "linux"
        shim = [sys.executable, "-I", "-S", str(BOUND_TO_PARENT), str(os.getpid())] if bound else []

        def own() -> None:
            # To the kernel the *thread* that spawned is the parent: so one that lives as long as the child.
            try:
                with log.open("ab") as sink:
                    child = subprocess.Popen(
                        [*shim, *command],
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=subprocess.STDOUT,
                        cwd=folder,
                        env=dict(environment),
                        start_new_session=True,
                    )
            except OSError as error:
                started.set_exception(error)
                return
            started.set_result(child)
            child.wait()

        threading.Thread(target=own, name="process-owner", daemon=True).start()
        self._child = started.result()
        self.pid: int = self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._child.poll()

    def stop(self, timeout_seconds: float) -> int:
        """SIGTERM, then SIGKILL to its whole session when that outlasts the timeout; the exit code."""
        self._signal(signal.SIGTERM)
        try:
            return self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL to its whole session; the exit code."""
        self._signal(signal.SIGKILL)
        return self._child.wait(KILL_TIMEOUT_SECONDS)

    def log_tail(self, lines: int = 25) -> str:
        """The end of what it printed."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: int) -> None:
        if self.exit_code is not None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:  # it ended meanwhile
            return
