"""Erased posts leave the snapshots of past runs too; a run under way keeps its own until it ends.

What else of an ended run holds texts (the training set, the child's log) goes with them: nothing reads it any more.
Must not know the label store.
"""

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from retrain.core.labels import TrainingLabel
from retrain.run_book import RunBook, RunBookError, RunRecord, write_kept
from retrain.run_files import LABELS_FILE, WORK_FOLDER
from retrain.runs import CHILD_LOG

WAITING_FILE: Final = "erase-when-ended.json"
FIT_FOLDER: Final = "fit"


class SnapshotsErased(Struct, frozen=True, kw_only=True):
    """Lines that were taken out of how many runs' snapshots, and the runs that do so when they end."""

    snapshot_lines: int = 0
    runs: int = 0
    waiting: tuple[str, ...] = ()

    def and_then(self, later: "SnapshotsErased") -> "SnapshotsErased":
        """Both of two passes, one after the other."""
        return SnapshotsErased(
            snapshot_lines=self.snapshot_lines + later.snapshot_lines,
            runs=self.runs + later.runs,
            waiting=later.waiting,
        )


def erase_from_snapshots(folder: Path, post_ids: Collection[str]) -> SnapshotsErased:
    """Takes these posts out of every ended run under `folder`; one under way is told to. Raises RunBookError."""
    if not folder.is_dir() or not post_ids:
        return SnapshotsErased()
    book, waiting, taken = RunBook(folder), list[str](), list[int]()
    for run in book.runs():
        place = book.folder_of(run)
        if run.stage == "ended":
            taken.append(_erase(book, run, post_ids))
        else:
            write_kept(place / WAITING_FILE, msgspec.json.encode(sorted({*_waiting(place), *post_ids})))
            waiting.append(run.run_id)
    erase_waiting(book)  # one of them may have ended meanwhile
    return SnapshotsErased(snapshot_lines=sum(taken), runs=sum(map(bool, taken)), waiting=tuple(waiting))


def erase_waiting(book: RunBook) -> None:
    """What was to be erased of runs that have ended since. Raises RunBookError."""
    for run in book.runs():
        place = book.folder_of(run)
        post_ids = _waiting(place) if run.stage == "ended" else ()
        if post_ids:
            _erase(book, run, post_ids)
            with _named(place):
                (place / WAITING_FILE).unlink(missing_ok=True)


def _erase(book: RunBook, run: RunRecord, post_ids: Collection[str]) -> int:
    """How many lines went. The snapshot is rewritten last: a death before it repeats the rest."""
    place = book.folder_of(run)
    snapshot = place / LABELS_FILE
    if not snapshot.is_file():
        return 0
    with _named(snapshot):
        lines = snapshot.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _post_id(snapshot, line) not in post_ids]
    if len(kept) == len(lines):
        return 0
    with _named(place):
        for path in (place / WORK_FOLDER / FIT_FOLDER, place / CHILD_LOG):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if len(run.detail.splitlines()) > 1:  # a child's last words may quote posts
        book.save(msgspec.structs.replace(run, detail=run.detail.splitlines()[0]))
    write_kept(snapshot, b"".join(kept))
    return len(lines) - len(kept)


def _post_id(snapshot: Path, line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=TrainingLabel).post_id
    except msgspec.MsgspecError as error:
        raise RunBookError(f"{snapshot}: a line is no label: {error}") from error


def _waiting(place: Path) -> tuple[str, ...]:
    path = place / WAITING_FILE
    if not path.is_file():
        return ()
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[str, ...])
    except (OSError, msgspec.MsgspecError) as error:
        raise RunBookError(f"{path}: {error}") from error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunBookError(f"{path}: {error.strerror or error}") from error
