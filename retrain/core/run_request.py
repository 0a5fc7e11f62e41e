"""What a run is asked and what came of it: the two files between the service and its child process."""

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from retrain.core.run_settings import GateSettings, TrainingSettings

OUTCOME_FILE = "outcome.json"

_T = TypeVar("_T")


class RetrainRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. `labels` and `rehearsal` are JSONL of TrainingLabel, `golden` a golden set (None: the one that ships);
    `work` is the run's own folder, kept until the outcome was used: with it an interrupted run goes on.
    """

    champion_bundle: Path
    labels: Path
    work: Path
    golden: Path | None = None
    rehearsal: Path | None = None
    seed: int = 7
    training: TrainingSettings = TrainingSettings()
    gate: GateSettings = GateSettings()


class RunOutcome(Struct, frozen=True, kw_only=True):
    """What a run decided. `candidate` is the bundle to publish, refused ones too; None where nothing was trained."""

    decision: Literal["promote", "refuse"]
    reasons: tuple[str, ...]
    candidate: Path | None
    report: Path
    figures: dict[str, Any]


def encode_run(value: Struct) -> bytes:
    """A request, an outcome or another struct of a run as JSON, keys sorted, paths as text."""
    return msgspec.json.encode(value, enc_hook=str, order="sorted")


def decode_run(raw: bytes, kind: type[_T]) -> _T:
    """The struct in `raw`. Raises ValueError naming the field."""
    return msgspec.json.decode(raw, type=kind, dec_hook=lambda wanted, found: wanted(found))
