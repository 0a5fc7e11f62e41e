"""A real Apache Kafka on this machine: one KRaft node, started, stopped and found again by its folder.

It knows nothing of topics or of the application; `attach` finds a broker that another program started.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from filelock import FileLock, Timeout

from streamapp.local import kafka_process, kafka_settings
from streamapp.local.kafka_launch import (
    KILL_TIMEOUT_SECONDS,
    BrokerFiles,
    BrokerSettings,
    BrokerState,
    read_state,
    start_on_free_ports,
)
from streamapp.local.kafka_process import KafkaProcess
from streamapp.local.kafka_ready import answers
from streamapp.local.kafka_runtime import BrokerError, Progress, ensure_kafka_runtime

__all__ = ["BrokerError", "BrokerSettings", "LocalBroker", "attach"]

PORT_RELEASE_SECONDS = 5
POLL_SECONDS = 0.1


def _silent(line: str) -> None:
    """Progress that nobody wants to see."""
    del line


class LocalBroker:
    """A running broker, or one that was stopped and can be restarted. Made by `start` and `attach`."""

    def __init__(self, state: BrokerState, process: KafkaProcess) -> None:
        self._state = state
        self._process = process
        self._files = BrokerFiles(state.settings.data_dir)

    @classmethod
    def start(
        cls, settings: BrokerSettings, progress: Progress = _silent, die_with_parent: bool = False
    ) -> LocalBroker:
        """Start a broker and return it once it answers requests.

        Raises BrokerError when the folder's broker runs already, when what it needs cannot be fetched, when
        the asked port is taken, or when it does not answer in time (with the end of its log).
        """
        settings = msgspec.structs.replace(settings, data_dir=settings.data_dir.absolute())
        if "," in str(settings.data_dir):
            raise BrokerError(
                f"Kafka cannot keep its data in a folder with a comma in its name: {settings.data_dir}"
            )
        runtime = ensure_kafka_runtime(progress)
        with _starting(settings.data_dir):
            running = attach(settings.data_dir)
            if running is not None:
                raise BrokerError(
                    f"A broker already runs in {settings.data_dir}:"
                    f" {running.bootstrap}, process {running.pid}."
                )
            state, process = start_on_free_ports(settings, runtime, progress, die_with_parent)
        return cls(state, process)

    @property
    def bootstrap(self) -> str:
        """The address for clients, host:port."""
        return f"{kafka_settings.HOST}:{self._state.port}"

    @property
    def port(self) -> int:
        return self._state.port

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def data_dir(self) -> Path:
        return self._files.data_dir

    @property
    def log_file(self) -> Path:
        return self._files.log

    @property
    def started_at(self) -> float:
        """When it was spawned, in seconds since the epoch."""
        return self._state.started_at

    @property
    def resident_bytes(self) -> int:
        """Memory the process occupies now."""
        return self._process.resident_bytes

    def is_alive(self) -> bool:
        """Whether its process exists (a paused one does)."""
        return self._process.is_alive()

    def is_answering(self, timeout_seconds: float = 5) -> bool:
        """Whether it answers a request within the time."""
        return self.is_alive() and answers(self.bootstrap, self._state.cluster_id, timeout_seconds)

    def stop(self, timeout_seconds: float = 30) -> None:
        """End it cleanly, or by force when that outlasts the timeout. Does nothing when it has ended."""
        self.resume()  # a paused process sees no SIGTERM
        self._process.send_signal(signal.SIGTERM)
        if not self._process.wait(timeout_seconds):
            self.kill()
        self._files.state.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would. The state file stays, as after a crash."""
        self._process.send_signal(signal.SIGKILL)
        if not self._process.wait(KILL_TIMEOUT_SECONDS):
            raise BrokerError(
                f"The broker's process {self.pid} survived SIGKILL for {KILL_TIMEOUT_SECONDS} s."
            )

    def restart(self) -> None:
        """Stop it if it runs, then start it on the same port with the same data. Returns once it answers."""
        self.stop()
        state = self._state
        settings = msgspec.structs.replace(state.settings, port=state.port)
        runtime = ensure_kafka_runtime(_silent)
        with _starting(self.data_dir):
            _await_release(state.port)
            self._state, self._process = start_on_free_ports(
                settings, runtime, _silent, state.die_with_parent
            )

    def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def attach(data_dir: Path) -> LocalBroker | None:
    """The broker that runs in this folder, whoever started it, or None; a leftover state file is none."""
    files = BrokerFiles(data_dir.absolute())
    state = read_state(files.state)
    if state is None:
        return None
    process = kafka_process.find(state.pid, str(files.properties))
    return LocalBroker(state, process) if process is not None else None


@contextlib.contextmanager
def _starting(data_dir: Path) -> Iterator[None]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir / "start.lock", timeout=0):
            yield
    except Timeout as error:
        raise BrokerError(f"Another process is starting a broker in {data_dir}.") from error
    except OSError as error:
        raise BrokerError(f"Cannot run a broker in {data_dir}: {error}") from error


def _await_release(port: int) -> None:
    """The last threads of an ended process can hold its port for a moment."""
    deadline = time.monotonic() + PORT_RELEASE_SECONDS
    while kafka_settings.is_taken(port) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
