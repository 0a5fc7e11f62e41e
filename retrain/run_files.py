"""The files between the service and its child: the request, the progress that the child tells, its outcome.

Knows their names and forms; must not know what is in a model.
"""

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from retrain.core.run_request import OUTCOME_FILE, RetrainRequest, RunOutcome, decode_run
from retrain.runs import CHILD_LOG
from retrain.settings import RetrainSettings

REQUEST_FILE: Final = "request.json"
LABELS_FILE: Final = "labels.jsonl"
WORK_FOLDER: Final = "work"
PROGRESS_TAIL_BYTES: Final = 8_192


class Progress(Struct, frozen=True, kw_only=True):
    """One line of the child's output: which step, how far (0 to 1), a few words."""

    stage: str
    fraction: float
    detail: str = ""


class OutcomeError(ValueError):
    """An outcome that cannot be used; the text names the file and why."""


def request_of(settings: RetrainSettings, folder: Path, champion_bundle: Path) -> RetrainRequest:
    """What the child is asked, with whole paths: it works in another folder."""
    run = settings.run
    return RetrainRequest(
        champion_bundle=champion_bundle.absolute(),
        labels=(folder / LABELS_FILE).absolute(),
        work=(folder / WORK_FOLDER).absolute(),
        golden=Path(run.golden).absolute() if run.golden else None,
        rehearsal=Path(run.rehearsal).absolute() if run.rehearsal else None,
        seed=settings.training.seed,
        training=settings.training,
        gate=settings.gate,
    )


def read_outcome(folder: Path) -> RunOutcome | None:
    """The outcome of the run in `folder`; None while there is none. Raises OutcomeError."""
    path = folder / WORK_FOLDER / OUTCOME_FILE
    if not path.is_file():
        return None
    try:
        return decode_run(path.read_bytes(), RunOutcome)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise OutcomeError(f"{path}: {error}") from error


def read_progress(folder: Path) -> Progress | None:
    """The last thing that the child said of how far it is; None where it said nothing yet."""
    try:
        with (folder / CHILD_LOG).open("rb") as file:
            file.seek(max(file.seek(0, 2) - PROGRESS_TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(b'{"stage"'):
            try:
                return msgspec.json.decode(line, type=Progress)
            except msgspec.MsgspecError:  # still being written
                continue
    return None
