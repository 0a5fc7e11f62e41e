"""A worker as users run it: a process of its own, started from a settings file."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec

from streamapp.settings import Settings, dump_settings

WITH_FAULTS = Path(__file__).parent.parent / "faults" / "worker_with_faults.py"


class WorkerProcess:
    """Start it, kill it, start it again: the identity stays, as under a supervisor."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        name: str = "worker-0",
        command: tuple[str, ...] = (),
        faults: tuple[str, ...] = (),
    ) -> None:
        worker = msgspec.structs.replace(settings.worker, instance_id=name)
        self.settings = msgspec.structs.replace(settings, worker=worker)
        self.name = name
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self.starts = 0
        self.log_start = 0
        self.faults = faults
        self._command = command or (sys.executable, "-m", "streamapp", "worker")
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / f"{name}.json"
        self._config.write_text(dump_settings(self.settings), encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the worker was not started"
        return self._process.pid

    def start(self, *faults: str, environment: dict[str, str] | None = None) -> "WorkerProcess":
        """Begin; returns at once. `faults` are for this start alone (tests/faults/worker_with_faults.py)."""
        self.starts += 1
        self.log_start = len(self.log())
        faults = (*self.faults, *faults)
        command = (sys.executable, str(WITH_FAULTS), *faults) if faults else self._command
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--config", str(self._config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        return self

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is flushed."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def signal(self, number: int) -> None:
        if self.running():
            os.kill(self.pid, number)

    def stop(self, timeout_seconds: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_seconds)

    def wait(self, timeout_seconds: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired while it runs on."""
        assert self._process is not None, "the worker was not started"
        return self._process.wait(timeout_seconds)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def health(self, page: str = "readyz") -> tuple[int, str] | None:
        """Status and body of a health page, None where nothing answers."""
        url = f"http://127.0.0.1:{self.settings.http.port}/{page}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None

    def wait_ready(self, timeout_seconds: float = 60.0) -> "WorkerProcess":
        """Until /readyz says 200; an assertion with the log's end otherwise."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            assert self.running(), f"{self.name} ended:\n{self.log()[-3000:]}"
            answer = self.health()
            if answer is not None and answer[0] == 200:
                return self
            time.sleep(0.1)
        raise AssertionError(f"{self.name} was not ready in {timeout_seconds} s:\n{self.log()[-3000:]}")
