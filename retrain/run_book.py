"""What is known of every run, one small JSON file each, written whole or not at all before the next step is taken.

A run's folder under `folder` is named by its id and holds run.json, the child's files and the candidate. Knows files
and an OS lock; must not know what a stage does.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct

from retrain.core.trigger import Trigger
from retrain.whole_file import write_whole
from streamapp.contracts.champion import Champion
from streamapp.contracts.messages import ModelAnnounced

RECORD_FILE: Final = "run.json"
# What was or is to be told to a tracking server; small.
TRACKING_FOLDER: Final = "tracking"
RUN_LOCK: Final = "run.lock"
SERVICE_LOCK: Final = "serve.lock"
MOST_RECORDS: Final = 500
SINCE_FILE: Final = "since.json"

Stage = Literal["snapshot", "training", "publishing", "announcing", "ended"]
Result = Literal["promoted", "refused", "failed", "overtaken", "pinned"]
T = TypeVar("T", bound=Struct)


class RunBookError(RuntimeError):
    """A record that cannot be read or written (a full disk); the text names the file. Nothing was lost by it."""


class BusyError(RuntimeError):
    """Another process has the lock; the text says which."""


class RunRecord(Struct, frozen=True, kw_only=True):
    """One run: `stage` is what is to be done next or under way, so a crash repeats it.

    `champion` is the one that the candidate is judged against. `announcement` is fixed before it is sent first, so
    that a repetition sends the same one. `starts` counts the child's, without those that a stop of ours cut short.
    """

    run_id: str
    stage: Stage
    trigger: Trigger
    began_at_ms: int
    stage_at_ms: int
    champion: Champion | None = None
    labels: int = 0
    starts: int = 0
    reasons: tuple[str, ...] = ()
    candidate: str = ""
    published_url: str = ""
    announcement: ModelAnnounced | None = None
    result: Result | None = None
    detail: str = ""
    ended_at_ms: int | None = None

    @property
    def decided(self) -> bool:
        """Whether the gate's answer stands, so that its labels are used up."""
        return self.result in ("promoted", "refused", "pinned")


class Since(Struct, frozen=True, kw_only=True):
    """Moments that no run knows: when the service first ran here, and since when a run is wanted (None: it is not)."""

    watched_since_ms: int
    wanted_since_ms: int | None = None


class RunBook:
    """The runs under `folder`, which is made where it does not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _named(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def new_run(self, trigger: Trigger, now_ms: int) -> RunRecord:
        """The record of a run that begins, already on disk."""
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        run = RunRecord(
            run_id=f"{moment}-{secrets.token_hex(3)}",
            stage="snapshot",
            trigger=trigger,
            began_at_ms=now_ms,
            stage_at_ms=now_ms,
        )
        self.save(run)
        return run

    def save(self, run: RunRecord) -> None:
        """Durable when it returns. Raises RunBookError."""
        _write(self.folder_of(run) / RECORD_FILE, run)

    def folder_of(self, run: RunRecord) -> Path:
        """Where everything of the run is."""
        return self.folder / run.run_id

    def runs(self) -> list[RunRecord]:
        """Every run, oldest first. A folder without a record is one whose first write was cut short: no run."""
        return [_read(path, RunRecord) for path in sorted(self.folder.glob(f"*/{RECORD_FILE}"))]

    def open_run(self) -> RunRecord | None:
        """The run that has not ended, which is to be taken up again."""
        return next((run for run in reversed(self.runs()) if run.stage != "ended"), None)

    def since(self, now_ms: int) -> Since:
        """The moments on disk; made at the first call."""
        path = self.folder / SINCE_FILE
        if path.is_file():
            return _read(path, Since)
        first = Since(watched_since_ms=now_ms)
        self.save_since(first)
        return first

    def save_since(self, since: Since) -> None:
        """Durable when it returns."""
        _write(self.folder / SINCE_FILE, since)

    def tidy(self, keep: int) -> None:
        """Empties the folders of all but the newest `keep` ended runs; of their records the newest 500 stay."""
        ended = [run for run in self.runs() if run.stage == "ended"]
        for run in ended[: max(len(ended) - MOST_RECORDS, 0)]:
            shutil.rmtree(self.folder_of(run), ignore_errors=True)
        for run in ended[-MOST_RECORDS:][:-keep] if keep else ended[-MOST_RECORDS:]:
            for path in self.folder_of(run).iterdir():
                if path.name not in (RECORD_FILE, TRACKING_FOLDER):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds a lock that the kernel frees with the process. Raises BusyError at once where another one has it."""
        path = self.folder / name
        lock = FileLock(path, blocking=False, thread_local=False)
        holder = path.with_suffix(".pid")
        with _named(path):
            try:
                lock.acquire()
            except Timeout as error:
                pid = holder.read_text() if holder.is_file() else "unknown"
                raise BusyError(f"process {pid} has {path}") from error
        try:
            with _named(holder):
                holder.write_text(str(os.getpid()))
            yield
        finally:
            lock.release()


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunBookError(f"{path}: {error}") from error


def _write(path: Path, value: Struct) -> None:
    write_kept(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_kept(path: Path, content: bytes) -> None:
    """All of `content` or the file as it was, also for whoever looks after a power cut. Raises RunBookError."""
    with _named(path):
        write_whole(path, content)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunBookError(f"{path}: {error.strerror or error}") from error
