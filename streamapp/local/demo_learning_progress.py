"""How far the training of a run has come, as its process says in `child.log`: a JSON line a step."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from streamapp.core.foreign_text import printable
from streamapp.local.log_lines import LogLines


class TrainingStep(Struct, frozen=True, kw_only=True):
    """One line: which step of the run, how far it is (0 to 1), a few words."""

    stage: str
    fraction: float
    detail: str = ""

    @property
    def words(self) -> str:
        """The step for people."""
        return printable(f"{self.stage} {self.detail}".strip())


class TrainingProgress:
    """The newest step of the run in the folder `runs`, read as it is written."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._lines: LogLines | None = None
        self._newest: TrainingStep | None = None

    def newest(self) -> TrainingStep | None:
        """None while training has said nothing."""
        if self._lines is None:
            logs = sorted(self._runs.glob("*/child.log"))
            if not logs:
                return None
            self._lines = LogLines(logs[-1])
        for line in self._lines.new():
            try:
                self._newest = msgspec.json.decode(line, type=TrainingStep)
            except msgspec.MsgspecError:  # what a library prints there is no progress
                continue
        return self._newest
